"""Ratings in text: tables with a line for a rating, and lists with a line for a user.

A table of numbers is read by np.loadtxt, 0.3 us a line. Where that fails, csv reads it once more at
1 us a line, and either finds ids that are strings or can say what is wrong, and in which line.
"""

from __future__ import annotations

import csv
import warnings
from array import array
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from autoenc.datasets.columns import FieldError, Ids, Ratings, decoded, short, whole
from autoenc.datasets.sources import Source, SourceError


class Table(NamedTuple):
    """How a table is laid out."""

    form: str  # what a line looks like, for error messages
    delimiter: str  # one character
    at: dict[str, int]  # where the columns user, item and, if any, rating and timestamp stand
    skip: int = 0  # lines before the first rating
    quote: str | None = None
    any_ids: bool = False  # ids may be strings
    gaps: tuple[int, ...] = ()  # columns in between, which must be empty


def read_table(source: Source, table: Table, values: bool) -> Ratings:
    """A line for a rating. `values`: ratings and timestamps too, where there are any."""
    wanted = ("user", "item", "rating", "timestamp") if values else ("user", "item")
    at = {name: table.at[name] for name in wanted if name in table.at}
    table = table._replace(at=at, gaps=tuple(gap for gap in table.gaps if gap < max(at.values())))
    return _table_of_numbers(source, table) or _table_of_text(source, table)


def _table_of_numbers(source: Source, table: Table) -> Ratings | None:
    """None where something is not a number, or is out of range."""
    dtypes = {"user": np.int64, "item": np.int64, "rating": np.float32, "timestamp": np.float64}
    try:
        with source.lines() as lines, warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns where there is no line, and of 1.5 as an integer
            rows = np.loadtxt(
                lines,
                dtype=[(name, dtypes[name]) for name in table.at] + [(str(gap), "S1") for gap in table.gaps],
                usecols=[*table.at.values(), *table.gaps],
                delimiter=table.delimiter,
                skiprows=table.skip,
                quotechar=table.quote,
                comments=None,
                ndmin=1,
            )
    except SourceError:
        raise
    except (ValueError, Warning):
        return None
    if any((rows[str(gap)] != b"").any() for gap in table.gaps):
        return None
    # a column of its own each, as those of `rows` are strided, and keep the whole alive
    columns = {name: rows[name].copy() for name in table.at}
    if columns["user"].min() < 0 or columns["item"].min() < 0:
        return None
    if not all((np.abs(columns[name]) < 2**53).all() for name in ("rating", "timestamp") if name in columns):
        return None
    timestamps = columns["timestamp"].astype(np.int64) if "timestamp" in columns else None
    return Ratings(columns["user"], columns["item"], columns.get("rating"), timestamps)


def _table_of_text(source: Source, table: Table) -> Ratings:
    users, items = Ids("user", table.any_ids), Ids("item", table.any_ids)
    ratings, timestamps = array("f"), array("q")
    with source.lines() as lines:
        for _ in range(table.skip):
            next(lines)
        quoting: Any = csv.QUOTE_NONE if table.quote is None else csv.QUOTE_MINIMAL
        rows = csv.reader(lines, delimiter=table.delimiter, quoting=quoting)
        row: list[str] = []
        try:
            for row in rows:
                if len(row) <= 1 and not "".join(row).strip():
                    continue
                if any(row[gap] for gap in table.gaps):
                    raise IndexError
                users.rows.append(users[row[table.at["user"]]])
                items.rows.append(items[row[table.at["item"]]])
                if "rating" in table.at:
                    ratings.append(_number(row[table.at["rating"]], "rating"))
                if "timestamp" in table.at:
                    timestamps.append(int(_number(row[table.at["timestamp"]], "timestamp")))
        except (IndexError, FieldError) as error:
            text = table.delimiter.join(row)
            number = table.skip + rows.line_num - text.rstrip("\n").count("\n")  # a quoted cell may go over lines
            problem = error if isinstance(error, FieldError) else f"{short(text)} has not the form {table.form}"
            raise _fault(source, number, problem) from None
        except csv.Error as error:
            raise _fault(source, table.skip + rows.line_num, error) from None
    return Ratings(
        _to_array(source, users),
        _to_array(source, items),
        np.array(ratings, np.float32) if "rating" in table.at else None,
        np.array(timestamps, np.int64) if "timestamp" in table.at else None,
    )


def _number(text: str, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not abs(value) < 2**53:
        raise FieldError(f"the {column} {short(text)} is not a number below 2**53")
    return value


def read_lists(source: Source, parse: Callable[[str], tuple[str, list[str]]], any_ids: bool) -> Ratings:
    """A line for a user and what they liked, as `parse` (one of those below) takes it apart."""
    users, items = Ids("user", any_ids), Ids("item", any_ids)
    with source.lines() as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                user, liked = parse(line)
                users.rows.extend([users[user]] * len(liked))
                items.rows.extend(map(items.__getitem__, liked))
            except FieldError as error:
                raise _fault(source, number, error) from None
    return Ratings(_to_array(source, users), _to_array(source, items))


def lightgcn_line(line: str) -> tuple[str, list[str]]:
    """user item item ..."""
    user, *items = line.split()
    return user, items


def dsstne_line(line: str) -> tuple[str, list[str]]:
    """user<TAB>item:item:... or user<TAB>item,value:item,value:...

    As DSSTNE's NetCDFhelper.cpp takes it apart. Its values may be ratings, times or anything, and so
    aren't kept.
    """
    user, tab, features = line.strip("\r\n").partition("\t")
    if not tab:
        raise FieldError(f"{short(line)} has not the form user<TAB>item:item:...")
    items = [feature.partition(",")[0] for feature in features.split(":")]
    return user, [item for item in items if item]


def _to_array(source: Source, ids: Ids) -> np.ndarray:
    try:
        return ids.to_array()
    except FieldError as error:
        raise ValueError(f"{source}: {error}.") from None


def read_titles(source: Source, numbers: bool) -> dict[Any, str]:
    """Items' titles by id, of movies.csv, movies.dat or u.item; `numbers`: their ids are numbers."""
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
                    raise _fault(source, number, problem)
                titles[id_] = decoded(row[1]).strip()
        except csv.Error as error:
            raise _fault(source, rows.line_num, error) from None
    return titles


def _fault(source: Source, line: int, problem: object) -> ValueError:
    return ValueError(f"{source}, line {line:,}: {problem}; fix the line or delete it.")
