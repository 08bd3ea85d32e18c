"""Recommending: the best items for users, and the items most similar to one.

The methods and their results, arrays of item numbers and scores, are those of the package implicit.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.interactions import Interactions, UserItemsLike
from autoenc.messages import shown
from autoenc.models.names import columns_of_numbers, named, takes_rows
from autoenc.models.rankings import NamedRanking, Ranking
from autoenc.models.scorer import BATCH_SIZE, Scorer

ItemsLike: TypeAlias = "npt.ArrayLike | Interactions | sparse.sparray | sparse.spmatrix"
"""Items for all users, or a users x items matrix."""


class Recommending(Scorer):
    """Recommends the items with the highest scores."""

    @takes_rows
    def recommend(
        self,
        user_items: UserItemsLike | None = None,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: ItemsLike | None = None,
        items: ItemsLike | None = None,
        *,
        liked: npt.ArrayLike | None = None,
    ) -> Ranking:
        """The N best items for each user.

        Ties are broken by popularity, for example among the items that score 0 because they are unrelated
        to all of the user's likes. A user none of whose likes is known to the model gets the most popular
        items. `by_popularity` of the result says which items these are.

        Parameters
        ----------
        user_items : (n_users, n_items), as in `fit`
            Likes of any users, seen in training or not.
        N : int
            Number of items per user; fewer are returned only if no others are left.
        filter_already_liked_items : bool
            Whether to leave out the items that a user already likes.
        filter_items : list of items, or (n_users, n_items), optional
            Items to leave out: a list for all users, or a sparse matrix or Interactions with one row per
            user.
        items : list of items, or (n_users, n_items), optional
            The only items to recommend, in the same forms. Not together with `filter_items`.
        liked : list of titles or external ids, instead of `user_items`
            Likes of one user by name. All count the same, as they have no times or weights. Lists in
            `filter_items` and `items` are then names too, and so is the result.

        Returns
        -------
        items : array (n_users, min(N, n_items)), int32
            Item numbers (columns), best first. With `liked`, an array (N or fewer,) of titles, or of
            external ids if there are no titles.
        scores : array of the same shape, floating
            Rows with fewer items are padded as in implicit 0.7, with item -1 and the lowest number of the
            dtype as score. With `liked` there is no padding: the arrays are shorter. The score of an
            item recommended by popularity is the number of users who like it.

        The pair is a `Ranking`.

        Raises
        ------
        ValueError
            If `user_items` has another number of items than the model was fitted on, or is an
            Interactions with other ids; if an item is out of range, or a name is unknown (the error
            suggests similar names); if the model is not fitted.
        TypeError
            Unless exactly one of `user_items` and `liked` is given.

        Warns
        -----
        UserWarning
            If popularity is needed and the model was read from a file of format version 1, which has no
            counts: then the model's scores decide, and ties are in the order of the items.
        """
        if not isinstance(N, (int, np.integer)) or N < 1:
            raise ValueError(f"N is {shown(N)}; pass how many items to recommend, 1 or more.")
        likes, by_name = self._rows(user_items, liked)
        n = min(int(N), self.n_items_)
        offer = self._offer(likes.shape[0], by_name, filter_items, items)

        is_usual = filter_already_liked_items and offer is None
        size = self.users_at_once if is_usual else BATCH_SIZE
        answers = []
        for start in range(0, max(1, likes.shape[0]), size):
            users = slice(start, start + size)
            if is_usual:
                answers.append(self.top_n(likes[users], n))
            else:
                answers.append(self._top_n_of_some(likes[users], n, filter_already_liked_items, offer, users))
        columns, scores = (np.concatenate(arrays) for arrays in zip(*answers))
        by_popularity = self._by_popularity(likes, columns, scores)
        if not by_name:
            return Ranking(columns, scores, by_popularity)
        assert self.catalogue_ is not None
        return NamedRanking(*named(self.catalogue_, columns[0], scores[0]), by_popularity[0][columns[0] >= 0])

    def _offer(
        self, n_users: int, by_name: bool, filter_items: ItemsLike | None, items: ItemsLike | None
    ) -> Offer | None:
        """The items that may be recommended, or None for all."""
        if filter_items is not None and items is not None:
            raise ValueError("filter_items and items are both given; pass one of them.")
        argument, given = ("filter_items", filter_items) if items is None else ("items", items)
        if given is None:
            return None
        if not (sparse.issparse(given) or isinstance(given, Interactions)):
            mask = np.zeros(self.n_items_, bool)
            mask[self._columns(given, argument, by_name)] = True
            return Offer(mask, items is not None)
        rows = self._as_fitted(given)
        if rows.shape[0] != n_users:
            raise ValueError(
                f"{argument} has {rows.shape[0]:,} rows for {n_users:,} users; pass one row for each user, "
                "or a list of items for all of them."
            )
        return Offer(rows, items is not None)

    def _top_n_of_some(
        self, user_items: sparse.csr_array, n: int, strike_liked: bool, offer: Offer | None, users: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        """The n best of the items offered to each user (batch, n), with or without liked ones."""
        scores = self._score(user_items)
        unknown = self._is_unknown(user_items)
        if self.item_counts_ is not None:
            scores[unknown] = self.item_counts_
        if offer is not None:
            offer.strike(scores, users)
        return top_n_of_scores(scores, user_items if strike_liked else None, n, self.item_counts_)

    def _by_popularity(self, user_items: sparse.csr_array, columns: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Mask (n_users, n) of the items recommended by popularity alone. Warns if there are no counts."""
        of_nobody = self._is_unknown(user_items)[:, None] | (scores == 0)
        by_popularity: np.ndarray = of_nobody & (columns >= 0)
        if self.item_counts_ is None and by_popularity.any():
            warnings.warn(
                "the model was read from a file of format version 1, which does not hold the number of likes of each "
                "item, so nothing can be recommended by popularity; train the model again and save it.",
                stacklevel=4,  # at the caller of `recommend`, which takes_rows wraps
            )
            by_popularity[:] = False
        return by_popularity

    def similar_items(self, item: npt.ArrayLike, N: int = 10) -> Ranking:
        """The items most similar to an item: those recommended to a user who likes only that item.

        Unlike in implicit, the item itself is not included.

        Parameters
        ----------
        item : int, or str, or a list of either
            An item's number, or its title or external id as a string.
        N : int

        Returns
        -------
        items, scores : arrays (N,), or (n, N) for a list of n; a Ranking
            Padded as in `recommend`. If `item` is a string, titles (or external ids) without padding. An
            item that is related to no other gets the most popular items, as in `recommend`.
        """
        if isinstance(item, str):
            return self.recommend(liked=[item], N=N)
        self._check_fitted()
        columns = columns_of_numbers(item, "item", self.n_items_)
        ranking = self.recommend([[column] for column in columns.tolist()], N)
        return ranking if np.ndim(item) else Ranking(*(array[0] for array in (*ranking, ranking.by_popularity)))


class Offer(NamedTuple):
    """The items that may, or may not, be recommended to users."""

    items: np.ndarray | sparse.csr_array  # a mask (n_items,) for all users, or one row per user (n_users, n_items)
    are_offered: bool  # or left out

    def strike(self, scores: np.ndarray, users: slice) -> None:
        """Set the scores (batch, n_items) of items not offered to these users to -inf."""
        if isinstance(self.items, np.ndarray):
            scores[:, self.items != self.are_offered] = -np.inf
            return
        cells = self.items[users].nonzero()
        if self.are_offered:
            offered = scores[cells]
            scores[:] = -np.inf
            scores[cells] = offered
        else:
            scores[cells] = -np.inf
