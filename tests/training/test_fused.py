"""The fused path against its definition, networks/autoencoder.py: whole training steps with dropout, and scoring."""

from __future__ import annotations

import copy

import numba
import numpy as np
import pytest
from scipy import sparse

from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.kernels import output_tile
from autoenc.layers import (
    ConfidenceBCE,
    ConfidenceEmbedding,
    ConfidenceMultinomial,
    Dropout,
    Multinomial,
    SigmoidBCE,
    WeightedBCE,
)
from autoenc.machine import compute_threads
from autoenc.networks import denoising, variational
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.networks.denoising import DenoisingNetwork
from autoenc.networks.variational import VariationalNetwork
from autoenc.optim import Adam
from autoenc.training.fused import DriftTable, FusedEngine
from autoenc.training.plain import train_step
from autoenc.training.trainer import Trainer

N_ITEMS = 301
TWO_TILES = output_tile.PARTS * output_tile.TILE + 1  # one part has an item too many for one tile


def likes(n_users=60, n_items=N_ITEMS, seed=0) -> sparse.csr_array:
    """A long tail of items, so that most rows miss most steps, with users who liked nothing and items nobody did."""
    rng = np.random.default_rng(seed)
    popularity = np.minimum(0.6, 3 / np.arange(1, n_items + 1))
    popularity[::17] = 0
    liked = rng.random((n_users, n_items)) < popularity
    liked[::20] = False
    csr = sparse.csr_array(liked.astype(np.float32))
    return sparse.csr_array((csr.data, csr.indices.astype(np.int32), csr.indptr.astype(np.int32)), shape=csr.shape)


def make(dtype, n_items=N_ITEMS, emb_dim=13, hidden_dim=7, dropout=0.5, loss=None) -> tuple[AutoEncoderNetwork, Adam]:
    state = initial_state(n_items, emb_dim, hidden_dim, bias_offset=-4.0, seed=3, dtype=dtype)
    network = AutoEncoderNetwork(state, dropout, loss)
    return network, Adam(network.params)


def batches(user_items, n_steps, batch_size=13):
    """(key, batch) of each step; the sizes differ, and a batch holds the users in order."""
    rng = np.random.default_rng(1)
    for step in range(n_steps):
        users = np.sort(rng.permutation(user_items.shape[0])[: batch_size - step % 3])
        yield (5, 0, step), user_items[users]


def moments(adam: Adam) -> dict[str, np.ndarray]:
    return {
        f"{moment} {name}": array
        for moment in ("first_moment", "second_moment")
        for name, array in getattr(adam, moment).items()
    }


def assert_states_near(ours, answer, tolerance):
    """To the tolerance, which is absolute for arrays of numbers below 1 and relative to their largest above."""
    assert ours.keys() == answer.keys()
    for name, array in answer.items():
        assert ours[name].dtype == array.dtype
        atol = tolerance * max(1, np.abs(array).max())
        np.testing.assert_allclose(ours[name], array, rtol=0, atol=atol, err_msg=name)


def assert_same_bits(ours, answer):
    assert ours.keys() == answer.keys()
    for name, array in answer.items():
        np.testing.assert_array_equal(ours[name], array, err_msg=name)


@pytest.mark.kernels
@pytest.mark.parametrize("dropout", [0.0, 0.5, 0.8])
def test_25_steps_in_float64_are_those_of_the_layers(dropout):
    """Every loss, parameter, moment and buffer to 1e-9."""
    user_items = likes()
    network, adam = make(np.float64, dropout=dropout)
    twin, twins_adam = make(np.float64, dropout=dropout)
    fused = FusedEngine(twin, twins_adam)
    for key, batch in batches(user_items, 25):
        loss = train_step(network, adam, batch, key)
        assert fused.train_step(batch, key) == pytest.approx(loss, rel=1e-9)
    fused.flush()
    assert twins_adam.step_count == 25
    assert_states_near(twin.state, network.state, 1e-9)
    assert_states_near(moments(twins_adam), moments(adam), 1e-9)


