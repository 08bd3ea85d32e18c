"""Checks of numbers that many parts use."""

from __future__ import annotations

import math
import operator


def whole_number(name: str, value, least: int, most: float = math.inf) -> int:
    """`value` as an int. Raises TypeError if it is no whole number, ValueError if it is out of the range."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be {least} or more, got {number}")
    if number > most:
        raise ValueError(f"{name} must be {most} or less, got {number}")
    return number
