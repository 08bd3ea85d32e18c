"""Likes in any of the usual formats, recognized by their content, whatever the file is called.

    a table with header   userId,movieId,rating,timestamp: between commas, semicolons, bars, tabs or blanks, the
                          columns in any order and called as in `names.KNOWN`, or as the caller says
    a table without       user item rating time, between the same or ::, as MovieLens' .dat and u.data
    JSON lines            {"user": 1, "item": 2}, an object for a like
    RecBole's .inter      a table with types: user_id:token<TAB>item_id:token
    LightGCN's text       user item item ..., a line for a user; also with how many follow in the user's place
    DSSTNE's text         user<TAB>item:item:... or user<TAB>item,value:item,value:...
    .npz                  a matrix of users x items as scipy.sparse.save_npz writes it: CSR, CSC, COO
    parquet               a table with the names of a header; needs the extra `parquet`

The text formats may be compressed (gzip, bzip2, xz; zstd needs Python 3.14 or the extra `zst`), may be UTF-16, may
stand in a folder or a zip archive (see `sources.find`), and may come through a pipe.

The rules, once and for all readers, DuckDB's among them:

- Liked means rated: a rating is a like whatever its value, unless the caller gives the lowest that is one, and it is
  no weight unless the caller says so. A 0 that is stored in a matrix is no like.
- How a file is laid out is decided from its first lines (`layout`), said in `Ratings.source`, and refused where the
  data contradict it.
- A column of ids is of numbers if all of it is whole numbers (7, and so is 7.0), otherwise of strings; 007 is a string.
  LightGCN's text, and tables without a header that begin with numbers, have numbers only.
- An id that is missing (`interactions.MISSING`: empty, nan, null, none, but not NA) or negative, or holds the character
  NUL, is an error; so is one that is a fraction, a list or a time, unless the caller named its column. Spaces around an
  id, of all that Unicode has, are no part of it.
- A rating or a weight may have a comma for its point (3,5). One with three digits behind its comma is an error, as it
  may separate thousands.
- A time is a number of seconds since 1970 (or of milli- or microseconds, known by their size), or an ISO time, which is
  UTC where it has no offset.
- Text is UTF-8. An id or a title that isn't is taken for Latin-1, each by itself.
- Quotes are RFC 4180's (`cells`). One that is never closed is an error; between tabs it is a character like any other.
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
from pathlib import Path
from typing import Any

import numpy as np

from autoenc.datasets.columns import Ratings
from autoenc.datasets.layout import Features, Layout, Lists, layout_of
from autoenc.datasets.npz import read_npz
from autoenc.datasets.options import NO_OPTIONS, ReadOptions, how_read
from autoenc.datasets.parquet import read_parquet
from autoenc.datasets.sources import SAMPLE, Source, check_exists, find, members, on_disk
from autoenc.datasets.text import Roles, read_text, read_titles
from autoenc.datasets.unreadable import check_readable
from autoenc.storage.reading import reading


def read(
    path: str | os.PathLike[str], values: bool = False, options: ReadOptions = NO_OPTIONS, times: bool = False
) -> Ratings:
    """Read who rated what at a path.

    Parameters
    ----------
    path : str or Path
        A file in one of the formats on top of this module, or a folder or a zip archive with one, or a file in an
        archive (archive.zip/ratings.csv), or a pipe; "-" is standard input.
    values : bool
        Also read ratings and timestamps, where there are any. Whoever only asks what was rated saves
        their memory, and isn't troubled by what may be wrong in them.
    options : ReadOptions
        Which columns are meant, and what else the caller says.
    times : bool
        Also read timestamps, where there are any.

    Returns
    -------
    Ratings
        Arrays (n_ratings,) in the order of the file, the items' titles where there are any, and how it was read.

    Raises
    ------
    FileNotFoundError
        Where there is nothing at `path`.
    ValueError
        Where it can't be read: the file, the line and the text at fault.
    """
    wanted = options.wanted(times or values) | ({"rating"} if values else set())
    with on_disk(path) as place:
        check_exists(place)
        with reading(place):
            return _read(place, wanted, options)


def _read(path: Path, wanted: Roles, options: ReadOptions) -> Ratings:
    if is_npz(path):
        found = read_npz(path, wanted, options)
    elif path.is_file() and Source(path).head()[:4] == b"PAR1":
        found = read_parquet(path, wanted, options)
    else:
        found = _read_text(path, wanted, options)
    if len(found.users) == 0:
        raise ValueError(f"{path} holds no ratings; pass a file with at least one.")
    if found.source:  # what a matrix holds is not guessed
        found = found._replace(source=f"{found.source}; {len(found.users):,} rows")
    return _rated(path, found, options)


def _read_text(path: Path, wanted: Roles, options: ReadOptions) -> Ratings:
    """The files of text at a path, with the titles beside them."""
    sources, titles = find(path)
    layout = layout_of_sources(sources, options)
    parts = [read_text(source, layout, wanted) for source in sources]
    found = Ratings._make(_joined(column) for column in zip(*parts))
    return found._replace(
        titles=None if titles is None else read_titles(titles, numbers=found.items.dtype.kind == "i"),
        source=how_laid_out(layout, options),
    )


def how_laid_out(layout: Layout, options: ReadOptions) -> str:
    """How a text was read, in words."""
    names = {} if isinstance(layout, (Lists, Features)) else {role: layout.name_of(role) for role in layout.at}
    return how_read(layout.description, names, options)


def _rated(path: Path, found: Ratings, options: ReadOptions) -> Ratings:
    """The rows whose rating is high enough."""
    if options.min_rating is None:
        return found
    if found.ratings is None:
        raise ValueError(
            f"{path} has no column that is known to be of ratings, which min_rating needs; say which by rating= "
            "(--rating-column)."
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
    """How text is laid out, in one file or in the parts of one. Raises ValueError, which names the first."""
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
                raise ValueError(f"{sources[0]} has one line per user, and no column of {role}s; leave out {role}=.")
    return layout


def _joined(parts: tuple[Any, ...]) -> Any:
    """A column of several files as one array, or None where one of them lacks it."""
    if any(part is None for part in parts):
        return None
    return parts[0] if len(parts) == 1 or isinstance(parts[0], (str, dict)) else np.concatenate(parts)


def is_npz(path: Path) -> bool:
    """Whether a path is a file of NumPy's arrays."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    names = [member.filename for member in members(path)]
    return bool(names) and all(name.endswith(".npy") for name in names)
