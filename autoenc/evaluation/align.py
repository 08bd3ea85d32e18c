"""Alignment of two tables of likes by the ids of users and items.

A split made elsewhere has a training table and a test table, each with the users and items that occur in
it, so their rows and columns must be matched by id.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy import sparse

from autoenc.interactions import Interactions, carrying, positions
from autoenc.storage.csr import indptr_of


def aligned(scorer: Any, train: Interactions, held_out: Interactions) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Both tables with the scorer's items as columns and train's users as rows.

    Some held-out likes are left out, with a warning that counts them: those of users that are not in
    train, those of items that the scorer doesn't know, and those that are in train too, which are
    excluded from the ranking.

    Parameters
    ----------
    scorer : ScorerLike
        Its items are those of `catalogue_`, if it has one, otherwise those of `train`.
    train, held_out : Interactions

    Returns
    -------
    train, held_out : csr_array (train.n_users, scorer.n_items)

    Raises
    ------
    ValueError
        If the scorer has no ids of its items and another number of items than train, or no held-out like
        remains.
    """
    catalogue = getattr(scorer, "catalogue_", None)
    if catalogue is None and train.n_items != scorer.n_items:
        raise ValueError(
            f"train has {train.n_items:,} items, but the model was fitted on {scorer.n_items:,} without ids; "
            "fit it on an Interactions, or pass matrices whose columns are its items."
        )
    item_ids = train.item_ids if catalogue is None else catalogue.item_ids
    for of_train, ids, what in ((train.user_ids, held_out.user_ids, "user"), (item_ids, held_out.item_ids, "item")):
        if held_out.n_likes and not is_among(ids, of_train).any():
            whose = "train's" if what == "user" else "the model's"
            raise ValueError(
                f"held_out and train can't be aligned: none of the {len(ids):,} {what}s of held_out, with ids like "
                f"{ids[0]!s}, is among {whose}, with ids like {of_train[0]!s}; pass two parts of the same likes."
            )
    known = to_columns(held_out.user_items, held_out.item_ids, item_ids)
    found = to_rows(known, held_out.user_ids, train.user_ids)
    shown = to_columns(train.user_items, train.item_ids, item_ids)
    both = found.multiply(shown)
    if both.nnz:
        found = sparse.csr_array(found - both)
        found.eliminate_zeros()
    if found.nnz < held_out.n_likes:
        n_users = (~is_among(held_out.user_ids, train.user_ids)).sum()
        n_items = (~is_among(held_out.item_ids, item_ids)).sum()
        warnings.warn(
            f"left out {held_out.n_likes - found.nnz:,} of {held_out.n_likes:,} held-out likes: those of {n_users:,} "
            f"users that are not in train, those of {n_items:,} items that the model doesn't know, and {both.nnz:,} "
            "that are in train too.",
            stacklevel=3,  # at the caller of `evaluate`
        )
    return shown, found


def is_among(ids: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mask of the external ids that are among the known ones. The number 7 and the string "7" are the same id."""
    return positions(ids, known) >= 0


def to_columns(user_items: sparse.csr_array, item_ids: np.ndarray, known: np.ndarray) -> sparse.csr_array:
    """Likes of `item_ids` with the ids `known` as columns, without other items; times and weights are kept."""
    if np.array_equal(item_ids, known):
        return user_items
    columns = positions(item_ids, known)[user_items.indices]
    rows = np.repeat(np.arange(user_items.shape[0]), np.diff(user_items.indptr))
    kept = np.flatnonzero(columns >= 0)
    if item_ids.dtype.kind != known.dtype.kind:  # as 9 < 10, but "10" < "9"
        kept = kept[np.lexsort((columns[kept], rows[kept]))]
    lengths = np.bincount(rows[kept], minlength=user_items.shape[0])
    ones = np.ones(len(kept), np.float32)
    moved = sparse.csr_array((ones, columns[kept], indptr_of(lengths)), (user_items.shape[0], len(known)))
    carried = getattr(user_items, "carried", {})
    return carrying(moved, **{name: values[kept] for name, values in carried.items()}) if carried else moved


def to_rows(user_items: sparse.csr_array, user_ids: np.ndarray, known: np.ndarray) -> sparse.csr_array:
    """Likes of `user_ids` with the ids `known` as rows, without times and weights; rows may be empty."""
    if np.array_equal(user_ids, known):
        return user_items
    row_of = positions(known, user_ids)
    lengths = np.where(row_of >= 0, np.diff(user_items.indptr)[row_of], 0)
    rows = user_items[row_of[row_of >= 0]]
    return sparse.csr_array((rows.data, rows.indices, indptr_of(lengths)), (len(known), user_items.shape[1]))
