"""DenoisingAutoEncoder beyond the contract in test_models.py: its network's equations, training, and explain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from autoenc.evaluation.evaluate import evaluate
from autoenc.interactions import as_user_items
from autoenc.layers import InputDropout, WeightedBCE
from autoenc.layers.dropout import draw_mask
from autoenc.models import Popular, load_model
from autoenc.models.denoising import DenoisingAutoEncoder
from autoenc.models.network_model import NetworkRecommender
from autoenc.networks.denoising import DenoisingNetwork, initial_state, shapes_of_state

KEY = (3, 1, 4)
SMALL = {"hidden_dim": 24, "batch_size": 64, "epochs": 3}


@pytest.fixture(scope="module")
def sets(split):
    """The bundled ratings' two halves, of the 600 items that most rated."""
    train, held_out = split
    often = np.sort(np.argsort(-np.bincount(train.indices, minlength=train.shape[1]), kind="stable")[:600])
    return train[:, often], held_out[:, often]


@pytest.fixture(scope="module")
def model(sets):
    return DenoisingAutoEncoder(**SMALL).fit(sets[0])


def a_network(**settings):
    """Of 30 items, with a batch of 12 users, one without likes."""
    rng = np.random.default_rng(0)
    state = {name: x + rng.uniform(0, 0.5, x.shape) for name, x in initial_state(30, 5, dtype=np.float64).items()}
    likes = rng.random((12, 30)) < 0.3
    likes[7] = False
    return DenoisingNetwork(state, **settings), sparse.csr_array(likes.astype(float))


def hidden(state, x):
    u = x / np.sqrt(np.maximum(1, x.sum(axis=1, keepdims=True)))
    return np.tanh(u @ state["embedding.weight"] + state["normalization.bias"])


# The network


def test_the_forward_is_its_equations():
    """The network is shown some of the likes, and is held to all."""
    network, user_items = a_network(input_dropout=0.4, dropout=0.2, loss=WeightedBCE(0.3))
    state, x = network.state, user_items.toarray()
    m = InputDropout(0.4).forward(user_items, True, (*KEY, 1)).toarray()
    assert 0.4 < m.sum() / x.sum() < 0.8 and (m <= x).all()
    threshold = round(0.8 * 65536)
    h = hidden(state, m) * draw_mask((12, 5), threshold, (*KEY, 2)) * 65536 / threshold
    y = h @ state["output.weight"].T + state["output.bias"]
    loss = np.sum(np.where(x == 1, 1, 0.3) * (np.log(1 + np.exp(y)) - x * y))
    assert network.forward(user_items, KEY) == pytest.approx(loss, rel=1e-13)


def test_score_is_the_same_without_dropout_and_keeps_nothing():
    network, user_items = a_network()
    state = network.state
    answer = hidden(state, user_items.toarray()) @ state["output.weight"].T + state["output.bias"]
    np.testing.assert_allclose(network.score(user_items), answer, rtol=1e-13)
    np.testing.assert_allclose(answer[7], np.tanh(state["normalization.bias"]) @ state["output.weight"].T
                               + state["output.bias"])  # fmt: skip
    assert {layer.kept for layer in network.layers.values()} == {None}


def test_what_is_random_follows_the_key():
    network, user_items = a_network()
    losses = [network.forward(user_items, key) for key in [KEY, KEY, (3, 1, 5), (3, 2, 4), (4, 1, 4)]]
    assert losses[0] == losses[1]
    assert len(set(losses)) == 4


def test_the_initial_state():
    state = initial_state(3000, 40, bias_offset=-2.5, seed=1)
    assert {name: x.shape for name, x in state.items()} == shapes_of_state(3000, 40)
    assert {x.dtype for x in state.values()} == {np.dtype(np.float32)}
    for name in ("embedding.weight", "output.weight"):
        assert state[name].std() == pytest.approx(np.sqrt(2 / 3040), rel=0.02)
        assert abs(state[name].mean()) < 5 * state[name].std() / np.sqrt(state[name].size)
    assert not np.array_equal(state["embedding.weight"], state["output.weight"])
    assert (state["output.bias"] == -2.5).all() and not state["normalization.bias"].any()
    for name, x in initial_state(3000, 40, bias_offset=-2.5, seed=1, dtype=np.float64).items():
        np.testing.assert_array_equal(x, state[name])


