"""The names of the columns of likes, in well-known data sets and elsewhere.

Names are compared without case, punctuation, a trailing "id" and RecBole's ":type". If several columns match a role,
the one whose name is in the earliest set wins; two names from the same set are ambiguous, and an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from autoenc.messages import shown


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KNOWN: dict[str, tuple[frozenset[str], ...]] = {
    "user": (
        _words("u user"),
        _words(
            "customer visitor member reviewer client profile person account viewer listener reader buyer shopper "
            "subscriber player patron learner student username userno usernumber profilename reviewprofilename msno"
        ),
        _words("session"),
    ),
    "item": (
        _words("i item"),
        _words("parentasin"),
        _words(
            "movie film product book track artist song article asin business recipe isbn anime game app video news "
            "show series course restaurant hotel place venue poi page post pin album sku stockcode content beer wine "
            "joke itemno itemnumber art paper podcast episode beerbeer tmdb imdb"
        ),
        _words("title movietitle booktitle itemname productname producttitle songtitle"),
    ),
    "rating": (
        _words("rating ratings"),
        _words("stars star starrating score overall bookrating userrating reviewrating reviewoverall"),
    ),
    "time": (
        _words("timestamp time datetime ts unixreviewtime unixtime eventtime"),
        _words(
            "date created createdat createdon createdtime creationtime tdat day reviewtime reviewdate eventdate "
            "visitdate"
        ),
    ),
}

VOTES = _words("liked isliked like vote voted thumb thumbs thumbsup upvote upvoted")
"""Columns that may say that a row is not a like, such as liked=false, and are therefore reported to the user.
Plurals are counts, and like_id is a key."""


def bare(name: str) -> str:
    """A column's name in the form used for comparison."""
    return _letters(name).removesuffix("id")


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.partition(":")[0].lower())


def candidates(role: str, names: Sequence[str]) -> list[int]:
    """The positions of the columns in a header that may have a role, all equally likely."""
    bared = [bare(name) for name in names]
    for known in KNOWN[role]:
        found = [position for position, name in enumerate(bared) if name in known]
        if found:
            return found
    return []


def known_positions(names: Sequence[str]) -> dict[str, int]:
    """The position of each role of `KNOWN` in a header.

    Raises ValueError if two columns may be the users, or the items.
    """
    at = {}
    for role in KNOWN:
        found = candidates(role, names)
        if len(found) > 1 and role in ("user", "item"):
            if len({names[position] for position in found}) == 1:
                raise ValueError(f"has {len(found)} columns {shown(names[found[0]])}; rename all but one")
            both = " and ".join(shown(names[position]) for position in found[:2])
            raise ValueError(f"has the columns {both}, which may both be the {role}s; {say_which(role)}")
        if len(found) == 1:
            at[role] = found[0]
    return at


def with_votes(at: dict[str, int], names: Sequence[str]) -> dict[str, int]:
    """The roles of a table with these names, where a column of likes or votes is the rating if no other column is.

    The names of `VOTES` are also cells of tables without a header (1,7,like), so they are no evidence for one.
    """
    found = [position for position, name in enumerate(names) if _letters(name) in VOTES and position not in at.values()]
    return at if "rating" in at or len(found) != 1 else at | {"rating": found[0]}


def say_which(*roles: str) -> str:
    """What to do if it isn't clear which columns are meant."""
    arguments = " and ".join(f"{role}=" for role in roles)
    flags = ", ".join(f"--{role}-column" for role in roles)
    return f"pass {arguments} ({flags})"
