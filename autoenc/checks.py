"""Checks of numbers, names and times used throughout the package."""

from __future__ import annotations

import datetime
import math
import operator
import re
from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING

from autoenc.messages import shown

if TYPE_CHECKING:
    import numpy as np

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([hdwy])", re.ASCII)
_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "y": 365.25}


def whole_number(name: str, value: object, least: int, most: int = 2**63 - 1) -> int:
    """`value` as an int. Raises TypeError if it is not an integer, ValueError if it is out of range."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {shown(value)}") from None
    if number < least:
        raise ValueError(f"{name} must be {least} or more, got {shown(number)}")
    if number > most:
        raise ValueError(f"{name} must be {most} or less, got {shown(number)}")
    return number


def number(name: str, value: object) -> None:
    """Raise TypeError if `value` is not a number, ValueError if it is NaN, infinite or out of a float's range."""
    if not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    try:
        is_finite_number = math.isfinite(value)
    except OverflowError:  # an integer out of a float's range
        is_finite_number = False
    if not is_finite_number:
        raise ValueError(f"{name} must be a finite number, got {shown(value)}")


def is_finite(array: np.ndarray) -> bool:
    """Whether all numbers in an array are finite, without a temporary boolean array."""
    return array.size == 0 or (math.isfinite(array.min()) and math.isfinite(array.max()))


def metric_at_k(name: str, value: object, metrics: Iterable[str]) -> tuple[str, int]:
    """The metric, one of `metrics`, and the k of a value such as "ndcg@100".

    Raises ValueError that names `name` for anything else.
    """
    metric, _, digits = str(value).partition("@")
    k = int(digits) if digits.isdecimal() and len(digits) < 20 else 0
    if metric not in metrics or not 1 <= k < 2**63:
        raise ValueError(f"{name} is {shown(value)}; pass one of {', '.join(metrics)} with its k, such as 'ndcg@100'.")
    return metric, k


def days(name: str, text: str) -> float:
    """The days in a duration such as "36h", "90d", "8w" or "1.5y". Raises ValueError for anything else, or 0."""
    found = _DURATION.fullmatch(text.strip())
    lasts = float(found[1]) * _DAYS[found[2]] if found else 0.0
    if not lasts:
        raise ValueError(
            f"{name} is {shown(text)}; give a duration above 0 in hours, days, weeks or years, such as 90d."
        )
    return lasts


def moment(name: str, text: str, latest: int = 0) -> int:
    """The seconds since 1970 of an ISO 8601 date or time (UTC by default), or of a duration before `latest`.

    Raises ValueError if the text is neither.

    >>> moment("since", "1970-01-02"), moment("since", "1970-01-02T01:00+01:00"), moment("since", "2d", 200_000)
    (86400, 86400, 27200)
    """
    if _DURATION.fullmatch(text.strip()):
        return latest - round(86_400 * days(name, text))
    try:
        found = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{name} is {shown(text)}; give a date such as 2015-01-31 or 2015-01-31T12:00, or a duration before the "
            "latest like, such as 90d."
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=datetime.UTC)
    return math.floor(found.timestamp())
