"""Which column of a table holds the users, the items, the ratings, the times and the weights."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from autoenc.datasets.columns import short
from autoenc.datasets.names import KNOWN, bare, known_positions, say_which
from autoenc.datasets.options import ROLES, Column, ReadOptions


def roles_of(names: Sequence[str], options: ReadOptions) -> dict[str, int]:
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
        if not is_position(said) and not any(names):
            raise ValueError(f"has no header that names the column {short(said)}; pass its number, such as {role}=1")
        if not is_position(said):
            raise ValueError(f"has no column {short(said)}, but {', '.join(map(short, names))}; {say_which(role)}")
    number = int(said)
    if not 1 <= number <= len(names):
        raise ValueError(f"has {len(names)} columns, but {role} is column {number}; columns are numbered from 1")
    return number - 1


def _folded(name: str) -> str:
    """A name without case; an umlaut may be one character or two, as macOS writes it."""
    return unicodedata.normalize("NFC", name).lower()


def is_position(said: Column | None) -> bool:
    """Whether a column is given by its number."""
    return isinstance(said, int) or (isinstance(said, str) and said.isascii() and said.isdecimal())


def said_roles(options: ReadOptions) -> frozenset[str]:
    """The roles whose columns are given by the caller."""
    return frozenset(role for role in ROLES if getattr(options, role) is not None)


def check_known(at: dict[str, int], found: str) -> None:
    """Raise ValueError if users or items have no column; `found` says what there is instead."""
    lacking = [role for role in ("user", "item") if role not in at]
    if lacking:
        roles = " and ".join(f"{role}s" for role in lacking)
        raise ValueError(f"{found} {roles}; {say_which(*lacking)}")
