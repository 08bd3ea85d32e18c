"""Adding new items to a fitted model, initialized from the items that they were liked with.

A new item has no history, but the users who like it also like known items. In an array with one row per
item, such as an embedding, its row is the mean over these:

    row[new] = mean of row[like] over the known likes of all users who like the new item

An item that was liked together with no known item gets the mean of all rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from autoenc.evaluation.align import to_columns
from autoenc.interactions import Interactions, UserItems, as_user_items
from autoenc.models.names import catalogue_of


class Growth(NamedTuple):
    """A model's items together with new ones.

    Examples
    --------
    >>> likes = Interactions.from_pairs([1, 1, 1, 2, 2], [10, 15, 20, 10, 15])
    >>> growth = growth_of(catalogue_of(2, np.array([10, 20]), None), likes)
    >>> growth.rows(np.array([[0.0, 3.0], [6.0, 6.0]]))               # 15 was liked with 10 twice, with 20 once
    array([[0., 3.],
           [2., 4.],
           [6., 6.]])
    """

    catalogue: Interactions  # all items, without users
    known: np.ndarray  # (n_known,): the columns of the items that the model has
    user_items: UserItems  # (n_users, n_items): the new likes

    @property
    def has_new_items(self) -> bool:
        return len(self.known) < int(self.user_items.shape[1])

    def counts(self, counts: np.ndarray) -> np.ndarray:
        """Numbers of likes (n_known,) extended to all items (n_items,), with 0 for new ones."""
        grown = np.zeros(self.user_items.shape[1], counts.dtype)
        grown[self.known] = counts
        return grown

    def rows(self, array: np.ndarray) -> np.ndarray:
        """An array with one row (or number) per known item extended to all items: (n_items, ...)."""
        n_items = self.user_items.shape[1]
        is_new = np.ones(n_items, bool)
        is_new[self.known] = False
        both = sparse.csr_array(self.user_items[:, is_new].T @ self.user_items[:, self.known])  # (n_new, n_known)
        n_terms = both.sum(axis=1)
        started = np.empty((len(n_terms), *array.shape[1:]), array.dtype)
        started[:] = array.mean(axis=0)
        met = n_terms > 0
        sums = (both @ array)[met]
        started[met] = sums / n_terms[met].reshape(-1, *[1] * (array.ndim - 1))
        grown = np.empty((n_items, *array.shape[1:]), array.dtype)
        grown[self.known], grown[is_new] = array, started
        return grown


def growth_of(catalogue: Interactions | None, likes: object) -> Growth | None:
    """The items of a catalogue together with those of the likes; None without a catalogue or an Interactions.

    An integer and its digits are the same id, as in `interactions.positions`. Raises ValueError if the
    catalogue's ids are integers and those of the likes are not, or if none of the items is known.
    """
    if catalogue is None or not isinstance(likes, Interactions):
        return None
    added = _of_kind(likes.item_ids, catalogue.item_ids)
    item_ids = np.union1d(catalogue.item_ids, added)
    if len(added) and len(item_ids) == catalogue.n_items + len(added):
        raise ValueError(
            f"none of the {len(added):,} items of user_items, with ids like {added[0]!s}, is among the model's, with "
            f"ids like {catalogue.item_ids[0]!s}; pass likes with the ids that the model was fitted on, or fit a new "
            "model."
        )
    user_items = as_user_items(to_columns(likes.user_items, likes.item_ids, item_ids), len(item_ids))
    if len(item_ids) == catalogue.n_items:
        return Growth(catalogue, np.arange(len(item_ids)), user_items)
    titles: dict[int | str, str] = {}
    for ids, of in ((added, likes), (catalogue.item_ids, catalogue)):  # the model's titles take precedence
        titles |= {} if of.titles is None else dict(zip(ids.tolist(), of.titles.tolist()))
    called = np.array([titles.get(item, str(item)) for item in item_ids.tolist()]) if titles else None
    of_known = np.searchsorted(item_ids, catalogue.item_ids)
    return Growth(catalogue_of(len(item_ids), item_ids, called), of_known, user_items)


def _of_kind(ids: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Ids as integers or strings, whichever the known ids are."""
    if ids.dtype.kind == known.dtype.kind or known.dtype.kind == "U":
        return ids.astype(str) if known.dtype.kind == "U" else ids
    numbers = np.array([int(i) if i.isdecimal() and len(i) < 19 else -1 for i in ids.tolist()], np.int64)
    other = numbers.astype(str) != ids
    if other.any():
        raise ValueError(
            f"user_items has item ids like {ids[other][0]!s}, but the model has ids like {known[0]!s}; pass ids of "
            "the same kind."
        )
    return numbers
