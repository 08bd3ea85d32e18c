"""Training: epochs of minibatches, and callbacks that watch them.

The batches of an epoch are a seeded shuffle of the users, cut into `batch_size`; a last batch of a
single user, which BatchNorm can't train on, joins the one before. What is random in a step, its
dropout masks, is named by (seed, epoch, step), so a run's bits depend on nothing else.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import operator
import signal
import threading
import zlib
from collections.abc import Iterable, Iterator
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse

from autoenc.communicator import ALONE, Communicator
from autoenc.interactions import as_user_items
from autoenc.item_network import ItemNetwork
from autoenc.network import train_step
from autoenc.optim import Adam
from autoenc.sharded import ShardedNetwork
from autoenc.shards import Shard
from autoenc.threads import compute_threads

BACKENDS = ("numba", "numpy")

# The share of lr that is left when a share of the steps, from 0 to 1, is done.
SCHEDULES = {
    "constant": lambda progress: 1.0,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
}


class PlainNetwork:
    """A network's layers behind the face of `fused.FusedNetwork`."""

    def __init__(self, network: ItemNetwork, adam: Adam | None = None):
        self.network = network
        self.adam: Any = adam
        self.n_items = network.n_items

    def train_step(self, user_items: sparse.csr_array, key: tuple[int, int, int]) -> float:
        with compute_threads():
            return train_step(self.network, self.adam, user_items, key)

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        with compute_threads():
            return self.network.score(user_items)

    def encode(self, user_items: sparse.csr_array) -> np.ndarray:
        with compute_threads():
            return self.network.encode(user_items)

    def current_state(self) -> dict[str, np.ndarray]:
        return self.network.state

    def settle(self) -> None:
        """Nothing lags behind here."""

    def training_arrays(self) -> dict[str, np.ndarray]:
        """Nothing but the network's and Adam's own arrays is needed to go on."""
        return {}

    def set_training_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what `training_arrays` gave."""


def on_backend(backend: str, network: ItemNetwork, adam: Adam | None = None, shard: Shard | None = None):
    """The network as a scorer that can train (where it has an `adam`), on "numba" or "numpy".

    With a shard, the network is of its items, and the scorer of all ranks'.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if backend == "numpy":
        model: Any = PlainNetwork(network, adam)
    else:
        from autoenc.fused import FusedNetwork

        model = FusedNetwork(network, adam)
    return model if shard is None else ShardedNetwork(model, shard)


class Callback:
    """Watches a training; every method does nothing until it is overridden.

    A callback that remembers something gives it to a checkpoint by `memory` and takes it back, when
    the training is resumed, by `remember`.
    """

    def on_train_begin(self, trainer: Trainer) -> None: ...

    def on_step_end(self, trainer: Trainer) -> None: ...

    def on_epoch_end(self, trainer: Trainer) -> None: ...

    def on_train_end(self, trainer: Trainer) -> None:
        """Called however the training ends, by an error or Ctrl-C too."""

    def memory(self) -> tuple[dict, dict[str, np.ndarray]]:
        """What JSON holds, and arrays."""
        return {}, {}

    def remember(self, facts: dict, arrays: dict[str, np.ndarray]) -> None: ...


