"""What the cells of columns without names say for and against their being users, items, ratings or times."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from autoenc.datasets.columns import ISO_TIME, whole, with_point
from autoenc.datasets.names import say_which

BEST_RATING = 10
"""A scale of ratings ends here at the latest, where nothing else tells one from ids."""

FEW_ITEMS = 10
ROWS_THAT_TELL = 50
"""So few items in so many rows are likelier to be ratings."""

MOST_UNNAMED = 8
"""Columns without names among which the first two are taken for user and item; a matrix has more."""

FIRST_TIME = 10**8
"""Seconds since 1970 of 1973: smaller numbers are taken for times in columns with a name alone."""

_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?", re.ASCII)
_ISO = re.compile(ISO_TIME, re.ASCII)


def is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(with_point(cell.strip())) is not None


def is_whole(cell: str) -> bool:
    """Whether a cell is a whole number, from 0 on."""
    return whole(cell.strip()) is not None


def are_likely_ratings(cells: Sequence[str]) -> bool:
    """Whether a column can't be one of ids: parts of numbers, negative ones, or none beyond a scale."""
    numbers = [float(with_point(cell)) for cell in cells if is_number(cell)]
    if len(numbers) < len(cells):
        return False
    return any(n < 0 or n % 1 != 0 for n in numbers) or max(numbers) <= BEST_RATING


def are_likely_times(cells: Sequence[str]) -> bool:
    """Whether a column holds ISO times, or seconds (or thousandths of them) since 1970 of 1973 and later."""
    stripped = [cell.strip() for cell in cells]
    if all(map(_ISO.fullmatch, stripped)):
        return True
    return all(is_number(cell) and float(with_point(cell)) >= FIRST_TIME for cell in stripped)


def looks_like_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row has no number, and some column nothing but numbers below it."""
    first, rest = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if not rest or any(map(is_number, first)) or len(set(first)) < len(first):
        return False
    return any(all(is_number(row[position]) for row in rest) for position in range(len(first)))


def number_the_rows(cells: Sequence[str], n_rows: int) -> bool:
    """Whether a cell of each of so many rows is its number, as R's and pandas' tables have it in their first column.

    Few rows have to be numbered without a gap, many in order.
    """
    numbers = [number for cell in cells if (number := whole(cell.strip().strip('"'))) is not None]
    if len(numbers) < n_rows or n_rows < 2:
        return False
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    return min(steps) > 0 and (n_rows >= 10 or max(steps) == 1)


def check_first_columns(columns: Sequence[Sequence[str]], between_blanks: bool) -> None:
    """Raise ValueError where columns without names may be something else than user, item and a value.

    Parameters
    ----------
    columns : sequence of sequences of str
        Two at least.
    between_blanks : bool
        Whether blanks stand between them, as in lists of items.
    """
    users, items = columns[:2]
    n_rows, n_users, n_items = len(users), len(set(users)), len(set(items))
    ask = say_which("user", "item")
    if n_rows > 1 and set(users) == {str(len(columns) - 1)} and (len(columns) > 2 or between_blanks):
        raise ValueError(
            f"begins each line with {users[0]}, which is how many items follow, if it isn't the user; {ask}, or "
            "item='2-' if it is a count"
        )
    if len(columns) == 2:
        return
    if len(columns) > MOST_UNNAMED:
        raise ValueError(f"has {len(columns)} columns and no header that is known; {ask}")
    if [column[0].strip() for column in columns] == [str(n) for n in range(len(columns))]:
        raise ValueError(
            f"begins with {', '.join(column[0] for column in columns)}, which may be the names that pandas gives to "
            "columns that have none; say whether it is a header by header= (--header, --no-header)"
        )
    third = columns[2]
    if n_rows >= 5 and number_the_rows(users, n_rows):
        raise ValueError(
            f"has {users[0]}, {users[1]}, {users[2]}, ... in its first column, which may number the rows and not name "
            f"users; {ask}"
        )
    if n_rows >= ROWS_THAT_TELL and n_items <= FEW_ITEMS:
        raise ValueError(
            f"has {n_items} different values in the second column of {n_rows} rows, so few that they may be ratings "
            f"and not items; {ask}"
        )
    if n_users < n_rows:
        return
    is_time = are_likely_times(third) or (len(columns) > 3 and are_likely_times(columns[3]))
    may_be_list = all(is_whole(cell) for column in columns for cell in column)
    is_rating = are_likely_ratings(third) and not are_likely_ratings(items)
    if between_blanks and n_rows < ROWS_THAT_TELL:  # as lists usually have them, a few small items by chance
        is_rating = False
    if may_be_list and not is_time and not is_rating:
        raise ValueError(
            f"has {len(columns)} numbers in each line, of which the third and later ones may be items too, or a value "
            f"of the like; say user=1, item=2 (--user-column 1 --item-column 2) if it is one like per line, or "
            "user=1, item='2-' if it is one user per line"
        )
