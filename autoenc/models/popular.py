"""Popular: the most liked items, the same for all users.

Score
    score[u, i] = how many users like item i

Weights and times
    With weights or a half_life, score[u, i] is the sum of the confidences of the item's likes
    (models/weighting.py): with a half_life, it is what is popular now.

The only personal part is that a user's own likes are left out. Where tastes are alike it is hard to
beat by much, so any other model should be compared with it.

Cost
    One pass over the likes, and two numbers per item; the time per user does not grow with the catalogue.

Source
    The usual baseline, "MostPop" or "TopPopular" in Cremonesi, Koren and Turrin 2010 (RecSys),
    section 3.1.

Example
    >>> popular = Popular().fit([[0, 2], [2], [1, 2], [1]])
    >>> items, scores = popular.recommend([[2], []], N=2)
    >>> items
    array([[1, 0],
           [2, 1]], dtype=int32)
    >>> scores
    array([[2., 1.],
           [3., 2.]], dtype=float32)
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Self

import numpy as np
from scipy import sparse

from autoenc.interactions import UserItems, UserItemsLike
from autoenc.models.base import Recommender
from autoenc.models.growing import Growth
from autoenc.models.weighting import check_half_life, item_totals, weighted_pairs


@dataclass(eq=False, repr=False)
class Popular(Recommender):
    """Recommend the most liked items.

    Parameters
    ----------
    half_life : float, optional
        Number of days after which a like counts half.

    Attributes
    ----------
    item_counts_ : array (n_items,), int64, or float64 if not all likes count 1
        Number of users who like each item, or the sum of the confidences of its likes.
    """

    weighs_likes = True

    _: KW_ONLY
    half_life: float | None = None

    def _check_hyperparameters(self) -> None:
        super()._check_hyperparameters()
        check_half_life(self.half_life)

    def _fit(self, user_items: UserItems) -> None:
        """Nothing to learn: every model keeps the counts."""

    def partial_fit(self, user_items: UserItemsLike, y: object = None, *, epochs: int = 1) -> Self:
        """Add these likes, including those of new items, to the counts; `epochs` is ignored.

        Raises ValueError with a half_life, as old likes then have to be discounted again.
        """
        if not self.__sklearn_is_fitted__():
            return self.fit(user_items)
        if self.half_life is not None:
            raise ValueError("with a half_life old likes count less over time; fit again on all likes.")
        self._take_in(user_items)
        return self

    def _grow(self, growth: Growth) -> None:
        """Nothing to add: the model has only the counts."""

    def _counts_of(self, user_items: UserItems) -> np.ndarray:
        return item_totals(weighted_pairs(user_items, self.half_life))

    def _score(self, user_items: sparse.csr_array) -> np.ndarray:
        assert self.item_counts_ is not None
        return np.tile(self.item_counts_.astype(np.float32), (user_items.shape[0], 1))  # (batch, n_items)

    def _is_unknown(self, user_items: sparse.csr_array) -> np.ndarray:
        return np.ones(user_items.shape[0], bool)  # the ranking never depends on the likes

    def _contributions(self, row: sparse.csr_array, column: int) -> np.ndarray:
        return np.zeros(row.nnz, np.float32)  # no score depends on a like

    def _arrays(self) -> dict[str, np.ndarray]:
        assert self.item_counts_ is not None
        return {"item_counts": self.item_counts_}

    def _set_arrays(self, arrays: dict[str, np.ndarray]) -> int:
        counts = arrays.get("item_counts")
        if counts is None or counts.ndim != 1 or counts.dtype not in (np.int64, np.float64):
            raise ValueError("item_counts must be an int64 or float64 array with one number per item.")
        self._set_counts(counts)
        return len(counts)
