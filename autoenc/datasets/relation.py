"""The files of a table as DuckDB reads them, with the layouts and rules of the readers in memory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from autoenc.datasets.cells import BLANKS, QuoteError, cells_of
from autoenc.datasets.columns import short
from autoenc.datasets.formats import layout_of_sources
from autoenc.datasets.layout import JsonLines, Layout, Table
from autoenc.datasets.options import NO_OPTIONS, ReadOptions
from autoenc.datasets.sources import MAX_LINE, Source, archive_of, check_exists, find
from autoenc.datasets.streams import compression_of, encoding_of
from autoenc.datasets.text import row_like
from autoenc.datasets.watch import Watch

_TEXT = tuple(
    ending + compression
    for ending in (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
    for compression in ("", ".gz", ".zst")
)


class Tables(NamedTuple):
    """The files of one table."""

    paths: list[Path]
    layout: Table | JsonLines | None  # None for parquet, which describes itself
    titles: Source | None = None


def is_partitioned(path: Path) -> bool:
    """Whether a path is a folder of parquet, or of several text files that are not a known data set."""
    if not path.is_dir():
        return False
    if _files(path, (".parquet",)):
        return True
    known = {"ratings.csv", "movies.csv", "tags.csv", "links.csv", "genome-scores.csv", "genome-tags.csv"}
    files = _files(path, _TEXT)
    return len(files) > 1 and not any(file.name.removesuffix(".gz") in known for file in files)


def find_tables(path: Path, options: ReadOptions = NO_OPTIONS) -> Tables:
    """The table at a path: a folder of parquet, CSV or JSON lines, at any depth, or one file.

    Raises
    ------
    FileNotFoundError
        If the path doesn't exist.
    ValueError
        If there is no table, or none that can be read in parts.
    """
    check_exists(path)
    titles = None
    if is_partitioned(path):
        parquet, text = _files(path, (".parquet",)), _files(path, _TEXT)
        if parquet and text:
            raise ValueError(
                f"{path} holds both parquet and text ({parquet[0]} and {text[0]}); pass a folder with one of them."
            )
        files = parquet or text
    else:
        if archive_of(path) is not None:
            raise ValueError(f"{path} is a zip archive, which can't be read in parts; {_WAY_OUT}.")
        sources, titles = find(path)
        if len(sources) > 1:
            raise ValueError(f"{path} is not a table that can be read in parts; {_WAY_OUT}.")
        files = [sources[0].path]
    with open(files[0], "rb") as first:
        if first.read(4) == b"PAR1":
            return Tables(files, None, titles)
    layouts = [_layout_of(file, options) for file in files]
    for file, layout in zip(files, layouts):
        if _columns_of(layout) != _columns_of(layouts[0]):
            raise ValueError(
                f"{file} has the header {_header_of(layout)}, but {files[0]} has {_header_of(layouts[0])}; "
                "give all files the same header."
            )
    return Tables(files, _with_quotes(files, layouts), titles)


_WAY_OUT = "unpack it, or leave out --memory"


def _layout_of(path: Path, options: ReadOptions) -> Table | JsonLines:
    layout: Layout = layout_of_sources([Source(path)], options)
    if not isinstance(layout, (Table, JsonLines)) or (isinstance(layout, Table) and layout.delimiter == BLANKS):
        raise ValueError(f"{path} is {layout.description}, which can't be read in parts; leave out --memory.")
    with open(path, "rb") as file:
        method = compression_of(file.read(8))
    if method in ("bzip2", "xz"):
        raise ValueError(f"{path} is compressed by {method}, which can't be read in parts; {_WAY_OUT}.")
    return layout


def _columns_of(layout: Table | JsonLines) -> tuple[object, ...]:
    if isinstance(layout, JsonLines):
        return (sorted(layout.at.items()),)
    return layout.delimiter, layout.at, layout.n_columns, layout.names


def _header_of(layout: Table | JsonLines) -> str:
    return short(layout.form if isinstance(layout, Table) else ", ".join(layout.at.values()))


def _with_quotes(paths: list[Path], layouts: list[Table | JsonLines]) -> Table | JsonLines:
    """The layout of all files, which is quoted if all quotes in them are closed.

    Raises ValueError, which names file and line, if a quote that is not closed would swallow rows.
    """
    first = layouts[0]
    if not isinstance(first, Table):
        return first
    tables = [layout for layout in layouts if isinstance(layout, Table)]
    table = first._replace(
        quoted=all(layout.quoted for layout in tables), any_ids=any(layout.any_ids for layout in tables)
    )
    for path in paths:
        try:
            _check_quotes(Source(path), table)
        except QuoteError as error:
            if table.delimiter != "\t":
                raise ValueError(f"{path}, line {error.line:,}: {error}; fix the line or delete it.") from None
            return table._replace(quoted=False)
    return table


def _check_quotes(source: Source, table: Table) -> None:
    """Raise QuoteError if a quote is not closed before the next rows, which DuckDB would swallow."""
    if not table.quoted:
        return
    try:
        with source.open(max_line=MAX_LINE, watch=Watch(table, numbers=False)) as stream:
            while stream.read(2**20):
                pass
    except ValueError as error:
        if not isinstance(error, Watch.Suspicion):
            raise
        with source.lines() as lines:
            for _ in range(table.skip):
                next(lines)
            for _ in cells_of(lines, table.delimiter, True, row_like(table), table.skip + 1):
                pass


def rows_of(tables: Tables) -> str:
    """The FROM clause of a query over text files: columns c0, c1, ... of a table, or the keys of JSON lines."""
    paths = f"[{', '.join(quoted(_literal(file)) for file in tables.paths)}]"
    layout = tables.layout
    if layout is None:
        return f"read_parquet({paths}, union_by_name=true, hive_partitioning=false)"
    compression, encoding = _form_of(tables.paths[0])
    if isinstance(layout, JsonLines):
        keys = ", ".join(f"{quoted(key)}: 'JSON'" for key in dict.fromkeys(layout.at.values()))
        return (
            f"read_json({paths}, format='newline_delimited', columns={{{keys}}}, compression='{compression}', "
            f"maximum_object_size={MAX_LINE})"
        )
    names = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(layout.n_columns))
    quote = "'\"'" if layout.quoted else "''"
    skip = layout.skip - 1 if layout.names else 0
    return (
        f"read_csv({paths}, delim={quoted(layout.delimiter)}, quote={quote}, escape={quote}, "
        f"header={'true' if layout.names else 'false'}, skip={skip}, auto_detect=false, columns={{{names}}}, "
        f"compression='{compression}', encoding='{encoding}', max_line_size={MAX_LINE})"
    )


def _form_of(path: Path) -> tuple[str, str]:
    """How a file is compressed and encoded, as DuckDB's options name it."""
    with open(path, "rb") as file:
        head = file.read(8)
    compression = {"gzip": "gzip", "zstd": "zstd"}.get(compression_of(head) or "", "none")
    return compression, encoding_of(head) or "utf-8"


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """The files below a folder that are not hidden, as _SUCCESS and .crc files are."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.name.endswith(endings)
        and file.is_file()
        and not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
    )


def _literal(path: Path) -> str:
    """A path that DuckDB takes literally: it expands `*`, `?` and `[` as patterns, and `~/` as the home folder."""
    return re.sub(r"[*?[]", r"[\g<0>]", str(path.absolute()))


def quoted(text: str) -> str:
    """A string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
