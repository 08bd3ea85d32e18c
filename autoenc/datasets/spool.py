"""Rewrite files that DuckDB can't read itself in a form that it can read.

    in a zip archive, bzip2, xz, or mixed forms      the same bytes, decompressed and in UTF-8
    lists, and columns separated by blanks           CSV, one row per like

They are streamed, which needs no memory, but their decompressed size on disk. Lines are parsed by the reader in memory,
with its rules and errors.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from autoenc.datasets.cells import QuoteError
from autoenc.datasets.layout import Features, Lists, Table
from autoenc.datasets.sources import Source
from autoenc.datasets.text import Roles, fault, list_rows, table_rows


def decompress(source: Source, folder: Path) -> Path:
    """A new file in `folder` with the text of a source. Raises ValueError if it exceeds the limits in `sources`."""
    path = _new_file(folder)
    with source.open() as stream, path.open("wb") as out:
        shutil.copyfileobj(stream, out, 2**20)
    return path


def layout_of_csv(layouts: Sequence[Table | Lists | Features], wanted: Roles) -> Table:
    """The layout of the CSV written by `write_csv` for files with these layouts, which may only differ in their ids."""
    first = layouts[0]
    if isinstance(first, Table):
        roles, said = [role for role in first.at if role in wanted], first.said
    else:
        roles = ["user", "item"]
        said = frozenset(roles if first.is_said else ())
    any_ids = any(layout.any_ids for layout in layouts)
    return Table(
        ",".join(roles), ",", {role: n for n, role in enumerate(roles)}, len(roles), any_ids=any_ids, said=said
    )


def write_csv(source: Source, layout: Table | Lists | Features, as_csv: Table, folder: Path) -> Path:
    """A new file in `folder` with the rows of a table or lists. Raises ValueError if a line contradicts the layout."""
    path = _new_file(folder)
    with path.open("w", encoding="latin-1", newline="") as out:  # the bytes of UTF-8, as in `Source.lines`
        csv.writer(out, lineterminator="\n").writerows(_rows(source, layout, as_csv))
    return path


def _rows(source: Source, layout: Table | Lists | Features, as_csv: Table) -> Iterator[Iterable[str]]:
    if isinstance(layout, Table):
        at = {role: layout.at[role] for role in as_csv.at}
        try:
            for _, cells in table_rows(source, layout._replace(at=at)):
                yield cells.values()
        except QuoteError as error:
            raise fault(source, error.line, error) from None
    else:
        for _, user, items in list_rows(source, layout):
            yield from ((user, item) for item in items)


def _new_file(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder / str(len(list(folder.iterdir())))
