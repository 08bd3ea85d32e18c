"""The files of a table as DuckDB reads them, with the layouts and rules of the readers in memory."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import NamedTuple, TypeGuard

from autoenc.datasets import spool
from autoenc.datasets.cells import BLANKS, QuoteError, cells_of
from autoenc.datasets.columns import short
from autoenc.datasets.formats import is_npz, layout_of_sources
from autoenc.datasets.layout import Features, JsonLines, Layout, Lists, Table
from autoenc.datasets.options import NO_OPTIONS, ReadOptions
from autoenc.datasets.sources import COMPRESSED, MAX_LINE, Source, check_exists, find, without_compression
from autoenc.datasets.streams import compression_of, decompressed, encoding_of
from autoenc.datasets.text import row_like
from autoenc.datasets.watch import Watch

_TEXT = tuple(
    ending + compression
    for ending in (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
    for compression in ("", *COMPRESSED)
)


class Tables(NamedTuple):
    """The files of one table, as DuckDB reads them."""

    paths: list[Path]
    layout: Table | JsonLines | None  # None for parquet, which describes itself
    found: Layout | None = None  # the layout of the files before some were rewritten
    titles: Source | None = None


def is_partitioned(path: Path) -> bool:
    """Whether a path is a folder of parquet, or of several text files that are not a known data set."""
    if not path.is_dir():
        return False
    if _files(path, (".parquet",)):
        return True
    known = {"ratings.csv", "movies.csv", "tags.csv", "links.csv", "genome-scores.csv", "genome-tags.csv"}
    files = _files(path, _TEXT)
    return len(files) > 1 and not any(without_compression(file.name) in known for file in files)


def find_tables(path: Path, folder: Path, options: ReadOptions = NO_OPTIONS, times: bool = False) -> Tables:
    """The table at a path: a folder of parquet, CSV or JSON lines, at any depth, or anything else read as text.

    Parameters
    ----------
    path : Path
    folder : Path
        Where to rewrite files that DuckDB can't read itself: see `autoenc.datasets.spool`.
    options : ReadOptions
    times : bool
        Whether times are wanted.

    Raises
    ------
    FileNotFoundError
        If the path doesn't exist.
    ValueError
        If there is no table, or it can't be read: the file and, in text that is rewritten, the line.
    """
    check_exists(path)
    sources, titles, are_parts = _sources_at(path)
    if sources[0].member is None and sources[0].head()[:4] == b"PAR1":
        return Tables([source.path for source in sources], None)
    layouts = [layout_of_sources(sources if are_parts else [source], options) for source in sources]
    for source, layout in zip(sources, layouts):
        if _columns_of(layout) != _columns_of(layouts[0]):
            raise ValueError(
                f"{source} has the header {_header_of(layout)}, but {sources[0]} has {_header_of(layouts[0])}; "
                "give all files the same header."
            )
    if len(sources) > 1 and not are_parts and isinstance(layouts[0], Lists) and layouts[0].user is None:
        raise ValueError(
            f"{path} holds {len(sources)} files of lists without users, who would be numbered from 0 in each; pass one "
            "file, or lists that begin with the user."
        )
    if to_rewrite := [layout for layout in layouts if _is_unknown_to_duckdb(layout)]:
        as_csv = spool.layout_of_csv(to_rewrite, options.wanted(times))
        paths = [spool.write_csv(source, layout, as_csv, folder) for source, layout in zip(sources, to_rewrite)]
        return Tables(paths, as_csv, layouts[0], titles)
    layout = _with_quotes(sources, [layout for layout in layouts if isinstance(layout, (Table, JsonLines))])
    compressions = {_compression_of(source) for source in sources}
    is_read_as_it_is = len(compressions) == 1 and None not in compressions
    paths = [source.path if is_read_as_it_is else spool.decompress(source, folder) for source in sources]
    return Tables(paths, layout, layout, titles)


def _sources_at(path: Path) -> tuple[list[Source], Source | None, bool]:
    """The files at a path, the file of titles, and whether the former are parts of one with a single header."""
    if is_npz(path):
        raise ValueError(f"{path} is an .npz file, which can't be read in parts; leave out --memory.")
    if not is_partitioned(path):
        return *find(path), True
    parquet, text = _files(path, (".parquet",)), _files(path, _TEXT)
    if parquet and text:
        raise ValueError(
            f"{path} holds both parquet and text ({parquet[0]} and {text[0]}); pass a folder with one of them."
        )
    return [Source(file) for file in parquet or text], None, False


def _is_unknown_to_duckdb(layout: Layout) -> TypeGuard[Table | Lists | Features]:
    return isinstance(layout, (Lists, Features)) or (isinstance(layout, Table) and layout.delimiter == BLANKS)


def _columns_of(layout: Layout) -> tuple[object, ...]:
    if isinstance(layout, JsonLines):
        return (sorted(layout.at.items()),)
    return (layout.delimiter, layout.at, layout.n_columns, layout.names) if isinstance(layout, Table) else layout


def _header_of(layout: Layout) -> str:
    return short(", ".join(layout.at.values()) if isinstance(layout, JsonLines) else layout.form)


def _with_quotes(sources: list[Source], layouts: list[Table | JsonLines]) -> Table | JsonLines:
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
    for source in sources:
        try:
            _check_quotes(source, table)
        except QuoteError as error:
            if table.delimiter != "\t":
                raise ValueError(f"{source}, line {error.line:,}: {error}; fix the line or delete it.") from None
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
    compression = _compression_of(Source(tables.paths[0]))
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
        f"compression='{compression}', max_line_size={MAX_LINE})"
    )


def _compression_of(source: Source) -> str | None:
    """How a file is compressed, in DuckDB's words; None if it isn't text in UTF-8 that DuckDB decompresses itself."""
    if source.member is not None:
        return None
    with source.path.open("rb") as file:
        method = compression_of(file.peek(8)[:8])
        head = (file if method is None else decompressed(file, method)).read(4)
    is_utf8 = encoding_of(head) is None and not head.startswith(codecs.BOM_UTF8)
    return {None: "none", "gzip": "gzip", "zstd": "zstd"}.get(method) if is_utf8 else None


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
