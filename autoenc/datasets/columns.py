"""The columns of ratings: what they are called in a file, and what they become in memory."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from autoenc.datasets.sources import MAX_BYTES, MAX_RATIO
from autoenc.messages import shown

MAX_ID = 256
"""The longest id, in characters."""

SMALL = 64 * 2**20
"""Bytes that a column of ids may take, however small its file is."""

NAMES = {
    "user": {"u", "user", "customer"},
    "item": {"i", "item", "movie", "product", "book", "track", "artist"},
    "rating": {"rating"},
    "timestamp": {"timestamp"},
}
"""What a column may be called, up to case, punctuation, a trailing "id" and RecBole's ":type"."""

_MISSING = {"", "nan", "null", "none", "<na>"}
_WHOLE = re.compile(r"\d+(\.0+)?", re.ASCII)
_NEGATIVE = re.compile(r"-\d+(\.0+)?", re.ASCII)


SPACES = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
"""Whitespace stripped from ids, as by `str.strip`."""


class Ratings(NamedTuple):
    """Who rated what, by external ids, in the order of the file."""

    users: np.ndarray  # (n_ratings,), int64 or str
    items: np.ndarray  # (n_ratings,), int64 or str
    ratings: np.ndarray | None = None  # (n_ratings,), float32
    timestamps: np.ndarray | None = None  # (n_ratings,), int64, seconds since 1970
    titles: dict[Any, str] | None = None  # an item's id -> its title
    weights: np.ndarray | None = None  # (n_ratings,), float32


class FieldError(ValueError):
    """What is wrong with a field; whoever knows the place adds it."""


def positions(names: Iterable[str]) -> dict[str, int]:
    """Where a header has each column of `NAMES`, the first of those that fit."""
    found: dict[str, int] = {}
    for position, name in enumerate(names):
        name = re.sub(r"[\W_]", "", name.partition(":")[0].lower()).removesuffix("id")
        for column, known in NAMES.items():
            if name in known:
                found.setdefault(column, position)
    return found


class Ids(dict[str, int]):
    """A column of ids while it is read: a number for each distinct text, and in `rows` each row's number.

    Parameters
    ----------
    column : str
        What error messages call it.
    any_ids : bool
        Whether ids may be strings.

    Raises
    ------
    FieldError
        When a text is looked up that is not an id.
    """

    def __init__(self, column: str, any_ids: bool):
        self.column, self.any_ids = column, any_ids
        self.rows = array("q")

    def __missing__(self, text: str) -> int:
        name = decoded(text).strip()
        if name.lower() in _MISSING:
            raise FieldError(f"the {self.column} id is missing: it reads {short(text)}")
        if _NEGATIVE.fullmatch(name):
            raise FieldError(f"the {self.column} id {short(name)} is negative, where ids are from 0 on")
        if len(name) > MAX_ID:
            told = f"has {len(name):,} characters; at most {MAX_ID} are allowed"
            raise FieldError(f"the {self.column} id {short(name)} {told}")
        if "\0" in name:  # NumPy's strings end at one
            raise FieldError(f"the {self.column} id {short(name)} holds the character NUL")
        if not self.any_ids and whole(name) is None:
            raise FieldError(f"the {self.column} id {short(name)} is not a whole number below 2**63")
        self[text] = number = len(self)
        return number

    def to_array(self) -> np.ndarray:
        """Each row's id: (n_rows,), int64 where all are whole numbers, otherwise str."""
        rows = np.array(self.rows, np.int64)
        distinct = [decoded(text).strip() for text in self]
        numbers = [whole(name) for name in distinct]
        if None not in numbers:
            return np.array(numbers, np.int64)[rows]
        check_width(self.column, len(rows), max(map(len, distinct)), self.n_characters)
        return np.array(distinct)[rows]

    @property
    def n_characters(self) -> int:
        """Of all rows' ids, as they would stand in a text, each with a delimiter."""
        return int(np.array([len(text) + 1 for text in self], np.int64)[np.array(self.rows, np.int64)].sum())


def check_width(column: str, n_rows: int, n_characters: int, n_bytes: int) -> None:
    """Raise FieldError where n_rows ids of up to n_characters take too much memory for what n_bytes of a file hold.

    NumPy gives each string the width of the longest, so that a single one makes an array of short
    ones a hundred times as large.
    """
    bound = min(MAX_BYTES, max(SMALL, MAX_RATIO * n_bytes))
    if 4 * n_characters * n_rows > bound:
        raise FieldError(
            f"{n_rows:,} {column} ids of up to {n_characters} characters take more than {bound:,} bytes; number them"
        )


def whole(text: str) -> int | None:
    """The number that a text is, if it is a whole number in 64 bits, from 0 on."""
    if not _WHOLE.fullmatch(text) or len(text) > MAX_ID:
        return None
    number = int(text.partition(".")[0])
    return number if number < 2**63 else None


def decoded(text: str) -> str:
    """UTF-8 that was read as Latin-1; what is not UTF-8 was Latin-1."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def short(text: str) -> str:
    """A text from a file, for an error message."""
    return shown(decoded(text.strip("\r\n")))
