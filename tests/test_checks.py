"""Numbers and names are checked in one sentence, which tells what was given."""

from __future__ import annotations

import numpy as np
import pytest

from autoenc.checks import is_finite, metric_at_k, number, whole_number


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
