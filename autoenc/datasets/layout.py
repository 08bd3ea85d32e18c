"""The layout of a file of likes, decided from a sample of its lines and the caller's options.

A guess needs evidence. The names in a header are evidence. Without a header, the first two columns are taken for user
and item only if the lines agree with that: all have the same number of columns, ids look like ids, and users are
repeated or a third column looks like ratings. An error names what contradicts a reading, or the columns to pass if two
readings are possible. All readers, in memory and DuckDB's, get the layout from here.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from autoenc.datasets.cells import BLANKS, QuoteError, cells_of, split
from autoenc.datasets.columns import NOT_IDS, FieldError, decoded, short, whole
from autoenc.datasets.evidence import (
    are_likely_ratings,
    are_likely_times,
    check_first_columns,
    check_no_times,
    is_number,
    is_whole,
    looks_like_header,
    number_the_rows,
)
from autoenc.datasets.names import KNOWN, bare, candidates, known_positions, say_which, with_votes
from autoenc.datasets.options import NO_OPTIONS, ROLES, Column, ReadOptions

MOST_SAMPLED = 2_000
"""Number of lines in the sample."""

_DELIMITERS = ("\t", ",", ";", "|", BLANKS)
_WITHOUT_HEADER = ("user", "item", "rating", "time")
_NAMES_OF_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", BLANKS: "blank"}


def _separated(what: str, delimiter: str) -> str:
    name = _NAMES_OF_DELIMITERS.get(delimiter)
    return f"{name}-separated {what}" if name else f"{what} separated by {delimiter}"


class Table(NamedTuple):
    """One row per like."""

    form: str  # what a line looks like, for error messages
    delimiter: str  # one character or "::"; BLANKS stands for one or more
    at: dict[str, int]  # the positions of the roles user, item and, if any, rating, time and weight
    n_columns: int
    names: tuple[str, ...] = ()  # of the columns, if there is a header
    skip: int = 0  # lines before the first row
    quoted: bool = True
    any_ids: bool = False  # ids may be strings
    said: frozenset[str] = frozenset()  # roles whose columns the caller named

    @property
    def description(self) -> str:
        kind = "CSV" if self.delimiter == "," else _separated("text", self.delimiter)
        return f"{kind} {'with' if self.names else 'without'} a header"

    def name_of(self, role: str) -> str:
        """The name of a role's column in the header, or its number."""
        position = self.at[role]
        return self.names[position] if self.names else f"column {position + 1}"


class Lists(NamedTuple):
    """One line per user, with the items that they like."""

    form: str
    delimiter: str
    user: int | None  # the column of the user, or None if users are numbered by line, from 0
    items: int  # the first column of items
    counts: bool = False  # whether a line begins with the number of items that follow
    any_ids: bool = False
    is_said: bool = False
    skip: int = 0  # lines before the first user, with a header

    @property
    def description(self) -> str:
        kind = _separated("lists", self.delimiter)
        if self.counts:
            return f"{kind}, one line per user that begins with the number of items: user = the line's number from 0"
        user = "the line's number from 0" if self.user is None else f"column {self.user + 1}"
        header = " after a header" if self.skip else ""
        return f"{kind}, one line per user{header}: user = {user}, items = column {self.items + 1} and those after it"


class Features(NamedTuple):
    """DSSTNE's text, user<TAB>item:item:... or user<TAB>item,value:item,value:..."""

    description: str = "DSSTNE's text: user = before the tab, items = after it"
    form: str = "user<TAB>item:item:..."
    any_ids: bool = True
    is_said: bool = False


class JsonLines(NamedTuple):
    """One JSON object per like."""

    at: dict[str, str]  # the keys of the roles
    said: frozenset[str] = frozenset()

    @property
    def description(self) -> str:
        return "JSON lines"

    def name_of(self, role: str) -> str:
        return self.at[role]


Layout: TypeAlias = Table | Lists | Features | JsonLines


