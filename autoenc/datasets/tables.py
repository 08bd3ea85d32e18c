"""Write tables of any size into a prepared folder, in bounded memory, with DuckDB.

    user_ids, item_ids    the distinct ids, ascending: an id's number is its position
    likes                 every row as one integer, user * 2**32 + item, sorted and without duplicates

DuckDB reads, hashes, joins and sorts. What exceeds its memory is spilled to disk next to the folder,
about as much as the tables themselves. As a pair is one integer, only integers are sorted, and the CSR
matrix is written from the sorted stream.

The rules for ids are those of `autoenc.datasets.formats`, and the result is that of
`Interactions.from_pairs` on the same rows.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from autoenc.datasets.columns import (
    DECIMAL_COMMA,
    GROUPED,
    ISO_TIME,
    MAX_ID,
    NEGATIVE,
    NOT_IDS,
    SPACES,
    TRUTH,
    WHOLE,
    ambiguous_point,
    limit_of,
    not_a_number,
    short,
)
from autoenc.datasets.detect import layout_of_names
from autoenc.datasets.formats import how_laid_out
from autoenc.datasets.layout import JsonLines, Table
from autoenc.datasets.names import say_which
from autoenc.datasets.options import NO_OPTIONS, ROLES, ReadOptions, how_read
from autoenc.datasets.prepared import Column, new_folder, write_manifest
from autoenc.datasets.relation import Tables, find_tables, quoted, rows_of
from autoenc.datasets.sources import Source, on_disk
from autoenc.datasets.text import read_titles
from autoenc.interactions import MISSING
from autoenc.messages import printable, sentence
from autoenc.storage.csr import MOST_ENTRIES
from autoenc.storage.npy import check_strings
from autoenc.times import EXAMPLE, units_per_second

ROWS_AT_ONCE = 2**20
LEAST_MEMORY = 500_000_000
BESIDE_DUCKDB = 250_000_000  # the interpreter, pyarrow, and what DuckDB takes beyond its own limit

_INTEGERS = {f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")}
_INTEGERS |= {"INTEGER", "UINTEGER"}
_NUMBERS = _INTEGERS | {"DOUBLE", "FLOAT"}


class Counts(NamedTuple):
    """What was written."""

    users: int
    items: int
    likes: int
    rows: int  # of the tables; a pair that occurs twice is one like
    source: str = ""  # how the tables were read


def prepare(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    memory: float = 2e9,
    times: bool = False,
    threads: int | None = None,
    options: ReadOptions = NO_OPTIONS,
) -> Counts:
    """Write the likes of a table of any size into a prepared folder.

    Parameters
    ----------
    path : str or Path
        A folder of parquet, CSV or JSON lines, at any depth, or anything else that `autoenc.datasets.read` reads,
        except .npz. Files that DuckDB can't read itself need their decompressed size on the disk of the folder.
    folder : str or Path
        The folder to write. A prepared folder there is replaced once the new one is complete.
    memory : float
        The most memory to use in bytes, 500 MB or more. More is faster.
    times : bool
        Whether to keep the time of each like.
    threads : int, optional
        Number of threads. The default is the number of processors.
    options : ReadOptions
        How to read the table. A column of weights is kept.

    Returns
    -------
    Counts

    Raises
    ------
    ValueError
        If DuckDB isn't installed, the table can't be read, an id is missing, or there are too many likes.
    OSError
        If `path` doesn't exist, or the folder can't be written.
    """
    if not memory >= LEAST_MEMORY or math.isinf(memory):
        raise ValueError(f"memory is {memory:,.0f} bytes; give at least {LEAST_MEMORY:,}, such as 2GB.")
    if options.min_likes_per_user or options.min_likes_per_item:
        raise ValueError(
            "min_likes_per_user and min_likes_per_item need the likes in memory; pass them when the folder is read."
        )
    duckdb = _duckdb()
    times = times or options.time is not None
    with on_disk(path) as place, new_folder(folder) as new:
        spill = new / "spill"
        spill.mkdir()
        tables = find_tables(place, spill / "text", options, times)
        settings = {"memory_limit": f"{int(memory) - BESIDE_DUCKDB}B", "temp_directory": str(spill / "rows")}
        if threads is not None:
            settings["threads"] = str(threads)
        with (
            _in_sentences(duckdb, path, memory),
            contextlib.closing(duckdb.connect(spill / "db", config=settings)) as db,
        ):
            counts = _Preparation(db, new, str(path), options).run(tables, times)
        shutil.rmtree(spill)
        write_manifest(new, *counts[:3])
    return counts


class _Preparation:
    def __init__(self, db: Any, folder: Path, name: str, options: ReadOptions):
        self.db, self.folder, self.name, self.options = db, folder, name, options

    def run(self, tables: Tables, times: bool) -> Counts:
        self.db.execute("SET TimeZone = 'UTC'")  # for times without a time zone
        self.db.execute("SET enable_progress_bar = false")  # DuckDB draws one during long queries by default
        self.db.execute("PRAGMA disable_checkpoint_on_shutdown")  # the database is deleted
        layout, types = self._open(tables, times)
        self._is_json = isinstance(layout, JsonLines)
        n_rows = self._check_rows({role: layout.name_of(role) for role in types})
        if tables.found is None:
            source = how_read("parquet", {role: layout.name_of(role) for role in layout.at}, self.options)
        else:
            source = how_laid_out(tables.found, self.options)
        source = f"{source}; {n_rows:,} rows"
        if "rating" in types:
            rating = self._as_number("rating", types["rating"])
            if self.options.min_rating is not None:
                source += self._leave_out_below(self.options.min_rating, rating, n_rows)
                n_rows = self._ask("SELECT count(*) FROM likes")[0][0]
        n_users = self._number("user", types["user"], layout)
        n_items = self._number("item", types["item"], layout)
        numbers = self._write_ids("user", n_users), self._write_ids("item", n_items)
        if tables.titles is not None:
            self._write_titles(tables.titles, numbers[1])
        seconds = self._seconds(types["time"]) if times else None
        weight = self._weight(types["weight"]) if "weight" in types else None
        n_likes = self._write_likes(n_users, n_rows, seconds, weight)
        return Counts(n_users, n_items, n_likes, n_rows, source)

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.db.execute(query).fetchall()
        return rows

    def _open(self, tables: Tables, times: bool) -> tuple[Table | JsonLines, dict[str, str]]:
        """Create `likes` with the columns needed, named by their roles; return the layout and the types."""
        rows = rows_of(tables)
        types = {name: type_ for name, type_, *_ in self._ask(f"DESCRIBE SELECT * FROM {rows}")}
        try:
            layout = layout_of_names(list(types), self.options) if tables.layout is None else tables.layout
        except ValueError as error:
            raise ValueError(f"{self.name} {error}.") from None
        wanted = self.options.wanted(times)
        for role in sorted(wanted - layout.at.keys()):
            raise ValueError(f"{self.name} has no known column of {role}s; {say_which(role)}.")
        names = {role: self._column_of(layout, role, tables) for role in ROLES if role in wanted}
        if isinstance(layout, JsonLines):
            self._check_json(rows, names)
            select = ", ".join(f"{_identifier(name)}->>'$' AS {role}" for role, name in names.items())
            found = dict.fromkeys(names, "VARCHAR")
        else:
            select = ", ".join(f"{_identifier(name)} AS {role}" for role, name in names.items())
            found = {role: types[name] for role, name in names.items()}
        # Text is parsed only once; parquet is read faster than a table would be written.
        kind = "VIEW" if tables.layout is None else "TABLE"
        self.db.execute(f"CREATE {kind} rows AS SELECT {select} FROM {rows}")
        self.db.execute("CREATE VIEW likes AS SELECT * FROM rows")
        return layout, found

    @staticmethod
    def _column_of(layout: Table | JsonLines, role: str, tables: Tables) -> str:
        if isinstance(layout, JsonLines):
            return layout.at[role]
        return layout.name_of(role) if tables.layout is None else f"c{layout.at[role]}"

    def _check_json(self, rows: str, names: dict[str, str]) -> None:
        for role, name in names.items():
            column = _identifier(name)
            known = ["VARCHAR", "UBIGINT", "BIGINT", "HUGEINT", "DOUBLE", "NULL"]
            known += ["BOOLEAN"] if role in ("rating", "weight") else []
            strange = f"json_type({column}) NOT IN ({', '.join(map(quoted, known))})"
            if wrong := self._ask(f"SELECT {column} FROM {rows} WHERE {strange} LIMIT 1"):
                raise ValueError(f"a {role}, {short(wrong[0][0])}, is neither text nor a number; fix or drop its row.")

    def _leave_out_below(self, least: float, rating: str, n_rows: int) -> str:
        """Restrict `likes` to ratings of at least `least`, and return a sentence with the number left out."""
        [(n_below,)] = self._ask(f"SELECT count(*) FROM likes WHERE NOT {rating} >= {least!r}")
        self.db.execute(f"CREATE OR REPLACE VIEW likes AS SELECT * FROM rows WHERE {rating} >= {least!r}")
        if not self._ask("SELECT 1 FROM likes LIMIT 1"):
            raise ValueError(f"{self.name} has no rating of {least:g} or more.")
        return f"\nleft out {n_below:,} of {n_rows:,} rows, with a rating below {least:g}"

    def _as_number(self, role: str, type_: str) -> str:
        """A column as numbers, as in `columns.number`."""
        is_truth = type_ == "BOOLEAN" and role != "time"
        if not (is_truth or type_ in _NUMBERS or type_ == "VARCHAR"):
            raise ValueError(f"the column of {role}s has type {type_}; convert it to numbers.")
        number = f"TRY_CAST({role} AS DOUBLE)"
        if type_ == "VARCHAR" and role != "time":
            number = _number_in_text(role)
        wrong = self._ask(
            f"SELECT {role} FROM likes WHERE NOT coalesce(abs({number}) < {limit_of(role)}, false) LIMIT 1"
        )
        if wrong:
            raise ValueError(f"{not_a_number(str(wrong[0][0]), role)}; fix or drop its row.")
        if type_ == "VARCHAR" and role != "time" and not self._is_json:
            [(grouped, is_decimal, has_others)] = self._ask(_query_of_points(role))
            if grouped is not None and has_others and not is_decimal:
                raise ValueError(f"{self.name}: {ambiguous_point(grouped, role)}.")
        return number if role == "time" else f"{number}::FLOAT"

    def _check_rows(self, names: dict[str, str]) -> int:
        n_rows, *n_there = self._ask(f"SELECT count(*), {', '.join(f'count({c})' for c in names)} FROM likes")[0]
        if not n_rows:
            raise ValueError(f"{self.name} holds no likes; pass a table with at least one row.")
        for (column, name), n in zip(names.items(), n_there):
            if n < n_rows:
                raise ValueError(
                    f"the column of {column}s ({printable(name)}) has {n_rows - n:,} missing values of {n_rows:,}; "
                    "drop those rows."
                )
        return int(n_rows)

    def _number(self, column: str, type_: str, layout: Table | JsonLines) -> int:
        """Create {column}_ids, the ids in ascending order, and {column}_rows, from values of the table to positions."""
        if type_ == "VARCHAR":
            as_text = f"trim(key, {quoted(SPACES)})"
            self.db.execute(f"CREATE TABLE {column}_texts AS SELECT DISTINCT {column} AS key FROM likes")
            self._check_texts(column, as_text, column in layout.said)
            number = (
                f"CASE WHEN regexp_full_match({as_text}, {quoted(WHOLE)}) "
                f"THEN TRY_CAST(split_part({as_text}, '.', 1) AS BIGINT) END"
            )
            [(n_others,)] = self._ask(f"SELECT count(*) FROM {column}_texts WHERE ({number}) IS NULL")
            if n_others and isinstance(layout, Table) and not layout.any_ids:
                [(text,)] = self._ask(f"SELECT key FROM {column}_texts WHERE ({number}) IS NULL ORDER BY key LIMIT 1")
                raise ValueError(
                    f"the {column} id {short(text)} is not a whole number below 2**63; fix or drop its rows."
                )
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
            raise ValueError(f"there are {n_ids:,} {column}s, but at most {MOST_ENTRIES:,} are supported.")
        return int(n_ids)

    def _check_texts(self, column: str, as_text: str, is_said: bool) -> None:
        faults = {
            "is missing": f"lower({as_text}) IN ({', '.join(map(quoted, sorted(MISSING)))})",
            "is negative, but ids must be 0 or greater": f"regexp_full_match({as_text}, {quoted(NEGATIVE)})",
            f"is longer than {MAX_ID} characters": f"length({as_text}) > {MAX_ID}",
            "holds the character NUL": f"contains({as_text}, chr(0))",
        }
        for fault, condition in faults.items():
            self._check_none(column, condition, f"{fault}; fix or drop its rows")
        for fault, form in {} if is_said else NOT_IDS.items():
            is_other = f"NOT regexp_full_match({as_text}, {quoted(WHOLE)})"
            condition = f"{is_other} AND regexp_full_match({as_text}, {quoted(form)}, 's')"
            self._check_none(column, condition, f"{fault}; {say_which(column)}")

    def _check_none(self, column: str, condition: str, problem: str) -> None:
        wrong = self._ask(f"SELECT key FROM {column}_texts WHERE {condition} ORDER BY key LIMIT 1")
        if wrong:
            raise ValueError(f"a {column} id, {short(wrong[0][0])}, {problem}.")

    def _check_numbers(self, column: str, type_: str) -> None:
        if type_ not in _INTEGERS and type_ not in ("DOUBLE", "FLOAT"):
            raise ValueError(f"the column of {column}s has type {type_}; convert it to integers or strings.")
        least, most = self._ask(f"SELECT min({column}), max({column}) FROM likes")[0]
        bound = 2**53 if type_ in ("DOUBLE", "FLOAT") else 2**63
        if not 0 <= least <= most < bound:
            raise ValueError(
                f"the column of {column}s holds {least} to {most}, but ids must be at least 0 and below {bound}."
            )
        if type_ not in _INTEGERS and self._ask(f"SELECT 1 FROM likes WHERE {column} <> floor({column}) LIMIT 1"):
            raise ValueError(
                f"the column of {column}s holds a number that is not an integer; convert it to integers or strings."
            )

    def _write_ids(self, column: str, n_ids: int) -> bool:
        """Write the ids, and return whether they are numbers."""
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

    def _seconds(self, type_: str) -> str:
        """The time of a row in whole seconds since 1970, as in `columns.Times`."""
        if type_.startswith("TIMESTAMP") or type_ == "DATE":
            return "floor(epoch(time))::BIGINT"
        if type_ == "VARCHAR" and not self._ask(
            "SELECT 1 FROM likes WHERE TRY_CAST(time AS DOUBLE) IS NOT NULL LIMIT 1"
        ):
            text = f"trim(time, {quoted(SPACES)})"
            at_once = f"regexp_replace(regexp_replace({text}, ' ?UTC$', 'Z'), ' ([-+Z])', '\\1')"  # "10:00 +01:00"
            seconds = f"epoch(TRY_CAST({at_once} AS TIMESTAMPTZ))"
            is_time = f"regexp_full_match({text}, {quoted(ISO_TIME)}) AND {seconds} IS NOT NULL"
            if wrong := self._ask(f"SELECT time FROM likes WHERE NOT ({is_time}) LIMIT 1"):
                raise ValueError(
                    f"the time {short(wrong[0][0])} is neither a number of seconds nor a time like {EXAMPLE}."
                )
            return f"floor({seconds})::BIGINT"
        number = self._as_number("time", type_)
        blocks = (batch.column(0).to_numpy() for batch in self._stream(f"SELECT {number} AS time FROM likes"))
        try:
            unit = units_per_second(blocks, is_file=True)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}.") from None
        return f"floor(trunc({number}) / {unit})::BIGINT" if unit > 1 else f"trunc({number})::BIGINT"

    def _weight(self, type_: str) -> str:
        """The weight of a row, which is a number above 0."""
        weight = self._as_number("weight", type_)
        if wrong := self._ask(f"SELECT weight FROM likes WHERE NOT {weight} > 0 LIMIT 1"):
            raise ValueError(f"the weight {short(str(wrong[0][0]))} is not above 0; drop the rows that don't count.")
        return weight

    def _write_likes(self, n_users: int, n_rows: int, seconds: str | None, weight: str | None) -> int:
        counts = np.zeros(n_users, np.int32)
        last, n_seen = -1, 0
        kept = {"times": ("<i8", "seconds"), "weights": ("<f4", "weight")}
        kept = {name: kept[name] for name, is_there in (("times", seconds), ("weights", weight)) if is_there}
        with contextlib.ExitStack() as stack:
            indices = stack.enter_context(Column(self.folder / "indices.npy", "<i4"))
            data = stack.enter_context(Column(self.folder / "data.npy", "<f4"))
            others = {
                of_batch: stack.enter_context(Column(self.folder / f"{name}.npy", dtype))
                for name, (dtype, of_batch) in kept.items()
            }
            for batch in self._stream(_query_of_likes(seconds, weight)):
                found = {name: batch.column(name).to_numpy() for name in batch.schema.names}
                pairs = found["pair"]
                n_seen += int(found["n"].sum()) if "n" in found else len(pairs)
                is_new = np.diff(pairs, prepend=last) > 0
                if not is_new.any():
                    continue
                pairs, last = pairs[is_new], pairs[-1]
                users = pairs >> 32
                of_block = np.bincount(users - users[0])
                counts[users[0] : users[0] + len(of_block)] += of_block.astype(np.int32)
                indices.append((pairs & 0xFFFFFFFF).astype(np.int32))
                data.append(np.ones(len(pairs), np.float32))
                for of_batch, column in others.items():
                    column.append(found[of_batch][is_new])
                if indices.n > MOST_ENTRIES:
                    raise ValueError(
                        f"{self.name} holds more than {MOST_ENTRIES:,} likes; prepare some of the users only."
                    )
        if n_seen != n_rows:
            raise ValueError(f"{self.name} had {n_rows:,} rows, then {n_seen:,}: it changed while it was read.")
        with Column(self.folder / "indptr.npy", "<i4") as indptr:
            indptr.append(np.zeros(1, np.int32))
            indptr.append(np.cumsum(counts, dtype=np.int32))
        return indices.n

    def _stream(self, query: str) -> Any:
        return self.db.sql(query).to_arrow_reader(ROWS_AT_ONCE)


def _number_in_text(role: str) -> str:
    """A rating or weight as a number, or NULL, as in `columns.number`."""
    text = f"trim({role}, {quoted(SPACES)})"
    is_with_comma = f"regexp_full_match({text}, {quoted(DECIMAL_COMMA)})"
    truth = "".join(f"WHEN lower({text}) = {quoted(word)} THEN '{n:g}' " for word, n in TRUTH.items())
    return f"TRY_CAST(CASE WHEN {is_with_comma} THEN replace({role}, ',', '.') {truth}ELSE {role} END AS DOUBLE)"


def _query_of_points(role: str) -> str:
    """A text whose point may separate thousands, and what is known of the others, as in `columns.Numbers`.

    Of all rows, also those that are left out.
    """
    has_point = f"contains({role}, '.')"
    is_grouped = f"regexp_full_match(trim({role}, {quoted(SPACES)}), {quoted(GROUPED)})"
    return (
        f"SELECT any_value({role}) FILTER ({is_grouped}), coalesce(bool_or({has_point} AND NOT {is_grouped}), false), "
        f"coalesce(bool_or(NOT {has_point}), false) FROM rows"
    )


def _query_of_likes(seconds: str | None, weight: str | None) -> str:
    """Each pair of user and item as one integer, in order, with its earliest time and the sum of its weights."""
    columns = f"{', ' + seconds + ' AS seconds' if seconds else ''}{', ' + weight + ' AS weight' if weight else ''}"
    rows = (
        f"SELECT (u.row << 32) | i.row AS pair{columns} FROM likes "
        "JOIN user_rows u ON u.key = likes.user JOIN item_rows i ON i.key = likes.item"
    )
    if weight is None:
        return f"{rows} ORDER BY ALL"
    first = ", min(seconds) AS seconds" if seconds else ""
    return (
        f"SELECT pair{first}, sum(weight::DOUBLE)::FLOAT AS weight, count(*) AS n FROM ({rows}) "
        "GROUP BY pair ORDER BY pair"
    )


def _duckdb() -> Any:
    try:
        import duckdb
        import pyarrow  # noqa: F401
    except ImportError:
        raise ValueError(
            "reading a table in parts needs DuckDB: pip install '.[scale]'; a file that fits into memory "
            "can be prepared without it if --memory is left out."
        ) from None
    return duckdb


@contextlib.contextmanager
def _in_sentences(duckdb: Any, path: str | os.PathLike[str], memory: float) -> Iterator[None]:
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise ValueError(
            f"{path} needs more than {memory:,.0f} bytes of memory, or the disk that holds the folder is full "
            f"({_in_short(error)}); pass a larger --memory, or free some space."
        ) from None
    except (RuntimeError, duckdb.InterruptException) as error:
        if "interrupted" not in str(error).lower():
            raise
        raise KeyboardInterrupt from None  # DuckDB raises these for it
    except duckdb.Error as error:
        raise ValueError(sentence(f"{path} can't be read: {_in_short(error)}.")) from None
    except ValueError as error:
        raise ValueError(sentence(error)) from None  # the message may quote names and ids


def _in_short(error: Exception) -> str:
    """DuckDB's error, without its advice on options."""
    lines = str(error).strip().splitlines()
    ends = (n for n, line in enumerate(lines) if not line.strip() or line.startswith("Possible"))
    return ", ".join(" ".join(line.split()).rstrip(".,") for line in lines[: next(ends, len(lines))][:4])


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
