"""IALS minimizes the loss in its docstring, and a user's vector is the closed-form solution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from autoenc.evaluation.evaluate import evaluate
from autoenc.interactions import as_user_items, carrying
from autoenc.machine import compute_threads
from autoenc.models import IALS, Popular, least_squares, load_model
from autoenc.models.weighting import DAY


def weighted_likes(rng):
    """A user without likes, some with few, and one with more than the vectors of the tests have numbers."""
    liked = rng.random((7, 12)) < 0.3
    liked[0], liked[1] = False, True
    return sparse.csr_array(np.where(liked, rng.uniform(0.5, 2, liked.shape), 0))


def loss_of(user, x, likes, vectors, unobserved_weight, ridge):
    """The problem of a user, as least_squares.py states it."""
    weights = likes[[user]].toarray()[0]
    scores = vectors @ x
    return (weights * (scores - 1) ** 2).sum() + unobserved_weight * (scores**2).sum() + ridge[user] * x @ x


def in_principal_axes(rng, n_items, dim):
    vectors = rng.standard_normal((n_items, dim))
    eigenvalues, axes = least_squares.principal_axes(least_squares.gram(vectors))
    least_squares.rotate(vectors, axes)
    return vectors, eigenvalues


@pytest.mark.parametrize("block", [4, 9])
def test_a_solution_minimizes_its_problem(block):
    rng = np.random.default_rng(0)
    likes, ridge = weighted_likes(rng), rng.uniform(0.5, 2, 7)
    vectors, eigenvalues = in_principal_axes(rng, 12, 4)
    users = rng.standard_normal((7, 4))
    least_squares.solve_rows(likes, vectors, 0.3 * eigenvalues, ridge, users, block)
    for user, x in enumerate(users):
        least = loss_of(user, x, likes, vectors, 0.3, ridge)
        for k in range(4):  # the loss is a parabola along each factor, whose slope is this difference
            step = np.eye(4)[k]
            up, down = (loss_of(user, x + sign * step, likes, vectors, 0.3, ridge) for sign in (1, -1))
            assert abs(up - down) < 1e-10 * up and up > least


def test_rounds_of_blocks_come_down_to_the_solution():
    rng = np.random.default_rng(1)
    likes, ridge = weighted_likes(rng), np.ones(7)
    vectors, eigenvalues = in_principal_axes(rng, 12, 4)
    exact, users = np.zeros((7, 4)), np.zeros((7, 4))
    least_squares.solve_rows(likes, vectors, 0.3 * eigenvalues, ridge, exact, 4)
    losses = []
    for _ in range(60):
        losses.append(loss_of(1, users[1], likes, vectors, 0.3, ridge))
        least_squares.solve_rows(likes, vectors, 0.3 * eigenvalues, ridge, users, 3)
    np.testing.assert_allclose(users, exact, rtol=0, atol=1e-8)
    assert (np.diff(losses) <= 1e-12 * losses[0]).all() and losses[0] > losses[1] > losses[2]


def test_principal_axes_are_those_of_the_gram_matrix():
    vectors, eigenvalues = in_principal_axes(np.random.default_rng(2), 12, 4)
    np.testing.assert_allclose(least_squares.gram(vectors), np.diag(eigenvalues), rtol=0, atol=1e-12)


def loss(model, likes):
    """The whole loss, at the best users for the model's items."""
    users, items = model.user_embedding(likes).astype(np.float64), model.item_embeddings_.astype(np.float64)
    scores, liked = users @ items.T, likes.toarray() > 0
    n_users, n_items = likes.shape
    of_users = (liked.sum(axis=1) + model.unobserved_weight * n_items) ** model.l2_exponent
    of_items = (liked.sum(axis=0) + model.unobserved_weight * n_users) ** model.l2_exponent
    penalty = of_users @ (users**2).sum(axis=1) + of_items @ (items**2).sum(axis=1)
    return ((scores[liked] - 1) ** 2).sum() + model.unobserved_weight * (scores**2).sum() + model.l2 * penalty


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_each_epoch_lowers_the_loss(split, exponent):
    likes = split[0][:150, :200]
    params = {"emb_dim": 6, "l2": 2.0 if exponent == 0 else 0.1, "unobserved_weight": 0.1, "l2_exponent": exponent}
    losses = [loss(IALS(**params, epochs=epochs).fit(likes), likes) for epochs in (1, 2, 3, 5, 9)]
    assert losses == sorted(losses, reverse=True) and losses[1] < 0.99 * losses[0]


@pytest.mark.parametrize("emb_dim", [6, 80])
def test_both_backends_come_to_the_same(split, emb_dim):
    """With users and items that have more likes than a vector has numbers, and without."""
    likes = split[0][:100, :150]
    ours, definition = (
        IALS(emb_dim=emb_dim, epochs=3, backend=backend).fit(likes).score(likes) for backend in ("numba", "numpy")
    )
    np.testing.assert_allclose(ours, definition, rtol=0, atol=2e-3)


def test_users_are_the_closed_form_in_any_axes(split):
    likes = split[0][:, :150]
    model = IALS(emb_dim=12, epochs=2, l2=3.0, unobserved_weight=0.1).fit(likes)
    items = model.item_embeddings_.astype(np.float64)
    gram = items.T @ items
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), rtol=0, atol=1e-4 * gram.max())
    n_likes = np.diff(likes.indptr)
    for user in (int(n_likes.argmax()), int(n_likes.argmin())):
        liked = items[likes[[user]].indices]
        expected = np.linalg.solve(0.1 * gram + 3 * np.eye(12) + liked.T @ liked, liked.sum(axis=0))
        np.testing.assert_allclose(model.user_embedding(likes[[user]])[0], expected, rtol=0, atol=1e-4)


