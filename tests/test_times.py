"""The unit of times, decided from the whole column."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoenc import Interactions
from autoenc.times import seconds, units_per_second

UNITS = (1, 10**3, 10**6, 10**9)


def table(times):
    return {"user": list(range(len(times))), "item": list(range(len(times))), "when": times}


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_a_table_in_memory_may_have_any_unit(units, dtype):
    times = [1_717_992_000, 1_726_506_000, 0]
    likes = Interactions.from_table(table(np.array(times, dtype) * units), time="when")
    assert likes.times.tolist() == times


@pytest.mark.parametrize("times", [[0, 1, 2], [45_000, 45_453], [1999, 2024], [10, 20], [-1, 1], [7], [0, 0]])
def test_small_times_are_refused_in_files_alone(times):
    assert Interactions.from_table(table(times), time="when").times.tolist() == times
    if min(times) > 1000:
        with pytest.raises(ValueError, match="would all be in January 1970 if they were seconds"):
            seconds(np.array(times), is_file=True)
    else:
        assert seconds(np.array(times), is_file=True).tolist() == times


@pytest.mark.parametrize(
    ("times", "sentence"),
    [
        ([1_717_992_000, 1_726_506_000_000], "the time 1717992000 seems to be in seconds since 1970 and"),
        ([1_717_992_000, 253_402_300_799], "the time 253402300799 in milliseconds; write all times in one unit"),
        ([20240610, 20231231], "the time 20240610 is not a number of seconds but a date; write 2024-06-10"),
        ([202406101200], "write 2024-06-10 12:00"),
        ([20240610120000123], "write 2024-06-10 12:00:00"),
        (np.array([2**64 - 1], np.uint64), r"the time 18446744073709551615 is not a number below 2\*\*63"),
    ],
)
def test_what_a_table_in_memory_is_refused_for(times, sentence):
    with pytest.raises(ValueError, match=f"^column 'when': .*{sentence}.*"):
        Interactions.from_table(table(times), time="when")


@pytest.mark.parametrize(
    ("times", "year"),
    [
        ([638412192000000000, 638413920000000000], 1990),  # .NET's ticks since the year 1
        ([133_500_000_000_000_000], 1974),  # of Windows, since 1601
        ([13_348_800_000_000_000], 2393),  # of WebKit, since 1601
    ],
)
def test_times_of_other_systems_are_refused_in_files(times, year):
    with pytest.raises(ValueError, match=f"since 1970, which would be in {year}; write times like 2024-01-31"):
        seconds(np.array(times), is_file=True)


@given(st.lists(st.integers(1_000_000_000, 1_899_999_999), min_size=1), st.sampled_from(UNITS), st.data())
def test_every_time_of_our_days_is_read_in_every_unit(times, units, data):
    """Also if some are 0, and whatever the parts in which a column comes."""
    times = np.array(times + data.draw(st.lists(st.just(0))))
    assert seconds(times * units, is_file=True).tolist() == times.tolist()
    cut = data.draw(st.integers(0, len(times)))
    assert units_per_second([times[:cut] * units, times[cut:] * units], is_file=True) == units
    if len(set(times.tolist()) - {0}) > 1 and units > 1:
        mixed = times.copy()
        mixed[int(times.argmax())] *= units
        with pytest.raises(ValueError, match="write all times in one unit"):
            seconds(mixed, is_file=False)


def test_a_column_without_times_has_none():
    assert seconds(np.array([], np.int64), is_file=True).tolist() == []
