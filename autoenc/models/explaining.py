"""Explaining: which of a user's likes drive the score of an item."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from autoenc.evaluation.splits import keep
from autoenc.interactions import UserItemsLike, as_user_items
from autoenc.machine import compute_threads
from autoenc.messages import shown
from autoenc.models.names import named
from autoenc.models.rankings import Explanation, NamedExplanation
from autoenc.models.scorer import BATCH_SIZE, Scorer


class Explaining(Scorer):
    """Explains scores by leave-one-out."""

    def explain(
        self,
        user_items: UserItemsLike | None = None,
        item: npt.ArrayLike | None = None,
        *,
        liked: npt.ArrayLike | None = None,
    ) -> Explanation:
        """Explain the score of an item by the user's likes, leaving out one at a time.

        contribution[j] = score(item | all likes) - score(item | all likes but j)

        This is exact for a single like; leaving out two may have a different effect. The contributions
        sum to the score if the model is linear, but not in general.

        Parameters
        ----------
        user_items : (1, n_items), as in `fit`
            One user's likes.
        item : int, or with `liked` a title or external id
        liked : list of titles or external ids, instead of `user_items`

        Returns
        -------
        items : array (n_likes,), int32
            The likes in order of decreasing contribution; names if `liked` was given.
        contributions : array (n_likes,), floating

        The pair is an `Explanation`; its `is_liked` tells whether the item itself is among the likes.

        Raises
        ------
        ValueError, TypeError
            As in `recommend`, or if `user_items` does not have exactly one row, or `item` is missing.
        """
        row, by_name = self._rows(user_items, liked)
        if item is None:
            raise TypeError("item is missing; pass the item whose score is to be explained.")
        if row.shape[0] != 1:
            raise ValueError(f"user_items has {row.shape[0]:,} rows; pass one user's, such as user_items[[0]].")
        columns = self._columns(item, "item", by_name)
        if len(columns) != 1:
            raise ValueError(f"item is {shown(item)}; pass one item.")
        column = int(columns[0])
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
        """Score of `column` with all likes minus its score without each of them: (n_likes,).

        A model that has a faster way to compute this overrides it.
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
        """The scores of one item (batch,). A model that can score it without all others overrides this."""
        return self._score(user_items)[:, column]
