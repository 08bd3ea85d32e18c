"""ELSA without the users x items matrix equals ELSA with it, and its gradient is that of the loss."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from autoenc.evaluation.evaluate import evaluate
from autoenc.gradcheck import gradient_check
from autoenc.models import ELSA, Popular, elsa, load_model
from autoenc.networks.elsa import CosineOfProduct, initial_weight
from autoenc.optim import Adam
from autoenc.training.minibatches import minibatches


def likes_and_weight(rng, dtype=np.float64):
    """Likes with shared items, an item that nobody likes, and a user with a single like."""
    likes = rng.random((7, 9)) < 0.4
    likes[:3, 0] = True
    likes[:, 4] = False
    likes[likes.sum(axis=1) == 0, 3] = True
    likes[5] = np.arange(9) == 2
    return sparse.csr_array(likes.astype(dtype)), rng.standard_normal((9, 4)).astype(dtype)


def dense_loss(user_items, weight):
    """The loss as the paper writes it."""
    x = user_items.toarray()
    a = weight / np.linalg.norm(weight, axis=1, keepdims=True)
    y = x @ a @ a.T - x
    difference = y / np.linalg.norm(y, axis=1, keepdims=True) - x / np.linalg.norm(x, axis=1, keepdims=True)
    return (difference**2).sum() / len(x)


def gradient(layer, blocks):
    layer.backward_sums()
    return np.concatenate([layer.backward_rows(block) for block in blocks])


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_the_papers(seed):
    user_items, weight = likes_and_weight(np.random.default_rng(seed))
    assert CosineOfProduct(weight).forward(user_items) == pytest.approx(dense_loss(user_items, weight), rel=1e-12)


@pytest.mark.parametrize("blocks", [[slice(0, 9)], [slice(0, 4), slice(4, 8), slice(8, 9)]])
def test_the_gradient_is_the_losss(blocks):
    user_items, weight = likes_and_weight(np.random.default_rng(0))
    layer = CosineOfProduct(weight)
    layer.forward(user_items)
    grads = {"weight": gradient(layer, blocks)}
    [check] = gradient_check(lambda: layer.forward(user_items), layer.params, grads)
    assert check.passed, check


def test_no_gradient_makes_a_row_longer():
    user_items, weight = likes_and_weight(np.random.default_rng(1))
    layer = CosineOfProduct(weight)
    layer.forward(user_items)
    grad_weight = gradient(layer, [slice(0, 9)])
    assert np.abs((grad_weight * weight).sum(axis=1)).max() < 1e-15 < np.abs(grad_weight).min()


def test_a_user_like_no_other_does_not_divide_by_zero():
    weight = np.eye(3, dtype=np.float32)
    layer = CosineOfProduct(weight)
    loss = layer.forward(sparse.csr_array(np.eye(3, dtype=np.float32)))
    assert loss == pytest.approx(2)
    assert np.isfinite(gradient(layer, [slice(0, 3)])).all()


def test_training_is_adam_on_the_loss(split, monkeypatch):
    """Two steps by hand: the batches of the shuffle, one optimizer for all items, and a cosine schedule."""
    train = split[0][:40, :50]
    train = train[np.diff(train.indptr) > 0]
    model = ELSA(emb_dim=3, epochs=1, batch_size=len_of_half(train), lr=0.1, schedule="cosine", random_state=4).fit(
        train
    )

    weight = initial_weight(50, 3, 4)
    layer, adam = CosineOfProduct(weight), Adam({"weight": weight})
    losses = []
    for step, users in enumerate(minibatches(np.arange(train.shape[0]), len_of_half(train), 4, 0)):
        losses.append(layer.forward(train[users]) * len(users))
        adam.lr = 0.1 * [1, 0.5][step]
        adam.step({"weight": gradient(layer, [slice(0, 50)])})
    np.testing.assert_allclose(model.item_embeddings_, layer.item_embeddings()[0], rtol=1e-4, atol=1e-6)
    assert model.history_ == [{"epoch": 1, "loss": pytest.approx(sum(losses) / train.shape[0]), "lr": 0.05}]

    monkeypatch.setattr(elsa, "BLOCK", 7)
    in_blocks = ELSA(**model.get_params()).fit(train)
    np.testing.assert_allclose(in_blocks.item_embeddings_, model.item_embeddings_, rtol=1e-4, atol=1e-6)


def len_of_half(train):
    return (train.shape[0] + 1) // 2


def test_scores_are_the_products_without_the_diagonal(split):
    train = split[0][:, :60]
    model = ELSA(emb_dim=5, epochs=2).fit(train)
    embeddings = model.item_embeddings_
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-6)
    products = embeddings @ embeddings.T - np.eye(60, dtype=np.float32)
    np.testing.assert_allclose(model.score(train[:9]), train[:9] @ products, rtol=1e-4, atol=1e-5)


def test_users_without_likes_change_nothing(split):
    train = split[0][:40, :50]
    train = train[np.diff(train.indptr) > 0]
    nobody = sparse.csr_array((3, 50), dtype=np.float32)
    expected = ELSA(emb_dim=4, epochs=2, batch_size=8).fit(train).item_embeddings_
    with_nobody = ELSA(emb_dim=4, epochs=2, batch_size=8).fit(sparse.vstack([train, nobody]))
    np.testing.assert_array_equal(with_nobody.item_embeddings_, expected)


def test_it_learns_more_than_what_is_popular(split):
    train, held_out = (likes[:, ::4] for likes in split)
    model = ELSA(emb_dim=64).fit(train)
    assert len(model.history_) == 40  # 3 steps each: 120
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]
    [ours], [popular] = ([evaluate(m, train, held_out, ks=[100])["ndcg@100"]] for m in (model, Popular().fit(train)))
    assert ours > 1.25 * popular


def test_it_saves_and_loads(tmp_path, split):
    model = ELSA(emb_dim=4, epochs=1).fit(split[0][:, :60])
    model.save(tmp_path / "elsa.safetensors")
    again = load_model(tmp_path / "elsa.safetensors")
    assert repr(again) == repr(model) == "ELSA(emb_dim=4, epochs=1)"
    np.testing.assert_array_equal(again.score([[0, 5]]), model.score([[0, 5]]))
    with pytest.raises(ValueError, match="item_embeddings must be a float32 array with one row per item"):
        ELSA()._set_arrays({"item_embeddings": np.zeros((3, 2))})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"emb_dim": 0}, "emb_dim must be 1 or more, got 0"),
        ({"epochs": 2.5}, r"epochs must be a whole number, got 2\.5"),
        ({"batch_size": None}, "batch_size must be a whole number, got None"),
        ({"lr": 0.0}, r"lr is 0\.0; pass a number above 0"),
        ({"lr": np.nan}, "lr is nan; pass a number above 0"),
        ({"lr": "a"}, "lr is 'a'; pass a number above 0"),
        ({"schedule": "linear"}, "schedule is 'linear'; pass one of constant, cosine"),
    ],
)
def test_it_refuses(params, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ELSA(**params).fit([[0, 1], [1]])


def test_it_refuses_likes_that_are_none():
    with pytest.raises(ValueError, match="user_items holds no likes, so there is nothing to learn from"):
        ELSA().fit(sparse.csr_array((3, 4), dtype=np.float32))


def test_it_says_when_it_diverges():
    with (
        np.errstate(all="ignore"),
        pytest.raises(FloatingPointError, match=r"weight became infinite or NaN in epoch 1; train with a lower lr"),
    ):
        ELSA(emb_dim=2, lr=1e300, epochs=3).fit([[0, 1], [1, 2]])
