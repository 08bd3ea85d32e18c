"""EDLAE's weights minimize the loss in its docstring, an expectation over all masks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import sparse

from autoenc.models import EASE, EDLAE, load_model


def expected_loss(weights, x, dropout):
    """E[(1 - m) * (x - (x * m) @ weights)**2] over the masks of one user at a time, each counted by its probability."""
    total = 0.0
    for mask in itertools.product([0.0, 1.0], repeat=x.shape[1]):
        keeps = np.array(mask)
        probability = np.prod(np.where(keeps == 1, 1 - dropout, dropout))
        total += probability * ((1 - keeps) * (x - (x * keeps) @ weights) ** 2).sum()
    return total


def test_weights_minimize_the_expectation_over_all_masks():
    x = (np.random.default_rng(0).random((12, 5)) < 0.5).astype(np.float64)
    dropout, l2 = 0.3, 0.7
    weights = EDLAE(l2=l2, dropout=dropout).fit(sparse.csr_array(x)).item_weights_.astype(np.float64)
    assert (weights.diagonal() == 0).all()

    def loss(b):
        # Of the errors of an item a share of `dropout` counts; l2 is measured against all of them.
        return expected_loss(b / (1 - dropout), x, dropout) / dropout + l2 * (b * b).sum()

    for i, j in itertools.permutations(range(5), 2):
        step = np.zeros((5, 5))
        step[i, j] = 1e-4
        slope = (loss(weights + step) - loss(weights - step)) / 2e-4
        curvature = (loss(weights + step) + loss(weights - step) - 2 * loss(weights)) / 1e-8
        assert abs(slope) < 1e-5 and curvature > 0
    np.fill_diagonal(weights, 5.0)
    assert loss(weights) - l2 * 5 * 25 == pytest.approx(loss(weights - 5 * np.eye(5)), rel=1e-9)


def test_weights_solve_the_penalized_least_squares(split):
    train = split[0][:, :200]
    x = train.toarray().astype(np.float64)
    weights = EDLAE(l2=7.0, dropout=0.4).fit(train).item_weights_
    grad_weights = x.T @ (x @ weights - x) + (0.4 / 0.6 * x.sum(axis=0) + 7.0)[:, None] * weights
    np.fill_diagonal(grad_weights, 0)  # the diagonal is fixed
    assert np.abs(grad_weights).max() < 1e-4 < np.abs(x.T @ x).max() / 1e5


def test_without_dropout_it_is_ease(split):
    train = split[0][:, :300]
    np.testing.assert_array_equal(
        EDLAE(l2=50.0, dropout=0.0).fit(train).item_weights_, EASE(l2=50.0).fit(train).item_weights_
    )


@pytest.mark.parametrize("dropout", [-0.1, 1.0, np.nan, "a"])
def test_it_refuses_a_dropout_that_is_none(dropout):
    with pytest.raises(ValueError, match=f"dropout is {dropout!r}; pass the fraction of likes to drop"):
        EDLAE(dropout=dropout).fit([[0, 1]])


def test_it_refuses_what_ease_refuses():
    with pytest.raises(ValueError, match=r"l2 is -1\.0; pass a number above 0"):
        EDLAE(l2=-1.0).fit([[0, 1]])
    with pytest.raises(ValueError, match="l2 is 1e-30, which is lost to rounding with these likes; pass more than"):
        EDLAE(l2=1e-30).fit([[0, 1], [0, 1]])
    with pytest.raises(ValueError, match="EDLAE on 3 items needs 108 bytes, but max_memory is 107; raise max_memory"):
        EDLAE(max_memory=107).fit([[0, 1, 2], [0, 1]])


def test_it_saves_and_loads(tmp_path, split):
    train = split[0][:, :100]
    model = EDLAE(l2=20.0, dropout=0.25).fit(train)
    model.save(tmp_path / "edlae.safetensors")
    again = load_model(tmp_path / "edlae.safetensors")
    assert repr(again) == repr(model) == "EDLAE(l2=20.0, dropout=0.25)"
    np.testing.assert_array_equal(again.score(train[:9]), model.score(train[:9]))
