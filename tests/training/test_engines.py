"""The contract of `training.engine.Engine`, for all three engines: layers, kernels, and a rank's part of either."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from autoenc.datasets.synthetic import synthetic
from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.optim import Adam
from autoenc.scale.ranks import ALONE
from autoenc.scale.sharded import ShardedEngine
from autoenc.scale.shards import Shard
from autoenc.training.engine import BACKENDS, Engine, engine_for
from autoenc.training.plain import train_step

N_ITEMS, KEY = 60, (3, 0, 0)


def sharded(backend, network, adam=None):
    return ShardedEngine(network, adam, Shard(np.arange(N_ITEMS), N_ITEMS, ALONE), backend)


MAKERS = {
    **{backend: lambda *args, b=backend: engine_for(b, *args) for backend in BACKENDS},
    **{f"sharded {backend}": lambda *args, b=backend: sharded(b, *args) for backend in BACKENDS},
}


@pytest.fixture(scope="module")
def user_items():
    return synthetic(48, N_ITEMS, 500).user_items


@pytest.fixture(params=MAKERS)
def make(request):
    """make(): a fresh engine in float64 that can train, on the same arrays each time."""

    def engine():
        network = AutoEncoderNetwork(initial_state(N_ITEMS, 8, 6, bias_offset=-2.0, seed=1, dtype=np.float64))
        return MAKERS[request.param](network, Adam(network.params))

    return engine


def trained(engine, user_items, n_steps=3):
    for step in range(n_steps):
        engine.train_step(user_items[16 * step : 16 * (step + 1)], (3, 0, step))
    return engine


def test_an_engine_has_all_of_the_protocol(make):
    engine = make()
    for name, member in vars(Engine).items():
        if name.startswith("_"):
            continue
        assert hasattr(engine, name), name
        if inspect.isfunction(member):
            wanted = list(inspect.signature(member).parameters)[1:]
            assert list(inspect.signature(getattr(engine, name)).parameters) == wanted, name
    assert {"network", "adam", "n_items"} <= vars(engine).keys()
    assert engine.n_items == N_ITEMS and engine.users_at_once >= 1


def test_a_step_is_that_of_the_layers(make, user_items):
    engine, twin = make(), AutoEncoderNetwork(initial_state(N_ITEMS, 8, 6, bias_offset=-2.0, seed=1, dtype=np.float64))
    adam = Adam(twin.params)
    for step in range(3):
        batch = user_items[16 * step : 16 * (step + 1)]
        assert engine.train_step(batch, (3, 0, step)) == pytest.approx(train_step(twin, adam, batch, (3, 0, step)))
    for name, array in engine.state_dict().items():
        np.testing.assert_allclose(array, twin.state[name], rtol=0, atol=1e-10, err_msg=name)
    engine.flush()
    for name, array in engine.network.state.items():
        np.testing.assert_allclose(array, twin.state[name], rtol=0, atol=1e-10, err_msg=name)


def test_shapes_of_what_it_scores(make, user_items):
    engine = trained(make(), user_items)
    scores, hidden = engine.score(user_items), engine.encode(user_items)
    assert scores.shape == (48, N_ITEMS) and hidden.shape == (48, 6)
    output = engine.state_dict()["output.weight"], engine.state_dict()["output.bias"]
    np.testing.assert_allclose(hidden @ output[0].T + output[1], scores, rtol=0, atol=1e-12)
    item_sum = user_items @ engine.state_dict()["embedding.weight"]
    before = item_sum.copy()
    np.testing.assert_allclose(engine.encode_sums(item_sum, np.diff(user_items.indptr)), hidden, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(item_sum, before)


def test_the_best_are_those_of_the_scores(make, user_items):
    engine = trained(make(), user_items)
    items, scores = engine.top_n(user_items, 5)
    assert items.shape == scores.shape == (48, 5) and items.dtype == np.int32
    expected = top_n_of_scores(engine.score(user_items), user_items, 5)
    np.testing.assert_array_equal(items, expected[0])
    np.testing.assert_allclose(scores, expected[1], rtol=0, atol=1e-12)


def test_a_state_that_is_loaded_is_what_it_scores_with(make, user_items):
    first = trained(make(), user_items)
    kept = {name: array.copy() for name, array in first.state_dict().items()}
    scores = first.score(user_items)
    other = trained(make(), user_items, n_steps=1)
    assert not np.array_equal(other.score(user_items), scores)
    other.load_state_dict(kept)
    np.testing.assert_array_equal(other.score(user_items), scores)
    assert {name: array.tobytes() for name, array in other.state_dict().items()} == {
        name: array.tobytes() for name, array in kept.items()
    }


def test_training_goes_on_from_its_arrays_with_the_same_bits(make, user_items):
    whole = trained(make(), user_items)
    begun, resumed = trained(make(), user_items, n_steps=2), make()
    for name, array in begun.network.state.items():
        resumed.network.state[name][:] = array
    for moment in ("first_moment", "second_moment"):
        for name, array in getattr(begun.adam, moment).items():
            getattr(resumed.adam, moment)[name][:] = array
    resumed.adam.step_count = begun.adam.step_count
    resumed.load_training_arrays(begun.training_arrays())
    resumed.train_step(user_items[32:48], (3, 0, 2))
    for name, array in whole.state_dict().items():
        np.testing.assert_array_equal(resumed.state_dict()[name], array)


def test_reading_changes_nothing(make, user_items):
    read, unread = make(), make()
    for step in range(3):
        for engine in (read, unread):
            engine.train_step(user_items[16 * step : 16 * (step + 1)], (3, 0, step))
        read.state_dict(), read.score(user_items), read.top_n(user_items, 3), read.encode(user_items)
    for engine in (read, unread):
        engine.flush()
    for name, array in unread.network.state.items():
        np.testing.assert_array_equal(read.network.state[name], array)
