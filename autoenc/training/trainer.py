"""The training loop: epochs of minibatches, with callbacks.

The shuffle of an epoch is seeded with (seed, epoch) and the dropout masks of a step with (seed, epoch,
step), so the bits of a run depend on nothing else.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import signal
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from numbers import Real
from types import FrameType

import numpy as np
from scipy import sparse

from autoenc.checks import is_finite, whole_number
from autoenc.interactions import UserItems, UserItemsLike, as_user_items
from autoenc.machine import compute_threads
from autoenc.networks.base import Network
from autoenc.optim import Adam
from autoenc.training.callbacks import Callback
from autoenc.training.engine import Engine, MakeEngine, check_backend, engine_for
from autoenc.training.minibatches import batch_bounds, minibatches

# The learning rate as a fraction of lr, by the fraction of steps done.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
}


class Trainer:
    """Trains a network with Adam.

    Parameters
    ----------
    network : Network
        Trained in place.
    epochs : int
        0 or more.
    batch_size : int
        Users per step, at least 2.
    lr, betas, eps
        As in `optim.Adam`.
    schedule : "constant" or "cosine"
        Whether the learning rate stays at `lr`, or falls along half a cosine, to 0 at the last step if
        schedule_length is 1.
    schedule_length : float
        Where the cosine would reach 0, as a multiple of `epochs`, at least 1. With 1.5, training ends at
        a quarter of `lr`.
    seed : int
        Seed for shuffling and dropout, from 0 to 2**63 - 1.
    backend : "numba" or "numpy"
    threads : int, optional
        Number of threads. By default as many as numba has. The result does not depend on it.
    callbacks : iterable of Callback
    make_engine : callable (network, adam) -> Engine, optional
        Creates the engine to use instead of the one for `backend`.

    Attributes
    ----------
    engine : Engine
        Trains the network, and scores with it during training.
    epoch, step : int
        Epoch and step of the last step taken, from 0.
    n_users, n_steps : int
        Users and steps per epoch.
    users_done : int
        Users trained on in this epoch so far.
    loss : float
        Loss of the last step, summed over items, per user.
    epoch_loss : float
        Mean of this loss over the users of the epoch so far.
    fingerprint : int
        Hash of the likes, so that a checkpoint is resumed only with the same likes.
    stop : bool
        A callback can set this to end the training after the current step.
    next_epoch, next_step : int
        Where `fit` continues: 0, 0 in a new trainer, and `epochs`, 0 when training is done. To train
        longer, increase `epochs` and fit again.
    """

    epochs: int
    batch_size: int
    lr: float
    schedule: str
    schedule_length: float
    seed: int
    backend: str
    threads: int | None
    callbacks: list[Callback]
    adam: Adam
    engine: Engine
    epoch: int
    step: int
    n_users: int
    n_steps: int
    users_done: int
    loss: float
    fingerprint: int
    next_epoch: int
    next_step: int
    total_loss: float
    stop: bool

    def __init__(
        self,
        network: Network,
        *,
        epochs: int = 1,
        batch_size: int = 256,
        lr: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        schedule: str = "constant",
        schedule_length: float = 1.0,
        seed: int = 0,
        backend: str = "numba",
        threads: int | None = None,
        callbacks: Iterable[Callback] = (),
        make_engine: MakeEngine | None = None,
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
        if not isinstance(schedule_length, Real) or not 1 <= schedule_length < math.inf:
            raise ValueError(f"schedule_length must be a finite number of 1 or more, got {schedule_length}")
        self.lr = lr
        self.schedule = schedule
        self.schedule_length = float(schedule_length)
        self.threads = threads
        self.callbacks = list(callbacks)
        self.adam = Adam(network.params, lr, betas, eps)
        self.backend = backend
        check_backend(backend)
        self.engine = make_engine(network, self.adam) if make_engine else engine_for(backend, network, self.adam)
        self.epoch = self.step = self.n_users = self.n_steps = self.users_done = 0
        self.loss = math.nan
        self.stop = False
        self.fingerprint = 0
        self.next_epoch = self.next_step = 0
        self.total_loss = 0.0

    @property
    def epoch_loss(self) -> float:
        return self.total_loss / self.users_done if self.users_done else math.nan

    def fit(self, user_items: UserItemsLike) -> Trainer:
        """Train on `user_items`, anything that `as_user_items` accepts, from the trainer's current state.

        Users without likes are left out. Ctrl-C ends the training after the current step, with all
        arrays consistent, and is then raised as KeyboardInterrupt.

        Raises
        ------
        ValueError
            If the number of items is not the network's, or fewer than two users have likes.
        FloatingPointError
            If the loss or a weight becomes NaN or infinite.
        """
        return self.fit_batches(as_user_items(user_items, self.engine.n_items))

    def fit_batches(self, user_items: sparse.csr_array) -> Trainer:
        """`fit` for checked likes, or for a CSR with the same entries that holds their confidences."""
        n_users = int((np.diff(user_items.indptr) > 0).sum())
        if n_users < 2:
            raise ValueError(
                f"training needs at least two users with likes, got {n_users}; pass more, as BatchNorm, if the network "
                "has it, can't compute a variance over one"
            )
        return self.train(user_items)

    def train(self, user_items: sparse.csr_array) -> Trainer:
        """`fit` without its checks, for a canonical matrix (n_users, n_items), whose entries may be ratings."""
        with_likes = np.flatnonzero(np.diff(user_items.indptr))
        self.n_users = len(with_likes)
        self.fingerprint = zlib.crc32(user_items.indices, zlib.crc32(user_items.indptr))
        if not isinstance(user_items, UserItems):  # in a UserItems all entries are 1
            self.fingerprint = zlib.crc32(user_items.data, self.fingerprint)
        self.n_steps = len(batch_bounds(len(with_likes), self.batch_size)) - 1
        self.stop = False
        with compute_threads(self.threads), _interrupt_between_steps() as interrupted:
            try:
                self._tell("on_train_begin")
                self._compile_kernels()
                while self.next_epoch < self.epochs and not self.stop:
                    self._run_epoch(user_items, with_likes, interrupted)
            finally:
                self.engine.flush()
                self._tell("on_train_end")
        return self

    def _run_epoch(self, user_items: sparse.csr_array, with_likes: np.ndarray, interrupted: threading.Event) -> None:
        self.epoch = self.next_epoch
        if self.next_step == 0:
            self.users_done, self.total_loss = 0, 0.0
        batches = enumerate(minibatches(with_likes, self.batch_size, self.seed, self.epoch))
        for step, users in itertools.islice(batches, self.next_step, None):
            self._tell("on_step_begin")
            self._run_step(step, user_items[users])
            self._tell("on_step_end")
            if interrupted.is_set():
                raise KeyboardInterrupt
            if self.stop:
                return
        self._check_weights()
        self.next_epoch, self.next_step = self.epoch + 1, 0
        self._tell("on_epoch_end")

    def _check_weights(self) -> None:
        """Raise FloatingPointError if a weight isn't finite, as no loss reflects the last update.

        Outdated rows are checked as they are, to avoid a copy.
        """
        for name, array in self.engine.network.state.items():
            if not is_finite(array):
                raise FloatingPointError(
                    f"{name} became infinite or NaN in epoch {self.epoch + 1}; train with a lower lr than {self.lr}"
                )

    def _run_step(self, step: int, user_items: sparse.csr_array) -> None:
        self.step = step
        progress = (self.epoch * self.n_steps + step) / (self.schedule_length * self.epochs * self.n_steps)
        self.adam.lr = self.lr * SCHEDULES[self.schedule](progress)
        batch_loss = self.engine.train_step(user_items, (self.seed, self.epoch, step))
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

    def _compile_kernels(self) -> None:
        if self.backend == "numba" and self.adam.params["output.weight"].dtype == np.float32:
            from autoenc.training.warm_up import compile_kernels  # imports numba

            compile_kernels(logging.getLogger("autoenc").warning)

    def _tell(self, event: str) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self)


@contextlib.contextmanager
def _interrupt_between_steps() -> Iterator[threading.Event]:
    """Turn Ctrl-C into an event, so that no step is left half done; a second Ctrl-C interrupts at once."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # Python delivers signals only to the main thread
        return

    def on_interrupt(signal_number: int, frame: FrameType | None) -> None:
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