def test_the_network_refuses():
    state = initial_state(4, 2)
    for settings, message in [
        ({"input_dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
    ]:
        with pytest.raises(ValueError, match=message):
            DenoisingNetwork(state, **settings)


# The model


@pytest.mark.parametrize(
    "params", [{}, {"loss": "multinomial", "dropout": 0.0, "bias_offset": 0.0}], ids=["R", "Mult-DAE"]
)
def test_it_ranks_far_better_than_popularity(sets, params):
    train, held_out = sets
    model = DenoisingAutoEncoder(hidden_dim=100, batch_size=64, epochs=20, **params).fit(train)
    report = evaluate(model, train, held_out)
    popular = evaluate(Popular().fit(train), train, held_out)
    for metric in ("precision@1", "precision@5", "precision@10"):
        assert report[metric] > 1.3 * popular[metric], metric


def test_its_settings_reach_the_network(sets, tmp_path):
    settings = {"input_dropout": 0.2, "dropout": 0.1, "loss": "bce", "negative_weight": 0.7}
    model = DenoisingAutoEncoder(**{**SMALL, "epochs": 1}, **settings, bias_offset=-3.0).fit(sets[0])
    assert model.network_.settings == settings
    assert model.network_.output.params["bias"].mean() == pytest.approx(-3, abs=0.1)
    model.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.network_.settings == settings
    np.testing.assert_array_equal(loaded.score(sets[0][:9]), model.score(sets[0][:9]))


@pytest.mark.parametrize("name", ["embedding.weight", "normalization.bias", "output.weight", "output.bias"])
def test_a_file_without_one_of_its_arrays_is_refused(model, name):
    arrays = {key: array for key, array in model._arrays().items() if key != name}
    with pytest.raises(ValueError, match=f"{name}.* must"):
        DenoisingAutoEncoder(**SMALL)._set_arrays(arrays)


def test_default_epochs(sets):
    assert (DenoisingAutoEncoder.default_steps, DenoisingAutoEncoder.default_epochs) == (240, 3)
    model = DenoisingAutoEncoder(hidden_dim=2).fit(sets[0])
    assert len(model.history_) == 80
    rates = [row["lr"] for row in model.history_]
    assert len(DenoisingAutoEncoder(hidden_dim=2, batch_size=16).fit(sets[0]).history_) == 6
    assert rates[0] > 0.0049 and rates[-1] == pytest.approx(0.005 * 0.25, rel=0.05)


def test_early_stopping_is_autoencoders(sets):
    params = {**SMALL, "epochs": 12, "early_stopping": "ndcg@20", "patience": 2}
    stopped = DenoisingAutoEncoder(**params, lr=0.05).fit(sets[0])
    values = [row["ndcg@20"] for row in stopped.history_]
    assert 2 < len(values) <= 12 and all(0 < value < 1 for value in values)


def test_partial_fit_goes_on(sets, model):
    by_parts = DenoisingAutoEncoder(**SMALL, schedule="constant", backend="numpy").partial_fit(sets[0])
    by_parts.partial_fit(sets[0]).partial_fit(sets[0])
    whole = DenoisingAutoEncoder(**SMALL, schedule="constant", backend="numpy").fit(sets[0])
    np.testing.assert_array_equal(by_parts.score(sets[0][:5]), whole.score(sets[0][:5]))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hidden_dim": 0}, "hidden_dim must be 1 or more, got 0"),
        ({"epochs": -1}, "epochs must be 0 or more, got -1"),
        ({"negative_weight": -1}, "negative_weight must be a finite number above 0, got -1"),
    ],
)
def test_it_refuses(sets, params, message):
    with pytest.raises(ValueError, match=message):
        DenoisingAutoEncoder(**{**SMALL, **params}).fit(sets[0])


def test_explain_is_really_leaving_each_like_out(sets, model):
    """The scale of all other likes changes too."""
    train = sets[0]
    row = train[[int(np.flatnonzero(np.diff(train.indptr) == 40)[0])]]
    item = int(model.recommend(row, N=1)[0][0, 0])
    likes, contributions = model.explain(row, item)
    assert sorted(likes) == row.indices.tolist()
    for like, contribution in zip(likes, contributions):
        without = as_user_items([row.indices[row.indices != like]], train.shape[1])
        left_out = model.score(row)[0, item] - model.score(without)[0, item]
        assert contribution == pytest.approx(left_out, rel=1e-3, abs=1e-5)
    by_definition = super(NetworkRecommender, model)._contributions(row, item)
    np.testing.assert_allclose(model._contributions(row, item), by_definition, rtol=1e-3, atol=1e-5)
    assert np.ptp(contributions) > 0.01


def test_explaining_the_only_like_leaves_nothing(sets, model):
    row = as_user_items([[3]], 600)
    nobody = as_user_items([[]], 600)
    [like], [contribution] = model.explain(row, 5)
    assert like == 3
    assert contribution == pytest.approx(model.score(row)[0, 5] - model.score(nobody)[0, 5], rel=1e-3, abs=1e-6)
