"""Likes in text of a known layout: tables with one row per like, lists with one line per user, and JSON lines.

A table of numbers without quotes is read by np.loadtxt, in 0.3 us per line. If something in it is not as expected,
Python reads it again in 1 us per line, and either finds ids that are strings or reports what is wrong on which line.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TextIO

import numpy as np

from autoenc.datasets.cells import BLANKS, QUOTE, QuoteError, cells_of, split
from autoenc.datasets.columns import FieldError, Ids, Numbers, Ratings, Times, decoded, limit_of, short, whole
from autoenc.datasets.json_lines import object_of, text_of
from autoenc.datasets.layout import Features, JsonLines, Layout, Lists, Table
from autoenc.datasets.sources import MAX_LINE, Source
from autoenc.datasets.streams import SourceError
from autoenc.datasets.watch import AT_ONCE, Watch
from autoenc.times import seconds

ROWS_THAT_TELL = 100
"""If this many rows don't show that points are decimal, all points in the file are examined, which takes longer."""

Roles = frozenset[str]
"""The columns wanted: user and item always; rating, time and weight on request."""


def read_text(source: Source, layout: Layout, wanted: Roles) -> Ratings:
    """Read a text with this layout. Raises ValueError, which names the file, the line and the text."""
    if isinstance(layout, Table):
        return read_table(source, layout, wanted)
    if isinstance(layout, JsonLines):
        wanted_here = wanted & layout.at.keys()
        return _read_rows(
            source, _Rows(wanted_here, True, layout.said, is_json=True), _json_rows(source, layout, wanted_here)
        )
    return _read_lists(source, layout)


# Tables


def read_table(source: Source, table: Table, wanted: Roles) -> Ratings:
    """Read a table with one row per like."""
    table = table._replace(at={role: position for role, position in table.at.items() if role in wanted})
    return _table_of_numbers(source, table) or _table_of_text(source, table)


def _table_of_numbers(source: Source, table: Table) -> Ratings | None:
    """Read a table of numbers; None if a cell is not a number, is out of range, or must be read by Python."""
    if table.delimiter == BLANKS:
        return None
    dtypes = {"user": np.int64, "item": np.int64, "rating": np.float32, "time": np.float64, "weight": np.float32}
    # np.loadtxt takes delimiters of one character, so there is an empty column between two colons.
    each = len(table.delimiter)
    gaps = [position for position in range(each * max(table.at.values())) if position % each]
    try:
        watch = Watch(table, points=bool(_with_unclear_points(source, table, ROWS_THAT_TELL)))
        with _for_loadtxt(source, watch) as lines, warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns about empty input, and about 1.5 as an integer
            rows = np.loadtxt(
                lines,
                dtype=[(role, dtypes[role]) for role in table.at] + [(str(gap), "S1") for gap in gaps],
                usecols=[*(each * position for position in table.at.values()), *gaps],
                delimiter=table.delimiter[0],
                skiprows=table.skip,
                quotechar=QUOTE if table.quoted else None,
                comments=None,
                ndmin=1,
                encoding="latin-1",
            )
    except SourceError:
        raise
    except (ValueError, Warning):
        return None
    if any((rows[str(gap)] != b"").any() for gap in gaps):
        return None
    # copies, as columns of `rows` are strided and keep all of it alive
    columns = {role: rows[role].copy() for role in table.at}
    if columns["user"].min() < 0 or columns["item"].min() < 0:
        return None
    if not all(
        (np.abs(columns[role]) < limit_of(role)).all() for role in ("rating", "time", "weight") if role in columns
    ):
        return None
    if watch.has_grouped:
        _check_points(source, table)
    return Ratings(
        columns["user"],
        columns["item"],
        columns.get("rating"),
        _of_column(source, lambda: seconds(columns["time"], is_file=True)) if "time" in columns else None,
        weights=columns.get("weight"),
    )


def _check_points(source: Source, table: Table) -> None:
    """Raise ValueError, which names the file, if points in ratings or weights may separate thousands."""
    try:
        for numbers in _with_unclear_points(source, table):
            numbers.check()
    except FieldError as error:
        raise ValueError(f"{source}: {error}.") from None


