"""Evidence from their cells that columns without names are users, items, ratings or times."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from autoenc.datasets.columns import ISO_TIME, short, whole, with_point
from autoenc.datasets.names import say_which
from autoenc.times import IN_1973

BEST_RATING = 10
"""The largest rating, if nothing else distinguishes ratings from ids."""

FEW_ITEMS = 10
ROWS_THAT_TELL = 50
"""So few different values in so many rows are more likely ratings than items."""

MOST_UNNAMED = 8
"""The most columns without names of which the first two are taken for user and item; a matrix has more."""

RECENT_SECONDS = range(631_152_000, 2_051_222_400)  # 1990 to 2034
RECENT_MILLISECONDS = range(10**12, 2_051_222_400_000)  # 2001 to 2034
"""Times of likes. A wider range would hold more phone numbers, and article numbers of 12 and 13 digits."""

_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?", re.ASCII)
_ISO = re.compile(ISO_TIME, re.ASCII)


def is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(with_point(cell.strip())) is not None


def is_whole(cell: str) -> bool:
    """Whether a cell is a whole number, 0 or greater."""
    return whole(cell.strip()) is not None


def are_likely_ratings(cells: Sequence[str]) -> bool:
    """Whether a column can't hold ids: it has fractions or negative numbers, or none beyond a rating scale."""
    numbers = [float(with_point(cell)) for cell in cells if is_number(cell)]
    if len(numbers) < len(cells):
        return False
    return any(n < 0 or n % 1 != 0 for n in numbers) or max(numbers) <= BEST_RATING


def are_likely_times(cells: Sequence[str]) -> bool:
    """Whether a column holds ISO times, or (milli)seconds since 1970 of times in 1973 or later.

    Smaller numbers are taken for times only in columns with a name.
    """
    stripped = [cell.strip() for cell in cells]
    if all(map(_ISO.fullmatch, stripped)):
        return True
    return all(is_number(cell) and float(with_point(cell)) >= IN_1973 for cell in stripped)


def looks_like_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row has no number, and some column has only numbers below it."""
    first, rest = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if not rest or any(map(is_number, first)) or len(set(first)) < len(first):
        return False
    return any(all(is_number(row[position]) for row in rest) for position in range(len(first)))


def number_the_rows(cells: Sequence[str], n_rows: int) -> bool:
    """Whether cells number their rows, as the first column of R's and pandas' tables does.

    A few rows must be numbered without a gap; many must only be in order.
    """
    numbers = [number for cell in cells if (number := whole(cell.strip().strip('"'))) is not None]
    if len(numbers) < n_rows or n_rows < 2:
        return False
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    return min(steps) > 0 and (n_rows >= 10 or max(steps) == 1)


def are_recent_times(cells: Sequence[str]) -> bool:
    """Whether a column holds ISO times, or whole numbers that are all recent times in one unit."""
    if all(_ISO.fullmatch(cell.strip()) for cell in cells):
        return True
    numbers = [-1 if (number := whole(cell.strip())) is None else number for cell in cells]
    return any(all(n in unit for n in numbers) for unit in (RECENT_SECONDS, RECENT_MILLISECONDS))


def check_no_times(columns: Sequence[Sequence[str]]) -> None:
    """Raise ValueError if the first or the second column may hold times, and a later one the users or items."""
    others = columns[2:]
    if any(map(are_recent_times, others)) or all(map(are_likely_ratings, others)):
        return
    for column, place, role in zip(columns, ("first", "second"), ("users", "items")):
        if are_recent_times(column) and 2 * len(set(column)) > len(column):
            raise ValueError(
                f"has {short(column[0])} in its {place} column, which may be times instead of {role}; "
                f"{say_which('user', 'item')}"
            )


def check_first_columns(columns: Sequence[Sequence[str]], between_blanks: bool) -> None:
    """Raise ValueError if columns without names may be something other than user, item and a value.

    Parameters
    ----------
    columns : sequence of sequences of str
        At least two.
    between_blanks : bool
        Whether they are separated by blanks, as lists of items are.
    """
    users, items = columns[:2]
    n_rows, n_users, n_items = len(users), len(set(users)), len(set(items))
    ask = say_which("user", "item")
    if n_rows > 1 and set(users) == {str(len(columns) - 1)} and (len(columns) > 2 or between_blanks):
        raise ValueError(
            f"begins each line with {users[0]}, which may be the user or the number of items that follow; {ask}, or "
            "only item='2-' if it is a count"
        )
    if len(columns) == 2:
        return
    if len(columns) > MOST_UNNAMED:
        raise ValueError(f"has {len(columns)} columns and no known header; {ask}")
    if [column[0].strip() for column in columns] == [str(n) for n in range(len(columns))]:
        raise ValueError(
            f"begins with {', '.join(column[0] for column in columns)}, which may be the names that pandas gives to "
            "columns without names; pass header= (--header or --no-header)"
        )
    third = columns[2]
    if n_rows >= 5 and number_the_rows(users, n_rows):
        raise ValueError(
            f"has {users[0]}, {users[1]}, {users[2]}, ... in its first column, which may be row numbers instead of "
            f"users; {ask}"
        )
    if n_rows >= ROWS_THAT_TELL and n_items <= FEW_ITEMS:
        raise ValueError(
            f"has only {n_items} different values in the second column of {n_rows} rows, which may be ratings instead "
            f"of items; {ask}"
        )
    if n_users < n_rows:
        return
    is_time = are_likely_times(third) or (len(columns) > 3 and are_likely_times(columns[3]))
    may_be_list = all(is_whole(cell) for column in columns for cell in column)
    is_rating = are_likely_ratings(third) and not are_likely_ratings(items)
    if between_blanks and n_rows < ROWS_THAT_TELL:  # in a few lists, items may be small numbers by chance
        is_rating = False
    if may_be_list and not is_time and not is_rating:
        raise ValueError(
            f"has {len(columns)} numbers on each line, and from the third on they may be items or values of a like; "
            "pass user=1, item=2 (--user-column 1 --item-column 2) if each line is one like, or user=1, item='2-' if "
            "each line is one user"
        )
