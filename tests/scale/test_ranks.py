"""The message of a rank that fails alone, and the job's exit code."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from autoenc.scale import ranks


@pytest.mark.parametrize(
    ("error", "code", "told", "has_traceback"),
    [
        (ValueError("a\x1b[2J"), 2, "a\\x1b[2J", False),
        (OverflowError("too large"), 2, "too large", False),
        (
            MemoryError(),
            1,
            "not enough memory (none is left); use less data or a smaller model, or free some memory",
            False,
        ),
        (KeyboardInterrupt(), 130, "KeyboardInterrupt", False),
        (ZeroDivisionError("division by zero"), 1, "division by zero", True),
    ],
)
def test_a_rank_that_fails_says_what_the_command_line_says(monkeypatch, error, code, told, has_traceback):
    monkeypatch.setattr(ranks.time, "sleep", lambda seconds: None)
    rank, codes, stderr = ranks.Ranks.__new__(ranks.Ranks), [], io.StringIO()
    rank.rank, rank.size, rank.world = 1, 2, SimpleNamespace(Abort=codes.append)
    try:
        raise error
    except BaseException as raised:
        rank._end_the_job("the job", raised, stderr)
    assert codes == [code]
    assert stderr.getvalue().splitlines()[-1] == f"the job: rank 1 of 2 ended the job: {told}"
    assert ("Traceback" in stderr.getvalue()) is has_traceback
