"""Ratings in parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from autoenc.datasets.columns import Ids, Numbers, Ratings, Times, limit_of, not_a_number
from autoenc.datasets.detect import layout_of_names
from autoenc.datasets.layout import Table
from autoenc.datasets.options import NO_OPTIONS, ReadOptions, how_read
from autoenc.datasets.sources import Source
from autoenc.messages import printable, shown
from autoenc.storage.reading import FAULTS
from autoenc.times import seconds


def read_parquet(path: Path, wanted: frozenset[str], options: ReadOptions = NO_OPTIONS) -> Ratings:
    """Read a table, whose columns are found by name as in a text table, or named in `options`. Needs pyarrow.

    Strings are read dictionary-encoded, since a file of a few bytes may repeat a long one a billion times.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ValueError(
            f"{path} is a parquet file, which needs pyarrow: pip install '.[parquet]', or save it as CSV."
        ) from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
        layout = layout_of_names(file.schema_arrow.names, options)
        at = {role: position for role, position in layout.at.items() if role in wanted}
        names = {role: layout.names[position] for role, position in at.items()}
        for name in names.values():
            if layout.names.count(name) > 1:
                raise ValueError(f"it has {layout.names.count(name)} columns {shown(name)}; rename all but one")
        _check_growth(file.metadata, len(names), Source(path).max_bytes())
        strings = [names[role] for role in ("user", "item") if _is_text(file.schema_arrow.field(at[role]).type)]
        with pyarrow.parquet.ParquetFile(path, read_dictionary=strings) as file:
            table = file.read(columns=list(dict.fromkeys(names.values())))
        columns = {role: _column(role, table.column(name), layout, Source(path)) for role, name in names.items()}
    except (pyarrow.ArrowException, OSError, *FAULTS) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split()).rstrip('.')}.") from None
    return Ratings(
        columns["user"],
        columns["item"],
        columns.get("rating"),
        columns.get("time"),
        weights=columns.get("weight"),
        source=how_read("parquet", {role: layout.name_of(role) for role in layout.at}, options),
    )


def _column(role: str, column: Any, layout: Table, source: Source) -> np.ndarray:
    name = printable(layout.name_of(role))
    if column.null_count:
        raise ValueError(f"the column {name} has {column.null_count:,} missing values; drop those rows")
    if role in ("user", "item"):
        return _ids(Ids(role, True, role in layout.said), name, column, source.max_bytes())
    if role == "time":
        return _times(name, column)
    return _numbers(role, name, column).astype(np.float32)


def _check_growth(metadata: Any, n_columns: int, max_bytes: float) -> None:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    n_rows = max(metadata.num_rows, sum(group.num_rows for group in groups))
    n_bytes = max(8 * n_rows * n_columns, sum(group.total_byte_size for group in groups))
    if not 0 <= n_bytes <= max_bytes:
        raise ValueError(
            f"it grows to {n_bytes:,} bytes when decompressed, beyond the limit of {max_bytes:,.0f}; save it as CSV"
        )


def _is_text(type_: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(type_) or types.is_large_string(type_) or types.is_binary(type_))


def _texts(column: Any) -> list[str]:
    return [text if isinstance(text, str) else text.decode("latin-1") for text in column.to_pylist()]


def _ids(ids: Ids, name: str, column: Any, max_bytes: float) -> np.ndarray:
    """As in text: int64 if all ids are whole numbers, otherwise str."""
    import pyarrow

    if isinstance(column.type, pyarrow.DictionaryType):
        if not _is_text(column.type.value_type):
            return _ids(ids, name, column.cast(column.type.value_type), max_bytes)
        coded = pyarrow.concat_arrays(column.unify_dictionaries().chunks)
        used, rows = np.unique(coded.indices.to_numpy(), return_inverse=True)
        texts = coded.dictionary.cast(pyarrow.binary()).to_pylist()
        numbers = np.array([ids[texts[code].decode("latin-1")] for code in used], np.int64)
        ids.rows.frombytes(numbers[rows].tobytes())
        if (n_bytes := ids.n_characters) > max_bytes:
            raise ValueError(
                f"the column {name} grows to {n_bytes:,} bytes of text, beyond the limit of {max_bytes:,.0f}; "
                "save it as CSV"
            )
        return ids.to_array()
    array = _primitive(name, column)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"the column {name} has type {column.type}; convert it to integers or strings")
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all():
        raise ValueError(f"the column {name} holds a number that is not an integer; convert it to integers or strings")
    if len(array) and not 0 <= int(array.min()) <= int(array.max()) < 2**63:
        raise ValueError(
            f"the column {name} holds {array.min()} to {array.max()}, but ids must be at least 0 and below 2**63"
        )
    return array.astype(np.int64)


def _numbers(role: str, name: str, column: Any) -> np.ndarray:
    from pyarrow import types

    if _is_text(column.type):
        numbers = Numbers(role)
        for text in _texts(column):
            numbers.append(text)
        return numbers.to_array()
    if role != "time" and types.is_boolean(column.type):
        return np.asarray(column.to_numpy(), np.int64)
    array = _primitive(name, column)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"the column {name} has type {column.type}; convert it to numbers")
    wrong = ~(np.abs(array.astype(np.float64)) < limit_of(role))
    if wrong.any():
        raise ValueError(f"the column {name}: {not_a_number(str(array[wrong][0]), role)}; fix or drop its row")
    return array


def _times(name: str, column: Any) -> np.ndarray:
    """Seconds since 1970, from timestamps, dates, numbers or ISO times."""
    if _is_text(column.type):
        times = Times()
        for text in _texts(column):
            times.append(text)
        return times.to_array()
    if _primitive(name, column).dtype.kind == "M":
        of_type: np.ndarray = column.to_numpy().astype("datetime64[s]").astype(np.int64)
        return of_type
    return seconds(_numbers("time", name, column), is_file=True)


def _primitive(name: str, column: Any) -> np.ndarray:
    from pyarrow import types

    if not (types.is_primitive(column.type) and not types.is_boolean(column.type)):
        raise ValueError(f"the column {name} has type {column.type}; convert it to numbers")
    array: np.ndarray = column.to_numpy()
    return array
