"""The network against the task's text: its initialization, its equations written densely, and that it learns."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from scipy import sparse

from autoenc.gradcheck import check_layer
from autoenc.layers import Multinomial, SigmoidBCE, WeightedBCE
from autoenc.layers.dropout import draw_mask
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.optim import Adam
from autoenc.training.plain import train_step

KEY = (3, 1, 4)


def a_network(dropout=0.5, dtype=np.float64):
    """A network of 30 items and a batch of 12 users, away from the initialization, whose zeros and ones hide much."""
    rng = np.random.default_rng(0)
    state = initial_state(30, emb_dim=8, hidden_dim=5, bias_offset=-2.0, dtype=dtype)
    for array in state.values():
        array += rng.uniform(0, 0.5, array.shape)
    likes = sparse.csr_array((rng.random((12, 30)) < 0.2).astype(dtype))
    return AutoEncoderNetwork(state, dropout), likes


# The task's pseudocode, densely. Only batchnorm and dropout are not spelled out there.


def task_scores(state, x, batchnorm, dropout):
    h1 = x @ state["embedding.weight"]
    h1 = dropout(batchnorm(relu(h1), "batchnorm1"), 1)

    h2 = h1 @ state["bottleneck.weight"].T + state["bottleneck.bias"]
    h2 = dropout(batchnorm(relu(h2), "batchnorm2"), 2)

    h3 = h2 @ state["output.weight"].T + state["output.bias"]
    return 1 / (1 + np.exp(-h3))


def relu(x):
    return np.where(x > 0, x, 0)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_forward_is_the_tasks_pseudocode(dropout):
    network, user_items = a_network(dropout)
    state, x = {name: array.copy() for name, array in network.state.items()}, user_items.toarray()

    def in_training(h, name):
        h_hat = (h - h.mean(axis=0)) / np.sqrt(h.var(axis=0) + 1e-5)
        return state[f"{name}.weight"] * h_hat + state[f"{name}.bias"]

    def masked(h, layer):
        threshold = round((1 - dropout) * 65536)
        return h * draw_mask(h.shape, threshold, (*KEY, layer)) * 65536 / threshold

    h = task_scores(state, x, in_training, masked)
    loss = -1 * np.sum(x * np.log(h) + (1 - x) * np.log(1 - h))
    assert network.forward(user_items, KEY) == pytest.approx(loss, rel=1e-13)


def test_score_is_the_same_in_evaluation():
    network, user_items = a_network()
    state, x = network.state, user_items.toarray()

    def in_evaluation(h, name):
        h_hat = (h - state[f"{name}.running_mean"]) / np.sqrt(state[f"{name}.running_var"] + 1e-5)
        return state[f"{name}.weight"] * h_hat + state[f"{name}.bias"]

    scores = network.score(user_items)
    np.testing.assert_allclose(
        1 / (1 + np.exp(-scores)), task_scores(state, x, in_evaluation, lambda h, layer: h), rtol=1e-12
    )


def test_score_changes_nothing_and_keeps_nothing():
    network, user_items = a_network()
    before = {name: array.copy() for name, array in network.state.items()}
    scores = network.score(user_items)
    for name, array in network.state.items():
        np.testing.assert_array_equal(array, before[name])
    assert {layer.kept for layer in network.layers.values()} == {None}
    # a user's scores are the user's alone; BLAS may round one row's sums otherwise than twelve's
    np.testing.assert_allclose(network.score(user_items[:1]), scores[:1], rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_every_gradient_is_a_finite_difference(seed):
    checks = check_layer("network", seed)
    assert [check for check in checks if not check.passed] == []
    assert {check.tensor for check in checks} == a_network()[0].params.keys()


def test_dropout_follows_the_key():
    network, user_items = a_network()
    losses = [network.forward(user_items, key) for key in [KEY, KEY, (3, 1, 5), (3, 2, 4), (4, 1, 4)]]
    assert losses[0] == losses[1]
    assert len(set(losses)) == 4


def test_the_two_dropouts_have_masks_of_their_own():
    network, user_items = a_network()
    network.forward(user_items, KEY)
    of_h1, of_h2 = network.dropout1.kept, network.dropout2.kept
    assert not np.array_equal(of_h1.ravel()[: of_h2.size], of_h2.ravel())


# The arrays


def test_params_are_the_state_without_the_running_statistics():
    network, user_items = a_network()
    names = [name for name in network.state if "running" not in name]
    assert list(network.params) == list(network.grads) == names
    for name, w in network.params.items():
        assert w is network.state[name]
    network.forward(user_items, KEY)
    network.backward()
    for name, grad in network.grads.items():
        assert grad.shape == network.state[name].shape
    assert list(network.layers) == [
        *("embedding", "relu1", "batchnorm1", "dropout1"),
        *("bottleneck", "relu2", "batchnorm2", "dropout2"),
        *("output", "loss"),
    ]


def test_another_loss_takes_the_place_of_the_tasks():
    network, user_items = a_network()
    assert type(network.loss) is SigmoidBCE
    for layer in (SigmoidBCE(), Multinomial(), WeightedBCE(0.3)):
        chosen = AutoEncoderNetwork(network.state, network.settings["dropout"], copy.copy(layer))
        loss = layer.forward(chosen.output.forward(chosen.encode(user_items, True, KEY)), user_items)
        assert chosen.forward(user_items, KEY) == loss
        chosen.backward()
        np.testing.assert_array_equal(chosen.grads["output.bias"], layer.backward().sum(axis=0))


def test_the_state_is_what_training_changes():
    network, user_items = a_network()
    before = {name: array.copy() for name, array in network.state.items()}
    train_step(network, Adam(network.params), user_items, KEY)
    for name, array in network.state.items():
        assert not np.array_equal(array, before[name]), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_the_states(dtype):
    network, user_items = a_network(dtype=dtype)
    train_step(network, Adam(network.params), user_items, KEY)
    arrays = [*network.state.values(), *network.grads.values(), network.score(user_items)]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}


# The initialization, as the task states it


def test_initial_state_at_the_tasks_settings():
    n_items, emb_dim, hidden_dim = 2000, 800, 400
    state = initial_state(n_items)
    shapes = {name: array.shape for name, array in state.items()}
    assert shapes == {
        "embedding.weight": (n_items, emb_dim),
        **{f"batchnorm1.{key}": (emb_dim,) for key in ("weight", "bias", "running_mean", "running_var")},
        "bottleneck.weight": (hidden_dim, emb_dim),
        "bottleneck.bias": (hidden_dim,),
        **{f"batchnorm2.{key}": (hidden_dim,) for key in ("weight", "bias", "running_mean", "running_var")},
        "output.weight": (n_items, hidden_dim),
        "output.bias": (n_items,),
    }
    assert {array.dtype for array in state.values()} == {np.dtype(np.float32)}

    # W_embedding ~ Normal(mean=0, std=0.01): five standard errors, and a normal's share within one and two std
    w = state["embedding.weight"].astype(float)
    assert abs(w.mean()) < 5 * 0.01 / np.sqrt(w.size)
    assert abs(w.std() - 0.01) < 5 * 0.01 / np.sqrt(2 * w.size)
    assert (abs(w) < 0.01).mean() == pytest.approx(0.6827, abs=0.002)
    assert (abs(w) < 0.02).mean() == pytest.approx(0.9545, abs=0.001)

    # W ~ Uniform(-scale, scale), scale = 1 / sqrt(in_features): within, up to the ends, equally full tenths
    for name, in_features in [("bottleneck.weight", emb_dim), ("output.weight", hidden_dim)]:
        w = state[name] * np.sqrt(in_features)
        assert abs(w).max() <= 1 + 1e-6
        assert min(w.max(), -w.min()) > 0.9999
        tenths, _ = np.histogram(w, bins=10, range=(-1, 1))
        assert abs(tenths / w.size - 0.1).max() < 5 * np.sqrt(0.09 / w.size)

    for name, value in {
        **{"bottleneck.bias": 0, "output.bias": -10},
        **{f"batchnorm{i}.{key}": 1 for i in (1, 2) for key in ("weight", "running_var")},
        **{f"batchnorm{i}.{key}": 0 for i in (1, 2) for key in ("bias", "running_mean")},
    }.items():
        assert (state[name] == value).all(), name


def test_initial_state_follows_the_seed():
    one, same, other = (initial_state(20, 8, 5, seed=seed) for seed in (1, 1, 2))
    for name, array in one.items():
        np.testing.assert_array_equal(array, same[name])
    drawn = [name for name in one if not np.array_equal(one[name], other[name])]
    assert drawn == ["embedding.weight", "bottleneck.weight", "output.weight"]


def test_a_float64_network_starts_at_the_same_numbers():
    for name, array in initial_state(20, 8, 5, dtype=np.float64).items():
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, initial_state(20, 8, 5)[name])


def test_no_two_arrays_of_the_state_share_memory():
    arrays = list(initial_state(5, 5, 5).values())
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


# It learns


def test_train_step_returns_the_loss_before_its_step():
    network, user_items = a_network()
    before = network.forward(user_items, KEY)
    assert train_step(network, Adam(network.params, lr=0.001), user_items, KEY) == before
    assert network.forward(user_items, KEY) < before


def test_the_loss_falls_on_real_ratings(ratings):
    """Below the entropy of each item's popularity, the least that scores which ignore the user can reach."""
    likes_of_item = ratings.user_items.sum(axis=0)
    user_items = ratings.user_items[:, np.argsort(-likes_of_item)[:1000]]
    popularity = user_items.mean(axis=0)
    entropy = -(popularity * np.log(popularity) + (1 - popularity) * np.log(1 - popularity)).sum()

    network = AutoEncoderNetwork(initial_state(n_items=1000, emb_dim=64, hidden_dim=32), dropout=0.2)
    adam = Adam(network.params, lr=0.01)
    losses = []
    for epoch in range(12):
        order = np.random.default_rng(epoch).permutation(ratings.n_users)
        batches = enumerate(np.array_split(order, 6))
        loss = sum(train_step(network, adam, user_items[rows], (0, epoch, step)) for step, rows in batches)
        losses.append(loss / ratings.n_users)
    assert (np.diff(losses[:10]) < 0).all()
    assert losses[-1] < 0.9 * entropy
