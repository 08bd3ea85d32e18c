"""Ratings in any of the usual formats, recognized by their content, whatever the file is called.

    MovieLens' .dat       user::movie::rating::timestamp
    MovieLens' u.data     user<TAB>item<TAB>rating<TAB>timestamp; commas for tabs will do
    a table with header   userId,movieId,rating,timestamp: commas, semicolons, bars or tabs, columns
                          in any order; users are called user, userId, user_id or the like, items
                          item, movie, product, book, track or artist
    RecBole's .inter      the same with types: user_id:token<TAB>item_id:token
    LightGCN's text       user item item ..., a line for a user
    DSSTNE's text         user<TAB>item:item:... or user<TAB>item,value:item,value:...
    .npz                  a matrix of users x items as scipy.sparse.save_npz writes it: CSR, CSC, COO
    parquet               a table with the names of a header; needs the extra `parquet`

The text formats may be gzipped, and may stand in a folder or a zip archive (see `sources.find`).

The rules, once and for all:

- Liked means rated: a rating is a like whatever its value. A 0 that is stored in a matrix is none.
- A column of ids is of numbers if all of it is whole numbers (007 is 7, and so is 7.0), otherwise of
  strings. LightGCN's text, .dat and u.data have numbers only.
- An id that is missing (empty, nan, null, none) or negative, or holds the character NUL, is an error. Spaces
  around it, of all that Unicode has, are no part of it.
- Text is UTF-8. An id or a title that isn't is taken for Latin-1, each by itself.
- Errors name the file, the line and the text.
- A file of any content takes at most 256 MB and 200 times its size of memory: tests/test_fuzz.py holds
  readers to it. A table of numbers takes 8 times its size, one of short strings 40 times, and one of
  strings of which a few are very long 180 times, the most that was found. Where a file is compressed,
  its size is what it grows to, and that is bounded: see `sources`.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from autoenc.datasets.columns import Ratings, positions, short, whole
from autoenc.datasets.npz import read_npz
from autoenc.datasets.parquet import read_parquet
from autoenc.datasets.sources import Source, find, members
from autoenc.datasets.text import Table, dsstne_line, lightgcn_line, read_lists, read_table, read_titles
from autoenc.storage.reading import reading

_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?", re.ASCII)
_LIST_OF_NUMBERS = re.compile(r"\s*-?\d+(\s+-?\d+)*\s*", re.ASCII)
_LIST_OF_FEATURES = re.compile(r"[^\t]*\t[^\t]*[:,][^\t]*")


def read(path: str | os.PathLike[str], values: bool = False) -> Ratings:
    """Read who rated what at a path.

    Parameters
    ----------
    path : str or Path
        A file in one of the formats on top of this module, or a folder or a zip archive with one.
    values : bool
        Also read ratings and timestamps, where there are any. Whoever only asks what was rated saves
        their memory, and isn't troubled by what may be wrong in them.

    Returns
    -------
    Ratings
        Arrays (n_ratings,) in the order of the file, and the items' titles where there are any.

    Raises
    ------
    FileNotFoundError
        Where there is nothing at `path`.
    ValueError
        Where it can't be read: the file, the line and the text at fault.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    with reading(path):
        return _read(path, values)


def _read(path: Path, values: bool) -> Ratings:
    titles = titles_of = weights = None
    if _is_npz(path):
        parts = [read_npz(path, values)]
        titles_of, weights = parts[0].titles, parts[0].weights
    elif path.is_file() and Source(path).head()[:4] == b"PAR1":
        parts = [read_parquet(path, values)]
    else:
        sources, titles = find(path)
        parts = [_reader(source, values)(source) for source in sources]
    users, items, ratings, timestamps, *_ = [_joined(column) for column in zip(*parts)]
    if len(users) == 0:
        raise ValueError(f"{path} holds no ratings; pass a file with at least one.")
    if titles is not None:
        titles_of = read_titles(titles, numbers=items.dtype.kind == "i")
    return Ratings(users, items, ratings, timestamps, titles_of, weights)


