"""Base class of the models that are networks, trained on minibatches.

A subclass is a dataclass that adds its own hyperparameters to those of NetworkRecommender, and has
three short methods, which return the initial arrays, the network built on them, and their shapes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
from scipy import sparse

from autoenc.checks import number, whole_number
from autoenc.evaluation.splits import holdout_users, number_of_users
from autoenc.interactions import UserItems, UserItemsLike
from autoenc.layers import Multinomial, SigmoidBCE, WeightedBCE
from autoenc.machine import check_free, compute_threads
from autoenc.messages import shown
from autoenc.models.base import Recommender
from autoenc.models.growing import Growth
from autoenc.models.random_state import RandomState, seed_of
from autoenc.models.weighted_network import WeightedInputEngine, batches_of, is_weighing, weighing
from autoenc.models.weighting import check_half_life
from autoenc.networks.base import Network
from autoenc.training.callbacks import Callback, History, Validation
from autoenc.training.engine import Engine, MakeEngine, engine_for
from autoenc.training.minibatches import default_epochs, steps_per_epoch
from autoenc.training.trainer import Trainer

LOSSES = ("bce", "multinomial")
NUMBERS = ("dropout", "input_dropout", "beta", "anneal", "bias_offset", "negative_weight", "validation_fraction")
"""Hyperparameters that a network may have, all finite numbers."""


@dataclass(eq=False, repr=False, kw_only=True)
class NetworkRecommender(Recommender):
    """A recommender whose scores are a network's.

    If likes have weights, or there is a half_life, the loss weights each like by its confidence
    (models/weighting.py), with the layers of models/weighted_network.py.

    Attributes
    ----------
    network_ : Network
        The layers.
    history_ : list of dict
        epoch, loss, lr and the validation metric, one dict per epoch.
    seed_ : int
        Seed drawn from `random_state`.
    """

    # Hyperparameters, documented in AutoEncoder.
    epochs: int | None = None
    batch_size: int = 256
    lr: float = 0.01
    schedule: str = "constant"
    schedule_length: float = 1.0
    early_stopping: str | None = None
    validation_fraction: float = 0.1
    patience: int = 5
    random_state: RandomState = 0
    backend: str = "numba"
    threads: int | None = None
    half_life: float | None = None
    weighted_input: bool = False

    weighs_likes = True

    # The default number of epochs is enough for this many steps, and at least this many epochs.
    default_steps = 60
    default_epochs = 1

    @abstractmethod
    def _initial_state(self, n_items: int) -> dict[str, np.ndarray]:
        """The initial arrays, drawn with `seed_`."""

    @abstractmethod
    def _widths(self) -> tuple[int, int]:
        """The widths of the embedding and the output layer. Raises ValueError or TypeError if one is invalid."""

    @abstractmethod
    def _network_on(self, state: dict[str, np.ndarray]) -> Network:
        """The network with those arrays."""

    @abstractmethod
    def _shapes(self, n_items: int, emb_dim: int, hidden_dim: int) -> dict[str, tuple[int, ...]]:
        """The shapes of the network's arrays by name, for these widths of embedding and output layer."""

    def _make_engine(self) -> MakeEngine | None:
        """The factory of the engine that trains the network and scores, or None for the engine of `backend`."""
        if not self.weighted_input:
            return None
        return partial(WeightedInputEngine, half_life=self.half_life)

    def _engine_to_score(self) -> Engine:
        if self.weighted_input:
            return WeightedInputEngine(weighing(self.network_, True), None, self.half_life)
        return engine_for(self.backend, self.network_)

    def _callbacks_of(self, n_steps: int) -> list[Callback]:
        """Callbacks for a training of `n_steps`, in addition to validation and history. By default none."""
        return []

    def _check_hyperparameters(self) -> None:
        super()._check_hyperparameters()
        for name in NUMBERS:
            number(name, getattr(self, name, 0.0))
        check_half_life(self.half_life)
        if not isinstance(self.weighted_input, (bool, np.bool_)):
            raise ValueError(f"weighted_input is {shown(self.weighted_input)}; pass True or False.")
        self._widths()

    def check_memory(self, n_users: int, n_items: int) -> None:
        """Check the memory of the weights and Adam's two moments, without a batch's arrays."""
        n_weights = sum(math.prod(shape) for shape in self._shapes(n_items, *self._widths()).values())
        check_free(f"a network for {n_items:,} items", 3 * 4 * n_weights, "make it narrower, or fit on fewer items")

    def fit(self, user_items: UserItemsLike, y: object = None, *, callbacks: Iterable[Callback] = ()) -> Self:
        """Train on who liked what.

        Parameters
        ----------
        user_items, y
            As in `Recommender.fit`.
        callbacks : iterable of trainer.Callback
            Such as `checkpoint.Checkpoints` or `training.callbacks.ProgressBar`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument or a hyperparameter is invalid, or fewer than two users have likes.
        FloatingPointError
            If training diverges.
        KeyboardInterrupt
            On Ctrl-C, after the current step; the model is then fitted by the steps so far.
        """
        self._callbacks = list(callbacks)
        self._interrupt: KeyboardInterrupt | None = None
        try:
            super().fit(user_items)
            if self._interrupt is not None:
                raise self._interrupt
            return self
        finally:
            del self._callbacks, self._interrupt

    def _fit(self, user_items: UserItems) -> None:
        self.seed_ = seed_of(self.random_state)
        n_items = user_items.shape[1]
        callbacks: list[Callback] = []
        validation = None
        if self.early_stopping is not None:
            n_validating = number_of_users(user_items, self.validation_fraction, "validation_fraction")
            split = holdout_users(user_items, n_validating, seed=self.seed_)
            user_items = split.train
            validation = Validation(split.fold_in, split.held_out, self.early_stopping, self.patience)
            callbacks.append(validation)
        history = History(validation)
        n_users = int((np.diff(user_items.indptr) > 0).sum())
        epochs = self.epochs
        if epochs is None:
            epochs = default_epochs(n_users, self.batch_size, self.default_steps, self.default_epochs)
        batches = batches_of(user_items, self.half_life)
        network = self._network_on(self._initial_state(n_items))
        if batches is not user_items or self.weighted_input:
            network = weighing(network, self.weighted_input)
        n_steps = whole_number("epochs", epochs, 0) * steps_per_epoch(n_users, self.batch_size)
        # The caller's callbacks come last, so that a checkpoint includes what the others have just recorded.
        own_callbacks = self._callbacks_of(n_steps)
        callbacks += [*own_callbacks, history, *self._callbacks]
        trainer = self._trainer_of(network, epochs, self.schedule, callbacks)
        try:
            trainer.fit_batches(batches)
        except KeyboardInterrupt as interrupt:
            self._interrupt = interrupt  # `fit` raises it after recording the items
        trainer.callbacks = own_callbacks  # for partial_fit; the others may hold likes and models
        self._own_callbacks = own_callbacks
        self._trainer: Trainer | None = trainer
        self.network_, self._engine, self.history_ = trainer.engine.network, trainer.engine, history.epochs

    def as_stopped_at(self, epochs: int) -> Self:
        """The model, which has the weights of this epoch, with hyperparameters whose training ends there.

        Fitted again, it trains with the same learning rates up to this epoch.
        """
        assert self._trainer is not None
        self.schedule_length = self.schedule_length * self._trainer.epochs / epochs
        self.epochs, self.early_stopping = epochs, None
        del self.history_[epochs:]
        return self

    def _trainer_of(
        self, network: Network, epochs: int, schedule: str = "constant", callbacks: Iterable[Callback] = ()
    ) -> Trainer:
        return Trainer(
            network,
            epochs=epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            schedule=schedule,
            schedule_length=self.schedule_length,
            seed=self.seed_,
            backend=self.backend,
            threads=self.threads,
            callbacks=callbacks,
            make_engine=self._make_engine(),
        )

    def partial_fit(self, user_items: UserItemsLike, y: object = None, *, epochs: int = 1) -> Self:
        """Train for `epochs` more epochs on these likes; the first call fits for as many.

        An Interactions may have new items. They get rows in the embedding and the output layer,
        initialized from the items that they were liked with (models/growing.py), and the optimizer is
        reset, as it is after `load`; otherwise it keeps its moments. The likes are added to
        `item_counts_`.

        Parameters
        ----------
        user_items : (n_users, n_items), as in `fit`
            Each user's likes, preferably including the old ones: a user given only with new likes is
            learned as one who likes nothing else.
        y
            Ignored.
        epochs : int

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As in `fit`; or if the likes are a matrix with another number of items, or have weights but the
            model was fitted on likes without.
        """
        if not self.__sklearn_is_fitted__():
            of_fit, self.epochs = self.epochs, epochs
            try:
                return self.fit(user_items)
            finally:
                self.epochs = of_fit
        epochs = whole_number("epochs", epochs, 1)
        likes = self._take_in(user_items)
        batches = batches_of(likes, self.half_life)
        if self._trainer is None:
            if batches is not likes or self.weighted_input:
                self.network_ = weighing(self.network_, self.weighted_input)
            self._trainer = self._trainer_of(self.network_, epochs=0)
            self._trainer.callbacks = self._own_callbacks
            self._engine = self._trainer.engine
        self._trainer.epochs = self._trainer.next_epoch + epochs
        self._trainer.fit_batches(batches)
        return self

    def _check_more(self, likes: UserItems) -> None:
        weighs = batches_of(likes, self.half_life) is not likes
        if weighs and self._trainer is not None and not is_weighing(self.network_):
            raise ValueError(
                "these likes have weights, but the model was fitted without; fit it again, or leave the weights out."
            )

    def _grow(self, growth: Growth) -> None:
        state, network = self.network_.state, self.network_
        now, then = (self._shapes(n, network.emb_dim, network.hidden_dim) for n in (self.n_items_, self.n_items_ + 1))
        callbacks, history = self._own_callbacks, self.history_
        self._set_arrays({name: growth.rows(a) if now[name] != then[name] else a for name, a in state.items()})
        self._own_callbacks, self.history_ = callbacks, history

    def user_embedding(self, user_items: UserItemsLike) -> np.ndarray:
        """The input of the output layer for each user: (n_users, hidden_dim), for an index such as hnswlib or faiss.

        score = user_embedding @ network_.output.params["weight"].T + network_.output.params["bias"],
        so an inner-product index over the rows of the output layer finds the items that `recommend` does.
        """
        user_items = self._as_fitted(user_items)
        with compute_threads(self.threads):
            return self._engine.encode(user_items)

    def item_vectors(self) -> np.ndarray:
        """The rows of the output layer, by which items are scored: (n_items, hidden_dim)."""
        self._check_fitted()
        return self.network_.state["output.weight"]

    @property
    def users_at_once(self) -> int:
        """Number of users to score at a time."""
        return self._engine.users_at_once

    def _top_n(self, user_items: sparse.csr_array, n: int) -> tuple[np.ndarray, np.ndarray]:
        with compute_threads(self.threads):
            return self._engine.top_n(user_items, n)

    def _score(self, user_items: sparse.csr_array) -> np.ndarray:
        with compute_threads(self.threads):
            return self._engine.score(user_items)

    def _contributions(self, row: sparse.csr_array, column: int) -> np.ndarray:
        """Compute the first layer without like j as the sum without row j, so that one batch scores all leave-one-outs.

        With a weighted input the general method is used.
        """
        if self.weighted_input:
            return super()._contributions(row, column)
        weight = self.network_.state["embedding.weight"]
        item_sum = row @ weight  # (1, emb_dim)
        without = np.concatenate([item_sum, item_sum - weight[row.indices]])  # (1 + n_likes, emb_dim)
        n_likes = np.append(row.nnz, np.full(row.nnz, row.nnz - 1))
        output = self.network_.state["output.weight"][column], self.network_.state["output.bias"][column]
        with compute_threads(self.threads):
            scores: np.ndarray = self._engine.encode_sums(without, n_likes) @ output[0] + output[1]  # (1 + n_likes,)
        differences: np.ndarray = scores[0] - scores[1:]
        return differences

    def _arrays(self) -> dict[str, np.ndarray]:
        return self.network_.state

    def _set_arrays(self, arrays: dict[str, np.ndarray]) -> int:
        embedding, output = (arrays.get(name, np.empty(0)) for name in ("embedding.weight", "output.weight"))
        if any(a.ndim != 2 or a.size == 0 or a.dtype.kind != "f" for a in (embedding, output)):
            raise ValueError("embedding.weight and output.weight must both be matrices of floats")
        n_items, emb_dim = embedding.shape
        shapes = self._shapes(n_items, emb_dim, output.shape[1])
        for name, shape in shapes.items():
            found = arrays.get(name)
            if found is None or found.shape != shape or found.dtype != embedding.dtype:
                what = "missing" if found is None else f"{found.dtype} of shape {found.shape}"
                raise ValueError(f"{name} must be {embedding.dtype} of shape {shape}, but is {what}")
        self.network_ = self._network_on({name: arrays[name] for name in shapes})
        self._engine = self._engine_to_score()
        self._trainer, self._own_callbacks, self.history_ = None, [], []
        self.seed_ = seed_of(self.random_state)
        return len(embedding)


def check_widths(model: Recommender, *names: str) -> None:
    """Raise ValueError or TypeError if one of a model's widths is not an integer of at least 1."""
    for name in names:
        whole_number(name, getattr(model, name), 1)


def loss_named(loss: str, negative_weight: float = 1.0) -> SigmoidBCE | WeightedBCE | Multinomial:
    """The loss layer of that name; `negative_weight` is for "bce". Raises ValueError if the name is unknown."""
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {loss!r}")
    if loss == "multinomial":
        return Multinomial()
    return SigmoidBCE() if negative_weight == 1 else WeightedBCE(negative_weight)
