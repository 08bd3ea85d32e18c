"""Explaining: which of a user's likes drive the score of an item."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from autoenc.evaluation.splits import keep
from autoenc.interactions import UserItemsLike, as_user_items
from autoenc.machine import compute_threads
from autoenc.models.names import named
from autoenc.models.rankings import Explanation, NamedExplanation
from autoenc.models.scorer import BATCH_SIZE, Scorer


class Explaining(Scorer):
    """Explains scores by leaving out one like at a time."""

    def explain(
        self,
        user_items: UserItemsLike | None = None,
        item: npt.ArrayLike | None = None,
        *,
        liked: npt.ArrayLike | None = None,
    ) -> Explanation:
        """Which of a user's likes drive the score of an item, by leaving out one at a time.

        contribution[j] = score(item | all likes) - score(item | all likes but j)

        It is exact, and says nothing of leaving out two. The contributions add up to the score
        where the model is linear, and need not elsewhere.

        Parameters
        ----------
        user_items : (1, n_items), as in `fit`
            One user's likes.
        item : int, or with `liked` a title or external id
        liked : list of titles or external ids, instead of `user_items`

        Returns
        -------
        items : array (n_likes,), int32
            The likes, the one that drives most first; with `liked` by name.
        contributions : array (n_likes,), floating

        The two are an `Explanation`, whose `is_liked` tells whether the item is liked already.

        Raises
        ------
        ValueError, TypeError
            As `recommend` does, or where `user_items` has not one row, or `item` is missing.
        """
        row, by_name = self._rows(user_items, liked)
        if item is None:
            raise TypeError("item is missing; pass the item whose score is to be explained.")
        if row.shape[0] != 1:
            raise ValueError(f"user_items has {row.shape[0]:,} rows; pass one user's, such as user_items[[0]].")
        [column] = self._columns(item, "item", by_name)
        with compute_threads():
            contributions = self._contributions(row, column)
        most_first = np.argsort(-contributions, kind="stable")
        columns, contributions = row.indices[most_first], contributions[most_first]
        is_liked = bool((row.indices == column).any())
        if by_name:
            assert self.catalogue_ is not None
            return NamedExplanation(*named(self.catalogue_, columns, contributions), is_liked)
        return Explanation(columns, contributions, is_liked)

    def _contributions(self, row: sparse.csr_array, column: int) -> np.ndarray:
        """Score `column` once with all likes and once without each: (n_likes,).

        A model that knows a shorter way to the same numbers overrides this.
        """
        likes = row.indices
        with_all = self._score_of(row, column)[0]
        contributions = np.empty(len(likes), with_all.dtype)
        for start in range(0, len(likes), BATCH_SIZE):
            left_out = np.arange(start, min(start + BATCH_SIZE, len(likes)))
            kept = np.arange(len(likes)) != left_out[:, None]  # (batch, n_likes)
            rows = as_user_items(keep(row[np.zeros(len(left_out), np.int64)], kept.ravel()))
            contributions[left_out] = with_all - self._score_of(rows, column)
        return contributions

    def _score_of(self, user_items: sparse.csr_array, column: int) -> np.ndarray:
        """The scores of one item, (batch,); a model that can do without those of the others overrides this."""
        return self._score(user_items)[:, column]
