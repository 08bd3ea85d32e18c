"""Weights and half-lives: the confidence of likes in training and as input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from autoenc import ELSA, datasets, evaluate, load_model
from autoenc.evaluation.splits import holdout_by_time
from autoenc.interactions import Interactions, as_user_items, carrying
from autoenc.models import EASE, EDLAE, ItemKNN, Popular
from autoenc.models.weighting import DAY, confidences, weighted_input, weighted_pairs

CLOSED_FORMS = [EASE(l2=5.0), EDLAE(l2=3.0, dropout=0.4), ItemKNN(k=10, shrink=2.0), Popular()]
of_every_closed_form = pytest.mark.parametrize("model", CLOSED_FORMS, ids=lambda model: type(model).__name__)


def random_likes(n_users=40, n_items=12, seed=0):
    return as_user_items(np.random.default_rng(seed).random((n_users, n_items)) < 0.4)


def weighted_likes(seed=0):
    likes = random_likes(seed=seed)
    rng = np.random.default_rng(seed + 1)
    return carrying(likes, rng.integers(0, 400 * DAY, likes.nnz), rng.lognormal(0, 1, likes.nnz).astype(np.float32))


def new(model, **params):
    return type(model)(**model.get_params() | params)


@pytest.fixture(scope="module")
def timed():
    return holdout_by_time(datasets.load(times=True))


# Learning


@of_every_closed_form
@pytest.mark.parametrize("n_items", [12, 200], ids=["by items", "by users"])
def test_a_user_of_weight_3_is_three_users(model, n_items):
    likes = random_likes(30, n_items)
    times = np.arange(1, 31) % 3 + 1  # (n_users,)
    weighted = carrying(likes, weights=np.repeat(times, np.diff(likes.indptr)))
    repeated = likes[np.repeat(np.arange(30), times)]
    expected, found = new(model).fit(repeated).score(likes), new(model).fit(weighted).score(likes)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.abs(expected - new(model).fit(likes).score(likes)).max() > 1e-3


def test_ease_solves_the_weighted_least_squares():
    likes = weighted_likes()
    x = sparse.csr_array((np.sqrt(likes.weights.astype(float)), likes.indices, likes.indptr), likes.shape).toarray()
    weights = EASE(l2=7.0).fit(likes).item_weights_
    grad_weights = x.T @ (x @ weights - x) + 7.0 * weights
    np.fill_diagonal(grad_weights, 0)  # the diagonal is fixed
    assert np.abs(grad_weights).max() < 1e-5 < np.abs(x.T @ x).max() / 1e5


def test_the_cosine_of_weighted_columns():
    likes = weighted_likes()
    x = weighted_pairs(likes, None).toarray()
    lengths = np.linalg.norm(x, axis=0)
    cosine = x.T @ x / np.outer(lengths, lengths)
    np.fill_diagonal(cosine, 0)
    np.testing.assert_allclose(ItemKNN(k=12, shrink=0.0).fit(likes).nearest_.toarray(), cosine, rtol=1e-6)


def test_popularity_of_late():
    likes = Interactions.from_pairs([1, 2, 3, 4], [7, 7, 7, 8], times=np.array([0, 0, 90, 180]) * DAY)
    assert Popular(half_life=90).fit(likes).item_counts_ == pytest.approx([1, 1])  # 1/4 + 1/4 + 1/2, and 1
    assert Popular().fit(likes).item_counts_.tolist() == [3, 1]
    before_1970 = Interactions.from_pairs([1, 2], [7, 8], times=np.array([-200, -110]) * DAY)
    assert Popular(half_life=90).fit(before_1970).item_counts_ == pytest.approx([0.5, 1])
    weighted = Interactions.from_pairs([1, 2], [7, 8], weights=[0.5, 3])
    assert Popular().fit(weighted).item_counts_ == pytest.approx([0.5, 3.0])


@of_every_closed_form
@pytest.mark.parametrize("half_life", [0.5, 30, 1e6])
def test_a_half_life_is_weights(model, half_life):
    likes = weighted_likes()
    decayed = likes.weights * 2.0 ** -((likes.times.max() - likes.times) / DAY / half_life)
    expected = new(model).fit(carrying(likes, weights=np.maximum(decayed, 1e-30))).score(random_likes(seed=5))
    found = new(model, half_life=half_life).fit(likes).score(random_likes(seed=5))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@of_every_closed_form
@pytest.mark.parametrize("n_items", [12, 200], ids=["by items", "by users"])
def test_likes_without_weights_have_the_bits_of_weights_that_nobody_gave(model, n_items):
    """Times alone change nothing, and weights of 1 change results only by float64 rounding."""
    likes = random_likes(40, n_items)
    bare = sparse.csr_array((likes.data, likes.indices, likes.indptr), likes.shape)
    expected = new(model).fit(bare).score(bare)
    timed = carrying(likes, np.arange(likes.nnz))
    np.testing.assert_array_equal(new(model).fit(timed).score(timed), expected)
    of_ones = carrying(likes, weights=np.ones(likes.nnz))
    np.testing.assert_allclose(new(model).fit(of_ones).score(of_ones), expected, rtol=1e-5, atol=1e-6)


@of_every_closed_form
def test_decades_in_half_lives_of_a_day_are_finite(model):
    likes = Interactions.from_pairs([1, 1, 2, 2, 3, 3], [1, 2, 2, 3, 1, 3], times=np.arange(6) * 10_000 * DAY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = new(model, half_life=1, **({"shrink": 0.0} if isinstance(model, ItemKNN) else {})).fit(likes)
        assert np.isfinite(scores.score(likes)).all()


# Input


@given(data=st.data(), half_life=st.sampled_from([None, 1.0, 45.0]))
def test_a_users_input_is_of_the_length_of_ones_and_nobody_elses(data, half_life):
    likes = weighted_likes(data.draw(st.integers(0, 5)))
    rows = data.draw(st.lists(st.integers(0, 39), min_size=1, max_size=5))
    x = weighted_input(likes[rows], half_life)
    np.testing.assert_allclose((x**2).sum(axis=1), np.diff(x.indptr), rtol=1e-5)
    for place, row in enumerate(rows):
        alone = weighted_input(likes[[row]], half_life)
        np.testing.assert_array_equal(alone.data, x[[place]].data)
        counts = confidences(likes[[row]], half_life)
        order = np.argsort(counts)
        assert (np.diff(alone.data[order]) >= 0).all()


def test_recent_likes_count_more_where_they_have_times():
    likes = Interactions.from_pairs([1, 1, 2, 2] * 9, [1, 3, 2, 4] * 9, times=[0] * 36)
    model = EASE(l2=1.0, half_life=30).fit(likes)
    user = carrying(as_user_items([[0, 1]], 4), np.array([0, 300 * DAY]))
    np.testing.assert_allclose(model.score(user) / model.score(user).max(), [[0, 0, 2.0**-10, 1]], rtol=1e-4, atol=1e-7)
    assert model.recommend(user, N=1)[0].item() == 3
    np.testing.assert_allclose(*model.score(user.copy())[:, 2:].T, rtol=1e-6)  # without times both count 1


@pytest.mark.parametrize("model", CLOSED_FORMS[:3], ids=lambda model: type(model).__name__)
def test_contributions_add_up_to_the_score(model):
    likes = weighted_likes()
    fitted = new(model, half_life=50.0).fit(likes)
    items, contributions = fitted.explain(likes[[3]], 2)
    assert len(items) == likes[[3]].nnz and np.ptp(contributions) > 0
    np.testing.assert_allclose(contributions.sum(), fitted.score(likes[[3]])[0, 2], rtol=1e-5)


def test_evaluation_shows_a_model_the_times(timed):
    train, held_out = timed.train[:, :400], timed.held_out[:, :400]
    train = carrying(as_user_items(train), np.random.default_rng(0).integers(0, 900 * DAY, train.nnz))
    model = EASE(l2=100.0, half_life=30).fit(train)
    shown = [evaluate(model, likes, held_out, ks=[100])["ndcg@100"] for likes in (train, train.copy())]
    assert shown[0] != shown[1]


# Files, refusals, and models that weigh nothing


@of_every_closed_form
def test_a_file_keeps_the_half_life(model, tmp_path):
    likes = weighted_likes()
    fitted = new(model, half_life=50.0).fit(likes)
    fitted.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.half_life == 50.0
    np.testing.assert_array_equal(loaded.score(likes), fitted.score(likes))


@of_every_closed_form
@pytest.mark.parametrize("half_life", [0, -1, np.nan, np.inf, "90d", True])
def test_bad_half_lives(model, half_life):
    with pytest.raises(ValueError, match=r"half_life is .*; pass a number of days above 0, such as 90, or None"):
        new(model, half_life=half_life).fit([[0, 1], [1]])


@of_every_closed_form
def test_a_half_life_asks_for_times(model):
    with pytest.raises(ValueError, match="half_life is 90, but the likes have no times; pass likes with times"):
        new(model, half_life=90).fit([[0, 1], [1]])


def test_a_gram_matrix_is_of_one_half_life():
    likes = weighted_likes()
    prepared = EASE(half_life=50.0).precompute(likes)
    expected = EDLAE(l2=3.0, half_life=50.0).fit(likes).item_weights_
    np.testing.assert_array_equal(EDLAE(l2=3.0, half_life=50.0).fit(prepared).item_weights_, expected)
    with pytest.raises(
        ValueError, match=r"half_life is None, but the Gram matrix was computed with 50.0; call precompute"
    ):
        EASE().fit(prepared)


def test_a_model_that_counts_every_like_once_says_so():
    likes = weighted_likes()
    with pytest.warns(UserWarning, match="ELSA counts every like once, whatever its weight"):
        ELSA(emb_dim=4, epochs=1).fit(likes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ELSA(emb_dim=4, epochs=1).fit(carrying(likes, likes.times))
        EASE().fit(likes)
