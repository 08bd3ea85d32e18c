"""Ratings in binary files: SciPy's sparse matrices and parquet. No pickle is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from autoenc.datasets.columns import Ratings, positions, short
from autoenc.datasets.sources import Source, SourceError, members


def read_npz(path: Path, values: bool) -> Ratings:
    """A matrix of users x items as scipy.sparse.save_npz writes it.

    Ids are the positions from 0 on, or what stands beside the matrix as user_ids and item_ids, with
    titles, as `autoenc prepare` writes it.

    What scipy.sparse.load_npz leaves unchecked is checked before SciPy's C code sees it: sizes that
    are out of proportion, and indices out of range.
    """
    kind = _array(path, "format").tobytes().replace(b"\0", b"").decode("latin-1")
    names = {"csr": ("indices", "indptr"), "csc": ("indices", "indptr"), "coo": ("row", "col")}.get(kind)
    if names is None:
        raise ValueError(f"{path} holds a matrix of format {short(kind)}; save matrix.tocsr() instead.")
    places = [_array(path, name) for name in names]
    # Ones compress beyond any ratio, but there are only as many as there are places.
    data = _array(path, "data", max_bytes=16 * places[0].size + 4096)
    if data.dtype.kind not in "biuf" or any(place.dtype.kind not in "iu" for place in places):
        raise ValueError(f"{path} holds a matrix of {data.dtype}; save one of numbers.")
    if np.isnan(data).any():
        raise ValueError(f"{path} holds NaN; drop what is missing from the matrix and save it anew.")
    try:
        shape = tuple(_array(path, "shape").ravel().tolist())
        if kind == "coo":
            matrix = sparse.coo_array((data, tuple(places)), shape=shape)
        else:
            matrix = (sparse.csr_array if kind == "csr" else sparse.csc_array)((data, *places), shape=shape)
            matrix.check_format(full_check=True)
            matrix = matrix.tocoo()
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path} holds a broken {kind} matrix ({error}); save it anew.") from None
    liked = matrix.data != 0
    users, items = matrix.row[liked].astype(np.int64), matrix.col[liked].astype(np.int64)
    ratings = matrix.data[liked].astype(np.float32) if values else None
    if not any(member.filename == "item_ids.npy" for member in members(path)):
        return Ratings(users, items, ratings)
    user_ids, item_ids = _names(path, "user_ids", shape[0]), _names(path, "item_ids", shape[1])
    titles = None
    if any(member.filename == "titles.npy" for member in members(path)):
        titles = dict(zip(item_ids.tolist(), _names(path, "titles", shape[1]).astype(str).tolist()))
    return Ratings(user_ids[users], item_ids[items], ratings, titles=titles)


def _names(path: Path, name: str, n: int) -> np.ndarray:
    names = _array(path, name)
    if names.shape != (n,) or names.dtype.kind not in "iU":
        raise ValueError(f"{path} has {name} of {names.dtype} and shape {names.shape} for {n:,}; save it anew.")
    return names


def _array(path: Path, name: str, max_bytes: int | None = None) -> np.ndarray:
    member = next((member for member in members(path) if member.filename == f"{name}.npy"), None)
    if member is None:
        raise ValueError(f"{path} lacks {name}.npy, so it is no matrix that scipy.sparse.save_npz wrote.")
    if max_bytes is not None and member.file_size > max_bytes:
        raise ValueError(f"{path} holds more values than places for them; save the matrix anew.")
    source = Source(path, member)
    try:
        with source.open() if max_bytes is None else source.open(max_ratio=float("inf")) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except SourceError:
        raise
    except (ValueError, EOFError, MemoryError, OverflowError) as error:
        raise ValueError(f"{source} cannot be read: {error}.") from None


def read_parquet(path: Path, values: bool) -> Ratings:
    """A table whose columns have the names that a text table's may have. Needs pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ValueError(
            f"{path} is a parquet file, which needs pyarrow: pip install 'autoenc[parquet]', or save it as CSV."
        ) from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
        names = file.schema_arrow.names
        at = positions(names)
        if not {"user", "item"} <= set(at):
            raise ValueError(f"its columns are {', '.join(names)}; call one user (or userId) and one item (or itemId)")
        wanted = [name for name in at if values or name in ("user", "item")]
        table = file.read(columns=[names[at[name]] for name in wanted])
        columns = {name: _column(table, names[at[name]]) for name in wanted}
    except (pyarrow.ArrowException, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {str(error).rstrip('.')}.") from None
    ratings, timestamps = columns.get("rating"), columns.get("timestamp")
    if timestamps is not None and timestamps.dtype.kind == "M":
        timestamps = timestamps.astype("datetime64[s]")
    return Ratings(
        columns["user"],
        columns["item"],
        None if ratings is None else ratings.astype(np.float32),
        None if timestamps is None else timestamps.astype(np.int64),
    )


def _column(table, name: str) -> np.ndarray:
    column = table.column(name)
    if column.null_count:
        raise ValueError(f"the column {name} lacks {column.null_count:,} values; drop those rows")
    array = column.to_numpy()
    return array.astype(str) if array.dtype == object else array
