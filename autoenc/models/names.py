"""Items by number and by name: what a caller passes as columns, and columns as what a caller reads."""

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
    """The items with their names, and no users."""
    return catalogue_of(interactions.n_items, interactions.item_ids, interactions.titles)


def catalogue_of(n_items: int, item_ids: np.ndarray, titles: np.ndarray | None) -> Interactions:
    """Items by their ids (n_items,) and titles, where they have titles, without users."""
    nobody = sparse.csr_array((0, n_items), dtype=np.float32)
    return Interactions.from_csr(nobody, item_ids=item_ids, titles=titles)


def columns_of_numbers(items: npt.ArrayLike, argument: str, n_items: int) -> np.ndarray:
    """One item number or several as an array. Raises TypeError or ValueError, about `argument`, at anything else."""
    columns = np.atleast_1d(np.asarray(items, dtype=None if np.size(items) else np.int32))
    if columns.dtype.kind not in "iu":
        raise TypeError(f"{argument} is {shown(items)}; pass numbers of items, from 0 to {n_items - 1}.")
    outside = columns[(columns < 0) | (columns >= n_items)]
    if len(outside):
        raise ValueError(f"{argument} holds {outside[0]}; items are numbered from 0 to {n_items - 1}.")
    return columns


def columns_of_names(names: npt.ArrayLike, argument: str, catalogue: Interactions | None, titles: Titles) -> np.ndarray:
    """The item numbers of titles or external ids. Raises ValueError where there is no such name, or there are none."""
    if catalogue is None:
        raise ValueError(
            f"{argument} names items, but the model was fitted on a matrix, which has no names; "
            "fit it on an Interactions, or pass user_items."
        )
    return columns_of_items(names, catalogue.item_ids, titles)


def named(catalogue: Interactions, columns: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One user's items (n,) by title or external id, with their scores; the padding, of items -1, is left out."""
    names = catalogue.item_ids if catalogue.titles is None else catalogue.titles
    return names[columns[columns >= 0]], scores[columns >= 0]


def takes_rows(method: Callable[P, T]) -> Callable[P, T]:
    """The method, which refuses implicit's call of it, a user's number before the likes, in a sentence."""

    @functools.wraps(method)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if len(args) > 2 and (sparse.issparse(args[2]) or "N" in kwargs):
            raise TypeError(
                f"{method.__name__} takes likes and no user's number, as the model knows no users; "
                f"pass {method.__name__}(user_items[[0]], N=10) in place of {method.__name__}(0, user_items[0], N=10)."
            )
        return method(*args, **kwargs)

    return checked


def check_is_rows(user_items: object) -> None:
    """Raise TypeError where somebody who has one user in mind passes a name, a number, or a list of either."""
    is_one = np.isscalar(user_items)
    if isinstance(user_items, (list, tuple)) and user_items:
        first = user_items[0]
        is_one = np.isscalar(first) or (
            isinstance(first, (list, tuple)) and any(isinstance(item, str) for item in first)
        )
    if is_one:
        raise TypeError(
            f"user_items is {shown(user_items)}; pass one user's likes by name as liked=[...], "
            "or a row of item numbers for each user, as [[0, 7]] for one: the model knows no users by number."
        )
