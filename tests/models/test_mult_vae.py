"""MultVAE beyond the contract in test_models.py: its network's equations, the increase of the KL's weight, explain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from autoenc.evaluation.evaluate import evaluate
from autoenc.interactions import as_user_items
from autoenc.layers import InputDropout
from autoenc.layers.gaussian_sample import draw_noise
from autoenc.models import Popular, load_model
from autoenc.models.mult_vae import BetaAnnealing, MultVAE
from autoenc.models.network_model import NetworkRecommender
from autoenc.networks.variational import VariationalNetwork, initial_state, shapes_of_state
from autoenc.training.callbacks import Callback
from autoenc.training.checkpoint import Checkpoints
from autoenc.training.trainer import Trainer

KEY = (3, 1, 4)
SMALL = {"hidden_dim": 24, "latent_dim": 8, "batch_size": 64, "epochs": 4, "lr": 0.005}


@pytest.fixture(scope="module")
def sets(split):
    """The bundled ratings' two halves, of the 600 items that most rated."""
    train, held_out = split
    often = np.sort(np.argsort(-np.bincount(train.indices, minlength=train.shape[1]), kind="stable")[:600])
    return train[:, often], held_out[:, often]


@pytest.fixture(scope="module")
def model(sets):
    return MultVAE(**SMALL).fit(sets[0])


def a_network(**settings):
    """Of 30 items, with a batch of 12 users, one without likes."""
    rng = np.random.default_rng(0)
    drawn = initial_state(30, 6, 3, dtype=np.float64)
    state = {name: x + rng.uniform(-0.4, 0.6, x.shape) for name, x in drawn.items()}
    likes = rng.random((12, 30)) < 0.3
    likes[7] = False
    return VariationalNetwork(state, **settings), sparse.csr_array(likes.astype(float))


def code(state, x):
    u = x / np.sqrt(np.maximum(1, x.sum(axis=1, keepdims=True)))
    h1 = np.tanh(u @ state["embedding.weight"] + state["normalization.bias"])
    both = h1 @ state["encoder.weight"].T + state["encoder.bias"]
    return both[:, :3], both[:, 3:]


def decode(state, z):
    h2 = np.tanh(z @ state["decoder.weight"].T + state["decoder.bias"])
    return h2 @ state["output.weight"].T + state["output.bias"]


# The network


def test_the_forward_is_its_equations():
    network, user_items = a_network(input_dropout=0.4, beta=0.7)
    state, x = network.state, user_items.toarray()
    mean, log_var = code(state, InputDropout(0.4).forward(user_items, True, (*KEY, 1)).toarray())
    y = decode(state, mean + np.exp(log_var / 2) * draw_noise((12, 3), (*KEY, 2)))
    softmax = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    kl = np.sum((np.exp(log_var) + mean**2 - 1 - log_var) / 2)
    assert network.forward(user_items, KEY) == pytest.approx(-np.sum(x * np.log(softmax)) + 0.7 * kl, rel=1e-12)
    assert network.sample.penalty == pytest.approx(0.7 * kl, rel=1e-12)


def test_score_decodes_the_mean():
    network, user_items = a_network()
    answer = decode(network.state, code(network.state, user_items.toarray())[0])
    np.testing.assert_allclose(network.score(user_items), answer, rtol=1e-11, atol=1e-13)
    assert {layer.kept for layer in network.layers.values()} == {None}


def test_beta_rises_and_stays():
    network, _ = a_network(beta=0.2)
    trainer = Trainer(network, backend="numpy")
    betas = []
    for trainer.adam.step_count in (0, 5, 10, 99):
        BetaAnnealing(0.2, n_steps=10).on_step_begin(trainer)
        betas.append(network.sample.beta)
    assert betas == pytest.approx([0, 0.1, 0.2, 0.2])
    trainer.adam.step_count = 0
    BetaAnnealing(0.2, n_steps=0).on_step_begin(trainer)
    assert network.sample.beta == 0.2


def test_what_is_random_follows_the_key():
    network, user_items = a_network(input_dropout=0.0)
    losses = [network.forward(user_items, key) for key in [KEY, KEY, (3, 1, 5), (3, 2, 4), (4, 1, 4)]]
    assert losses[0] == losses[1]
    assert len(set(losses)) == 4


