"""The trainer: minibatches, callbacks, stopping, and errors."""

from __future__ import annotations

import math
import signal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from autoenc.evaluation.evaluate import evaluate
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.optim import Adam
from autoenc.training.callbacks import Callback, ProgressBar
from autoenc.training.engine import engine_for
from autoenc.training.minibatches import batch_bounds, default_epochs, minibatches
from autoenc.training.plain import PlainEngine, train_step
from autoenc.training.trainer import Trainer

N_USERS, N_ITEMS = 50, 40

both_backends = pytest.mark.parametrize("backend", ["numba", "numpy"])


def likes(n_users=N_USERS, n_items=N_ITEMS) -> sparse.csr_array:
    liked = np.random.default_rng(0).random((n_users, n_items)) < 0.2
    liked[:, 0] = True
    return sparse.csr_array(liked.astype(np.float32))


def network(dtype=np.float32) -> AutoEncoderNetwork:
    return AutoEncoderNetwork(initial_state(N_ITEMS, 6, 4, dtype=dtype))


class Recorder(Callback):
    """What was told, in order, and what the trainer's attributes were."""

    def __init__(self):
        self.events = []

    def on_train_begin(self, trainer):
        self.events.append(("train_begin", trainer.n_users, trainer.n_steps))

    def on_step_end(self, trainer):
        self.events.append(("step_end", trainer.epoch, trainer.step, trainer.users_done))

    def on_epoch_end(self, trainer):
        self.events.append(("epoch_end", trainer.epoch, trainer.step, trainer.users_done))

    def on_train_end(self, trainer):
        self.events.append(("train_end",))


class Stopper(Callback):
    """Asks to stop after the step, or the epoch, of these numbers."""

    def __init__(self, after_step=None, after_epoch=None):
        self.after_step, self.after_epoch = after_step, after_epoch

    def on_step_end(self, trainer):
        trainer.stop = trainer.stop or (trainer.epoch, trainer.step) == self.after_step

    def on_epoch_end(self, trainer):
        trainer.stop = trainer.stop or trainer.epoch == self.after_epoch


# Minibatches


@given(n_users=st.integers(1, 300), batch_size=st.integers(2, 70), epoch=st.integers(0, 3))
def test_minibatches_are_a_partition_of_the_users(n_users, batch_size, epoch):
    users = np.arange(n_users) * 3
    batches = list(minibatches(users, batch_size, 7, epoch))
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), users)
    assert all((np.diff(batch) > 0).all() for batch in batches)
    sizes = [len(batch) for batch in batches]
    assert all(size == batch_size for size in sizes[:-1])
    assert 1 < sizes[-1] <= batch_size + 1 or sizes == [1]
    assert len(sizes) == len(batch_bounds(n_users, batch_size)) - 1


@pytest.mark.parametrize(
    ("n_users", "bounds"),
    [(1, [0, 1]), (4, [0, 4]), (5, [0, 5]), (6, [0, 4, 6]), (8, [0, 4, 8]), (9, [0, 4, 9]), (10, [0, 4, 8, 10])],
)
def test_a_last_batch_of_one_joins_the_one_before(n_users, bounds):
    assert batch_bounds(n_users, 4).tolist() == bounds


def test_minibatches_are_named_by_seed_and_epoch():
    users = np.arange(100)

    def order(seed, epoch):
        return np.concatenate(list(minibatches(users, 10, seed, epoch))).tolist()

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


@pytest.mark.parametrize(
    ("n_users", "batch_size", "epochs"),
    [
        (69_878, 256, 1),
        (671, 256, 20),
        (671, 64, 6),
        (256 * 60, 256, 1),
        (256 * 59, 256, 2),
        (2, 256, 60),
        (0, 256, 60),
    ],
)
def test_default_epochs_make_60_steps(n_users, batch_size, epochs):
    assert default_epochs(n_users, batch_size) == epochs


def test_default_epochs_are_no_fewer_than_asked_for():
    assert default_epochs(69_878, steps=240, least=12) == 12
    assert default_epochs(671, steps=240, least=12) == 80


def test_default_epochs_refuses_what_the_trainer_refuses():
    with pytest.raises(ValueError, match="batch_size must be 2 or more, got 0"):
        default_epochs(671, 0)


# Training


@both_backends
def test_callbacks_are_told_in_order(backend):
    recorders = Recorder(), Recorder()
    trainer = Trainer(network(), epochs=2, batch_size=20, backend=backend, callbacks=iter(recorders))
    assert trainer.fit(likes()) is trainer
    epoch = [("step_end", 0, 20), ("step_end", 1, 40), ("step_end", 2, 50), ("epoch_end", 2, 50)]
    steps = [(name, e, step, done) for e in range(2) for name, step, done in epoch]
    for recorder in recorders:
        assert recorder.events == [("train_begin", 50, 3), *steps, ("train_end",)]


