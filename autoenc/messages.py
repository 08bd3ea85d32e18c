"""Text from files and from users, as a message or a terminal may show it: escaped, and no longer than is read.

A title, an id or a header may hold anything: escape sequences that recolour or rewrite the terminal,
marks that reverse the text around them, a megabyte without a space.
"""

from __future__ import annotations

import reprlib
import unicodedata

MOST_OF_A_VALUE = 60
MOST_OF_A_SENTENCE = 1_000
"""Characters that are shown."""

_JOINERS = "\u200c\u200d"  # of Persian, Hindi and emoji: the only invisible characters that words need


def printable(text: object) -> str:
    r"""A text on one line, with what would act on a terminal, or can't be encoded, as Python escapes it.

    >>> print(printable("a\x1b[2Jb\nc"))
    a\x1b[2Jb\nc
    """
    return "".join(c if _is_shown(c) else c.encode("unicode_escape").decode("ascii") for c in str(text))


def sentence(text: object) -> str:
    """A message as one printable line; of a long one the beginning, and the end, which says what to do."""
    line = printable(" ".join(str(text).split()))
    if len(line) > MOST_OF_A_SENTENCE:
        line = f"{line[: MOST_OF_A_SENTENCE * 3 // 4]} ... {line[-MOST_OF_A_SENTENCE // 4 :]}"
    return line


EXPECTED = (ValueError, TypeError, OSError, FloatingPointError, OverflowError, MemoryError)
"""Errors that are bad input or a job that failed, whose sentence is enough: any other is a fault of the program."""


def exit_code(error: BaseException) -> int:
    """A command's that ends by this error: 130 interrupted, 1 failed, 2 bad input."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 2 if isinstance(error, EXPECTED) and not isinstance(error, (FloatingPointError, MemoryError)) else 1


def one_line(error: BaseException) -> str:
    """The sentence of an error; of an OSError that the system raised, without its number."""
    told = str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        told = f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        told = f"not enough memory ({told or 'none is left'}); take less data or a smaller model, or free some"
    return sentence(told) or type(error).__name__


class _Shown(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = MOST_OF_A_VALUE
        self.maxdict = 20

    def repr_int(self, value: int, level: int) -> str:
        # Python refuses to write whole numbers of more than 4,300 digits.
        return (
            super().repr_int(value, level) if value.bit_length() < 1_000 else f"a number of {value.bit_length()} bits"
        )


shown = _Shown().repr
"""A value as `repr` has it, shortened: for messages that quote a value."""


def _is_shown(character: str) -> bool:
    if character.isprintable() or character in _JOINERS:
        return True
    return unicodedata.category(character) in ("Zs", "Cn", "Co")  # spaces, and what is not yet or privately assigned
