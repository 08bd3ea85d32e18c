"""The cells of a table in text, and the quotes around them.

A cell is quoted where it begins with a double quote; the quote in it is doubled, and ends before a delimiter or the
end of the line (RFC 4180). Between tabs a file may as well not quote at all, and a title may begin with a quote: such a
file is known by a quote that doesn't end where one must, and is then read again as it stands. In any other file that
is an error, since the rows after it would be swallowed.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterable, Iterator

from autoenc.datasets.columns import FieldError

QUOTE = '"'

BLANKS = " "
"""The delimiter of columns with one blank or several between them, or around them."""


class QuoteError(FieldError):
    """A quote that is not closed, or closed where no cell ends; `line` is the number of the line that opens it."""

    def __init__(self, problem: str, line: int):
        super().__init__(problem)
        self.line = line


def cells_of(
    lines: Iterable[str],
    delimiter: str,
    quoted: bool,
    is_row: Callable[[list[str]], bool] = lambda cells: False,
    first: int = 1,
) -> Iterator[tuple[int, list[str]]]:
    """Each row's line, numbered from `first`, and its cells; blank lines are left out.

    Parameters
    ----------
    lines : iterable of str
    delimiter : str
    quoted : bool
        Whether cells may be quoted.
    is_row : callable
        Whether the cells of a line, taken by itself, look like a row: a quoted cell may go over several lines, but not
        over such.

    Raises
    ------
    QuoteError
        Where a quote is not closed, or swallows rows.
    """
    numbered = enumerate(lines, first)
    for number, line in numbered:
        if not line.strip() and (delimiter == BLANKS or delimiter not in line):
            continue
        if quoted and QUOTE in line:
            yield number, _quoted_cells(number, line, numbered, delimiter, is_row)
        else:
            yield number, split(line, delimiter)


def split(line: str, delimiter: str) -> list[str]:
    """The cells of a line without quotes."""
    return line.split() if delimiter == BLANKS else line.rstrip("\r\n").split(delimiter)


def _quoted_cells(
    number: int,
    line: str,
    following: Iterator[tuple[int, str]],
    delimiter: str,
    is_row: Callable[[list[str]], bool],
) -> list[str]:
    """The cells of a row that begins in `line` and takes as many of the following lines as its quotes ask for."""
    if delimiter == "::":
        return split(line, delimiter)
    taken: list[str] = []

    def take() -> Iterator[str]:
        for _, text in following:
            taken.append(text)
            yield text

    first = line.strip(" ") if delimiter == BLANKS else line
    rows = csv.reader(
        itertools.chain([first], take()), delimiter=delimiter, strict=True, skipinitialspace=delimiter == BLANKS
    )
    try:
        cells = next(rows)
    except csv.Error as error:
        if taken or "unexpected end" in str(error):
            problem = "a quote is opened and never closed"
        elif "expected after" in str(error):
            problem = "a quote is closed before the end of its cell"
        else:
            problem = str(error)
        raise QuoteError(problem, number) from None
    if taken and delimiter == "\t":
        raise QuoteError("a quote is not closed in its line", number)
    if any(is_row([cell.strip(QUOTE) for cell in split(text, delimiter)]) for text in taken):
        raise QuoteError(f"a quote is opened, and the next one is {len(taken)} lines below, after other rows", number)
    return cells