class Trainer:
    """Trains a network by Adam.

    Parameters
    ----------
    network : ItemNetwork
        Trained in place.
    epochs : int
        0 or more.
    batch_size : int
        Users a step, 2 or more.
    lr, betas, eps
        As `optim.Adam` has them.
    schedule : "constant" or "cosine"
        How the rate goes on from `lr`: stays, or falls to 0 along half a cosine, by the last epoch's
        last step if horizon is 1.
    horizon : float
        At how many times `epochs` the cosine would reach 0, 1 or more: at 1.5 training ends at a
        quarter of `lr`.
    seed : int
        0 to 2**63 - 1. Names the shuffles and the dropout masks.
    backend : "numba" or "numpy"
    threads : int, optional
        How many threads compute; by default as many as numba has. The bits are the same for any.
    callbacks : iterable of Callback
    shard : Shard, optional
        Where the network is one rank's rows of a larger one: which. All ranks fit at once.

    Attributes
    ----------
    model : FusedNetwork, PlainNetwork or ShardedNetwork
        The network on its backend: what scores in mid-training.
    epoch, step : int
        Of the step that was last taken, from 0.
    n_users, n_steps : int
        Users and steps an epoch.
    users_done : int
        Users trained on in this epoch so far.
    loss : float
        Of the last step: summed over items, per user.
    epoch_loss : float
        The mean of the same over the epoch's users so far.
    fingerprint : int
        Of the likes: a checkpoint is of one training on one set of them.
    stop : bool
        A callback that sets this ends the training after the step.
    next_epoch, next_step : int
        Where `fit` goes on: at 0, 0 in a new trainer, at `epochs`, 0 when training is done. To
        train on, raise `epochs` and fit again.
    """

    epochs: int
    threads: int | None
    callbacks: list[Callback]
    shard: Shard | None
    communicator: Communicator
    adam: Adam
    model: Any
    n_users: int
    n_steps: int
    users_done: int
    fingerprint: int
    next_epoch: int
    next_step: int
    total_loss: float
    stop: bool

    def __init__(
        self,
        network: ItemNetwork,
        *,
        epochs: int = 1,
        batch_size: int = 256,
        lr: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        schedule: str = "constant",
        horizon: float = 1.0,
        seed: int = 0,
        backend: str = "numba",
        threads: int | None = None,
        callbacks: Iterable[Callback] = (),
        shard: Shard | None = None,
    ):
        self.epochs = whole_number("epochs", epochs, 0)
        self.batch_size = whole_number("batch_size", batch_size, 2)
        self.seed = whole_number("seed", seed, 0, 2**63 - 1)
        if not isinstance(lr, Real) or not 0 < lr < math.inf:
            raise ValueError(f"lr must be a finite number above 0, got {lr}")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must both be at least 0 and below 1, got {betas}")
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}")
        if not isinstance(horizon, Real) or not 1 <= horizon < math.inf:
            raise ValueError(f"horizon must be a finite number of 1 or more, got {horizon}")
        self.lr = lr
        self.schedule = schedule
        self.horizon = float(horizon)
        self.threads = threads
        self.callbacks = list(callbacks)
        self.adam = Adam(network.params, lr, betas, eps)
        self.backend = backend
        self.model = on_backend(backend, network, self.adam, shard)
        self.shard = shard
        self.communicator = ALONE if shard is None else shard.communicator
        self.epoch = self.step = self.n_users = self.n_steps = self.users_done = 0
        self.loss = math.nan
        self.stop = False
        self.fingerprint = 0
        self.next_epoch = self.next_step = 0
        self.total_loss = 0.0

    @property
    def epoch_loss(self) -> float:
        return self.total_loss / self.users_done if self.users_done else math.nan

    def fit(self, user_items) -> Trainer:
        """Train on `user_items`, whatever `as_user_items` takes, from where the trainer stands.

        Users who liked nothing are left out. Ctrl-C ends the training after the step, with every
        array whole, and is then raised as KeyboardInterrupt.

        Raises
        ------
        ValueError
            If the items aren't the network's, or fewer than two users liked anything.
        FloatingPointError
            If the loss becomes NaN or infinite.
        """
        user_items = as_user_items(user_items, self.model.n_items)
        with_likes = np.flatnonzero(np.diff(user_items.indptr))
        if len(with_likes) < 2:
            raise ValueError(
                f"training takes two users or more who liked something, got {len(with_likes)}; pass more, "
                "since BatchNorm, where a network has it, finds no variance over one"
            )
        self.n_users = len(with_likes)
        self.fingerprint = zlib.crc32(user_items.indices, zlib.crc32(user_items.indptr))
        self.n_steps = len(batch_bounds(len(with_likes), self.batch_size)) - 1
        self.stop = False
        with compute_threads(self.threads), _interrupt_between_steps() as interrupted:
            try:
                self._tell("on_train_begin")
                self._compile_kernels()
                while self.next_epoch < self.epochs and not self.stop:
                    self._run_epoch(user_items, with_likes, interrupted)
            finally:
                self.model.settle()
                self._tell("on_train_end")
        return self

    def _run_epoch(self, user_items, with_likes, interrupted):
        self.epoch = self.next_epoch
        if self.next_step == 0:
            self.users_done, self.total_loss = 0, 0.0
        batches = enumerate(minibatches(with_likes, self.batch_size, self.seed, self.epoch))
        for step, users in itertools.islice(batches, self.next_step, None):
            self._run_step(step, user_items[users])
            self._tell("on_step_end")
            if interrupted.is_set():
                raise KeyboardInterrupt
            if self.stop:
                return
        self.next_epoch, self.next_step = self.epoch + 1, 0
        self._tell("on_epoch_end")

    def _run_step(self, step, user_items):
        self.step = step
        progress = (self.epoch * self.n_steps + step) / (self.horizon * self.epochs * self.n_steps)
        self.adam.lr = self.lr * SCHEDULES[self.schedule](progress)
        batch_loss = self.model.train_step(user_items, (self.seed, self.epoch, step))
        if not math.isfinite(batch_loss):
            raise FloatingPointError(
                f"the loss became {batch_loss} at step {step + 1} of epoch {self.epoch + 1}; "
                f"train with a lower lr than {self.lr}"
            )
        n_users = user_items.shape[0]
        self.next_step = step + 1
        self.users_done += n_users
        self.total_loss += batch_loss
        self.loss = batch_loss / n_users

    def _compile_kernels(self):
        if self.backend == "numba" and self.adam.params["output.weight"].dtype == np.float32:
            from autoenc.warm_up import compile_kernels  # imports numba

            with self.communicator.talker_first():  # what it compiles is kept on the disk
                compile_kernels(logging.getLogger("autoenc").warning)

    def _tell(self, event):
        for callback in self.callbacks:
            getattr(callback, event)(self)