@pytest.mark.parametrize("loss", [SigmoidBCE, WeightedBCE, Multinomial])
def test_20_steps_in_float64_over_several_tiles(loss):
    user_items = likes(n_items=TWO_TILES)
    network, adam = make(np.float64, TWO_TILES, loss=loss())
    twin, twins_adam = make(np.float64, TWO_TILES, loss=loss())
    fused = FusedEngine(twin, twins_adam)
    for key, batch in batches(user_items, 20):
        assert fused.train_step(batch, key) == pytest.approx(train_step(network, adam, batch, key), rel=1e-9)
    fused.flush()
    assert_states_near(twin.state, network.state, 1e-9)
    assert_states_near(moments(twins_adam), moments(adam), 1e-9)


@pytest.mark.parametrize("loss", [ConfidenceBCE(1.0), ConfidenceBCE(0.3), ConfidenceMultinomial()])
def test_20_steps_in_float64_of_likes_with_confidences(loss):
    user_items = likes(n_items=TWO_TILES)
    confidence = np.random.default_rng(0).uniform(0.1, 3, user_items.nnz)
    user_items = sparse.csr_array((confidence, user_items.indices, user_items.indptr), user_items.shape)
    network, adam = make(np.float64, TWO_TILES, loss=copy.copy(loss))
    network.embedding = ConfidenceEmbedding(network.state["embedding.weight"], weighted=False)
    twin, twins_adam = make(np.float64, TWO_TILES, loss=copy.copy(loss))
    fused = FusedEngine(twin, twins_adam)
    for key, batch in batches(user_items, 20):
        assert fused.train_step(batch, key) == pytest.approx(train_step(network, adam, batch, key), rel=1e-9)
    fused.flush()
    assert_states_near(twin.state, network.state, 1e-9)
    assert_states_near(moments(twins_adam), moments(adam), 1e-9)


def make_denoising(dtype, n_items=N_ITEMS, **settings):
    state = denoising.initial_state(n_items, hidden_dim=7, seed=3, dtype=dtype)
    network = DenoisingNetwork(state, **settings)
    return network, Adam(network.params)


def make_variational(dtype, n_items=N_ITEMS, **settings):
    state = variational.initial_state(n_items, hidden_dim=7, latent_dim=4, seed=3, dtype=dtype)
    network = VariationalNetwork(state, **settings)
    return network, Adam(network.params)


OTHERS = [make_denoising, lambda dtype, n_items: make_denoising(dtype, n_items, loss=Multinomial()), make_variational]
OTHERS_NAMES = ["denoising", "mult-dae", "variational"]


@pytest.mark.parametrize("n_items", [N_ITEMS, TWO_TILES])
@pytest.mark.parametrize("make_other", OTHERS, ids=OTHERS_NAMES)
def test_25_steps_of_the_other_networks_in_float64_are_those_of_the_layers(make_other, n_items):
    """With dropout of the input and of the hidden layer, and noise. The embedding sees fewer likes than the loss."""
    user_items = likes(n_items=n_items)
    network, adam = make_other(np.float64, n_items)
    twin, twins_adam = make_other(np.float64, n_items)
    fused = FusedEngine(twin, twins_adam)
    for key, batch in batches(user_items, 25):
        loss = train_step(network, adam, batch, key)
        assert fused.train_step(batch, key) == pytest.approx(loss, rel=1e-12)
    assert (fused.last_step < adam.step_count).any(), "no row lagged behind"
    np.testing.assert_allclose(fused.score(batch), network.score(batch), rtol=0, atol=1e-12)
    fused.flush()
    assert_states_near(twin.state, network.state, 1e-12)
    assert_states_near(moments(twins_adam), moments(adam), 1e-11)
    items, _ = fused.top_n(user_items, 20)
    answer, _ = top_n_of_scores(network.score(user_items), user_items, 20)
    np.testing.assert_array_equal(items, answer)


