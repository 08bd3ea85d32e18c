"""The columns of likes: what their cells may hold and how they are converted. One set of rules for all readers."""

from __future__ import annotations

import datetime
import math
import re
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from autoenc.datasets.names import say_which
from autoenc.datasets.sources import MAX_BYTES, MAX_RATIO
from autoenc.interactions import MISSING
from autoenc.messages import shown
from autoenc.times import EXAMPLE, MOST, seconds

MAX_ID = 256
"""The longest id, in characters."""

SMALL = 64 * 2**20
"""Bytes that a column of ids may use, however small its file is."""

WHOLE = r"(0|[1-9]\d*)(\.0+)?"
"""A whole number; 007 is a code, whose zeros are kept. All patterns here work in both Python and DuckDB."""

NOT_IDS = {
    "is not an integer": r"[-+]?\d*\.\d*[1-9]\d*|[-+]?\d+(\.\d+)?[eE]\+\d+",
    "is a list": r"[\[{]\s*['\"\d].*|\(['\"\d]+\s*,.*|[^\[{]*['\"\d][\]}]",
    "is a line between rows": r":?-{2,}:?|={3,}",
    "is a time": r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?|\d\d?:\d\d:\d\d",
}
"""Values that contradict a guess that a column holds ids. A column that the caller names may hold them."""

NEGATIVE = r"-\d+(\.0+)?"

ISO_TIME = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|UTC|[-+]\d\d(:?\d\d)?))?)?"
"""A time as text; without an offset it is UTC."""

DECIMAL_COMMA = r"[-+]?(\d+,(\d\d?|\d{4,})|(0|\d{4,}),\d{3})"
"""A rating or weight with a decimal comma. In 1,234 the comma may also separate thousands, but not in 0,234."""

GROUPED = r"[-+]?[1-9]\d{0,2}\.\d{3}"
"""A number whose point may separate thousands, as in German. In 0.125 it can't."""

TRUTH = {"true": 1.0, "false": 0.0, "t": 1.0, "f": 0.0, "yes": 1.0, "no": 0.0}
"""Ratings and weights that are words, in upper or lower case."""

_WHOLE = re.compile(WHOLE, re.ASCII)
_NEGATIVE = re.compile(NEGATIVE, re.ASCII)
_NOT_IDS = {fault: re.compile(form, re.ASCII | re.DOTALL) for fault, form in NOT_IDS.items()}
_ISO_TIME = re.compile(ISO_TIME, re.ASCII)
_GROUPED = re.compile(GROUPED, re.ASCII)
_DECIMAL_COMMA = re.compile(DECIMAL_COMMA, re.ASCII)


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
    source: str = ""  # how the file was read


class FieldError(ValueError):
    """What is wrong with a field; callers add the file and line."""


class Ids(dict[str, int]):
    """A column of ids while it is read: a number for each distinct text, and in `rows` the number of each row's text.

    Parameters
    ----------
    column : str
        The column's name in error messages.
    any_ids : bool
        Whether ids may be strings.
    is_said : bool
        Whether the caller named the column, so that its ids may have any form.

    Raises
    ------
    FieldError
        If a text that is looked up is not an id.
    """

    def __init__(self, column: str, any_ids: bool, is_said: bool = False):
        self.column, self.any_ids, self.is_said = column, any_ids, is_said
        self.rows = array("q")

    def __missing__(self, text: str) -> int:
        name = decoded(text).strip()
        if not _WHOLE.fullmatch(name) and (fault := self._fault(name)) is not None:
            raise FieldError(f"the {self.column} id {fault}")
        if not self.any_ids and whole(name) is None:
            raise FieldError(f"the {self.column} id {short(name)} is not a whole number below 2**63")
        self[text] = number = len(self)
        return number

    def _fault(self, name: str) -> str | None:
        if name.lower() in MISSING:
            return f"is missing: it reads {short(name)}"
        if _NEGATIVE.fullmatch(name):
            return f"{short(name)} is negative, but ids must be 0 or greater"
        if len(name) > MAX_ID:
            return f"{short(name)} has {len(name):,} characters; at most {MAX_ID} are allowed"
        if "\0" in name:  # it would end a NumPy string
            return f"{short(name)} holds the character NUL"
        if not self.is_said:
            for fault, form in _NOT_IDS.items():
                if form.fullmatch(name):
                    return f"{short(name)} {fault}; {say_which(self.column)}"
        return None

    def to_array(self) -> np.ndarray:
        """Each row's id: (n_rows,), int64 if all are whole numbers, otherwise str."""
        rows = np.array(self.rows, np.int64)
        distinct = [decoded(text).strip() for text in self]
        numbers = [whole(name) for name in distinct]
        if None not in numbers:
            return np.array(numbers, np.int64)[rows]
        check_width(self.column, len(rows), max(map(len, distinct)), self.n_characters)
        return np.array(distinct)[rows]

    @property
    def n_characters(self) -> int:
        """Number of characters of all rows' ids as text, each with a delimiter."""
        return int(np.array([len(text) + 1 for text in self], np.int64)[np.array(self.rows, np.int64)].sum())


