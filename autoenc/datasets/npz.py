"""Ratings as a SciPy sparse matrix in an .npz file, read and written. No pickle is read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from scipy import sparse

from autoenc.datasets.columns import MAX_ID, FieldError, Ratings, check_width, short
from autoenc.datasets.options import NO_OPTIONS, ReadOptions
from autoenc.datasets.sources import MAX_RATIO, Source, members
from autoenc.datasets.streams import SourceError
from autoenc.interactions import Interactions
from autoenc.storage.atomic import replacing
from autoenc.storage.csr import check_compressed
from autoenc.storage.npy import read_npy
from autoenc.storage.reading import FAULTS


def read_npz(path: Path, wanted: frozenset[str], options: ReadOptions = NO_OPTIONS) -> Ratings:
    """Read a users x items matrix as written by scipy.sparse.save_npz.

    Ids are the positions, from 0, or the arrays user_ids and item_ids next to the matrix, with titles, as
    `autoenc prepare` writes them. Weights and, if wanted, times are arrays with one entry per stored value. The
    values of the matrix are ratings if those are wanted, and weights if weight="data".

    Some things that scipy.sparse.load_npz doesn't check are checked before SciPy's C code sees them: sizes
    that are out of proportion, and indices that are out of range.
    """
    _check_options(path, options)
    kind = _array(path, "format").tobytes().replace(b"\0", b"").decode("latin-1")
    names = {"csr": ("indices", "indptr"), "csc": ("indices", "indptr"), "coo": ("row", "col")}.get(kind)
    if names is None:
        raise ValueError(f"{path} holds a matrix of format {short(kind)}; save matrix.tocsr() instead.")
    places = [_array(path, name) for name in names]
    # Ones compress beyond any ratio, but there are no more of them than indices.
    data = _array(path, "data", max_bytes=16 * places[0].size + 4096)
    if data.dtype.kind not in "biuf" or any(place.dtype.kind not in "iu" for place in places):
        raise ValueError(f"{path} holds a matrix of {data.dtype}; save one of numbers.")
    if np.isnan(data).any():
        raise ValueError(f"{path} holds NaN; drop the missing values from the matrix and save it again.")
    try:
        shape = tuple(_array(path, "shape").ravel().tolist())
        if kind == "coo":
            matrix = sparse.coo_array((data, tuple(places)), shape=shape)
        else:
            indices, indptr = places
            check_compressed(indptr, indices, shape if kind == "csr" else shape[::-1])
            matrix = (sparse.csr_array if kind == "csr" else sparse.csc_array)((data, *places), shape=shape)
            matrix.check_format(full_check=True)
            matrix = matrix.tocoo()
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path} holds a broken {kind} matrix ({error}); save it again.") from None
    liked = matrix.data != 0
    weights, times = _beside(path, "weights", liked), _beside(path, "times", liked) if "time" in wanted else None
    users, items = matrix.row[liked].astype(np.int64), matrix.col[liked].astype(np.int64)
    ratings = matrix.data[liked].astype(np.float32) if "rating" in wanted else None
    weights = matrix.data[liked].astype(np.float32) if options.weight is not None else weights
    if not _holds(path, "item_ids"):
        return Ratings(users, items, ratings, times, weights=weights)
    user_ids, item_ids = _names(path, "user_ids", shape[0]), _names(path, "item_ids", shape[1])
    titles = None
    if _holds(path, "titles"):
        titles = dict(zip(item_ids.tolist(), _names(path, "titles", shape[1]).astype(str).tolist()))
    n_bytes = sum(member.file_size for member in members(path))
    for column, ids in (("user", user_ids), ("item", item_ids)):
        try:
            if ids.dtype.kind == "U":
                check_width(column, len(users), ids.itemsize // 4, n_bytes)
        except FieldError as error:
            raise ValueError(f"{path}: {error}.") from None
    return Ratings(user_ids[users], item_ids[items], ratings, times, titles, weights)


def _check_options(path: Path, options: ReadOptions) -> None:
    said = {name: value for name, value in options.of_columns.items() if (name, value) != ("weight", "data")}
    if said:
        name = next(iter(said))
        raise ValueError(
            f"{path} is a matrix, which has no columns; leave out {name}=. Its values are weights by weight='data' "
            "(--weight-column data)."
        )


def _holds(path: Path, name: str) -> bool:
    return any(member.filename == f"{name}.npy" for member in members(path))


def _beside(path: Path, name: str, liked: np.ndarray) -> np.ndarray | None:
    """The weights or times of the values that are likes; None if there are none next to the matrix."""
    if not _holds(path, name):
        return None
    values = _array(path, name)
    if values.shape != liked.shape or values.dtype.kind not in "iuf":
        raise ValueError(
            f"{path} has {name} of {values.dtype} and shape {values.shape} for {len(liked):,} values; save it again."
        )
    of_likes: np.ndarray = values[liked]
    return of_likes


def _names(path: Path, name: str, n: int) -> np.ndarray:
    names = _array(path, name)
    if names.shape != (n,) or names.dtype.kind not in "iU":
        raise ValueError(f"{path} has {name} of {names.dtype} and shape {names.shape} for {n:,}; save it again.")
    if name != "titles" and names.dtype.kind == "U" and (width := names.itemsize // 4) > MAX_ID:
        told = f"of up to {width:,} characters; at most {MAX_ID} are allowed"
        raise ValueError(f"{path} has {name} {told}; save it again.")
    return names


def _array(path: Path, name: str, max_bytes: int | None = None) -> np.ndarray:
    member = next((member for member in members(path) if member.filename == f"{name}.npy"), None)
    if member is None:
        raise ValueError(f"{path} lacks {name}.npy, so it is not a matrix that scipy.sparse.save_npz wrote.")
    if max_bytes is not None and member.file_size > max_bytes:
        raise ValueError(f"{path} holds more values than fit into its shape; save the matrix again.")
    source = Source(path, member)
    max_ratio = MAX_RATIO if max_bytes is None else float("inf")
    try:
        with source.open(max_ratio) as stream:
            return read_npy(stream, min(member.file_size, source.max_bytes(max_ratio)))
    except SourceError:
        raise
    except FAULTS as error:
        raise ValueError(f"{source} cannot be read: {str(error).rstrip('.')}.") from None


def save_likes(likes: Interactions, path: str | os.PathLike[str]) -> None:
    """Write likes as one .npz that `autoenc.datasets.load(path=...)` reads back, atomically.

    The file is one that `scipy.sparse.save_npz` writes and `scipy.sparse.load_npz` reads, with the arrays user_ids,
    item_ids and, if there are any, titles, times and weights added. It contains no pickle.
    """
    matrix = likes.user_items
    arrays = {
        "indices": matrix.indices,
        "indptr": matrix.indptr,
        "format": np.array(b"csr"),
        "shape": np.array(matrix.shape),
        "data": matrix.data,
        "_is_array": np.array(True),
        "user_ids": likes.user_ids,
        "item_ids": likes.item_ids,
    }
    optional = {"titles": likes.titles, "times": likes.times, "weights": likes.weights}
    arrays |= {name: array for name, array in optional.items() if array is not None}
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # none has dtype object, so nothing is pickled
