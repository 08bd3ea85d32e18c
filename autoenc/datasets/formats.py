"""Likes in any of the usual formats, recognized by content, not by file name.

    a table with header   userId,movieId,rating,timestamp: separated by commas, semicolons, bars, tabs or blanks, the
                          columns in any order and named as in `names.KNOWN`, or as the caller says
    a table without       user item rating time, separated by these or by ::, as in MovieLens' .dat and u.data
    JSON lines            {"user": 1, "item": 2}, one object per like
    RecBole's .inter      a table with types: user_id:token<TAB>item_id:token
    LightGCN's text       user item item ..., one line per user; also with the number of items instead of the user
    DSSTNE's text         user<TAB>item:item:... or user<TAB>item,value:item,value:...
    .npz                  a users x items matrix as written by scipy.sparse.save_npz: CSR, CSC or COO
    parquet               a table with column names as in a header; needs the extra `parquet`

The text formats may be compressed (gzip, bzip2, xz; zstd needs Python 3.14 or the extra `zst`), may be UTF-16, may
be in a folder or a zip archive (see `sources.find`), and may come through a pipe.

The rules are the same for all readers, including DuckDB's:

- Liked means rated: a rating is a like whatever its value, unless the caller sets the lowest rating that counts. It is
  not a weight unless the caller says so. A stored 0 in a matrix is not a like.
- The layout of a file is decided from its first lines (`layout`), reported in `Ratings.source`, and refused if the
  data contradict it.
- A column of ids holds numbers if all ids are whole numbers (7 or 7.0), otherwise strings; 007 is a string.
  LightGCN's text, and tables without a header that begin with numbers, have only numbers.
- An id that is missing (`interactions.MISSING`: empty, nan, null, none, but not NA) or negative, or contains the
  character NUL, is an error. So is one that is a fraction, a list or a time, unless the caller named its column.
  Whitespace around an id, including Unicode's, is ignored.
- A rating or a weight may have a decimal comma (3,5). One with three digits after the comma is an error, as the comma
  may separate thousands; and so is one with three digits after the point, by the rule of `columns.Numbers`.
- A time is a number of seconds since 1970 (or of milli-, micro- or nanoseconds, by the rule of `autoenc.times`), or an
  ISO time, in UTC if it has no offset.
- Text is UTF-8. An id or a title that is not valid UTF-8 is read as Latin-1, each by itself.
- Quotes follow RFC 4180 (`cells`). A quote that is never closed is an error, or an ordinary character in a
  tab-separated file.
- Errors name the file, the line and the text.
- Reading any file needs at most 256 MB plus 200 times its size in memory, which tests/test_fuzz.py checks. A table of
  numbers needs 8 times its size, one of short strings 40 times, and one with a few very long strings 180 times, the
  most that was found. For a compressed file, the decompressed size counts, which is limited: see `sources`.
"""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from autoenc.datasets.columns import Ratings
from autoenc.datasets.detect import layout_of
from autoenc.datasets.layout import Features, Layout, Lists
from autoenc.datasets.npz import read_npz
from autoenc.datasets.options import NO_OPTIONS, ReadOptions, how_read
from autoenc.datasets.parquet import read_parquet
from autoenc.datasets.sources import SAMPLE, Source, check_exists, find, members, on_disk
from autoenc.datasets.text import Roles, read_text, read_titles
from autoenc.datasets.unreadable import check_readable
from autoenc.storage.reading import reading


def read(
    path: str | os.PathLike[str], values: bool = False, options: ReadOptions = NO_OPTIONS, times: bool | None = False
) -> Ratings:
    """Read the ratings at a path.

    Parameters
    ----------
    path : str or Path
        A file in one of the formats listed at the top of this module, a folder or a zip archive with one, a file in an
        archive (archive.zip/ratings.csv), or a pipe; "-" is standard input.
    values : bool
        Whether to read ratings and timestamps, if there are any. Without them, less memory is needed, and errors in
        these columns don't matter.
    options : ReadOptions
        How to read the file.
    times : bool or None
        Whether to read timestamps, if there are any. With None, or with False and `values`, a column that the caller
        did not name and that does not hold times is left out, and `source` says so.

    Returns
    -------
    Ratings
        Arrays (n_ratings,) in the order of the file, the items' titles if there are any, and how the file was read.

    Raises
    ------
    FileNotFoundError
        If `path` doesn't exist.
    ValueError
        If it can't be read. The message names the file, the line and the text.
    """
    wanted = options.wanted(times is not False or values) | ({"rating"} if values else set())
    with on_disk(path) as place:
        check_exists(place)
        with reading(place):
            try:
                return _read(place, wanted, options)
            except ValueError as error:
                if times or options.time is not None or "time" not in wanted:
                    raise
                found = _read(place, wanted - {"time"}, options)
                return found._replace(source=f"{found.source}\nwithout times: {error}")