def layout_of(lines: Sequence[str], options: ReadOptions = NO_OPTIONS) -> Layout:
    """The layout of a text.

    Parameters
    ----------
    lines : sequence of str
        Its first lines, including blank ones; at least one is not blank.
    options : ReadOptions
        The caller's options.

    Raises
    ------
    ValueError
        If the columns aren't known or the data contradict them. The message says what was found and what to do.
    """
    filled = [line for line in lines if line.strip()][:MOST_SAMPLED]
    if filled[0].lstrip().startswith("{") and options.delimiter is None:
        return _json_lines(filled, options)
    if filled[0].lstrip().startswith("["):
        raise ValueError(
            f"begins with {short(filled[0][:80])}, but JSON must have one object per line; "
            "write it like that (pandas: to_json(orient='records', lines=True))"
        )
    first_items = _first_of_items(options.item)
    if first_items is not None:
        return _lists_as_said(filled, lines.index(filled[0]) + 1, first_items, options)
    table = _with_header(filled, lines.index(filled[0]) + 1, options)
    return table if table is not None else _without_header(filled, options)


def layout_of_names(names: Sequence[str], options: ReadOptions = NO_OPTIONS) -> Table:
    """The columns of a table that has names, such as parquet. Raises ValueError as `layout_of` does."""
    at = with_votes(_roles(names, options), names)
    _check_known(at, f"has the columns {', '.join(map(short, names))}, but no known column of")
    return Table(", ".join(names), ",", at, len(names), tuple(names), any_ids=True, said=_said(options))


def _check_known(at: dict[str, int], found: str) -> None:
    """Raise ValueError if users or items have no column; `found` says what there is instead."""
    lacking = [role for role in ("user", "item") if role not in at]
    if lacking:
        roles = " and ".join(f"{role}s" for role in lacking)
        raise ValueError(f"{found} {roles}; {say_which(*lacking)}")


# Tables with a header


def _with_header(lines: list[str], skip: int, options: ReadOptions) -> Table | None:
    """The layout, or None if the first line is not a header."""
    if options.header is False:
        return None
    problem: ValueError | None = None
    are_blanks_in_cells = fits_without_header = False
    for delimiter in (options.delimiter,) if options.delimiter else _DELIMITERS:
        rows = sampled_rows(lines, delimiter)
        names = [decoded(name).strip() for name in rows[0]]
        if len(names) < 2 or (delimiter == BLANKS and are_blanks_in_cells):
            continue
        n_like_header = sum(len(row) == len(names) for row in rows[1:])
        are_blanks_in_cells = are_blanks_in_cells or 2 * n_like_header > len(rows) - 1
        try:
            at = _roles(names, options)
        except ValueError as error:
            problem = problem or error
            continue
        by_name = {role for role in at if not _is_number(getattr(options, role))}
        is_header = options.header or bool(by_name) or looks_like_header(rows)
        if not is_header or any(whole(names[at[role]]) is not None for role in by_name & {"user", "item"}):
            fits_without_header = fits_without_header or {"user", "item"} <= at.keys()
            continue
        lacking = [role for role in ("user", "item") if role not in at]
        if not lacking:
            at, form, width = with_votes(at, names), lines[0].strip("\r\n"), len(names)
            widths = {len(row) for row in rows[1:]}
            if len(widths) == 1 and max(at["user"], at["item"]) < min(widths) < width:  # all lack the last columns
                width = min(widths)
                form = delimiter.join(names[:width])
                at = {role: position for role, position in at.items() if position < width}
            table = Table(form, delimiter, at, width, tuple(names), skip, any_ids=True, said=_said(options))
            return _checked(table._replace(quoted=_is_quoted(lines, delimiter)), rows[1:])
        may_be_names = not any(map(is_number, names)) or options.header
        if may_be_names and (len(lacking) == 1 or looks_like_header(rows) or options.header):
            problem = problem or _nameless(lines[0], names, lacking)
    if problem is not None and not fits_without_header:
        raise problem
    return None


def _nameless(header: str, names: Sequence[str], lacking: list[str]) -> ValueError:
    roles = " and ".join(f"{role}s" for role in lacking)
    return ValueError(f"has the header {short(header)}, which has no known column of {roles}; {say_which(*lacking)}")


