"""Checks of numbers and of names that many parts use."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING

from autoenc.messages import shown

if TYPE_CHECKING:
    import numpy as np


def whole_number(name: str, value: object, least: int, most: int = 2**63 - 1) -> int:
    """`value` as an int. Raises TypeError if it is not a whole number, ValueError if it is out of the range."""
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
    """Raise TypeError where `value` is not a number, ValueError where it is NaN, infinite or beyond a float's range."""
    if not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    try:
        is_finite_number = math.isfinite(value)
    except OverflowError:  # a whole number beyond a float's range
        is_finite_number = False
    if not is_finite_number:
        raise ValueError(f"{name} must be a finite number, got {shown(value)}")


def is_finite(array: np.ndarray) -> bool:
    """Whether all numbers in an array are finite, found without an array of flags."""
    return array.size == 0 or (math.isfinite(array.min()) and math.isfinite(array.max()))


def metric_at_k(name: str, value: object, metrics: Iterable[str]) -> tuple[str, int]:
    """The metric, one of `metrics`, and the k of a value such as "ndcg@100".

    Raises ValueError, which calls the value `name`, if it is anything else.
    """
    metric, _, digits = str(value).partition("@")
    k = int(digits) if digits.isdecimal() and len(digits) < 20 else 0
    if metric not in metrics or not 1 <= k < 2**63:
        raise ValueError(f"{name} is {shown(value)}; pass one of {', '.join(metrics)} with its k, such as 'ndcg@100'.")
    return metric, k
