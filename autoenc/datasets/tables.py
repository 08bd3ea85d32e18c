"""From tables of any size to a prepared folder, in bounded memory, by DuckDB.

    user_ids, item_ids    the distinct ids, ascending: an id's number is its place
    likes                 every row as one number, user * 2**32 + item, sorted; of equal ones the first

DuckDB reads, hashes, joins and sorts, and what exceeds its memory goes to disk beside the folder, about
as much as the tables themselves. A pair's numbers in one integer make the sort one of integers, from
which the CSR is written as it comes.

The rules for ids are those of `autoenc.datasets.formats`, and the result is that of
`Interactions.from_pairs` on the same rows.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from autoenc.datasets.columns import MAX_ID, SPACES, positions, short
from autoenc.datasets.prepared import Column, new_folder, write_manifest
from autoenc.datasets.sources import Source, find
from autoenc.datasets.text import read_titles
from autoenc.messages import sentence
from autoenc.storage.csr import MOST_ENTRIES
from autoenc.storage.npy import check_strings

ROWS_AT_ONCE = 2**20
LEAST_MEMORY = 500_000_000
BESIDE_DUCKDB = 250_000_000  # the interpreter, pyarrow, and what DuckDB takes beyond its own limit

_CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_INTEGERS = {f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")}
_INTEGERS |= {"INTEGER", "UINTEGER"}
_MISSING = "('', 'nan', 'null', 'none', '<na>')"


class Counts(NamedTuple):
    """What was written."""

    users: int
    items: int
    likes: int
    rows: int  # of the tables; a pair that occurs twice is one like


class Tables(NamedTuple):
    """The files of one table."""

    paths: list[Path]
    form: str  # "parquet" or "csv"
    titles: Source | None = None


def is_partitioned(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder of parquet, or of several CSV files that no other format explains."""
    path = Path(path)
    if not path.is_dir():
        return False
    if _files(path, (".parquet",)):
        return True
    known = {"ratings.csv", "movies.csv", "tags.csv", "links.csv", "genome-scores.csv", "genome-tags.csv"}
    files = _files(path, _CSV)
    return len(files) > 1 and not any(file.name.removesuffix(".gz") in known for file in files)


