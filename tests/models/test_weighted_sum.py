"""Scores are standardized for each user separately, over the items that can be ranked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from autoenc.models.weighted_sum import mean_and_spread, standardized


@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_mean_and_spread_are_those_of_what_is_not_liked(n_users, n_items, seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(-5, 3, (n_users, n_items)).astype(np.float32)
    liked = rng.random(scores.shape) < 0.3
    mean, spread = mean_and_spread(scores, sparse.csr_array(liked.astype(np.float32)))
    for user in range(n_users):
        ranked = scores[user, ~liked[user]].astype(np.float64)
        if len(ranked):
            assert mean[user] == pytest.approx(ranked.mean(), abs=1e-5)
            assert spread[user] == pytest.approx(ranked.std() if len(ranked) > 1 else spread[user], abs=1e-5)
            assert spread[user] > 0


def test_where_all_are_equal_the_spread_is_1():
    liked = sparse.csr_array(np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))
    scores = np.array([[7.0, 2.0, 2.0], [1.0, 2.0, 3.0]], np.float32)
    z = standardized(scores, liked)
    assert z.tolist()[0] == [5.0, 0.0, 0.0] and np.isfinite(z).all()
    assert z.dtype == np.float32 and scores[0, 0] == 7.0


def test_a_users_bits_do_not_depend_on_who_is_in_the_batch():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((33, 9001)).astype(np.float32)
    liked = sparse.csr_array((rng.random(scores.shape) < 0.01).astype(np.float32))
    together = standardized(scores, liked)
    for user in (0, 1, 17, 32):
        np.testing.assert_array_equal(standardized(scores[[user]], liked[[user]])[0], together[user])