def test_scores_are_products_of_the_embeddings(split):
    likes = split[0][:, :150]
    model = IALS(emb_dim=12, epochs=2).fit(likes)
    products = model.user_embedding(likes[:9]) @ model.item_embeddings_.T
    np.testing.assert_allclose(model.score(likes[:9]), products, rtol=0, atol=1e-5)


def weighted(likes, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.lognormal(0, 1, likes.nnz).astype(np.float32)
    return carrying(likes, rng.integers(0, 400 * DAY, likes.nnz), weights)


def test_an_epoch_is_two_closed_forms_of_weighted_errors(split):
    likes = weighted(as_user_items(split[0][:60, :40]))
    model = IALS(emb_dim=70, epochs=1, unobserved_weight=0.1, l2=2.0, random_state=5).fit(likes)

    def solved(weights, others):
        """Every row of a dense matrix of weights, 0 where there is no like."""
        fixed = 0.1 * others.T @ others + 2 * np.eye(70)
        return np.array([np.linalg.solve(fixed + (others.T * c) @ others, c @ others) for c in weights])

    dense = sparse.csr_array((likes.weights, likes.indices, likes.indptr), likes.shape).toarray().astype(np.float64)
    start = np.random.default_rng(5).standard_normal((40, 70), np.float32) * 0.1 / 70**0.5
    items = solved(dense.T, solved(dense, start))
    embeddings = model.item_embeddings_
    np.testing.assert_allclose(embeddings @ embeddings.T, items @ items.T, rtol=0, atol=1e-4)  # in whichever axes


def test_a_half_life_is_weights(split):
    likes = weighted(as_user_items(split[0][:60, :40]))
    decayed = likes.weights * 2.0 ** -((likes.times.max() - likes.times) / DAY / 30)
    expected = IALS(emb_dim=3, epochs=2).fit(carrying(likes, weights=decayed))
    found = IALS(emb_dim=3, epochs=2, half_life=30).fit(likes)
    np.testing.assert_allclose(found.item_embeddings_, expected.item_embeddings_, rtol=0, atol=1e-5)


def test_times_and_weights_of_who_asks(split):
    likes = as_user_items(split[0][:60, :40])
    model = IALS(emb_dim=3, epochs=2, half_life=30).fit(weighted(likes))
    timed, bare = weighted(likes, seed=1), model.user_embedding(likes)
    assert np.abs(model.user_embedding(timed) - bare).max() > 0.01
    alike = carrying(likes, np.full(likes.nnz, 7), np.full(likes.nnz, 3.0))  # against each other they weigh the same
    np.testing.assert_allclose(model.user_embedding(alike), bare, rtol=0, atol=1e-5)


def test_other_hyperparameters_for_the_next_fit_leave_this_one_alone(split):
    likes = split[0][:, :60]
    model = IALS(emb_dim=4, epochs=2).fit(likes)
    before = model.score(likes)
    model.set_params(emb_dim=9, l2=100.0, unobserved_weight=1.0, l2_exponent=1.0)
    np.testing.assert_array_equal(model.score(likes), before)


def test_the_threads_are_those_asked_for(split, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "autoenc.models.ials.compute_threads", lambda threads: asked.append(threads) or compute_threads()
    )
    IALS(emb_dim=4, epochs=1, threads=1).fit(split[0][:, :60]).score([[0]])
    assert asked == [1, 1]


def test_it_learns_more_than_what_is_popular(split):
    train, held_out = split
    [ours], [popular] = (
        [evaluate(m, train, held_out, ks=[100])["ndcg@100"]]
        for m in (IALS(emb_dim=64).fit(train), Popular().fit(train))
    )
    assert ours > 1.5 * popular


def test_it_saves_and_loads(tmp_path, split):
    model = IALS(emb_dim=4, epochs=1, threads=1).fit(split[0][:, :60])
    model.save(tmp_path / "ials.safetensors")
    again = load_model(tmp_path / "ials.safetensors")
    assert repr(again) == "IALS(emb_dim=4, epochs=1)"
    np.testing.assert_array_equal(again.score([[0, 5]]), model.score([[0, 5]]))
    with pytest.raises(ValueError, match="item_embeddings must be a float32 array with one row per item"):
        IALS()._set_arrays({"item_embeddings": np.zeros((3, 2))})
    with pytest.raises(ValueError, match="item_embeddings has 2 columns, but emb_dim is 512"):
        IALS()._set_arrays({"item_embeddings": np.zeros((3, 2), np.float32)})


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, where numbers overflow
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"emb_dim": 0}, "emb_dim must be 1 or more, got 0"),
        ({"epochs": 2.5}, r"epochs must be a whole number, got 2\.5"),
        ({"l2": 0.0}, r"l2 is 0\.0; pass a number above 0"),
        ({"l2": "a"}, "l2 must be a number, got 'a'"),
        ({"unobserved_weight": -1}, "unobserved_weight is -1; pass a number above 0"),
        ({"unobserved_weight": np.nan}, "unobserved_weight must be a finite number, got nan"),
        ({"l2_exponent": 2.0}, r"l2_exponent is 2\.0; pass a number from 0 to 1"),
        ({"backend": "cuda"}, "backend is 'cuda'; pass one of numba, numpy"),
        ({"threads": 0}, "threads must be from 1 to"),
        (
            {"l2": 1e-300, "unobserved_weight": 1e-300},
            "with l2 1e-300 and unobserved_weight 1e-300 the vectors become infinite or NaN",
        ),
    ],
)
def test_it_refuses(params, message):
    with pytest.raises((TypeError, ValueError), match=message):
        IALS(**params).fit([[0, 1], [1]])