def _roles(names: Sequence[str], options: ReadOptions) -> dict[str, int]:
    """The positions of the roles, as given by the caller or recognized by name."""
    at = {}
    for role in ROLES:
        said = getattr(options, role)
        if said is not None:
            at[role] = position_of(role, said, names)
    unsaid = ["" if position in at.values() else name for position, name in enumerate(names)]
    if {"user", "item"} <= at.keys():  # then other names may be ambiguous
        unsaid = [name if not _is_one_of(name, ("user", "item")) else "" for name in unsaid]
    return known_positions(unsaid) | at


def _is_one_of(name: str, roles: tuple[str, ...]) -> bool:
    return any(bare(name) in known for role in roles for known in KNOWN[role])


def position_of(role: str, said: Column, names: Sequence[str]) -> int:
    """The position of a column, given by its name or its number, from 1.

    Raises ValueError if there is none, or if two have the name.
    """
    if isinstance(said, str):
        found = [position for position, name in enumerate(names) if name == said]
        found = found or [position for position, name in enumerate(names) if _folded(name) == _folded(said)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"has {len(found)} columns {short(said)}; pass its number, such as {role}=1")
        if not _is_number(said) and not any(names):
            raise ValueError(f"has no header that names the column {short(said)}; pass its number, such as {role}=1")
        if not _is_number(said):
            raise ValueError(f"has no column {short(said)}, but {', '.join(map(short, names))}; {say_which(role)}")
    number = int(said)
    if not 1 <= number <= len(names):
        raise ValueError(f"has {len(names)} columns, but {role} is column {number}; columns are numbered from 1")
    return number - 1


def _folded(name: str) -> str:
    """A name without case; an umlaut may be one character or two, as macOS writes it."""
    return unicodedata.normalize("NFC", name).lower()


def _is_number(said: Column | None) -> bool:
    return isinstance(said, int) or (isinstance(said, str) and said.isascii() and said.isdecimal())


def _said(options: ReadOptions) -> frozenset[str]:
    return frozenset(role for role in ROLES if getattr(options, role) is not None)


# Tables and lists without a header


def _without_header(lines: list[str], options: ReadOptions) -> Layout:
    if options.user is None and options.item is None and options.delimiter is None and _are_features(lines):
        return Features()
    if lines[0].startswith(("#", "%")) and options.user is None and options.item is None:
        raise ValueError(
            f"begins with {short(lines[0])}, which looks like a comment; delete the lines that are not likes"
        )
    delimiter, rows = _columns(lines, options)
    width, n_of_width = Counter(map(len, rows)).most_common(1)[0]
    if options.user is not None and options.item is not None:
        at = {role: position_of(role, getattr(options, role), [""] * width) for role in _said(options)}
        return _checked(_table(delimiter, at, width, lines, options, any_ids=True), rows)
    is_ragged = 2 * n_of_width <= len(rows) or (n_of_width < len(rows) and (delimiter == BLANKS or _fit_lists(rows)))
    is_one_list = len(rows) == 1 and delimiter == BLANKS and width > len(_WITHOUT_HEADER)
    if is_ragged or is_one_list or width == 1:
        return _lists(delimiter, rows)
    alike = [row for row in rows if len(row) == width]
    columns = list(zip(*alike))
    numbers = None not in (whole(alike[0][0].strip()), whole(alike[0][1].strip()))
    if not numbers and not (width > 2 and all(map(is_number, columns[2]))):
        raise ValueError(
            f"begins with {short(lines[0])}, which is neither a known header nor a row that shows what its "
            f"columns are; {say_which('user', 'item')}, and header= (--header or --no-header)"
        )
    check_no_times(columns)
    if len(alike) == len(rows):
        check_first_columns(columns, delimiter == BLANKS)
    at = {"user": 0, "item": 1}
    if width > 2 and are_likely_times(columns[2]):
        at["time"] = 2
    else:
        at |= {"rating": 2} if width > 2 and all(map(is_number, columns[2])) else {}
        at |= {"time": 3} if width > 3 and (are_likely_times(columns[3]) or _is_movielens(columns)) else {}
    said = {role: getattr(options, role) for role in ROLES if getattr(options, role) is not None}
    at = _as_said(at, {role: position_of(role, column, [""] * width) for role, column in said.items()})
    return _checked(_table(delimiter, at, width, lines, options, any_ids=not numbers), rows)