def check_width(column: str, n_rows: int, n_characters: int, n_bytes: int) -> None:
    """Raise FieldError if n_rows ids of up to n_characters need too much memory for a file of n_bytes.

    NumPy gives each string the width of the longest, so a single long one can make an array of short
    ones a hundred times larger.
    """
    bound = min(MAX_BYTES, max(SMALL, MAX_RATIO * n_bytes))
    if 4 * n_characters * n_rows > bound:
        raise FieldError(
            f"{n_rows:,} {column} ids of up to {n_characters} characters need more than {bound:,} bytes; "
            "replace them by numbers"
        )


def whole(text: str) -> int | None:
    """The value of a text if it is a whole number from 0 to 2**63 - 1, otherwise None."""
    if not _WHOLE.fullmatch(text) or len(text) > MAX_ID:
        return None
    number = int(text.partition(".")[0])
    return number if number < 2**63 else None


def number(text: str, column: str) -> float:
    """A rating, weight or time as a number; true and false are 1 and 0.

    Raises FieldError if it isn't one below `limit_of(column)`.
    """
    try:
        value = np.nan if "_" in text else float(text if column == "time" else with_point(text))
    except ValueError:
        value = TRUTH.get(text.strip().lower(), np.nan) if column != "time" else np.nan
    if not abs(value) < limit_of(column):
        raise FieldError(not_a_number(text, column))
    return value


def limit_of(column: str) -> int:
    """Numbers in this column are smaller: nanoseconds since 1970 are large."""
    return MOST if column == "time" else 2**53


def with_point(text: str) -> str:
    """3,5 as 3.5; any other text as it is."""
    return text.replace(",", ".") if "," in text and _DECIMAL_COMMA.fullmatch(text.strip()) else text


def not_a_number(text: str, column: str) -> str:
    """The error for a text that is not a number below `limit_of(column)`."""
    text = text.strip()
    if found := re.fullmatch(r"[-+]?\d{1,3}([,.])\d{3}(\1\d{3})*", text, re.ASCII):
        sign = "comma" if found[1] == "," else "point"
        return f"the {column} {short(text)} has a {sign} that may separate thousands or decimals; write it without one"
    if not text:
        return f"the {column} is missing"
    if "_" in text or not _is_float(text) or math.isnan(float(text)):
        return f"the {column} {short(text)} is not a number"
    return f"the {column} {short(text)} is not a number below 2**{limit_of(column).bit_length() - 1}"


def ambiguous_point(text: str, column: str) -> str:
    """The error for a text like 1.200 in a column where the point may separate thousands."""
    return f"{not_a_number(text, column)}, or write other numbers with decimals, such as 2.0"


class Numbers:
    """A column of ratings or weights while it is read.

    In 1.200 the point may separate thousands. It is a decimal point if another number of the column, such as 1.5 or
    0.125, proves that points are decimal, or if all numbers have a point.

    Parameters
    ----------
    column : str
        The column's name in error messages.
    is_json : bool
        Whether the numbers are JSON's, so that a point is a decimal point.
    """

    def __init__(self, column: str, is_json: bool = False):
        self.column, self.is_decimal = column, is_json
        self._values = array("f")
        self._grouped = ""
        self._has_others = False

    def append(self, text: str) -> None:
        """Raises FieldError if a text isn't a number."""
        self._values.append(number(text, self.column))
        if not self.is_decimal:
            self.look_at(text)

    def look_at(self, text: str) -> None:
        """Take a text as evidence of what points are."""
        if "." not in text:
            self._has_others = True
        elif not _GROUPED.fullmatch(text.strip()):
            self.is_decimal = True
        elif not self._grouped:
            self._grouped = text

    def to_array(self) -> np.ndarray:
        """(n_rows,), float32. Raises FieldError if points may separate thousands."""
        self.check()
        return np.array(self._values, np.float32)

    def check(self) -> None:
        """Raises FieldError if points may separate thousands."""
        if self._grouped and self._has_others and not self.is_decimal:
            raise FieldError(ambiguous_point(self._grouped, self.column))


class Times:
    """A column of times while it is read: all numbers, in any unit, or all ISO times.

    `append` raises FieldError if a text is neither, or not of the same kind as the first.
    """

    def __init__(self) -> None:
        self._values = array("d")
        self._parse: Callable[[str], float] | None = None

    def append(self, text: str) -> None:
        if self._parse is None:
            self._parse = partial(number, column="time") if _is_float(text) else iso_seconds
        self._values.append(self._parse(text))

    def to_array(self) -> np.ndarray:
        """(n_rows,), int64: seconds since 1970. Raises ValueError if numbers are not in one unit."""
        values = np.array(self._values)
        return values.astype(np.int64) if self._parse is iso_seconds else seconds(values, is_file=True)


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def iso_seconds(text: str) -> int:
    """Whole seconds since 1970, rounded down. Raises FieldError if a text isn't an ISO time."""
    text = text.strip()
    try:
        if not _ISO_TIME.fullmatch(text):
            raise ValueError
        found = datetime.datetime.fromisoformat(text.replace("UTC", "Z").replace(" Z", "Z"))
    except ValueError:
        raise FieldError(f"the time {short(text)} is neither a number of seconds nor a time like {EXAMPLE}") from None
    return int((found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp() // 1)


def decoded(text: str) -> str:
    """Decode UTF-8 that was read as Latin-1; text that is not valid UTF-8 is taken to be Latin-1."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def short(text: str) -> str:
    """A text from a file, shortened for an error message."""
    return shown(decoded(text.strip("\r\n")))