def _joined(parts: tuple[Any, ...]) -> Any:
    """A column of several files as one array, or None where one of them lacks it."""
    if any(part is None for part in parts):
        return None
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _is_npz(path: Path) -> bool:
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    names = [member.filename for member in members(path)]
    return bool(names) and all(name.endswith(".npy") for name in names)


def _reader(source: Source, values: bool) -> Callable[[Source], Ratings]:
    """The reader for a text, chosen by its first lines."""
    head = source.head()
    _refuse_other_than_text(source, head)
    all_lines = re.split(r"\r\n|\r|\n", head.removeprefix(b"\xef\xbb\xbf").decode("latin-1"))
    lines = [line for line in all_lines if line.strip()][:20]
    if not lines:
        raise ValueError(f"{source} is empty; pass a file with ratings in it.")
    first = lines[0]

    table = _dat(first) or _with_header(source, first, skip=all_lines.index(first) + 1)
    if table is not None:
        return partial(read_table, table=table, values=values)
    # the last of the lines may be cut off, which neither pattern minds
    if all(line.count("\t") <= 1 for line in lines) and any(map(_LIST_OF_FEATURES.fullmatch, lines)):
        return partial(read_lists, parse=dsstne_line, any_ids=True)
    table = _without_header(first, "\t") or _without_header(first, ",")
    if table is not None:
        return partial(read_table, table=table, values=values)
    if all(map(_LIST_OF_NUMBERS.fullmatch, lines)):
        return partial(read_lists, parse=lightgcn_line, any_ids=False)
    raise ValueError(
        f"{source} begins with {short(first)}, which is none of the formats that are known: MovieLens' .dat, .csv and "
        "u.data, a table with a header that names user and item, RecBole's .inter, LightGCN's and DSSTNE's text, "
        ".npz and parquet."
    )


def _refuse_other_than_text(source: Source, head: bytes) -> None:
    if head.startswith(b"\x93NUMPY"):
        raise ValueError(
            f"{source} is a NumPy array; if it is one of the task's pair cache_train.npy and cache_valid.npy, "
            "pass both by what they have in common: --cache-path FOLDER/cache."
        )
    if head.startswith(b"PK"):
        raise ValueError(f"{source} is a zip archive, cut off or within another; fetch it again, or unpack it.")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{source} is UTF-16 text; save it as UTF-8.")
    if b"\0" in head:
        raise ValueError(f"{source} is neither text nor one of the binary formats that are known (.npz, parquet).")


_FORM = ("user", "item", "rating", "timestamp")


def _dat(first: str) -> Table | None:
    n_columns = len(first.split("::"))
    if n_columns < 2 or "\t" in first:
        return None
    # Readers know delimiters of one character; then between two colons is a column, an empty one.
    at = dict(zip(_FORM, range(0, 2 * n_columns, 2)))
    return Table("user::movie::rating::timestamp", ":", at, gaps=tuple(range(1, 2 * len(at) - 1, 2)))


def _with_header(source: Source, header: str, skip: int) -> Table | None:
    for delimiter in "\t,;|":
        names = header.split(delimiter)
        at = positions(names)
        if {"user", "item"} <= set(at):
            quote = None if ":" in header else '"'  # RecBole doesn't quote
            return Table(header, delimiter, at, skip, quote, any_ids=True)
        if len(names) > 1 and {"user", "item"} & set(at):
            lacking = "users (user, userId, ...)" if "item" in at else "items (item, movieId, ...)"
            raise ValueError(f"{source} has the header {short(header)}, which names no column of {lacking}; add it.")
    return None


def _without_header(first: str, delimiter: str) -> Table | None:
    cells = first.strip().split(delimiter)
    numbers = len(cells) > 1 and None not in (whole(cells[0]), whole(cells[1]))
    if not numbers and not (len(cells) > 2 and _NUMBER.fullmatch(cells[2])):
        return None
    at = dict(zip(_FORM, range(len(cells))))
    return Table(delimiter.join(at), delimiter, at, quote='"' if delimiter == "," else None, any_ids=not numbers)
