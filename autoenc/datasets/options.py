"""The options for reading likes: which columns, which rows, which users and items."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from autoenc.checks import whole_number
from autoenc.messages import printable, shown

Column: TypeAlias = "str | int"
"""The name of a column, or its number: the first is 1."""

ROLES = ("user", "item", "rating", "time", "weight")

_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "bar": "|", "blank": " ", "blanks": " "}


@dataclass(frozen=True)
class ReadOptions:
    """The options that `autoenc.datasets.load` and the commands that read likes have in common.

    Parameters
    ----------
    user, item, rating, time, weight : str or int, optional
        The name of a column, or its number, from 1, which may be a string. In lists with one line per user, the
        items are the columns "2-". Ids in a column that is given here may have any form.
        Without `min_rating`, ratings are likes whatever their value; they are weights only if given as `weight`.
    delimiter : str, optional
        The column separator: a character, "::", or one of the words tab, comma, semicolon, bar and blank.
    header : bool, optional
        Whether the first line has the names of the columns. By default, this is detected.
    min_rating : float, optional
        Only rows with this rating or a higher one are likes.
    min_likes_per_user, min_likes_per_item : int
        Users and items with fewer likes are left out, repeatedly until nothing changes.

    Raises
    ------
    ValueError, TypeError
        If an option is invalid.
    """

    user: Column | None = None
    item: Column | None = None
    rating: Column | None = None
    time: Column | None = None
    weight: Column | None = None
    delimiter: str | None = None
    header: bool | None = None
    min_rating: float | None = None
    min_likes_per_user: int = 0
    min_likes_per_item: int = 0

    def __post_init__(self) -> None:
        for role in ROLES:
            value = getattr(self, role)
            if isinstance(value, bool) or not (value is None or isinstance(value, (str, int))):
                raise TypeError(f"{role} is {shown(value)}; pass the name of a column, or its number, from 1.")
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{role} is {value}; columns are numbered from 1.")
        if self.delimiter is not None:
            delimiter = _DELIMITERS.get(self.delimiter.lower(), self.delimiter)
            if delimiter != "::" and len(delimiter) != 1:
                raise ValueError(
                    f"delimiter is {shown(self.delimiter)}; pass one character, '::', or one of "
                    f"{', '.join(word for word in _DELIMITERS if word.isalpha())}."
                )
            if delimiter in '"\r\n' or delimiter.isalnum() or not delimiter.isascii():
                raise ValueError(f"delimiter is {shown(self.delimiter)}, which cannot separate columns.")
            object.__setattr__(self, "delimiter", delimiter)
        if self.min_rating is not None and not math.isfinite(self.min_rating):
            raise ValueError(f"min_rating is {self.min_rating}; pass a finite number.")
        for name in ("min_likes_per_user", "min_likes_per_item"):
            whole_number(name, getattr(self, name), 0)

    @property
    def of_columns(self) -> Mapping[str, Any]:
        """The options about columns and ratings that are set."""
        names = (*ROLES, "delimiter", "header")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def wanted(self, times: bool = False) -> frozenset[str]:
        """The roles whose columns are read: user and item always, the others on request."""
        others = {role for role in ("rating", "time", "weight") if getattr(self, role) is not None}
        others |= {"rating"} if self.min_rating is not None else set()
        return frozenset({"user", "item"} | others | ({"time"} if times else set()))


NO_OPTIONS = ReadOptions()


def check_no_columns(what: str, options: ReadOptions) -> None:
    """Raise ValueError, which begins with `what`, if options about columns or ratings are set for likes without any."""
    said = [*options.of_columns, *(["min_rating"] if options.min_rating is not None else [])]
    if said:
        flag = f"--{said[0]}-column" if said[0] in ROLES else f"--{said[0].replace('_', '-')}"
        raise ValueError(f"{what}, without columns and ratings; leave out {said[0]}= ({flag}).")


def how_read(kind: str, names: Mapping[str, str], options: ReadOptions = NO_OPTIONS) -> str:
    """Say in words how likes were read.

    Parameters
    ----------
    kind : str
        The kind of file.
    names : mapping of role to str
        The names of the columns that were found.
    options : ReadOptions

    Examples
    --------
    >>> how_read("CSV with a header", {"user": "visitorid", "item": "itemid", "rating": "stars"})
    'read as CSV with a header: user = visitorid, item = itemid, rating = stars (every rating is a like)'
    """
    parts = {role: f"{role} = {printable(names[role])}" for role in ROLES if role in names}
    if "rating" in parts:
        from_ = options.min_rating
        parts["rating"] += " (every rating is a like)" if from_ is None else f" (a like if {from_:g} or higher)"
    return f"read as {kind}" + (f": {', '.join(parts.values())}" if parts else "")
