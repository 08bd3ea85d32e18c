"""Popular: the most liked items, for everybody.

Score
    score[u, i] = how many users like item i

Weights and times
    With weights or a half_life, score[u, i] is the sum of what the item's likes count
    (models/weighting.py): with a half_life, what most people like of late.

It knows nothing of the user but what to leave out, and is hard to beat by more than a little where
everybody likes the same. Any other model has to stand beside it.

Cost
    One pass over the likes; two numbers an item, and a user costs no more in a large catalogue.

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
    """Recommend what most users like.

    Parameters
    ----------
    half_life : float, optional
        In how many days a like counts half.

    Attributes
    ----------
    item_counts_ : array (n_items,), int64, or float64 where likes don't all count 1
        How many users like each item.
    """

    weighs_likes = True

    _: KW_ONLY
    half_life: float | None = None

    def _check_hyperparameters(self) -> None:
        super()._check_hyperparameters()
        check_half_life(self.half_life)

    def _fit(self, user_items: UserItems) -> None:
        """There is nothing to learn but the counts, which every model keeps."""

    def partial_fit(self, user_items: UserItemsLike, y: object = None, *, epochs: int = 1) -> Self:
        """Count these likes too, once, of new items as well.

        Raises ValueError with a half_life, as old counts then age.
        """
        if not self.__sklearn_is_fitted__():
            return self.fit(user_items)
        if self.half_life is not None:
            raise ValueError("half_life makes the counts of old likes age; fit again on all likes.")
        self._take_in(user_items)
        return self

    def _grow(self, growth: Growth) -> None:
        """There is nothing but the counts."""

    def _counts_of(self, user_items: UserItems) -> np.ndarray:
        return item_totals(weighted_pairs(user_items, self.half_life))

    def _score(self, user_items: sparse.csr_array) -> np.ndarray:
        assert self.item_counts_ is not None
        return np.tile(self.item_counts_.astype(np.float32), (user_items.shape[0], 1))  # (batch, n_items)

    def _is_unknown(self, user_items: sparse.csr_array) -> np.ndarray:
        return np.ones(user_items.shape[0], bool)  # whatever they like

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