class ProgressBar(Callback):
    """A bar on stderr: users/s and the epoch's loss so far."""

    def on_train_begin(self, trainer):
        from tqdm import tqdm

        self.epoch = None
        self.bar = tqdm(unit=" users", unit_scale=True, dynamic_ncols=True, desc="training")

    def on_step_end(self, trainer):
        if self.epoch != trainer.epoch:
            self.epoch = trainer.epoch
            self.bar.reset(trainer.n_users)
            self.bar.set_description(f"epoch {trainer.epoch + 1}/{trainer.epochs}")
        self.bar.update(trainer.users_done - self.bar.n)
        self.bar.set_postfix(loss=f"{trainer.epoch_loss:.2f}", refresh=False)

    def on_train_end(self, trainer):
        self.bar.close()


@contextlib.contextmanager
def _interrupt_between_steps():
    """Turn Ctrl-C into an event, so that no step is left half done; a second Ctrl-C breaks off at once."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # Python delivers signals to the main thread alone
        return

    def on_interrupt(signal_number, frame):
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupted.is_set():  # after the last step
        raise KeyboardInterrupt


def batch_bounds(n_users: int, batch_size: int) -> np.ndarray:
    """Where the minibatches of n_users begin and end: ascending from 0 to n_users."""
    bounds = [*range(0, n_users, batch_size), n_users]
    if len(bounds) > 2 and bounds[-1] - bounds[-2] == 1:
        del bounds[-2]
    return np.array(bounds)


def minibatches(users: np.ndarray, batch_size: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """The users in an order that (seed, epoch) names, a batch at a time, each batch ascending."""
    shuffled = np.random.Generator(np.random.Philox([seed, epoch])).permutation(users)
    bounds = batch_bounds(len(users), batch_size)
    for first, last in itertools.pairwise(bounds):
        yield np.sort(shuffled[first:last])


def steps_an_epoch(n_users: int, batch_size: int) -> int:
    """How many minibatches n_users make; 1 if there are none, so that one may divide by it."""
    return max(1, len(batch_bounds(n_users, whole_number("batch_size", batch_size, 2))) - 1)


def default_epochs(n_users: int, batch_size: int = 256, steps: int = 60, least: int = 1) -> int:
    """How many epochs make `steps` or more: of 60, 1 for MovieLens 10M and 20 for the bundled edition.

    The task's single epoch is 273 steps on its 69,878 users, but would be 3 on the bundled
    edition's 671, which teach nothing. `least` is for networks that take several epochs on any set.
    """
    return max(least, math.ceil(steps / steps_an_epoch(n_users, batch_size)))


def whole_number(name: str, value, least: int, most: float = math.inf) -> int:
    """`value` as an int. Raises TypeError if it is no whole number, ValueError if it is out of the range."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be {least} or more, got {number}")
    if number > most:
        raise ValueError(f"{name} must be {most} or less, got {number}")
    return number
