"""Recommending: the best items for users, and the items that are most like one.

The methods and their answers, arrays of item numbers and of scores, are those of the package implicit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.interactions import UserItemsLike
from autoenc.machine import check_free
from autoenc.messages import shown
from autoenc.models.names import columns_of_numbers, named
from autoenc.models.scorer import BATCH_SIZE, Scorer


class Recommending(Scorer):
    """Recommends what it scores highest."""

    def recommend(
        self,
        user_items: UserItemsLike | None = None,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: npt.ArrayLike | None = None,
        items: npt.ArrayLike | None = None,
        *,
        liked: npt.ArrayLike | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N best items for each user.

        Parameters
        ----------
        user_items : (n_users, n_items), as in `fit`
            The likes of any users.
        N : int
        filter_already_liked_items : bool
            Whether to leave out what a user likes already.
        filter_items : list of items, optional
            Leave these out too.
        items : list of items, optional
            Recommend among these alone. Not together with `filter_items`.
        liked : list of titles or external ids, instead of `user_items`
            The likes of one user by name. Then `filter_items` and `items` are names as well, and
            the answer is.

        Returns
        -------
        items : array (n_users, N), int32
            Item numbers (columns), best first; of equal scores the lower number first. With
            `liked`, an array (N or fewer,) of titles, or of external ids where there are no titles.
        scores : array of the same shape, floating
            Where fewer than N items are left the rest is padded, as implicit 0.7 pads a batch:
            item -1, and for its score the lowest number of the dtype. With `liked` there is no
            padding: the arrays are shorter.

        Raises
        ------
        ValueError
            If `user_items` has another number of items than the model was fitted on (both are
            named), or is an Interactions with other ids; if an item is out of range, or a name is
            not known (the nearest are named); if the model is not fitted.
        TypeError
            Unless exactly one of `user_items` and `liked` is given.
        """
        if not isinstance(N, (int, np.integer)) or not 1 <= N < 2**31:
            raise ValueError(f"N is {shown(N)}; pass how many items to recommend, 1 or more.")
        N = int(N)  # NumPy's numbers overflow
        if filter_items is not None and items is not None:
            raise ValueError("filter_items and items are both given; pass one of them.")
        likes, by_name = self._rows(user_items, liked)
        n_found = min(N, self.n_items_)
        if not by_name:
            check_free(f"an answer of {N:,} items a user", 8 * likes.shape[0] * (N - n_found), "ask for fewer")
        left_out = None
        if items is not None:
            left_out = np.setdiff1d(np.arange(self.n_items_), self._columns(items, "items", by_name))
        elif filter_items is not None:
            left_out = self._columns(filter_items, "filter_items", by_name)

        is_usual = filter_already_liked_items and left_out is None
        size = self.users_at_once if is_usual else BATCH_SIZE
        answers = []
        for start in range(0, max(1, likes.shape[0]), size):
            batch = likes[start : start + size]
            if is_usual:
                answers.append(self.top_n(batch, n_found))
            else:
                answers.append(self._top_n_of_some(batch, n_found, filter_already_liked_items, left_out))
        columns, scores = (np.concatenate(arrays) for arrays in zip(*answers))
        if by_name:
            assert self.catalogue_ is not None
            return named(self.catalogue_, columns[0], scores[0])
        return padded(columns, N, -1), padded(scores, N, np.finfo(scores.dtype).min)

    def _top_n_of_some(
        self, user_items: sparse.csr_array, n: int, strike_liked: bool, left_out: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The n best items of each user (batch, n), without the columns left out, with or without the liked ones."""
        scores = self._score(user_items)
        if left_out is not None:
            scores[:, left_out] = -np.inf
        return top_n_of_scores(scores, user_items if strike_liked else None, n)

    def similar_items(self, item: npt.ArrayLike, N: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """The items most like one item: what is recommended to somebody who likes it alone.

        Unlike implicit's, the answer leaves out the item itself.

        Parameters
        ----------
        item : int, or str, or a list of either
            An item's number, or its title or external id as a string.
        N : int

        Returns
        -------
        items, scores : arrays (N,), or (n, N) for a list of n
            Padded as in `recommend`. For a string titles (or external ids), not padded.
        """
        if isinstance(item, str):
            return self.recommend(liked=[item], N=N)
        self._check_fitted()
        columns = columns_of_numbers(item, "item", self.n_items_)
        items, scores = self.recommend([[column] for column in columns.tolist()], N)
        return (items, scores) if np.ndim(item) else (items[0], scores[0])


def padded(ranking: np.ndarray, n: int, value: float) -> np.ndarray:
    """A ranking (n_users, n or fewer) with n columns, the rest of which hold the value."""
    missing = n - ranking.shape[1]
    return np.pad(ranking, ((0, 0), (0, missing)), constant_values=value) if missing else ranking
