"""Times that are numbers: their unit is decided from the whole column, by one rule for files and tables in memory.

- Numbers are seconds since 1970 if all are below 10**11 (the year 5138), and milli-, micro- or nanoseconds if they are
  larger by a factor of 1,000 each. A time after 1973 in one of these units is too large a number for a coarser unit, so
  a column that mixes units is recognized, and refused.
- Numbers that all read as dates, such as 20240610 or 20240610120000, are refused: as seconds or milliseconds they would
  be in 1970, or in the year 2611.
- In a file, numbers that all lie in January 1970 are refused as well, since they are years, months (202401) or Excel's
  day numbers, unless the first is in the first half hour, as in a column that numbers its rows from 0 or 1. Micro- and
  nanoseconds whose latest is before 1995 or after 2099 are refused too, as other systems count from the year 1 or 1601.
  Numbers passed from Python are not checked in this way, as they may be the order of the likes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

IN_1973 = 10**8
"""A time in 1973, in seconds since 1970."""

UNITS = {10**17: 10**9, 10**14: 10**6, 10**11: 10**3, IN_1973: 1}
"""Times at least this large have this many units per second: 10**11 seconds would be the year 5138."""

MOST = 2**63
"""Times are smaller than this."""

EXAMPLE = "2024-01-31 10:00:00"

_NAMES = {1: "seconds", 10**3: "milliseconds", 10**6: "microseconds", 10**9: "nanoseconds"}
_FIRST_DATE, _LAST_DATE = 19000101, 99991231
_OF_A_DAY = (1, 10**2, 10**4, 10**6, 10**9)  # the digits after a date: none, or those of hours to milliseconds
_HALF_HOUR, _JANUARY, _YEAR = 1_800, 31 * 86_400, 365.2425 * 86_400
_IN_1995, _IN_2100 = 788_918_400, 4_102_444_800


def seconds(times: np.ndarray, is_file: bool) -> np.ndarray:
    """Times (n,) in the unit of `units_per_second` as whole seconds (n,), int64."""
    units = units_per_second([times], is_file)
    return times.astype(np.int64) // units if units > 1 else times.astype(np.int64)


def units_per_second(blocks: Iterable[np.ndarray], is_file: bool) -> int:
    """The unit of a column of times.

    Parameters
    ----------
    blocks : iterable of arrays of finite numbers
        The column, in one or more parts.
    is_file : bool
        Whether it comes from a file, so that numbers in January 1970, and micro- and nanoseconds not from 1995 to 2099,
        are refused.

    Returns
    -------
    int
        1, 10**3, 10**6 or 10**9.

    Raises
    ------
    ValueError
        If the times are not in one unit since 1970. The message names a time and has no full stop.
    """
    first, last = np.inf, -np.inf
    example_of: dict[int, float] = {}
    are_dates = True
    for block in blocks:
        if not len(block):
            continue
        first, last = min(first, block.min().item()), max(last, block.max().item())
        if max(-first, last) >= MOST:
            raise ValueError(f"the time {_shown(max(last, first, key=abs))} is not a number below 2**63")
        for units, example in _examples(block).items():
            example_of.setdefault(units, example)
        are_dates = are_dates and _are_dates(block)
    if first > last:  # there are none
        return 1
    if are_dates and last > 0:
        raise ValueError(f"the time {_shown(last)} is not a number of seconds but a date; {_write(_shown(last))}")
    if len(example_of) > 1:
        (smaller, one), *_, (larger, other) = sorted(example_of.items())
        raise ValueError(
            f"the time {_shown(one)} seems to be in {_NAMES[smaller]} since 1970 and the time {_shown(other)} in "
            f"{_NAMES[larger]}; write all times in one unit"
        )
    units = next((units for least, units in UNITS.items() if max(-first, last) >= least), 1)
    if is_file and units >= 10**6 and not _IN_1995 <= last / units < _IN_2100:
        raise ValueError(
            f"the time {_shown(last)} is not a number of {_NAMES[units]} since 1970, which would be in "
            f"{1970 + int(last / units / _YEAR)}; write times like {EXAMPLE}"
        )
    if is_file and first >= _HALF_HOUR and last < _JANUARY:
        raise ValueError(
            f"the times, {_shown(first)} to {_shown(last)}, would all be in January 1970 if they were seconds; write "
            f"times like {EXAMPLE}"
        )
    return units


def _examples(block: np.ndarray) -> dict[int, float]:
    """For each unit in which some times are after 1973, the largest of them; numbers below 10**8 may have any unit."""
    found = {}
    rest = block
    for least, units in UNITS.items():
        if len(rest) and (largest := rest.max().item()) >= least:
            found[units] = largest
            rest = rest[rest < least] if rest.min() < least else rest[:0]
    return found


def _are_dates(block: np.ndarray) -> bool:
    """Whether all times, except zeros, are written like 20240610, or with the time of day after it."""
    if not _could_be_dates(block.max(keepdims=True)).all():  # decides nearly always
        return not block.any()
    return bool(_could_be_dates(block[block != 0]).all())


def _could_be_dates(times: np.ndarray) -> np.ndarray:
    whole = times.astype(np.int64)
    is_date = np.zeros(len(whole), bool)
    for of_a_day in _OF_A_DAY:
        date = whole // of_a_day
        month, day = date // 100 % 100, date % 100
        hour = whole % of_a_day // max(of_a_day // 100, 1)
        is_in_year = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31) & (hour < 24)
        is_date |= (date >= _FIRST_DATE) & (date <= _LAST_DATE) & is_in_year
    return is_date


def _shown(time: float) -> str:
    return str(int(time)) if time == int(time) else f"{time:.15g}"


def _write(date: str) -> str:
    """What to write instead of 20240610120000."""
    clock = ":".join(filter(None, (date[8:10], date[10:12], date[12:14])))
    clock = f" {clock}:00" if len(clock) == 2 else f" {clock}" if clock else ""
    return f"write {date[:4]}-{date[4:6]}-{date[6:8]}{clock}"
