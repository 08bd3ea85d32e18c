"""The blocked inverse equals LAPACK's, with the same bits on any number of threads, and keeps the other triangle."""

from __future__ import annotations

import numpy as np
import pytest

from autoenc.models import inverse
from autoenc.models.inverse import invert


def symmetric(n, dtype=np.float64):
    x = np.random.default_rng(n).standard_normal((2 * n, n))
    return (x.T @ x + np.eye(n)).astype(dtype)


@pytest.mark.parametrize(("dtype", "within"), [(np.float64, 1e-13), (np.float32, 1e-4)])
@pytest.mark.parametrize("n", [1, 6, 7, 8, 40, 41])
def test_it_is_the_inverse(monkeypatch, n, dtype, within):
    monkeypatch.setattr(inverse, "BLOCK", 7)
    square = symmetric(n, dtype)
    expected = np.linalg.inv(square.astype(np.float64))
    lower = np.tril_indices(n, -1)
    square[lower] = np.arange(len(lower[0]))  # anything
    invert(square)
    assert np.abs(np.triu(square) - np.triu(expected)).max() < within * np.abs(expected).max()
    assert (square[lower] == np.arange(len(lower[0]))).all()


def test_the_number_of_threads_does_not_change_the_bits(monkeypatch):
    monkeypatch.setattr(inverse, "BLOCK", 64)
    inverses = []
    for threads in (1, 3):
        monkeypatch.setattr(inverse, "threads_to_use", lambda threads=threads: threads)
        square = symmetric(300)
        invert(square)
        inverses.append(square)
    np.testing.assert_array_equal(*inverses)


def test_what_has_no_inverse_is_refused():
    with pytest.raises(ValueError, match="the matrix is singular within rounding; pass a larger penalty"):
        invert(np.ones((3, 3)))
