"""Callbacks: their figures are right, the best weights are kept, and they don't change any bit of training."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from autoenc.evaluation.evaluate import HIGHER_IS_BETTER, evaluate
from autoenc.evaluation.splits import holdout_per_user
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.training.callbacks import Callback, History, Validation
from autoenc.training.trainer import Trainer

N_USERS, N_ITEMS = 60, 40

both_backends = pytest.mark.parametrize("backend", ["numba", "numpy"])


class Ends(Callback):
    """The network's state at the end of each epoch."""

    def __init__(self):
        self.states = []

    def on_epoch_end(self, trainer):
        self.states.append({name: array.copy() for name, array in trainer.engine.state_dict().items()})


@pytest.fixture(scope="module")
def halves():
    """Two kinds of users, who like what their kind likes: (train, held_out)."""
    rng = np.random.default_rng(0)
    kind = np.arange(N_USERS)[:, None] % 2 == np.arange(N_ITEMS) % 2
    liked = rng.random((N_USERS, N_ITEMS)) < np.where(kind, 0.5, 0.03)
    return holdout_per_user(sparse.csr_array(liked.astype(np.float32)), 0.3)


def fit(halves, callbacks, epochs=6, backend="numba", **params):
    network = AutoEncoderNetwork(initial_state(N_ITEMS, 6, 4, bias_offset=-2.0))
    return Trainer(network, epochs=epochs, batch_size=16, backend=backend, callbacks=callbacks, **params).fit(halves[0])


def assert_same_bits(ours, answer):
    for name, array in answer.items():
        np.testing.assert_array_equal(ours[name], array, err_msg=name)


@both_backends
def test_a_watched_run_has_the_bits_of_one_that_is_not(halves, backend):
    plain = fit(halves, [], backend=backend)
    validation = Validation(*halves, "ndcg@5", keep_best=False)
    watched = fit(halves, [validation, History(validation)], backend=backend)
    assert len(validation.values) == 6
    assert_same_bits(watched.engine.network.state, plain.engine.network.state)
    assert_same_bits(watched.adam.first_moment, plain.adam.first_moment)


def test_history_takes_down_each_epoch(halves):
    losses = []

    class Losses(Callback):
        def on_epoch_end(self, trainer):
            losses.append(trainer.epoch_loss)

    validation = Validation(*halves, "precision@3", every=2, keep_best=False)
    history = History(validation)
    fit(halves, [validation, history, Losses()], schedule="cosine", epochs=5)
    assert [row["epoch"] for row in history.epochs] == [1, 2, 3, 4, 5]
    assert [row["loss"] for row in history.epochs] == losses
    rates = [row["lr"] for row in history.epochs]
    assert rates == sorted(rates, reverse=True) and rates[-1] < 0.001
    assert len(validation.values) == 3  # after epochs 2 and 4, and after the last
    measured = {row["epoch"]: row["precision@3"] for row in history.epochs if "precision@3" in row}
    assert measured == dict(zip([2, 4, 5], validation.values))


def test_validation_measures_what_evaluate_does_and_keeps_the_best_weights(halves):
    validation, ends = Validation(*halves, "ndcg@5"), Ends()
    trainer = fit(halves, [ends, validation], epochs=12, lr=0.05)
    best = int(np.argmax(validation.values))
    assert best + 1 == validation.best_epoch
    assert validation.best == validation.values[best]
    assert len(validation.values) == 12
    assert_same_bits(trainer.engine.network.state, ends.states[best])
    report = evaluate(trainer.engine, *halves, ks=(5,))
    assert report["ndcg@5"] == pytest.approx(validation.best, abs=1e-6)


def test_patience_ends_the_training(halves):
    validation, history = Validation(*halves, "ndcg@5", patience=2), History()
    trainer = fit(halves, [validation, history], epochs=200, lr=0.05)
    assert len(validation.values) == len(history.epochs) < 200
    assert int(np.argmax(validation.values)) == len(validation.values) - 3
    assert trainer.stop


@pytest.mark.parametrize("make", [lambda halves: Validation(*halves, "ndcg@5"), lambda _: History()])
def test_what_a_checkpoint_holds_is_all_that_is_remembered(halves, make):
    watched, again = make(halves), make(halves)
    fit(halves, [watched])
    facts, arrays = watched.state_dict()
    again.load_state_dict(facts, {name: array.copy() for name, array in arrays.items()})
    assert again.state_dict()[0] == facts
    assert_same_bits(again.state_dict()[1], arrays)