def _with_unclear_points(source: Source, table: Table, n_rows: int | None = None) -> list[Numbers]:
    """The columns of ratings and weights of which the first n_rows, or all, don't prove that points are decimal."""
    unclear = [Numbers(role) for role in table.at if role in ("rating", "weight")]
    rows = itertools.islice(table_rows(source, table), n_rows) if unclear else ()
    for _, cells in rows:
        for numbers in unclear:
            numbers.look_at(cells[numbers.column])
        unclear = [numbers for numbers in unclear if not numbers.is_decimal]
        if not unclear:
            break
    return unclear


@contextlib.contextmanager
def _for_loadtxt(source: Source, watch: Watch) -> Iterator[str | TextIO]:
    """The input of np.loadtxt: the path of a plain file, once watched, which takes half the time of lines."""
    if not source.is_plain:
        with source.lines(watch) as lines:
            yield lines
        return
    with source.open(max_line=MAX_LINE, watch=watch) as stream:
        while stream.read(AT_ONCE):
            pass
    yield str(source.path.absolute())


def _table_of_text(source: Source, table: Table) -> Ratings:
    try:
        return _read_rows(source, _Rows(table.at.keys(), table.any_ids, table.said), table_rows(source, table))
    except QuoteError as error:
        if table.delimiter == "\t":  # a file without quoting
            return _table_of_text(source, table._replace(quoted=False))
        raise fault(source, error.line, error) from None


def table_rows(source: Source, table: Table) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row's line number, and its cells by role. Raises ValueError if a row has too few or too many cells."""
    with source.lines() as lines:
        for _ in range(table.skip):
            next(lines)
        for line, cells in cells_of(lines, table.delimiter, table.quoted, row_like(table), table.skip + 1):
            # a delimiter within a cell may shift or cut off ids; one at the end of a row does no harm
            if len(cells) < table.n_columns or "".join(cells[table.n_columns :]).strip():
                text = table.delimiter.join(cells)
                expected = f"expected {table.n_columns} columns ({table.form}), got {len(cells)}"
                raise fault(source, line, f"{expected}: {short(text)}")
            yield line, {role: cells[position] for role, position in table.at.items()}


def row_like(table: Table) -> Any:
    """Whether cells look like a row: their number is right, and there are ids where ids are expected."""

    def is_row(cells: list[str]) -> bool:
        ids = [cells[table.at[role]] for role in ("user", "item")] if len(cells) == table.n_columns else [""]
        return all(id_ and id_ == id_.strip() and (" " not in id_) for id_ in ids)

    return is_row


# Common to tables and JSON


class _Rows:
    """The wanted columns while they are read."""

    def __init__(self, roles: Any, any_ids: bool, said: Roles, is_json: bool = False):
        self.ids = {role: Ids(role, any_ids, role in said) for role in ("user", "item")}
        self.numbers = {role: Numbers(role, is_json) for role in ("rating", "weight") if role in roles}
        self.times = Times() if "time" in roles else None

    def append(self, cells: dict[str, str]) -> None:
        """Raises FieldError."""
        for role, ids in self.ids.items():
            ids.rows.append(ids[cells[role]])
        for role, numbers in self.numbers.items():
            numbers.append(cells[role])
        if self.times is not None:
            self.times.append(cells["time"])


def _read_rows(source: Source, columns: _Rows, rows: Iterator[tuple[int, dict[str, str]]]) -> Ratings:
    line = 0
    try:
        for line, cells in rows:  # noqa: B007  of which the error tells
            columns.append(cells)
    except QuoteError:
        raise
    except FieldError as error:
        raise fault(source, line, error) from None
    numbers = {role: _of_column(source, values.to_array) for role, values in columns.numbers.items()}
    return Ratings(
        _of_column(source, columns.ids["user"].to_array),
        _of_column(source, columns.ids["item"].to_array),
        numbers.get("rating"),
        None if columns.times is None else _of_column(source, columns.times.to_array),
        weights=numbers.get("weight"),
    )


def _json_rows(source: Source, layout: JsonLines, wanted: Roles) -> Iterator[tuple[int, dict[str, str]]]:
    with source.lines() as lines:
        for line, text in enumerate(lines, 1):
            if text.strip():
                try:
                    found = object_of(text)
                    cells = {role: text_of(found, key, role) for role, key in layout.at.items() if role in wanted}
                except FieldError as error:
                    raise fault(source, line, error) from None
                yield line, cells