def _read(path: Path, wanted: Roles, options: ReadOptions) -> Ratings:
    if is_npz(path):
        found = read_npz(path, wanted, options)
    elif path.is_file() and Source(path).head()[:4] == b"PAR1":
        found = read_parquet(path, wanted, options)
    else:
        found = _read_text(path, wanted, options)
    if len(found.users) == 0:
        raise ValueError(f"{path} holds no ratings; pass a file with at least one.")
    if found.source:  # a matrix has none, as nothing about it is guessed
        found = found._replace(source=f"{found.source}; {len(found.users):,} rows")
    return _rated(path, found, options)


def _read_text(path: Path, wanted: Roles, options: ReadOptions) -> Ratings:
    """Read the text files at a path, and the titles next to them."""
    sources, titles = find(path)
    layout = layout_of_sources(sources, options)
    parts = [read_text(source, layout, wanted) for source in sources]
    found = Ratings._make(_joined(column) for column in zip(*parts))
    return found._replace(
        titles=None if titles is None else read_titles(titles, numbers=found.items.dtype.kind == "i"),
        source=how_laid_out(layout, options),
    )


def how_laid_out(layout: Layout, options: ReadOptions) -> str:
    """Say in words how a text was read."""
    names = {} if isinstance(layout, (Lists, Features)) else {role: layout.name_of(role) for role in layout.at}
    return how_read(layout.description, names, options)


def _rated(path: Path, found: Ratings, options: ReadOptions) -> Ratings:
    """The rows with a rating of `min_rating` or more."""
    if options.min_rating is None:
        return found
    if found.ratings is None:
        raise ValueError(
            f"{path} has no known column of ratings, which min_rating needs; pass rating= (--rating-column)."
        )
    is_like = found.ratings >= options.min_rating
    if not is_like.any():
        raise ValueError(
            f"{path} has no rating of {options.min_rating:g} or more; the highest is {found.ratings.max():g}."
        )
    n_below = len(is_like) - int(is_like.sum())
    likes = Ratings._make(column[is_like] if isinstance(column, np.ndarray) else column for column in found)
    left_out = f"left out {n_below:,} of {len(is_like):,} rows, with a rating below {options.min_rating:g}"
    return likes._replace(source="\n".join(filter(None, (found.source, left_out))))


def layout_of_sources(sources: list[Source], options: ReadOptions) -> Layout:
    """The layout of one text file, or of one in several parts. Raises ValueError, which names the first."""
    lines: list[str] = []
    for source in sources:
        head = source.head()
        check_readable(source, head)
        found = re.split(r"\r\n|\r|\n", head.decode("latin-1"))
        lines += found[:-1] if len(head) == SAMPLE and len(found) > 1 else found  # the last may be cut off
    if not any(line.strip() for line in lines):
        raise ValueError(f"{sources[0]} is empty; pass a file with ratings in it.")
    try:
        layout = layout_of(lines, options)
    except ValueError as error:
        raise ValueError(f"{sources[0]} {error}.") from None
    if isinstance(layout, (Lists, Features)):
        for role in ("rating", "time", "weight"):
            if getattr(options, role) is not None:
                raise ValueError(f"{sources[0]} has one line per user and no column of {role}s; leave out {role}=.")
    return layout


def _joined(parts: tuple[Any, ...]) -> Any:
    """A column of several files as one array, or None if one of them lacks it."""
    if any(part is None for part in parts):
        return None
    return parts[0] if len(parts) == 1 or isinstance(parts[0], (str, dict)) else np.concatenate(parts)


def is_npz(path: Path) -> bool:
    """Whether a path is a file of NumPy's arrays."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    names = [member.filename for member in members(path)]
    return bool(names) and all(name.endswith(".npy") for name in names)