def test_the_losses_are_per_user():
    losses, epoch_losses = [], []

    class Losses(Callback):
        def on_step_end(self, trainer):
            losses.append(trainer.loss)
            epoch_losses.append(trainer.epoch_loss)

    user_items = likes()
    trainer = Trainer(network(np.float64), batch_size=20, seed=3, backend="numpy", callbacks=[Losses()]).fit(user_items)
    twin = network(np.float64)
    adam, summed, done = Adam(twin.params), [], 0
    for step, users in enumerate(minibatches(np.arange(N_USERS), 20, 3, 0)):
        summed.append(train_step(twin, adam, user_items[users], (3, 0, step)))
        done += len(users)
        assert losses[step] == pytest.approx(summed[-1] / len(users))
        assert epoch_losses[step] == pytest.approx(sum(summed) / done)
    assert trainer.loss == losses[-1]
    for name, array in twin.state.items():
        np.testing.assert_array_equal(trainer.engine.state_dict()[name], array)


@both_backends
def test_one_seed_one_result_whatever_watches(backend):
    """A run that is evaluated after every step has the bits of one that isn't."""
    user_items = likes()

    class Evaluates(Callback):
        def on_step_end(self, trainer):
            evaluate(trainer.engine, user_items, user_items[:, ::-1], ks=[1])
            trainer.engine.state_dict()

    def state(seed, *callbacks):
        net = network()
        Trainer(net, epochs=2, batch_size=20, seed=seed, backend=backend, callbacks=callbacks).fit(user_items)
        return net.state

    plain, watched, other = state(1), state(1, Evaluates()), state(2)
    for name, array in plain.items():
        np.testing.assert_array_equal(watched[name], array)
    assert (other["output.weight"] != plain["output.weight"]).any()


@both_backends
def test_the_hyperparameters_reach_adam(backend):
    trainer = Trainer(network(), lr=0.5, betas=(0.8, 0.9), eps=1e-3, backend=backend)
    assert (trainer.adam.lr, trainer.adam.betas, trainer.adam.eps) == (0.5, (0.8, 0.9), 1e-3)
    assert trainer.engine.adam is trainer.adam


@both_backends
def test_a_stop_after_a_step_is_kept(backend):
    recorder = Recorder()
    Trainer(network(), epochs=3, batch_size=20, backend=backend, callbacks=[Stopper(after_step=(1, 1)), recorder]).fit(
        likes()
    )
    assert recorder.events[-2:] == [("step_end", 1, 1, 40), ("train_end",)]


def test_a_stop_after_an_epoch_is_kept():
    recorder = Recorder()
    Trainer(network(), epochs=3, batch_size=20, callbacks=[Stopper(after_epoch=1), recorder]).fit(likes())
    assert recorder.events[-2:] == [("epoch_end", 1, 2, 50), ("train_end",)]


def test_no_row_lags_behind_after_a_stop():
    each_likes_one = [[user % N_ITEMS] for user in range(N_USERS)]  # so that a batch leaves out half of the items
    trainer = Trainer(network(), epochs=3, batch_size=20, callbacks=[Stopper(after_step=(0, 1))]).fit(each_likes_one)
    assert (trainer.engine.last_step == 2).all()


def test_ctrl_c_after_the_last_step_is_not_lost():
    class Late(Callback):
        def on_epoch_end(self, trainer):
            signal.raise_signal(signal.SIGINT)

    trainer = Trainer(network(), epochs=1, batch_size=20, callbacks=[Late()])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(likes())
    assert trainer.next_epoch == 1 and trainer.adam.step_count == 3


def test_no_epochs_train_nothing():
    recorder, net = Recorder(), network()
    before = {name: array.copy() for name, array in net.state.items()}
    Trainer(net, epochs=0, callbacks=[recorder]).fit(likes())
    assert recorder.events == [("train_begin", 50, 1), ("train_end",)]
    for name, array in before.items():
        np.testing.assert_array_equal(net.state[name], array)


@both_backends
def test_users_who_liked_nothing_are_left_out(backend):
    user_items = likes()
    with_empty = sparse.vstack([user_items[:10], sparse.csr_array((7, N_ITEMS)), user_items[10:]]).tocsr()
    states = []
    for x in (user_items, with_empty):
        trainer = Trainer(network(), epochs=2, batch_size=20, backend=backend).fit(x)
        assert (trainer.n_users, trainer.n_steps) == (50, 3)
        states.append(trainer.engine.state_dict())
    for name, array in states[0].items():
        np.testing.assert_array_equal(states[1][name], array)


def test_lists_of_items_will_do():
    trainer = Trainer(network()).fit([[0, 1], [], [2, 39]])
    assert trainer.n_users == 2


def test_the_progress_bar_shows_epochs_users_and_loss(capsys):
    Trainer(network(), epochs=2, batch_size=20, callbacks=[ProgressBar()]).fit(likes())
    out, err = capsys.readouterr()
    assert out == ""
    last = err.rstrip().split("\r")[-1]
    assert last.startswith("epoch 2/2: 100%") and "50.0/50.0" in last and "users/s" in last and "loss=" in last


