"""Items by number and by name: from the caller's names to columns, and from columns back to names."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from autoenc.interactions import Interactions, columns_of_items
from autoenc.messages import shown
from autoenc.titles import Titles

P = ParamSpec("P")
T = TypeVar("T")


def items_of(interactions: Interactions) -> Interactions:
    """The items with their names, without users."""
    return catalogue_of(interactions.n_items, interactions.item_ids, interactions.titles)


def catalogue_of(n_items: int, item_ids: np.ndarray, titles: np.ndarray | None) -> Interactions:
    """An Interactions with these item ids (n_items,) and titles, without users."""
    nobody = sparse.csr_array((0, n_items), dtype=np.float32)
    return Interactions.from_csr(nobody, item_ids=item_ids, titles=titles)


def columns_of_numbers(items: npt.ArrayLike, argument: str, n_items: int) -> np.ndarray:
    """One item number or several as an array. Raises TypeError or ValueError that names `argument` otherwise."""
    columns = np.atleast_1d(np.asarray(items, dtype=None if np.size(items) else np.int32))
    if columns.dtype.kind not in "iu":
        raise TypeError(f"{argument} is {shown(items)}; pass item numbers, from 0 to {n_items - 1}.")
    outside = columns[(columns < 0) | (columns >= n_items)]
    if len(outside):
        raise ValueError(f"{argument} holds {outside[0]}; items are numbered from 0 to {n_items - 1}.")
    return columns


def columns_of_names(names: npt.ArrayLike, argument: str, catalogue: Interactions | None, titles: Titles) -> np.ndarray:
    """The item numbers of titles or external ids. Raises ValueError if a name is unknown, or the model has no names."""
    if catalogue is None:
        raise ValueError(
            f"{argument} has names of items, but the model was fitted on a matrix, which has none; "
            "fit it on an Interactions, or pass user_items."
        )
    return columns_of_items(names, catalogue.item_ids, titles)


def named(catalogue: Interactions, columns: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One user's items (n,) by title or external id, with their scores; padding (item -1) is removed."""
    names = catalogue.item_ids if catalogue.titles is None else catalogue.titles
    return names[columns[columns >= 0]], scores[columns >= 0]


def takes_rows(method: Callable[P, T]) -> Callable[P, T]:
    """Decorator that raises a helpful TypeError if a method is called as in implicit, with a user number first."""

    @functools.wraps(method)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if len(args) > 2 and (sparse.issparse(args[2]) or "N" in kwargs):
            raise TypeError(
                f"{method.__name__} takes likes, not a user number, as the model keeps no users; "
                f"call {method.__name__}(user_items[[0]], N=10) in place of {method.__name__}(0, user_items[0], N=10)."
            )
        return method(*args, **kwargs)

    return checked


def check_is_rows(user_items: object) -> None:
    """Raise TypeError if `user_items` is a name, a number, or a list of either, as one might pass for one user."""
    is_one = np.isscalar(user_items)
    if isinstance(user_items, (list, tuple)) and user_items:
        first = user_items[0]
        is_one = np.isscalar(first) or (
            isinstance(first, (list, tuple)) and any(isinstance(item, str) for item in first)
        )
    if is_one:
        raise TypeError(
            f"user_items is {shown(user_items)}; pass one user's likes by name as liked=[...], "
            "or a list of item numbers for each user, such as [[0, 7]] for one: the model keeps no users."
        )