# Lists


def _read_lists(source: Source, layout: Lists | Features) -> Ratings:
    """Read lists with one line per user."""
    users, items = (Ids(role, layout.any_ids, layout.is_said) for role in ("user", "item"))
    for line, user, liked in list_rows(source, layout):
        try:
            users.rows.extend([users[user]] * len(liked))
            items.rows.extend(map(items.__getitem__, liked))
        except FieldError as error:
            raise fault(source, line, error) from None
    return Ratings(_of_column(source, users.to_array), _of_column(source, items.to_array))


def list_rows(source: Source, layout: Lists | Features) -> Iterator[tuple[int, str, list[str]]]:
    """The number of each line, its user and its items. Raises ValueError if lines contradict the layout."""
    take_apart = _features if isinstance(layout, Features) else partial(_list, layout=layout)
    n_to_skip = 0 if isinstance(layout, Features) else layout.skip
    line_of_user: dict[str, int] = {}
    with source.lines() as lines:
        n_lines = 0
        for line, text in enumerate(lines, 1):
            if line <= n_to_skip or not text.strip():
                continue
            try:
                user, liked = take_apart(text, n_lines)
                n_lines += 1
                if isinstance(layout, Lists) and not layout.is_said and line_of_user.setdefault(user, line) != line:
                    raise FieldError(_twice(user, line_of_user[user]))
            except FieldError as error:
                raise fault(source, line, error) from None
            yield line, user, liked


def _twice(user: str, first: int) -> str:
    return (
        f"the user {short(user)} also has line {first:,}, but each line should be one user; pass user=1, item=2 "
        "(--user-column 1 --item-column 2) if each line is one like, or user=1, item='2-' if users may be repeated"
    )


def _list(line: str, n_before: int, layout: Lists) -> tuple[str, list[str]]:
    """The user, and the items, of a line."""
    cells = split(line, layout.delimiter)
    if layout.counts and cells[0].strip() != str(len(cells) - 1):
        raise FieldError(
            f"{short(line)} begins with {short(cells[0])}, but is followed by {len(cells) - 1} items; all lines "
            "before it begin with the number of items that follow"
        )
    user = str(n_before) if layout.user is None else cells[layout.user]
    return user, [cell for cell in cells[layout.items :] if cell.strip()]


def _features(line: str, n_before: int) -> tuple[str, list[str]]:
    """The user and the items of a line, parsed as in DSSTNE's NetCDFhelper.cpp. Values are ignored."""
    user, tab, features = line.strip("\r\n").partition("\t")
    if not tab:
        raise FieldError(f"{short(line)} does not have the form user<TAB>item:item:...")
    items = [feature.partition(",")[0] for feature in features.split(":")]
    return user, [item for item in items if item]


def _of_column(source: Source, to_array: Callable[[], np.ndarray]) -> np.ndarray:
    """The array of a column. Raises ValueError, which names the file, if the column as a whole is at fault."""
    try:
        return to_array()
    except ValueError as error:
        raise ValueError(f"{source}: {error}.") from None


def read_titles(source: Source, numbers: bool) -> dict[Any, str]:
    """Items' titles by id, from movies.csv, movies.dat or u.item; `numbers` says whether ids are numbers."""
    delimiter = {"movies.csv": ",", "movies.dat": "::", "u.item": "|"}[source.name]
    titles: dict[Any, str] = {}
    with source.lines() as lines:
        rows: Any = csv.reader(lines) if delimiter == "," else (line.split(delimiter) for line in lines)
        try:
            for number, row in enumerate(rows, 1):
                if (number == 1 and delimiter == ",") or not "".join(row).strip():
                    continue
                id_ = whole(row[0]) if numbers else decoded(row[0])
                if len(row) < 2 or id_ is None:
                    problem = f"{short(delimiter.join(row))} does not begin with an id and a title"
                    raise fault(source, number, problem)
                titles[id_] = decoded(row[1]).strip()
        except csv.Error as error:
            raise fault(source, rows.line_num, error) from None
    return titles


def fault(source: Source, line: int, problem: object) -> ValueError:
    """The exception to raise for an invalid line."""
    return ValueError(f"{source}, line {line:,}: {problem}; fix the line or delete it.")