def _as_said(guessed: dict[str, int], said: dict[str, int]) -> dict[str, int]:
    """The columns that are said, and otherwise those guessed. Raises ValueError if users or items would be guessed."""
    for role, position in said.items():
        if guessed.get(role) != position and (role in ("user", "item") or position in (0, 1)):
            raise ValueError(
                f"has no header, so {role}={position + 1} does not tell which columns are the users and the items; "
                f"{say_which('user', 'item')}, both of them"
            )
    return guessed | said


def _is_movielens(columns: Sequence[Sequence[str]]) -> bool:
    """Whether four columns look like MovieLens' user, item, rating and time."""
    return len(columns) == 4 and are_likely_ratings(columns[2]) and all(map(is_whole, columns[3]))


def _table(
    delimiter: str, at: dict[str, int], width: int, lines: list[str], options: ReadOptions, any_ids: bool
) -> Table:
    role_of = {position: role for role, position in at.items()}
    form = delimiter.join(role_of.get(position, "...") for position in range(width))
    quoted = _is_quoted(lines, delimiter)
    return Table(form, delimiter, at, width, quoted=quoted, any_ids=any_ids, said=_said(options))


def _columns(lines: list[str], options: ReadOptions) -> tuple[str, list[list[str]]]:
    """The delimiter, and the rows: the one that splits all lines into equally many columns, or else the first line."""
    if options.delimiter is not None:
        return options.delimiter, sampled_rows(lines, options.delimiter)
    split = {delimiter: sampled_rows(lines, delimiter) for delimiter in ("::", "\t", ";", "|", ",", BLANKS)}
    fitting = {d: rows for d, rows in split.items() if len(rows[0]) > 1 and len(set(map(len, rows))) == 1}
    if len(fitting) > 1:  # then blanks are part of cells
        fitting.pop(BLANKS, None)
    if len(fitting) > 1:
        # an id that contains another delimiter is evidence against the first
        places = [int(said) - 1 for said in (options.user, options.item) if said is not None and _is_number(said)]
        ids = {
            d: {row[place] for row in rows for place in places or (0, 1) if place < len(row)}
            for d, rows in fitting.items()
        }
        clean = [
            d for d in fitting if not any(other in id_.strip() for other in fitting if other != d for id_ in ids[d])
        ]
        if len(clean) != 1:
            raise _ambiguous(lines[0], clean or fitting)
        return clean[0], fitting[clean[0]]
    found = fitting or {d: rows for d, rows in split.items() if len(rows[0]) > 1}
    if not found:
        raise unknown(lines[0])
    return next(iter(found.items()))


def _ambiguous(line: str, delimiters: Iterable[str]) -> ValueError:
    some = " and ".join(map(repr, delimiters))
    return ValueError(f"begins with {short(line)}, where {some} may be the separator; pass delimiter= (--delimiter)")


def _fit_lists(rows: list[list[str]]) -> bool:
    """Whether rows may be lists of numbers, one line per user: no user repeats, and no column looks like ratings."""
    if not all(is_whole(cell) for row in rows for cell in row) or len({row[0] for row in rows}) < len(rows):
        return False
    thirds = [row[2] for row in rows if len(row) > 2]
    return bool(thirds) and not are_likely_ratings(thirds) and not are_likely_times(thirds)


def _lists(delimiter: str, rows: list[list[str]]) -> Lists:
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