def test_the_initial_state():
    state = initial_state(3000, 40, 7, seed=1)
    assert {name: x.shape for name, x in state.items()} == shapes_of_state(3000, 40, 7)
    for name, x in state.items():
        if name.endswith("bias"):
            assert not x.any()
        else:
            assert x.std() == pytest.approx(np.sqrt(2 / sum(x.shape)), rel=0.15)
    for name, x in initial_state(3000, 40, 7, seed=1, dtype=np.float64).items():
        np.testing.assert_array_equal(x, state[name])


@pytest.mark.parametrize("beta", [-0.1, np.inf, np.nan])
def test_the_network_refuses(beta):
    message = f"beta must be a finite number of 0 or more, got {beta}"
    with pytest.raises(ValueError, match=message):
        VariationalNetwork(initial_state(4, 2, 2), beta=beta)


# The model


def test_it_ranks_far_better_than_popularity(sets):
    train, held_out = sets
    model = MultVAE(hidden_dim=100, latent_dim=40, batch_size=64, epochs=20, lr=0.003).fit(train)
    report = evaluate(model, train, held_out)
    popular = evaluate(Popular().fit(train), train, held_out)
    for metric in ("precision@1", "precision@5", "precision@10"):
        assert report[metric] > 1.3 * popular[metric], metric


class Betas(Callback):
    def __init__(self):
        self.seen = []

    def on_step_end(self, trainer):
        self.seen.append(trainer.engine.network.sample.beta)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_beta_rises_over_a_share_of_the_training(sets, backend):
    betas = Betas()
    MultVAE(**{**SMALL, "batch_size": 200}, beta=0.4, anneal=0.25, backend=backend).fit(sets[0], callbacks=[betas])
    assert betas.seen == pytest.approx([0, 0.1, 0.2, 0.3, *[0.4] * 12])


class Killed(Callback):
    def on_step_end(self, trainer):
        if (trainer.epoch, trainer.step) == (1, 2):
            raise RuntimeError


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_killed_training_goes_on_to_the_same_bits(sets, backend, tmp_path):
    """Half way up beta's rise."""
    few = sets[0][:250]
    model = MultVAE(**SMALL, anneal=0.9, backend=backend)
    with pytest.raises(RuntimeError):
        model.fit(few, callbacks=[Checkpoints(tmp_path, every_steps=1), Killed()])
    resumed = MultVAE(**SMALL, anneal=0.9, backend=backend).fit(few, callbacks=[Checkpoints(tmp_path, every_steps=1)])
    whole = MultVAE(**SMALL, anneal=0.9, backend=backend).fit(few)
    for name, array in whole.network_.state.items():
        np.testing.assert_array_equal(resumed.network_.state[name], array, err_msg=name)
    other = MultVAE(**SMALL, anneal=0.9, beta=0.1, backend=backend)
    with pytest.raises(ValueError, match="holds a training with settings"):
        other.fit(few, callbacks=[Checkpoints(tmp_path)])


def test_the_file_and_what_it_lacks(sets, model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.score(sets[0][:9]), model.score(sets[0][:9]))
    for name in shapes_of_state(600, 24, 8):
        arrays = {key: array for key, array in model._arrays().items() if key != name}
        with pytest.raises(ValueError, match=f"{name}.* must"):
            MultVAE(**SMALL)._set_arrays(arrays)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hidden_dim": 0}, "hidden_dim must be 1 or more, got 0"),
        ({"latent_dim": 0}, "latent_dim must be 1 or more, got 0"),
        ({"anneal": 1.5}, "anneal must be a fraction from 0 to 1, got 1.5"),
        ({"beta": -1}, "beta must be a finite number of 0 or more, got -1"),
    ],
)
def test_it_refuses(sets, params, message):
    with pytest.raises(ValueError, match=message):
        MultVAE(**{**SMALL, **params}).fit(sets[0])


def test_explain_is_really_leaving_each_like_out(sets, model):
    train = sets[0]
    row = train[[int(np.flatnonzero(np.diff(train.indptr) == 40)[0])]]
    item = int(model.recommend(row, N=1)[0][0, 0])
    likes, contributions = model.explain(row, item)
    for like, contribution in zip(likes, contributions):
        without = as_user_items([row.indices[row.indices != like]], train.shape[1])
        left_out = model.score(row)[0, item] - model.score(without)[0, item]
        assert contribution == pytest.approx(left_out, rel=1e-3, abs=1e-5)
    by_definition = super(NetworkRecommender, model)._contributions(row, item)
    np.testing.assert_allclose(model._contributions(row, item), by_definition, rtol=1e-3, atol=1e-5)
