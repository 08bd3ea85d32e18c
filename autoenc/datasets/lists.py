"""Lists of items, one line per user: whether lines are lists, and where the items begin."""

from __future__ import annotations

import re
from collections.abc import Iterable

from autoenc.datasets.cells import BLANKS, split
from autoenc.datasets.columns import short
from autoenc.datasets.evidence import are_likely_ratings, are_likely_times, is_whole
from autoenc.datasets.layout import DELIMITERS, Lists
from autoenc.datasets.names import candidates
from autoenc.datasets.options import Column, ReadOptions
from autoenc.datasets.roles import is_position, position_of

_FEATURES = re.compile(r"[^\t]*\t[^\t]*[:,][^\t]*")


def fit_lists(rows: list[list[str]]) -> bool:
    """Whether rows may be lists of numbers, one line per user: no user repeats, and no column looks like ratings."""
    if not all(is_whole(cell) for row in rows for cell in row) or len({row[0] for row in rows}) < len(rows):
        return False
    thirds = [row[2] for row in rows if len(row) > 2]
    return bool(thirds) and not are_likely_ratings(thirds) and not are_likely_times(thirds)


def lists_of(delimiter: str, rows: list[list[str]]) -> Lists:
    """Lists of numbers, one line per user. Raises ValueError if the lines contradict that."""
    others = [row for row in rows if not all(map(is_whole, row))]
    if 2 * len(others) > len(rows) or (others and delimiter != BLANKS):
        raise ValueError(
            f"has lines of different lengths, such as {short(delimiter.join(others[0]))}, but lists of ids, one line "
            "per user, must be whole numbers; pass item='2-' (--item-column 2-) if these are lists"
        )
    firsts = [row[0].strip() for row in rows]
    count_first = all(first.isdecimal() and int(first) == len(row) - 1 for first, row in zip(firsts, rows))
    repeated = len(set(firsts)) < len(firsts)
    form = delimiter.join(["user", "item", "item", "..."])
    if count_first and repeated:
        return Lists(delimiter.join(["count", "item", "item", "..."]), delimiter, None, 1, counts=True)
    if count_first and len(rows) > 1:
        raise ValueError(
            f"begins with {short(delimiter.join(rows[0])[:80])}: the first number of each line may be the user or the "
            "number of items that follow; pass user=1, item='2-' (--user-column 1 --item-column 2-) if it is the "
            "user, or only item='2-' if it is a count"
        )
    return Lists(form, delimiter, 0, 1)


def lists_as_said(lines: list[str], skip: int, first: int, options: ReadOptions) -> Lists:
    """Lists as the caller describes them, with items from the column at `first` on.

    `skip` is the number of lines to skip if the first is a header. Raises ValueError if the columns overlap, or if it
    isn't clear whether there is a header or what the delimiter is.
    """
    delimiter = options.delimiter or _delimiter_of_lists(lines, first)
    rows = [split(line, delimiter) for line in lines]
    is_named = options.user is not None and not is_position(options.user)
    has_header = options.header or (options.header is None and is_named)
    names = [name.strip() for name in rows[0]] if has_header else [""] * max(map(len, rows))
    user = None if options.user is None else position_of("user", options.user, names)
    if user is not None and user >= first:
        raise ValueError(f"user is column {user + 1}, but items are the columns from {first + 1} on; they overlap")
    is_unsaid = options.header is None and not has_header
    if is_unsaid and user is not None and candidates("user", rows[0][user : user + 1]):
        raise ValueError(
            f"begins with {short(lines[0])}, which may be a header; pass header= (--header or --no-header)"
        )
    form = delimiter.join(["user", "item", "item", "..."])
    return Lists(form, delimiter, user, first, any_ids=True, is_said=True, skip=skip if has_header else 0)


def _delimiter_of_lists(lines: list[str], first: int) -> str:
    """The delimiter that is in the most lines: a line with one item has none.

    Blanks may also be part of items, so they are the delimiter only if there is no other. Raises ValueError if another
    delimiter is as likely.
    """
    n_with = {delimiter: sum(delimiter in line.strip("\r\n ") for line in lines) for delimiter in DELIMITERS}
    likely = max(DELIMITERS[:-1], key=n_with.__getitem__)
    if not n_with[likely]:
        return BLANKS
    others = [d for d in DELIMITERS if d != likely and n_with[d]]
    if any(len(split(line, likely)) > first + 1 for line in lines):  # otherwise, no line has two items
        others = [d for d in others if n_with[d] >= n_with[likely] * (3 if d == BLANKS else 1)]
    if others:
        raise ambiguous(lines[0], [likely, *others])
    return likely


def first_of_items(item: Column | None) -> int | None:
    """The position of the first column of items, from an option such as "2-"."""
    found = re.fullmatch(r"([1-9]\d{0,8})-", item) if isinstance(item, str) else None
    return int(found[1]) - 1 if found else None


def are_features(lines: list[str]) -> bool:
    """Whether lines may be DSSTNE's text; the last one may be cut off."""
    return all(line.count("\t") <= 1 for line in lines) and any(map(_FEATURES.fullmatch, lines))


def ambiguous(line: str, delimiters: Iterable[str]) -> ValueError:
    """The error for a file, beginning with this line, that several delimiters fit."""
    some = " and ".join(map(repr, delimiters))
    return ValueError(f"begins with {short(line)}, where {some} may be the separator; pass delimiter= (--delimiter)")