@pytest.mark.parametrize("make_other", OTHERS, ids=OTHERS_NAMES)
def test_one_step_of_the_other_networks_in_float32_is_the_layers_to_rounding(make_other):
    user_items = likes()
    network, adam = make_other(np.float32, N_ITEMS)
    twin, twins_adam = make_other(np.float32, N_ITEMS)
    loss = train_step(network, adam, user_items, (5, 0, 0))
    assert FusedEngine(twin, twins_adam).train_step(user_items, (5, 0, 0)) == pytest.approx(loss, rel=1e-6)
    for name, grad in network.grads.items():
        ours = twins_adam.first_moment[name] / np.float32(0.1)
        np.testing.assert_allclose(ours, grad, rtol=0, atol=3e-6 * np.abs(grad).max(), err_msg=name)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="numba's pool has one thread on this machine")
@pytest.mark.parametrize("make_other", OTHERS, ids=OTHERS_NAMES)
def test_the_other_networks_have_the_same_bits_at_1_and_2_threads(make_other):
    states, user_items = [], likes(n_items=TWO_TILES)
    for threads in (1, 2):
        network, _ = make_other(np.float32, TWO_TILES)
        trainer = Trainer(network, epochs=2, batch_size=23, threads=threads).fit(user_items)
        states.append({**network.state, "loss": trainer.loss, "scores": trainer.engine.score(user_items)})
    assert_same_bits(*states)


