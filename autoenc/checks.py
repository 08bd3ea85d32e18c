"""Checks of numbers and of names that many parts use."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable


def whole_number(name: str, value: object, least: int, most: float = math.inf) -> int:
    """`value` as an int. Raises TypeError if it is not a whole number, ValueError if it is out of the range."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be {least} or more, got {number}")
    if number > most:
        raise ValueError(f"{name} must be {most} or less, got {number}")
    return number


def metric_at_k(name: str, value: object, metrics: Iterable[str]) -> tuple[str, int]:
    """The metric, one of `metrics`, and the k of a value such as "ndcg@100".

    Raises ValueError, which calls the value `name`, if it is anything else.
    """
    metric, _, k = str(value).partition("@")
    if metric not in metrics or not k.isdecimal() or int(k) < 1:
        raise ValueError(f"{name} is {value!r}; pass one of {', '.join(metrics)} with its k, such as 'ndcg@100'.")
    return metric, int(k)
