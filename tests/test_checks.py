"""Errors of the checks of numbers and names are one sentence with the value passed."""

from __future__ import annotations

import numpy as np
import pytest

from autoenc.checks import days, is_finite, metric_at_k, moment, number, whole_number


def test_a_whole_number_is_an_int():
    number = whole_number("n", np.int64(3), 1, 3)
    assert (number, type(number)) == (3, int)


@pytest.mark.parametrize(
    ("value", "error", "sentence"),
    [
        (0, ValueError, "n must be 1 or more, got 0"),
        (10, ValueError, "n must be 9 or less, got 10"),
        (2.0, TypeError, "n must be a whole number, got 2.0"),
        ("2", TypeError, "n must be a whole number, got '2'"),
    ],
)
def test_another_number_is_refused(value, error, sentence):
    with pytest.raises(error) as caught:
        whole_number("n", value, 1, 9)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("value", [10**400, -(10**400), float("inf"), float("nan")])
def test_a_number_beyond_floats_is_refused(value):
    with pytest.raises(ValueError, match=r"^x must be a finite number, got "):
        number("x", value)


@pytest.mark.parametrize(
    ("values", "finite"),
    [([], True), ([1, -2], True), ([1, np.inf], False), ([-np.inf, 1], False), ([np.nan, 1], False)],
)
def test_finite_arrays(values, finite):
    assert is_finite(np.array(values, np.float32)) is finite


def test_a_metric_with_its_k():
    assert metric_at_k("metric", "ndcg@100", ["precision", "ndcg"]) == ("ndcg", 100)


@pytest.mark.parametrize("value", ["ndcg", "ndcg@", "ndcg@0", "ndcg@-1", "ndcg@1.5", "@5", "mrr@5", 5, None])
def test_another_name_is_refused(value):
    with pytest.raises(ValueError) as caught:
        metric_at_k("--metric", value, ["precision", "ndcg"])
    assert str(caught.value) == f"--metric is {value!r}; pass one of precision, ndcg with its k, such as 'ndcg@100'."


@pytest.mark.parametrize(
    ("text", "expected"), [("36h", 1.5), ("90d", 90), (" 8w ", 56), ("1.5y", 547.875), ("0.5d", 0.5)]
)
def test_a_duration_is_days(text, expected):
    assert days("--half-life", text) == expected


@pytest.mark.parametrize("text", ["", "90", "0d", "-3d", "3 months", "3m", "d", "1e3d", "٣d", "inf d"])
def test_no_duration(text):
    with pytest.raises(ValueError) as caught:
        days("--half-life", text)
    way_out = "give a duration above 0 in hours, days, weeks or years, such as 90d."
    assert str(caught.value) == f"--half-life is {text!r}; {way_out}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-02", 86_400),
        ("1970-01-02T01:30:00.9", 91_800),
        ("1970-01-02 03:00+03:00", 86_400),
        ("1970-01-02T00:00:00Z", 86_400),
        ("1969-12-31T23:59:59.5", -1),
        ("2d", 27_200),
        ("12h", 156_800),
    ],
)
def test_a_moment_is_seconds(text, expected):
    assert moment("--since", text, latest=200_000) == expected


@pytest.mark.parametrize("text", ["", "soon", "2015-13-01", "31.01.2015", "0d", "2015"])
def test_no_moment(text):
    with pytest.raises(ValueError, match=r"^--since is .*; give a d(ate|uration)"):
        moment("--since", text)
