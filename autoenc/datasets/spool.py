"""Files that DuckDB doesn't read itself, written once as what it does.

    in a zip archive, bzip2, xz, or not all alike    the same bytes, decompressed and in UTF-8
    lists, and columns between blanks                CSV, a row per like

They pass as streams, so that this takes no memory, and as much disk as they do decompressed. What takes lines apart is
the reader in memory, with its rules and its sentences.
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
    """A new file in `folder` with the text of a source. Raises ValueError where it outgrows the bounds of `sources`."""
    path = _new_file(folder)
    with source.open() as stream, path.open("wb") as out:
        shutil.copyfileobj(stream, out, 2**20)
    return path


def layout_of_csv(layouts: Sequence[Table | Lists | Features], wanted: Roles) -> Table:
    """How the CSV is laid out that `write_csv` makes of files with these layouts, which differ in their ids at most."""
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
    """A new file in `folder` with the rows of a table or of lists. Raises ValueError where a line contradicts them."""
    path = _new_file(folder)
    with path.open("w", encoding="latin-1", newline="") as out:  # the bytes of UTF-8, as `Source.lines` has them
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
