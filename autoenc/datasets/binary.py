"""Ratings in binary files: SciPy's sparse matrices and parquet. No pickle is read."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
from scipy import sparse

from autoenc.datasets.columns import MAX_ID, FieldError, Ids, Ratings, check_width, positions, short
from autoenc.datasets.sources import MAX_RATIO, Source, SourceError, members
from autoenc.interactions import Interactions
from autoenc.storage.atomic import replacing


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
        raise ValueError(f"{path} holds NaN; drop what is missing from the matrix and save it again.")
    try:
        shape = tuple(_array(path, "shape").ravel().tolist())
        if kind == "coo":
            matrix = sparse.coo_array((data, tuple(places)), shape=shape)
        else:
            matrix = (sparse.csr_array if kind == "csr" else sparse.csc_array)((data, *places), shape=shape)
            matrix.check_format(full_check=True)
            matrix = matrix.tocoo()
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path} holds a broken {kind} matrix ({error}); save it again.") from None
    liked = matrix.data != 0
    users, items = matrix.row[liked].astype(np.int64), matrix.col[liked].astype(np.int64)
    ratings = matrix.data[liked].astype(np.float32) if values else None
    if not any(member.filename == "item_ids.npy" for member in members(path)):
        return Ratings(users, items, ratings)
    user_ids, item_ids = _names(path, "user_ids", shape[0]), _names(path, "item_ids", shape[1])
    titles = None
    if any(member.filename == "titles.npy" for member in members(path)):
        titles = dict(zip(item_ids.tolist(), _names(path, "titles", shape[1]).astype(str).tolist()))
    n_bytes = sum(member.file_size for member in members(path))
    for column, ids in (("user", user_ids), ("item", item_ids)):
        try:
            if ids.dtype.kind == "U":
                check_width(column, len(users), ids.itemsize // 4, n_bytes)
        except FieldError as error:
            raise ValueError(f"{path}: {error}.") from None
    return Ratings(user_ids[users], item_ids[items], ratings, titles=titles)


def _names(path: Path, name: str, n: int) -> np.ndarray:
    names = _array(path, name)
    if names.shape != (n,) or names.dtype.kind not in "iU":
        raise ValueError(f"{path} has {name} of {names.dtype} and shape {names.shape} for {n:,}; save it again.")
    if name != "titles" and names.dtype.kind == "U" and (width := names.itemsize // 4) > MAX_ID:
        raise ValueError(f"{path} has {name} of up to {width:,} characters, where {MAX_ID} may be; save it again.")
    return names


def _array(path: Path, name: str, max_bytes: int | None = None) -> np.ndarray:
    member = next((member for member in members(path) if member.filename == f"{name}.npy"), None)
    if member is None:
        raise ValueError(f"{path} lacks {name}.npy, so it is no matrix that scipy.sparse.save_npz wrote.")
    if max_bytes is not None and member.file_size > max_bytes:
        raise ValueError(f"{path} holds more values than places for them; save the matrix again.")
    source = Source(path, member)
    max_ratio = MAX_RATIO if max_bytes is None else float("inf")
    try:
        with source.open(max_ratio) as stream:
            _check_size(stream, min(member.file_size, source.max_bytes(max_ratio)))
        with source.open(max_ratio) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except SourceError:
        raise
    except (ValueError, TypeError, SyntaxError, EOFError, MemoryError, OverflowError) as error:
        raise ValueError(f"{source} cannot be read: {str(error).rstrip('.')}.") from None


def _check_size(stream: IO[bytes], max_bytes: float) -> None:
    """NumPy makes an array of whatever size its header says before it reads on."""
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(np.lib.format.read_magic(stream))
    if read_header is None:
        raise ValueError("its .npy format is neither 1.0 nor 2.0")
    shape, _, dtype = read_header(stream)
    n_bytes = math.prod(shape) * dtype.itemsize
    if not 0 <= n_bytes <= max_bytes:
        raise ValueError(f"its header says {n_bytes:,} bytes, and there are {max_bytes:,} at most")


def read_parquet(path: Path, values: bool) -> Ratings:
    """A table whose columns have the names that a text table's may have. Needs pyarrow.

    Strings are read as a dictionary, in which each stands once however often it occurs, since a file
    of a few bytes may repeat a long one a billion times.
    """
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
        wanted = {name: names[at[name]] for name in at if values or name in ("user", "item")}
        for name in wanted.values():
            if names.count(name) > 1:
                raise ValueError(f"it has {names.count(name)} columns {name}; rename all but one")
        _check_growth(file.metadata, len(wanted), Source(path).max_bytes())
        strings = [wanted[name] for name in ("user", "item") if _is_text(file.schema_arrow.field(at[name]).type)]
        with pyarrow.parquet.ParquetFile(path, read_dictionary=strings) as file:
            table = file.read(columns=list(wanted.values()))
        columns = {
            name: _ids(name, table.column(wanted[name]), Source(path).max_bytes())
            if name in ("user", "item")
            else _numbers(name, table.column(wanted[name]))
            for name in wanted
        }
    except (pyarrow.ArrowException, ValueError, OSError, MemoryError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split()).rstrip('.')}.") from None
    ratings, timestamps = columns.get("rating"), columns.get("timestamp")
    return Ratings(
        columns["user"],
        columns["item"],
        None if ratings is None else ratings.astype(np.float32),
        None if timestamps is None else timestamps.astype(np.int64),
    )


def _check_growth(metadata: Any, n_columns: int, max_bytes: float) -> None:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    n_rows = max(metadata.num_rows, sum(group.num_rows for group in groups))
    n_bytes = max(8 * n_rows * n_columns, sum(group.total_byte_size for group in groups))
    if not 0 <= n_bytes <= max_bytes:
        raise ValueError(
            f"it grows to {n_bytes:,} bytes when it is decompressed, past the bound of {max_bytes:,.0f}; save it as CSV"
        )


def _is_text(type_: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(type_) or types.is_large_string(type_) or types.is_binary(type_))


def _ids(name: str, column: Any, max_bytes: float) -> np.ndarray:
    """As in text: int64 where all are whole numbers, otherwise str."""
    import pyarrow

    _check_whole(name, column)
    if isinstance(column.type, pyarrow.DictionaryType):
        if not _is_text(column.type.value_type):
            return _ids(name, column.cast(column.type.value_type), max_bytes)
        coded = pyarrow.concat_arrays(column.unify_dictionaries().chunks)
        used, rows = np.unique(coded.indices.to_numpy(), return_inverse=True)
        texts = coded.dictionary.cast(pyarrow.binary()).to_pylist()
        ids = Ids(name, any_ids=True)
        numbers = np.array([ids[texts[code].decode("latin-1")] for code in used], np.int64)
        ids.rows.frombytes(numbers[rows].tobytes())
        if (n_bytes := ids.n_characters) > max_bytes:
            raise ValueError(
                f"the column {name} grows to {n_bytes:,} bytes of text, past the bound of {max_bytes:,.0f}; "
                "save it as CSV"
            )
        return ids.to_array()
    array = _primitive(name, column)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"the column {name} is of {column.type}; make it whole numbers or strings")
    if array.dtype.kind == "f" and not (array == np.floor(array)).all():
        raise ValueError(f"the column {name} holds a number that is not whole; make it whole numbers or strings")
    if len(array) and not 0 <= int(array.min()) <= int(array.max()) < 2**63:
        raise ValueError(
            f"the column {name} holds {array.min()} to {array.max()}, where ids are from 0 and below 2**63"
        )
    return array.astype(np.int64)


def _numbers(name: str, column: Any) -> np.ndarray:
    _check_whole(name, column)
    array = _primitive(name, column)
    if array.dtype.kind == "M":
        array = array.astype("datetime64[s]").astype(np.int64)
    if array.dtype.kind not in "iuf" or not (np.abs(array.astype(np.float64)) < 2**53).all():
        raise ValueError(f"the column {name}, of {column.type}, holds what is not a number below 2**53")
    return array


def _primitive(name: str, column: Any) -> np.ndarray:
    from pyarrow import types

    if not (types.is_primitive(column.type) and not types.is_boolean(column.type)):
        raise ValueError(f"the column {name} is of {column.type}; make it numbers")
    array: np.ndarray = column.to_numpy()
    return array


def _check_whole(name: str, column: Any) -> None:
    if column.null_count:
        raise ValueError(f"the column {name} lacks {column.null_count:,} values; drop those rows")


def save_likes(likes: Interactions, path: str | os.PathLike[str]) -> None:
    """Write likes as one .npz that `autoenc.datasets.load(path=...)` reads back, atomically.

    It is what `scipy.sparse.save_npz` writes, and `scipy.sparse.load_npz` reads, with user_ids,
    item_ids and, where there are any, titles beside it; no pickle.
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
    if likes.titles is not None:
        arrays["titles"] = likes.titles
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # none is of objects, so there is nothing to pickle
