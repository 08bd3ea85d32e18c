"""Scores of a fitted model for any users, given by their likes or by the names of liked items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import sparse

from autoenc.evaluation.popularity import Popularity
from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.interactions import Interactions, UserItemsLike, as_user_items, names_of_items
from autoenc.models.estimator import Estimator
from autoenc.models.names import check_is_rows, columns_of_names, columns_of_numbers
from autoenc.titles import Titles

BATCH_SIZE = 256
"""Number of users to score at a time, which bounds the memory of all methods of a model."""

Score = Callable[[sparse.csr_array], np.ndarray]
"""Every item's score for each user, from their likes: both are (batch, n_items)."""


class Scorer(Estimator, ABC):
    """Scores items for users.

    Attributes
    ----------
    catalogue_ : Interactions or None
        Ids and titles of the items (without users), if the model was fitted on an Interactions.
    item_counts_ : array (n_items,), int64, or None
        Number of users who liked each item in the fit. None if the model was read from a file of format
        version 1, or is part of a Blend that was read from a file.
    """

    catalogue_: Interactions | None
    item_counts_: np.ndarray | None = None
    _popularity: Popularity | None = None
    _titles: Titles | None = None

    @abstractmethod
    def _score(self, user_items: sparse.csr_array) -> np.ndarray:
        """Scores as a new float array (batch, n_items), liked items included; higher is better."""

    @property
    def users_at_once(self) -> int:
        """Number of users to rank at a time."""
        return BATCH_SIZE

    def score(self, user_items: UserItemsLike, y: object = None) -> np.ndarray:
        """Scores of all items, liked ones included, for each user: (n_users, n_items), floating.

        The result is dense; for many users prefer `recommend` or `autoenc.evaluation.ranking.rank`. `y` is
        ignored, for compatibility with scikit-learn's Pipeline.
        """
        return self._score(self._as_fitted(user_items))

    def top_n(self, user_items: UserItemsLike, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n best items of each user, without liked ones, in the form of `ranking.top_n_of_scores`.

        Ties go to the more popular item (to the lower item number for networks, whose scores are hardly
        ever equal). A user without known likes, because there are none or nobody liked these items in
        the fit, gets the most popular items, scored by the number of users who like them.
        """
        user_items = self._as_fitted(user_items)
        unknown = self._is_unknown(user_items)
        if unknown.all() and self._popularity is not None:
            return self._popularity.top_n(user_items, n)
        items, scores = self._top_n(user_items, n)
        if unknown.any() and self._popularity is not None:
            items[unknown], scores[unknown] = self._popularity.top_n(user_items[unknown], n)
        return items, scores

    def _top_n(self, user_items: sparse.csr_array, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n items with the highest scores, without liked ones: new arrays (batch, n)."""
        return top_n_of_scores(self._score(user_items), user_items, n, self.item_counts_)

    def _is_unknown(self, user_items: sparse.csr_array) -> np.ndarray:
        """Mask (batch,) of the users with no like of an item that anybody liked in the fit."""
        if self.item_counts_ is None:
            n_known: np.ndarray = np.diff(user_items.indptr)
        else:
            n_known = user_items @ (self.item_counts_ > 0).astype(np.float32)
        unknown: np.ndarray = n_known == 0
        return unknown

    @property
    def title_index(self) -> Titles:
        """Search index of the items' titles; among equally good matches the most liked comes first.

        Items without titles are indexed by their ids, or by their numbers if the model has no ids.
        """
        if self._titles is None:
            names = [str(column) for column in range(self.n_items)]
            if self.catalogue_ is not None:
                names = names_of_items(self.catalogue_)
            self._titles = Titles(names, None if self._popularity is None else self._popularity.order.tolist())
        return self._titles

    def _set_counts(self, counts: np.ndarray | None) -> None:
        self._titles = None
        self.item_counts_ = counts
        self._popularity = None if counts is None else Popularity(counts)

    def item_vectors(self) -> np.ndarray:
        """One vector per item (n_items, dim), for distances between items. Raises ValueError if the model has none."""
        self._check_fitted()
        raise ValueError(f"{type(self).__name__} has no item vectors; use ELSA or a network.")

    def row_of(self, liked: npt.ArrayLike) -> sparse.csr_array:
        """One user's likes, given by titles or external ids, as a row (1, n_items)."""
        self._check_fitted()
        return as_user_items([self._columns(liked, "liked", by_name=True)], self.n_items_)

    def _as_fitted(self, user_items: UserItemsLike) -> sparse.csr_array:
        """Canonical likes over the items that the model was fitted on."""
        self._check_fitted()
        if isinstance(user_items, Interactions):
            known = self.catalogue_
            same_width = user_items.n_items == self.n_items_
            if known is not None and same_width and not np.array_equal(user_items.item_ids, known.item_ids):
                raise ValueError(
                    "user_items has other item_ids than the model was fitted on; "
                    "create it with item_ids=model.catalogue_.item_ids."
                )
            user_items = user_items.user_items
        shape: tuple[int, ...] = getattr(user_items, "shape", ())
        if len(shape) == 2 and shape[1] != self.n_items_:
            raise ValueError(
                f"user_items has {shape[1]:,} columns, but the model was fitted on {self.n_items_:,} "
                "items; pass likes of the same items, one column per item."
            )
        return as_user_items(user_items, self.n_items_)

    def _rows(self, user_items: UserItemsLike | None, liked: npt.ArrayLike | None) -> tuple[sparse.csr_array, bool]:
        """The likes as rows, and whether they were given by name. Raises TypeError unless exactly one is given."""
        self._check_fitted()
        if (user_items is None) == (liked is None):
            raise TypeError("pass either user_items, rows of likes, or liked, one user's likes by name.")
        check_is_rows(user_items)
        return (self._as_fitted(user_items), False) if liked is None else (self.row_of(liked), True)

    def _columns(self, items: npt.ArrayLike, argument: str, by_name: bool) -> np.ndarray:
        """Item numbers, from numbers or from names."""
        if by_name:
            return columns_of_names(items, argument, self.catalogue_, self.title_index)
        return columns_of_numbers(items, argument, self.n_items_)