def _lists_as_said(lines: list[str], skip: int, first: int, options: ReadOptions) -> Lists:
    delimiter = options.delimiter or _delimiter_of_lists(lines, first)
    rows = [split(line, delimiter) for line in lines]
    is_named = options.user is not None and not _is_number(options.user)
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
    n_with = {delimiter: sum(delimiter in line.strip("\r\n ") for line in lines) for delimiter in _DELIMITERS}
    likely = max(_DELIMITERS[:-1], key=n_with.__getitem__)
    if not n_with[likely]:
        return BLANKS
    others = [d for d in _DELIMITERS if d != likely and n_with[d]]
    if any(len(split(line, likely)) > first + 1 for line in lines):  # otherwise, no line has two items
        others = [d for d in others if n_with[d] >= n_with[likely] * (3 if d == BLANKS else 1)]
    if others:
        raise _ambiguous(lines[0], [likely, *others])
    return likely


def _first_of_items(item: Column | None) -> int | None:
    """The position of the first column of items, from an option such as "2-"."""
    found = re.fullmatch(r"([1-9]\d{0,8})-", item) if isinstance(item, str) else None
    return int(found[1]) - 1 if found else None


_FEATURES = re.compile(r"[^\t]*\t[^\t]*[:,][^\t]*")


def _are_features(lines: list[str]) -> bool:
    # the last line may be cut off, which doesn't matter here
    return all(line.count("\t") <= 1 for line in lines) and any(map(_FEATURES.fullmatch, lines))


# JSON


def _json_lines(lines: list[str], options: ReadOptions) -> JsonLines:
    from autoenc.datasets.json_lines import object_of

    keys: dict[str, None] = {}
    for line in lines[:100]:
        try:
            keys |= dict.fromkeys(object_of(line))
        except FieldError as error:
            raise ValueError(f"begins like JSON lines, but {error}; write one object per line") from None
    names = list(keys)
    at = with_votes(_roles(names, options), names)
    _check_known(at, f"has JSON objects with {', '.join(map(short, names))}, but no known column of")
    return JsonLines({role: names[position] for role, position in at.items()}, _said(options))


# Common to all


def unknown(line: str) -> ValueError:
    return ValueError(
        f"begins with {short(line)}, which is not a known format; these are MovieLens' .dat, .csv and u.data, tables "
        "with a header that names user and item, JSON lines, RecBole's .inter, LightGCN's and DSSTNE's text, .npz and "
        "parquet"
    )


def sampled_rows(lines: list[str], delimiter: str) -> list[list[str]]:
    """The cells of the sample's rows, unquoted if all quotes are closed."""
    rows: list[list[str]] = []
    try:
        rows.extend(cells for _, cells in cells_of(lines, delimiter, quoted=True))
    except QuoteError as error:
        if delimiter == "\t" or error.line == 1:
            return [split(line, delimiter) for line in lines]
    return rows


def _is_quoted(lines: list[str], delimiter: str) -> bool:
    """Whether cells may be quoted: never with "::", and with tabs only if all quotes are closed."""
    if delimiter != "\t":
        return delimiter != "::"
    try:
        for _ in cells_of(lines, delimiter, quoted=True):
            pass
    except QuoteError:
        return False
    return True


def _checked(table: Table, rows: list[list[str]]) -> Table:
    """The table. Raises ValueError if the widths of its rows or the form of its ids contradict it."""
    if table.names and number_the_rows([row[0] for row in rows if len(row) == table.n_columns + 1], len(rows)):
        raise ValueError(
            f"has the header {short(table.form)}, which names {table.n_columns} columns, but its rows have one more "
            "and begin with their number; add a name for that column to the header"
        )
    for role in {"user", "item"} - table.said:
        position = table.at[role]
        cells = [row[position].strip() for row in rows if len(row) == table.n_columns]
        for fault, form in NOT_IDS.items():
            found = [cell for cell in cells if re.fullmatch(form, cell, re.ASCII | re.DOTALL)]
            if len(found) > len(cells) // 2:
                raise ValueError(
                    f"has {short(found[0])} in the column of {role}s ({table.name_of(role)}), which {fault}; "
                    f"{say_which(role)}"
                )
    return table
