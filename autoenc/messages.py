"""Escaping and shortening of text from files and users, for messages and terminals.

A title, an id or a header may contain anything: escape sequences that recolour or rewrite the terminal,
marks that reverse the text around them, or a megabyte without a space.
"""

from __future__ import annotations

import reprlib
import unicodedata

MOST_OF_A_VALUE = 60
MOST_OF_A_SENTENCE = 1_000
"""In characters."""

_JOINERS = "\u200c\u200d"  # in Persian, Hindi and emoji: the only invisible characters that words need


def printable(text: object) -> str:
    r"""A text on one line; control characters, and characters that can't be encoded, are escaped as in Python.

    >>> print(printable("a\x1b[2Jb\nc"))
    a\x1b[2Jb\nc
    """
    return "".join(c if _is_shown(c) else c.encode("unicode_escape").decode("ascii") for c in str(text))


def sentence(text: object) -> str:
    """A message as one printable line. A long one is cut in the middle, as its end says what to do."""
    line = printable(" ".join(str(text).split()))
    if len(line) > MOST_OF_A_SENTENCE:
        line = f"{line[: MOST_OF_A_SENTENCE * 3 // 4]} ... {line[-MOST_OF_A_SENTENCE // 4 :]}"
    return line


EXPECTED = (ValueError, TypeError, OSError, FloatingPointError, OverflowError, MemoryError)
"""Errors caused by bad input or a failed job, shown without a traceback; any other error is a bug."""


def exit_code(error: BaseException) -> int:
    """The exit code of a command that ends with this error: 130 for interrupted, 1 for failed, 2 for bad input."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 2 if isinstance(error, EXPECTED) and not isinstance(error, (FloatingPointError, MemoryError)) else 1


def one_line(error: BaseException) -> str:
    """The message of an error as one line; for an OSError raised by the system, without its number."""
    told = str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        told = f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        told = f"not enough memory ({told or 'none is left'}); use less data or a smaller model, or free some memory"
    return sentence(told) or type(error).__name__


class _Shown(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = MOST_OF_A_VALUE
        self.maxdict = 20

    def repr_int(self, value: int, level: int) -> str:
        # Python raises an error for integers of more than 4,300 digits.
        return (
            super().repr_int(value, level) if value.bit_length() < 1_000 else f"a number of {value.bit_length()} bits"
        )


shown = _Shown().repr
"""The `repr` of a value, shortened, for messages that quote it."""


def _is_shown(character: str) -> bool:
    if character.isprintable() or character in _JOINERS:
        return True
    return unicodedata.category(character) in ("Zs", "Cn", "Co")  # spaces, unassigned and private-use characters