@pytest.mark.parametrize("change", ["gone", "another shape", "another dtype", "one more"])
@pytest.mark.parametrize("told", ["before", "after"])
def test_weights_of_another_network_are_refused_before_the_training(halves, change, told):
    watched, again = (Validation(*halves, "ndcg@5") for _ in range(2))
    trainer = fit(halves, [watched])
    facts, arrays = watched.state_dict()
    kept = arrays["output.bias"]
    arrays = {name: array for name, array in arrays.items() if name != "output.bias"}
    changes = {"another shape": kept[1:], "another dtype": kept.astype("f8"), "one more": kept}
    arrays |= {"output.bias": changes[change]} if change in changes else {}
    arrays |= {"third.weight": kept} if change == "one more" else {}
    if told == "before":
        again.on_train_begin(trainer)
    name = "third.weight" if change == "one more" else "output.bias"
    sentence = f"the state of Validation has the weights of another network, which differ in {name}; train"
    with pytest.raises(ValueError, match=sentence):
        again.load_state_dict(facts, arrays)
        fit(halves, [again])
    if told == "before":
        assert again.state_dict() == Validation(*halves, "ndcg@5").state_dict()


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (
            lambda halves: Validation(*halves, "ndcg@5"),
            {"values": "0.5"},
            "the state of Validation must have its values",
        ),
        (
            lambda halves: Validation(*halves, "ndcg@5"),
            {"values": ["0.5"]},
            "the state of Validation must have its values",
        ),
        (lambda halves: Validation(*halves, "ndcg@5"), {"best": None}, "the state of Validation must have its values"),
        (
            lambda halves: Validation(*halves, "ndcg@5"),
            {"best_epoch": 1.0},
            "the state of Validation must have its values",
        ),
        (
            lambda halves: Validation(*halves, "ndcg@5"),
            {"best_epoch": 0},
            "the state of Validation must have its values",
        ),
        (lambda _: History(), {"epochs": [1, 2]}, "the epochs in the state of History must be dicts"),
    ],
)
def test_what_no_checkpoint_holds_is_not_remembered(halves, make, changes, message):
    watched = make(halves)
    fit(halves, [watched])
    facts, arrays = watched.state_dict()
    with pytest.raises(ValueError, match=message):
        make(halves).load_state_dict({**facts, **changes}, arrays)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "ndcg"}, r"metric is 'ndcg'; pass one of precision, .* with its k, such as 'ndcg@100'"),
        ({"metric": "ndcg@0"}, "metric is 'ndcg@0'"),
        ({"metric": "@5"}, "metric is '@5'"),
        ({"metric": "beauty@5"}, "metric is 'beauty@5'; pass one of .*, ndcg, .*, coverage with its k"),
        ({"patience": 0}, "every and patience must be 1 or more, got 1 and 0"),
        ({"every": 0}, "every and patience must be 1 or more, got 0 and None"),
    ],
)
def test_validation_refuses(halves, arguments, message):
    with pytest.raises(ValueError, match=message):
        Validation(*halves, **arguments)


@pytest.mark.parametrize("metric", HIGHER_IS_BETTER)
def test_validation_takes_every_metric_of_which_more_is_better(halves, metric):
    validation = Validation(*halves, f"{metric}@5")
    fit(halves, [validation], epochs=1)
    assert len(validation.values) == 1


def test_history_is_drawn(halves):
    figure = pytest.importorskip("matplotlib.figure")
    validation = Validation(*halves, "precision@3", every=2, keep_best=False)
    history = History(validation)
    fit(halves, [validation, history], epochs=4)
    ax = history.plot(figure.Figure().add_subplot())
    [line] = ax.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4])
    np.testing.assert_array_equal(line.get_ydata(), [row["loss"] for row in history.epochs])
    [other] = [twin for twin in ax.figure.axes if twin is not ax]
    [line] = other.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), [2, 4])
    np.testing.assert_array_equal(line.get_ydata(), validation.values)
    assert other.get_ylabel() == "validation precision@3"
    assert History().plot(figure.Figure().add_subplot()).get_xlabel() == "epoch"
