"""The layout of a file of likes, decided from a sample of its lines and the caller's options.

A guess needs evidence. The names in a header are evidence. Without a header, the first two columns are taken for user
and item only if the lines agree with that: all have the same number of columns, ids look like ids, and users are
repeated or a third column looks like ratings. An error names what contradicts a reading, or the columns to pass if two
readings are possible. All readers, in memory and DuckDB's, get the layout from here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

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
from autoenc.datasets.layout import DELIMITERS, Features, JsonLines, Layout, Table
from autoenc.datasets.lists import ambiguous, are_features, first_of_items, fit_lists, lists_as_said, lists_of
from autoenc.datasets.names import say_which, with_votes
from autoenc.datasets.options import NO_OPTIONS, ROLES, ReadOptions
from autoenc.datasets.roles import check_known, is_position, position_of, roles_of, said_roles

MOST_SAMPLED = 2_000
"""Number of lines in the sample."""

_WITHOUT_HEADER = ("user", "item", "rating", "time")


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
    first_items = first_of_items(options.item)
    if first_items is not None:
        return lists_as_said(filled, lines.index(filled[0]) + 1, first_items, options)
    table = _with_header(filled, lines.index(filled[0]) + 1, options)
    return table if table is not None else _without_header(filled, options)


def layout_of_names(names: Sequence[str], options: ReadOptions = NO_OPTIONS) -> Table:
    """The columns of a table that has names, such as parquet. Raises ValueError as `layout_of` does."""
    at = with_votes(roles_of(names, options), names)
    check_known(at, f"has the columns {', '.join(map(short, names))}, but no known column of")
    return Table(", ".join(names), ",", at, len(names), tuple(names), any_ids=True, said=said_roles(options))


def _with_header(lines: list[str], skip: int, options: ReadOptions) -> Table | None:
    """The layout, or None if the first line is not a header."""
    if options.header is False:
        return None
    problem: ValueError | None = None
    are_blanks_in_cells = fits_without_header = False
    for delimiter in (options.delimiter,) if options.delimiter else DELIMITERS:
        rows = sampled_rows(lines, delimiter)
        names = [decoded(name).strip() for name in rows[0]]
        if len(names) < 2 or (delimiter == BLANKS and are_blanks_in_cells):
            continue
        n_like_header = sum(len(row) == len(names) for row in rows[1:])
        are_blanks_in_cells = are_blanks_in_cells or 2 * n_like_header > len(rows) - 1
        try:
            at = roles_of(names, options)
        except ValueError as error:
            problem = problem or error
            continue
        by_name = {role for role in at if not is_position(getattr(options, role))}
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
            table = Table(form, delimiter, at, width, tuple(names), skip, any_ids=True, said=said_roles(options))
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


def _without_header(lines: list[str], options: ReadOptions) -> Layout:
    if options.user is None and options.item is None and options.delimiter is None and are_features(lines):
        return Features()
    if lines[0].startswith(("#", "%")) and options.user is None and options.item is None:
        raise ValueError(
            f"begins with {short(lines[0])}, which looks like a comment; delete the lines that are not likes"
        )
    delimiter, rows = _columns(lines, options)
    width, n_of_width = Counter(map(len, rows)).most_common(1)[0]
    if options.user is not None and options.item is not None:
        at = {role: position_of(role, getattr(options, role), [""] * width) for role in said_roles(options)}
        return _checked(_table(delimiter, at, width, lines, options, any_ids=True), rows)
    is_ragged = 2 * n_of_width <= len(rows) or (n_of_width < len(rows) and (delimiter == BLANKS or fit_lists(rows)))
    is_one_list = len(rows) == 1 and delimiter == BLANKS and width > len(_WITHOUT_HEADER)
    if is_ragged or is_one_list or width == 1:
        return lists_of(delimiter, rows)
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
    """The columns given by the caller, and otherwise those guessed.

    Raises ValueError if users or items would be guessed.
    """
    for role, position in said.items():
        if guessed.get(role) != position and (role in ("user", "item") or position in (0, 1)):
            raise ValueError(
                f"has no header, so {role}={position + 1} does not tell which columns are the users and the items; "
                f"{say_which('user', 'item')}, both of them"
            )
    return {role: position for role, position in guessed.items() if position not in said.values()} | said


def _is_movielens(columns: Sequence[Sequence[str]]) -> bool:
    """Whether four columns look like MovieLens' user, item, rating and time."""
    return len(columns) == 4 and are_likely_ratings(columns[2]) and all(map(is_whole, columns[3]))


def _table(
    delimiter: str, at: dict[str, int], width: int, lines: list[str], options: ReadOptions, any_ids: bool
) -> Table:
    role_of = {position: role for role, position in at.items()}
    form = delimiter.join(role_of.get(position, "...") for position in range(width))
    quoted = _is_quoted(lines, delimiter)
    return Table(form, delimiter, at, width, quoted=quoted, any_ids=any_ids, said=said_roles(options))


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
        places = [int(said) - 1 for said in (options.user, options.item) if said is not None and is_position(said)]
        ids = {
            d: {row[place] for row in rows for place in places or (0, 1) if place < len(row)}
            for d, rows in fitting.items()
        }
        clean = [
            d for d in fitting if not any(other in id_.strip() for other in fitting if other != d for id_ in ids[d])
        ]
        if len(clean) != 1:
            raise ambiguous(lines[0], clean or fitting)
        return clean[0], fitting[clean[0]]
    found = fitting or {d: rows for d, rows in split.items() if len(rows[0]) > 1}
    if not found:
        raise unknown(lines[0])
    return next(iter(found.items()))


def _json_lines(lines: list[str], options: ReadOptions) -> JsonLines:
    from autoenc.datasets.json_lines import object_of

    keys: dict[str, None] = {}
    for line in lines[:100]:
        try:
            keys |= dict.fromkeys(object_of(line))
        except FieldError as error:
            raise ValueError(f"begins like JSON lines, but {error}; write one object per line") from None
    names = list(keys)
    at = with_votes(roles_of(names, options), names)
    check_known(at, f"has JSON objects with {', '.join(map(short, names))}, but no known column of")
    return JsonLines({role: names[position] for role, position in at.items()}, said_roles(options))


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
