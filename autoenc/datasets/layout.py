"""How a file of likes is laid out: as a table, as lists, as DSSTNE's text, or as JSON lines."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from autoenc.datasets.cells import BLANKS

DELIMITERS = ("\t", ",", ";", "|", BLANKS)
"""The delimiters that are recognized, the likeliest first."""

_NAMES_OF_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", BLANKS: "blank"}


def separated(what: str, delimiter: str) -> str:
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
        kind = "CSV" if self.delimiter == "," else separated("text", self.delimiter)
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
        kind = separated("lists", self.delimiter)
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
