"""The cells of a text table, and the quotes around them.

A cell that begins with a double quote, perhaps after blanks, is quoted: quotes within it are doubled, and the closing
quote is followed by a delimiter or the end of the line (RFC 4180). A tab-separated file may not use quoting at all, and
a title may begin with a quote: such a file is recognized by a quote that isn't closed properly, and is then read again
without quoting. In any other file this is an error, since the rows after it would be swallowed.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterable, Iterator

from autoenc.datasets.columns import FieldError

QUOTE = '"'

BLANKS = " "
"""The delimiter of columns separated by one or more blanks; blanks around the line are ignored."""


class QuoteError(FieldError):
    """A quote that is not closed, or closed within a cell; `line` is the number of the line that opens it."""

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
        Whether the cells of a line, taken by itself, look like a row. A quoted cell may span several lines, but none
        that look like rows.

    Raises
    ------
    QuoteError
        If a quote is not closed, or swallows rows.
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
    """The cells of a row that begins in `line` and continues until its quotes are closed."""
    if delimiter == "::":
        return split(line, delimiter)
    taken: list[str] = []

    def take() -> Iterator[str]:
        for _, text in following:
            taken.append(text)
            yield text

    first = line.strip(" ") if delimiter == BLANKS else line
    rows = csv.reader(itertools.chain([first], take()), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        cells = next(rows)
    except csv.Error as error:
        if taken or "unexpected end" in str(error):
            problem = "a quote is never closed"
        elif "expected after" in str(error):
            problem = "a quote is closed before the end of its cell"
        else:
            problem = str(error)
        raise QuoteError(problem, number) from None
    if taken and delimiter == "\t":
        raise QuoteError("a quote is not closed on its line", number)
    if any(is_row([cell.strip(QUOTE) for cell in split(text, delimiter)]) for text in taken):
        raise QuoteError(f"a quote is closed only {len(taken)} lines below, after other rows", number)
    return cells