# What is refused


@both_backends
def test_a_training_that_diverges_says_where(backend):
    recorder = Recorder()
    trainer = Trainer(network(), epochs=9, batch_size=20, lr=1e30, backend=backend, callbacks=[recorder])
    sentence = r"the loss became (nan|inf) at step \d of epoch \d; train with a lower lr than 1e\+30"
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=sentence):
        trainer.fit(likes())
    assert recorder.events[-1] == ("train_end",)


@pytest.mark.parametrize("lists", [[[0, 1]], [[0, 1], [], []], [[], []]])
def test_too_few_users_are_refused(lists):
    n = sum(map(bool, lists))
    with pytest.raises(ValueError, match=f"at least two users with likes, got {n}; pass more, as BatchNorm"):
        Trainer(network()).fit(lists)


def test_the_items_must_be_the_networks():
    with pytest.raises(ValueError, match=r"user_items has 39 columns, but 40 items are expected"):
        Trainer(network()).fit(likes(n_items=39))


@pytest.mark.parametrize(
    ("error", "arguments", "sentence"),
    [
        (ValueError, {"epochs": -1}, "epochs must be 0 or more, got -1"),
        (TypeError, {"epochs": 1.5}, "epochs must be a whole number, got 1.5"),
        (TypeError, {"epochs": "3"}, "epochs must be a whole number, got '3'"),
        (ValueError, {"batch_size": 1}, "batch_size must be 2 or more, got 1"),
        (TypeError, {"batch_size": None}, "batch_size must be a whole number, got None"),
        (ValueError, {"seed": -1}, "seed must be 0 or more, got -1"),
        (ValueError, {"lr": 0}, "lr must be a finite number above 0, got 0"),
        (ValueError, {"lr": -0.01}, "lr must be a finite number above 0, got -0.01"),
        (ValueError, {"lr": math.nan}, "lr must be a finite number above 0, got nan"),
        (ValueError, {"lr": math.inf}, "lr must be a finite number above 0, got inf"),
        (ValueError, {"lr": "high"}, "lr must be a finite number above 0, got high"),
        (ValueError, {"schedule_length": 0.9}, "schedule_length must be a finite number of 1 or more, got 0.9"),
        (ValueError, {"schedule_length": None}, "schedule_length must be a finite number of 1 or more, got None"),
        (ValueError, {"seed": 2**63}, "seed must be 9223372036854775807 or less, got 9223372036854775808"),
        (ValueError, {"betas": (1.0, 0.999)}, r"betas must both be at least 0 and below 1, got \(1.0, 0.999\)"),
        (ValueError, {"betas": (0.9, -0.1)}, r"betas must both be at least 0 and below 1, got \(0.9, -0.1\)"),
        (ValueError, {"backend": "torch"}, "backend must be one of numba, numpy, got 'torch'"),
    ],
)
def test_bad_arguments_are_one_sentence(error, arguments, sentence):
    with pytest.raises(error, match=f"^{sentence}$"):
        Trainer(network(), **arguments)


def test_whole_numbers_of_numpy_are_taken():
    trainer = Trainer(network(), epochs=np.int64(0), batch_size=np.int32(5), seed=np.uint64(2**63 - 1))
    assert (trainer.epochs, trainer.batch_size, trainer.seed) == (0, 5, 2**63 - 1)


# The layers behind the trainer's face


def test_the_plain_network_is_the_layers():
    user_items, adams = likes(), []
    twins = network(np.float64), network(np.float64)
    for net in twins:
        adams.append(Adam(net.params))
    plain = engine_for("numpy", twins[0], adams[0])
    assert isinstance(plain, PlainEngine) and plain.n_items == N_ITEMS
    loss = plain.train_step(user_items, (0, 0, 0))
    assert loss == train_step(twins[1], adams[1], user_items, (0, 0, 0))
    plain.flush()
    assert plain.state_dict() is twins[0].state
    np.testing.assert_array_equal(plain.score(user_items), twins[1].score(user_items))


# The rate


class Rates(Callback):
    def __init__(self):
        self.taken = []

    def on_step_end(self, trainer):
        self.taken.append(trainer.adam.lr)


@pytest.mark.parametrize("schedule_length", [1, 1.5])
def test_the_cosine_would_reach_0_at_the_end_of_the_schedule(schedule_length):
    rates, epochs = Rates(), 4
    Trainer(
        network(),
        epochs=epochs,
        schedule_length=schedule_length,
        batch_size=20,
        lr=0.02,
        schedule="cosine",
        callbacks=[rates],
    ).fit(likes())
    steps = 3
    answer = 0.01 * (1 + np.cos(np.pi * np.arange(epochs * steps) / (schedule_length * epochs * steps)))
    np.testing.assert_allclose(rates.taken, answer, rtol=1e-12)