@pytest.mark.kernels
@pytest.mark.parametrize("n_items", [1, 2, N_ITEMS])
def test_one_step_in_float32_is_the_layers_to_rounding(n_items):
    """The loss, and every gradient, read out of Adam's first moment: after one step that is 0.1 of it."""
    user_items = likes(n_items=n_items)
    user_items = sparse.vstack([user_items, sparse.csr_array(np.ones((2, n_items), np.float32))]).tocsr()
    network, adam = make(np.float32, n_items)
    twin, twins_adam = make(np.float32, n_items)
    loss = train_step(network, adam, user_items, (5, 0, 0))
    assert FusedEngine(twin, twins_adam).train_step(user_items, (5, 0, 0)) == pytest.approx(loss, rel=1e-6)
    for name, grad in network.grads.items():
        ours = twins_adam.first_moment[name] / np.float32(0.1)
        np.testing.assert_allclose(ours, grad, rtol=0, atol=3e-6 * np.abs(grad).max(), err_msg=name)
    for name in ("batchnorm1.running_mean", "batchnorm1.running_var", "batchnorm2.running_var"):
        np.testing.assert_allclose(twin.state[name], network.state[name], rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reading_in_mid_training_changes_no_bit(dtype):
    user_items = likes()
    read, unread = FusedEngine(*make(dtype)), FusedEngine(*make(dtype))
    for key, batch in batches(user_items, 12):
        assert read.train_step(batch, key) == unread.train_step(batch, key)
        read.state_dict()
        read.score(batch)
        read.top_n(batch, 3)
    np.testing.assert_array_equal(read.last_step, unread.last_step)
    read.flush()
    unread.flush()
    assert_same_bits(read.network.state, unread.network.state)
    assert_same_bits(moments(read.adam), moments(unread.adam))


def test_the_state_and_the_scores_in_mid_training_are_the_layers():
    user_items = likes()
    network, adam = make(np.float64)
    fused = FusedEngine(*make(np.float64))
    for key, batch in batches(user_items, 12):
        train_step(network, adam, batch, key)
        fused.train_step(batch, key)
        assert_states_near(fused.state_dict(), network.state, 1e-9)
        np.testing.assert_allclose(fused.score(batch), network.score(batch), rtol=0, atol=1e-9)
    assert (fused.last_step < adam.step_count).any(), "no row lagged behind, so this tested nothing"


def test_current_state_is_the_networks_own_arrays_when_nothing_lags():
    fused = FusedEngine(*make(np.float32))
    assert fused.state_dict()["embedding.weight"] is fused.network.state["embedding.weight"]
    for key, batch in batches(likes(), 3):
        fused.train_step(batch, key)
    assert fused.state_dict()["embedding.weight"] is not fused.network.state["embedding.weight"]
    assert fused.state_dict()["output.weight"] is fused.network.state["output.weight"]
    fused.flush()
    assert fused.state_dict()["embedding.weight"] is fused.network.state["embedding.weight"]


def test_training_goes_on_after_settle():
    user_items = likes()
    network, adam = make(np.float64)
    fused = FusedEngine(*make(np.float64))
    for key, batch in batches(user_items, 20):
        train_step(network, adam, batch, key)
        fused.train_step(batch, key)
        if key[2] in (7, 8):
            fused.flush()
            assert_states_near(fused.network.state, network.state, 1e-9)
    fused.flush()
    assert_states_near(fused.network.state, network.state, 1e-9)


def test_a_training_resumed_from_its_arrays_has_the_same_bits():
    """From the network's and Adam's arrays, the count of steps and each row's last step."""
    steps = list(batches(likes(), 14))
    whole, begun = FusedEngine(*make(np.float32)), FusedEngine(*make(np.float32))
    for key, batch in steps:
        whole.train_step(batch, key)
    for key, batch in steps[:6]:
        begun.train_step(batch, key)

    network = AutoEncoderNetwork(copy.deepcopy(begun.network.state))
    adam = Adam(network.params)
    adam.step_count = begun.adam.step_count
    adam.first_moment, adam.second_moment = copy.deepcopy((begun.adam.first_moment, begun.adam.second_moment))
    resumed = FusedEngine(network, adam)
    resumed.load_training_arrays(copy.deepcopy(begun.training_arrays()))
    assert_same_bits(resumed.state_dict(), begun.state_dict())
    for key, batch in steps[6:]:
        resumed.train_step(batch, key)
    resumed.flush()
    whole.flush()
    assert_same_bits(resumed.network.state, whole.network.state)
    assert_same_bits(moments(resumed.adam), moments(whole.adam))


def test_fused_raises_as_batchnorm_does_on_a_batch_of_one():
    fused = FusedEngine(*make(np.float32))
    with pytest.raises(ValueError, match="trains on batches of 2 rows or more, got 1"):
        fused.train_step(likes()[1:2], (0, 0, 0))


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9)])
def test_the_drift_table_is_its_formula(betas):
    """After 1,030 steps, so that it has grown once."""
    adam = Adam({"w": np.zeros(1)}, betas=betas)
    table = DriftTable(adam)
    for _ in range(1030):
        adam.step_count += 1
        table.advance()
    history = table.history()
    steps = np.arange(1, 1031)
    beta1, beta2 = betas
    step_size, inv_root = adam.lr / (1 - beta1**steps), (1 - beta2**steps) ** -0.5
    assert history.step == 1030
    np.testing.assert_allclose(history.step_size[1:1031], step_size)
    np.testing.assert_allclose(history.inv_root[1:1031], inv_root)
    for t0 in (1, 900, 1023, 1024, 1029, 1030):
        later = steps > t0
        missed = steps[later] - t0
        drift1 = (step_size / inv_root)[later] * (beta1 / beta2**0.5) ** missed
        drift2 = (step_size / inv_root**2)[later] * (beta1 / beta2) ** missed
        assert history.drift1[t0] == pytest.approx(drift1.sum(), rel=1e-11)
        assert history.drift2[t0] == pytest.approx(drift2.sum(), rel=1e-11)
    of_a_checkpoint = DriftTable(adam).history()
    for ours, answer in zip(of_a_checkpoint, history):
        np.testing.assert_array_equal(ours, answer)


def trained(dtype, n_items=N_ITEMS):
    fused = FusedEngine(*make(dtype, n_items))
    for key, batch in batches(likes(n_items=n_items), 5):
        fused.train_step(batch, key)
    fused.flush()
    return fused.network