def find_tables(path: str | os.PathLike[str]) -> Tables:
    """The table at a path: a folder of parquet or CSV files, however deep, or one file.

    Raises
    ------
    FileNotFoundError
        Where there is nothing.
    ValueError
        Where there is no table, or it is in a zip archive.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    if is_partitioned(path):
        parquet, csv = _files(path, (".parquet",)), _files(path, _CSV)
        if parquet and csv:
            raise ValueError(f"{path} holds both parquet and CSV ({parquet[0]} and {csv[0]}); pass a folder of one.")
        return Tables(parquet or csv, "parquet" if parquet else "csv")
    sources, titles = find(path)
    if len(sources) > 1 or sources[0].member is not None:
        raise ValueError(f"{path} is not a table that can be read a part at a time; unpack it, or leave out --memory.")
    with open(sources[0].path, "rb") as file:
        form = "parquet" if file.read(4) == b"PAR1" else "csv"
    return Tables([sources[0].path], form, titles)


def prepare(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    memory: float = 2e9,
    times: bool = False,
    threads: int | None = None,
) -> Counts:
    """Write the likes of a table of any size into a prepared folder.

    Parameters
    ----------
    path : str or Path
        As `find_tables` has it. A table has a header, or the names of parquet, with a column for users
        and one for items; see `autoenc.datasets.formats` for what they may be called.
    folder : str or Path
        What to write. A prepared folder that stands there is replaced once the new one is whole.
    memory : float
        How many bytes to take at most, 500 MB or more. More is faster.
    times : bool
        Whether to keep when each like came, from a column called time or timestamp.
    threads : int, optional
        How many compute; by default as many as there are processors.

    Returns
    -------
    Counts

    Raises
    ------
    ValueError
        Where DuckDB isn't installed, the table can't be read, an id is missing, or there are more likes
        than fit.
    OSError
        Where there is nothing at `path`, or the folder can't be written.
    """
    if not memory >= LEAST_MEMORY or math.isinf(memory):
        raise ValueError(f"memory is {memory:,.0f} bytes; give at least {LEAST_MEMORY:,}, such as 2GB.")
    tables = find_tables(path)
    duckdb = _duckdb()
    with new_folder(folder) as new:
        spill = new / "spill"
        spill.mkdir()
        settings = {"memory_limit": f"{int(memory) - BESIDE_DUCKDB}B", "temp_directory": str(spill / "rows")}
        if threads is not None:
            settings["threads"] = str(threads)
        with (
            _in_sentences(duckdb, path, memory),
            contextlib.closing(duckdb.connect(spill / "db", config=settings)) as db,
        ):
            counts = _Preparation(db, new, str(path)).run(tables, times)
        shutil.rmtree(spill)
        write_manifest(new, *counts[:3])
    return counts


class _Preparation:
    def __init__(self, db: Any, folder: Path, name: str):
        self.db, self.folder, self.name = db, folder, name

    def run(self, tables: Tables, times: bool) -> Counts:
        self.db.execute("SET enable_progress_bar = false")  # which it draws where a query takes long, unasked
        self.db.execute("PRAGMA disable_checkpoint_on_shutdown")  # what it would write is deleted
        columns, types = self._open(tables, times)
        n_rows = self._check_rows(columns)
        n_users = self._number("user", types["user"])
        n_items = self._number("item", types["item"])
        numbers = self._write_ids("user", n_users), self._write_ids("item", n_items)
        if tables.titles is not None:
            self._write_titles(tables.titles, numbers[1])
        n_likes = self._write_likes(n_users, n_rows, self._seconds(types) if times else None)
        return Counts(n_users, n_items, n_likes, n_rows)

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.db.execute(query).fetchall()
        return rows

    def _open(self, tables: Tables, times: bool) -> tuple[list[str], dict[str, str]]:
        """Make the view `likes` of the columns user, item and, where asked for, time; say of which types they are."""
        paths = "[" + ", ".join(_quoted(_literal(file)) for file in tables.paths) + "]"
        if tables.form == "parquet":
            source = f"read_parquet({paths}, union_by_name=true, hive_partitioning=false)"
        else:
            delimiter = _quoted(_delimiter(tables.paths[0]))
            columns = ", ".join(f"{_quoted(name)}: 'VARCHAR'" for name in _same_header(tables.paths))
            source = (
                f"read_csv({paths}, delim={delimiter}, quote='\"', escape='\"', header=true, auto_detect=false, "
                f"columns={{{columns}}}, max_line_size=16777216)"
            )
        names = {name: type_ for name, type_, *_ in self._ask(f"DESCRIBE SELECT * FROM {source}")}
        at = positions(names)
        found: dict[str, str] = {c: list(names)[at[c]] for c in ("user", "item") if c in at}
        for column in ("user", "item"):
            if column not in found:
                raise ValueError(
                    f"{self.name} has the columns {', '.join(names)}, of which none is of {column}s; "
                    f"call one {column} (or {'userId' if column == 'user' else 'itemId'})."
                )
        if times:
            time = (
                list(names)[at["timestamp"]]
                if "timestamp" in at
                else next((n for n in names if n.lower() == "time"), None)
            )
            if time is None:
                raise ValueError(
                    f"{self.name} has the columns {', '.join(names)}, and none is time; leave out --times."
                )
            found["time"] = time
        select = ", ".join(f"{_identifier(name)} AS {column}" for column, name in found.items())
        # Text is taken apart once; parquet is read faster than a table would be written.
        self.db.execute(
            f"CREATE {'VIEW' if tables.form == 'parquet' else 'TABLE'} likes AS SELECT {select} FROM {source}"
        )
        return list(found), {column: names[name] for column, name in found.items()}

    def _check_rows(self, columns: list[str]) -> int:
        n_rows, *n_there = self._ask(f"SELECT count(*), {', '.join(f'count({c})' for c in columns)} FROM likes")[0]
        if not n_rows:
            raise ValueError(f"{self.name} holds no likes; pass a table with at least one row.")
        for column, n in zip(columns, n_there):
            if n < n_rows:
                raise ValueError(f"the column of {column}s lacks {n_rows - n:,} of {n_rows:,} values; drop those rows.")
        return int(n_rows)

    def _number(self, column: str, type_: str) -> int:
        """Make the table {column}_ids, ids ascending, and {column}_rows from what the table says to an id's number."""
        if type_ == "VARCHAR":
            as_text = f"trim(key, {_quoted(SPACES)})"
            self.db.execute(f"CREATE TABLE {column}_texts AS SELECT DISTINCT {column} AS key FROM likes")
            self._check_texts(column, as_text)
            number = (
                f"CASE WHEN regexp_full_match({as_text}, '\\d+(\\.0+)?') "
                f"THEN TRY_CAST(split_part({as_text}, '.', 1) AS BIGINT) END"
            )
            [(n_others,)] = self._ask(f"SELECT count(*) FROM {column}_texts WHERE ({number}) IS NULL")
            id_ = as_text if n_others else number
            self.db.execute(f"CREATE TABLE {column}_ids AS SELECT DISTINCT {id_} AS id FROM {column}_texts ORDER BY id")
            self.db.execute(
                f"CREATE TABLE {column}_rows AS SELECT key, i.rowid AS row FROM "
                f"(SELECT key, {id_} AS id FROM {column}_texts) JOIN {column}_ids i USING (id)"
            )
        else:
            self._check_numbers(column, type_)
            self.db.execute(
                f"CREATE TABLE {column}_ids AS SELECT DISTINCT {column}::BIGINT AS id FROM likes ORDER BY id"
            )
            self.db.execute(f"CREATE VIEW {column}_rows AS SELECT id::{type_} AS key, rowid AS row FROM {column}_ids")
        [(n_ids,)] = self._ask(f"SELECT count(*) FROM {column}_ids")
        if n_ids > MOST_ENTRIES:
            raise ValueError(f"there are {n_ids:,} {column}s, where at most {MOST_ENTRIES:,} fit.")
        return int(n_ids)

    def _check_texts(self, column: str, as_text: str) -> None:
        faults = {
            "is missing": f"lower({as_text}) IN {_MISSING}",
            "is negative, where ids are from 0 on": f"regexp_full_match({as_text}, '-\\d+(\\.0+)?')",
            f"is longer than {MAX_ID} characters": f"length({as_text}) > {MAX_ID}",
            "holds the character NUL": f"contains({as_text}, chr(0))",
        }
        for fault, condition in faults.items():
            wrong = self._ask(f"SELECT key FROM {column}_texts WHERE {condition} ORDER BY key LIMIT 1")
            if wrong:
                raise ValueError(f"a {column} id, {short(wrong[0][0])}, {fault}; fix or drop its rows.")

    def _check_numbers(self, column: str, type_: str) -> None:
        if type_ not in _INTEGERS and type_ not in ("DOUBLE", "FLOAT"):
            raise ValueError(f"the column of {column}s is of {type_}; make it whole numbers or strings.")
        least, most = self._ask(f"SELECT min({column}), max({column}) FROM likes")[0]
        bound = 2**53 if type_ in ("DOUBLE", "FLOAT") else 2**63
        if not 0 <= least <= most < bound:
            raise ValueError(
                f"the column of {column}s holds {least} to {most}, where ids are from 0 and below {bound}."
            )
        if type_ not in _INTEGERS and self._ask(f"SELECT 1 FROM likes WHERE {column} <> floor({column}) LIMIT 1"):
            raise ValueError(
                f"the column of {column}s holds a number that is not whole; make it whole numbers or strings."
            )

    def _write_ids(self, column: str, n_ids: int) -> bool:
        """Write them, and say whether they are numbers."""
        [(type_,)] = self._ask(f"SELECT any_value(typeof(id)) FROM {column}_ids")
        is_number: bool = type_ == "BIGINT"
        dtype = "<i8" if is_number else f"<U{self._ask(f'SELECT max(length(id)) FROM {column}_ids')[0][0]}"
        with Column(self.folder / f"{column}_ids.npy", dtype) as ids:
            for batch in self._stream(f"SELECT id FROM {column}_ids ORDER BY rowid"):
                ids.append(
                    np.array(batch.column(0), dtype) if is_number else np.array(batch.column(0).to_pylist(), dtype)
                )
        return is_number

    def _write_titles(self, source: Source, numbers: bool) -> None:
        titles = read_titles(source, numbers)
        ids = np.load(self.folder / "item_ids.npy", mmap_mode="r").tolist()
        found = [str(titles.get(id_, id_)) for id_ in ids]
        check_strings(len(found), max(map(len, found)), sum(map(len, found)))
        np.save(self.folder / "titles.npy", np.array(found), allow_pickle=False)

    def _seconds(self, types: dict[str, str]) -> str:
        """The time of a row in seconds since 1970."""
        type_ = types["time"]
        if type_.startswith("TIMESTAMP") or type_ == "DATE":
            return "floor(epoch(time))::BIGINT"
        if type_ == "VARCHAR":
            if wrong := self._ask("SELECT time FROM likes WHERE TRY_CAST(time AS DOUBLE) IS NULL LIMIT 1"):
                raise ValueError(f"the time {short(wrong[0][0])} is not a number of seconds; leave out --times.")
            return "trunc(time::DOUBLE)::BIGINT"
        if type_ not in _INTEGERS and type_ not in ("DOUBLE", "FLOAT"):
            raise ValueError(f"the column of times is of {type_}; make it seconds or timestamps, or leave out --times.")
        return "trunc(time)::BIGINT"

    def _write_likes(self, n_users: int, n_rows: int, seconds: str | None) -> int:
        query = (
            f"SELECT (u.row << 32) | i.row AS pair{', ' + seconds + ' AS seconds' if seconds else ''} FROM likes "
            "JOIN user_rows u ON u.key = likes.user JOIN item_rows i ON i.key = likes.item ORDER BY ALL"
        )
        counts = np.zeros(n_users, np.int32)
        last, n_seen = -1, 0
        with contextlib.ExitStack() as stack:
            indices = stack.enter_context(Column(self.folder / "indices.npy", "<i4"))
            data = stack.enter_context(Column(self.folder / "data.npy", "<f4"))
            times = stack.enter_context(Column(self.folder / "times.npy", "<i8")) if seconds else None
            for batch in self._stream(query):
                pairs = batch.column(0).to_numpy()
                n_seen += len(pairs)
                is_new = np.diff(pairs, prepend=last) > 0
                if not is_new.any():
                    continue
                pairs, last = pairs[is_new], pairs[-1]
                users = pairs >> 32
                of_block = np.bincount(users - users[0])
                counts[users[0] : users[0] + len(of_block)] += of_block.astype(np.int32)
                indices.append((pairs & 0xFFFFFFFF).astype(np.int32))
                data.append(np.ones(len(pairs), np.float32))
                if times is not None:
                    times.append(batch.column(1).to_numpy()[is_new])
                if indices.n > MOST_ENTRIES:
                    raise ValueError(
                        f"{self.name} holds more likes than fit, {MOST_ENTRIES:,}; prepare a part of the users."
                    )
        if n_seen != n_rows:
            raise ValueError(f"{self.name} had {n_rows:,} rows, and then {n_seen:,}: it changed while it was read.")
        with Column(self.folder / "indptr.npy", "<i4") as indptr:
            indptr.append(np.zeros(1, np.int32))
            indptr.append(np.cumsum(counts, dtype=np.int32))
        return indices.n

    def _stream(self, query: str) -> Any:
        return self.db.sql(query).to_arrow_reader(ROWS_AT_ONCE)


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Those below a folder, without what is hidden, as _SUCCESS and .crc files are."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.name.endswith(endings)
        and file.is_file()
        and not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
    )


