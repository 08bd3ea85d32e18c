"""Random tables in random layouts are read back as written, or refused, but never read as other likes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoenc.datasets import ReadOptions, read
from tests.helpers.layouts import Written, files, guessed

quiet = settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
long = settings(quiet, max_examples=3_000)


def read_back(written: Written, folder, taken: list) -> None:
    path = folder / "likes"
    path.write_bytes(written.content)
    try:
        found = read(path, options=ReadOptions(**written.options), times=written.times is not None)
    except ValueError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
        taken.append(False)
        return
    taken.append(True)
    assert list(zip(found.users.tolist(), found.items.tolist())) == written.pairs, written.layout
    if written.times is not None and found.timestamps is not None:
        assert found.timestamps.tolist() == written.times


def fuzz(written: st.SearchStrategy[Written], profile, folder) -> float:
    """The share of files that are taken."""
    taken: list[bool] = []

    @profile
    @given(written)
    def test(written):
        read_back(written, folder, taken)

    test()
    return sum(taken) / len(taken)


@pytest.mark.parametrize(("written", "least"), [(files(), 0.4), (guessed(), 0.3)], ids=["files", "guessed"])
def test_what_is_written_is_read_or_refused(written, least, tmp_path):
    assert fuzz(written, quiet, tmp_path) > least


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("written", [files(), guessed()], ids=["files", "guessed"])
def test_of_many_files_what_is_written_is_read_or_refused(written, tmp_path):
    fuzz(written, long, tmp_path)