@pytest.mark.kernels
@pytest.mark.parametrize(("dtype", "atol"), [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_a_network_without_adam_scores(dtype, atol):
    network = trained(dtype)
    scorer = FusedEngine(network)
    user_items = likes()  # with users who liked nothing
    assert scorer.n_items == network.n_items
    assert scorer.state_dict()["embedding.weight"] is network.state["embedding.weight"]
    scorer.flush()
    answer = network.score(user_items)
    scores = scorer.score(user_items)
    assert scores.dtype == np.dtype(dtype) and scores.shape == user_items.shape
    np.testing.assert_allclose(scores, answer, rtol=0, atol=atol)
    np.testing.assert_array_equal(scorer.score(user_items[:0]), answer[:0])


@pytest.mark.kernels
def test_top_n_is_that_of_the_layers_scores():
    network, user_items = trained(np.float64), likes()
    items, scores = FusedEngine(network).top_n(user_items, 20)
    answer_items, answer_scores = top_n_of_scores(network.score(user_items), user_items, 20)
    np.testing.assert_array_equal(items, answer_items)
    np.testing.assert_allclose(scores, answer_scores, rtol=0, atol=1e-12)


def test_encode_is_the_bottleneck():
    network, user_items = trained(np.float64), likes()
    state = network.state
    logits = FusedEngine(network).encode(user_items) @ state["output.weight"].T + state["output.bias"]
    np.testing.assert_allclose(logits, network.score(user_items), rtol=0, atol=1e-12)


def test_top_n_with_fewer_items_left_than_n_is_padded():
    network = trained(np.float32, n_items=4)
    user_items = sparse.csr_array(np.array([[1, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]], np.float32))
    items, scores = FusedEngine(network).top_n(user_items, 5)
    assert items[0].tolist() == [1, -1, -1, -1, -1]
    assert items[1].tolist() == [-1] * 5
    assert sorted(items[2].tolist()) == [-1, 0, 1, 2, 3]
    assert (scores[items < 0] == np.finfo(np.float32).min).all()


@pytest.mark.parametrize(
    "name", ["embedding.weight", "batchnorm2.running_var", "bottleneck.bias", "output.bias", "output.weight"]
)
def test_a_ranking_by_nan_is_refused(name):
    network = trained(np.float32)
    network.state[name][:] = np.nan
    with pytest.raises(ValueError, match="scores are NaN, as its training diverged; train it with a lower lr"):
        FusedEngine(network).top_n(likes(), 3)


def test_both_backends_learn_the_same_from_the_bundled_ratings(ratings, split):
    """Precision of 8 epochs in float32, in which two equal networks drift apart; to 0.02, and far above chance."""
    train, held_out = split
    reports = []
    for backend in ("numba", "numpy"):
        network = AutoEncoderNetwork(initial_state(ratings.n_items, emb_dim=64, hidden_dim=32, seed=1))
        trainer = Trainer(network, epochs=8, batch_size=64, backend=backend).fit(train)
        with compute_threads():
            reports.append(evaluate(trainer.engine, train, held_out))
    for k in (1, 5, 10):
        ours, answer = (report[f"precision@{k}"] for report in reports)
        assert ours == pytest.approx(answer, abs=0.02)
        assert answer > 0.1


def test_what_the_kernels_do_not_compute_is_refused():
    """A loss, or a network, of somebody's own would otherwise be trained as another one."""

    class Other(SigmoidBCE):
        pass

    class OtherNetwork(AutoEncoderNetwork):
        pass

    state = initial_state(4, 3, 2)
    network = AutoEncoderNetwork(state, loss=Other())
    with pytest.raises(
        ValueError, match="Multinomial, ConfidenceBCE, ConfidenceMultinomial, but the network has Other; train it with"
    ):
        FusedEngine(network, Adam(network.params))
    with pytest.raises(
        ValueError, match="support AutoEncoderNetwork, and OtherNetwork may compute something else; use"
    ):
        FusedEngine(OtherNetwork(state))


def test_each_dropout_has_its_own_rate():
    user_items, (network, adam), (twin, twins_adam) = likes(), make(np.float64), make(np.float64)
    for one in (network, twin):
        one.dropout2 = Dropout(0.0)
    fused = FusedEngine(twin, twins_adam)
    for key, batch in batches(user_items, 3):
        assert fused.train_step(batch, key) == pytest.approx(train_step(network, adam, batch, key), rel=1e-9)