def _duckdb() -> Any:
    try:
        import duckdb
        import pyarrow  # noqa: F401
    except ImportError:
        raise ValueError(
            "tables of any size take DuckDB: pip install 'autoenc[scale]'; one file that fits into memory doesn't, "
            "without --memory."
        ) from None
    return duckdb


@contextlib.contextmanager
def _in_sentences(duckdb: Any, path: str | os.PathLike[str], memory: float) -> Iterator[None]:
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise ValueError(
            f"{path} takes more than the {memory:,.0f} bytes of memory, or the disk beside the folder is full "
            f"({_first_line(error)}); give more by --memory, or room."
        ) from None
    except (RuntimeError, duckdb.InterruptException) as error:
        if "interrupted" not in str(error).lower():
            raise
        raise KeyboardInterrupt from None  # which DuckDB makes these of
    except duckdb.Error as error:
        raise ValueError(sentence(f"{path} can't be read: {_first_line(error)}.")) from None
    except ValueError as error:
        raise ValueError(sentence(error)) from None  # it may quote names and ids


def _first_line(error: Exception) -> str:
    return " ".join(str(error).strip().splitlines()[0].split()).rstrip(".")


def _same_header(paths: list[Path]) -> list[str]:
    """The names of the columns, which are the same in all files."""
    headers = [_header(path) for path in paths]
    for path, header in zip(paths, headers):
        if header != headers[0]:
            raise ValueError(
                f"{path} has the header {short(header)}, and {paths[0]} {short(headers[0])}; make them one."
            )
    delimiter = _delimiter(paths[0])
    return [name.strip().strip('"') for name in headers[0].split(delimiter)]


def _delimiter(path: Path) -> str:
    header = _header(path)
    for delimiter in "\t,;|":
        if {"user", "item"} & set(positions(name.strip('"') for name in header.split(delimiter))):
            return delimiter
    raise ValueError(f"{path} begins with {short(header)}, which is not a header that names user and item; add one.")


def _header(path: Path) -> str:
    head = Source(path).head().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    lines = head.splitlines()
    if not lines:
        raise ValueError(f"{path} is empty; delete it, or pass a table with a header.")
    return lines[0]


def _literal(path: Path) -> str:
    """A path that DuckDB takes for this file alone: it reads `*`, `?` and `[` as patterns, and `~/` as a home."""
    return re.sub(r"[*?[]", r"[\g<0>]", str(path.absolute()))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
