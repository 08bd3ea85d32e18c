"""Callbacks: a progress bar, the history of the loss, and early stopping.

`checkpoint.Checkpoints`, which writes to disk, is another one. A callback only reads the network,
through `trainer.engine`, so a run with callbacks gives the same bits as one without.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from autoenc.checks import metric_at_k
from autoenc.evaluation import plots
from autoenc.evaluation.evaluate import HIGHER_IS_BETTER, evaluate
from autoenc.interactions import UserItemsLike, as_user_items
from autoenc.training.progress import new_bar

if TYPE_CHECKING:
    from autoenc.training.trainer import Trainer

Facts = dict[str, Any]
"""The part of a callback's state that is stored as JSON."""
Arrays = dict[str, np.ndarray]
Shapes = dict[str, tuple[np.dtype, tuple[int, ...]]]
"""The dtype and shape of each array by name."""


class Callback:
    """Base class of callbacks; every method does nothing unless overridden.

    A callback with a state returns it from `state_dict` for a checkpoint, and restores it in
    `load_state_dict` when the training is resumed.
    """

    def on_train_begin(self, trainer: Trainer) -> None: ...

    def on_step_begin(self, trainer: Trainer) -> None: ...

    def on_step_end(self, trainer: Trainer) -> None: ...

    def on_epoch_end(self, trainer: Trainer) -> None: ...

    def on_train_end(self, trainer: Trainer) -> None:
        """Called when the training ends, including by an error or Ctrl-C."""

    def state_dict(self) -> tuple[Facts, Arrays]:
        """The callback's state: values that JSON can represent, and arrays."""
        return {}, {}

    def load_state_dict(self, facts: Facts, arrays: Arrays) -> None: ...


class ProgressBar(Callback):
    """A progress bar on stderr, with users/s and the loss of the epoch so far."""

    def on_train_begin(self, trainer: Trainer) -> None:
        self.epoch: int | None = None
        self.bar = new_bar(unit=" users", unit_scale=True, desc="training")

    def on_step_end(self, trainer: Trainer) -> None:
        if self.epoch != trainer.epoch:
            self.epoch = trainer.epoch
            self.bar.reset(trainer.n_users)
            self.bar.set_description(f"epoch {trainer.epoch + 1}/{trainer.epochs}")
        self.bar.update(trainer.users_done - self.bar.n)
        self.bar.set_postfix(loss=f"{trainer.epoch_loss:.2f}", refresh=False)

    def on_train_end(self, trainer: Trainer) -> None:
        self.bar.close()


class History(Callback):
    """Records the loss of each epoch, and the validation metric if there is one.

    Parameters
    ----------
    validation : Validation, optional
        The callback whose metric to record. It must come before this one in the list of callbacks.

    Attributes
    ----------
    epochs : list of dict
        epoch (from 1), loss (summed over items, per user), lr, and the validation metric.
    """

    def __init__(self, validation: Validation | None = None):
        self.validation = validation
        self.epochs: list[dict[str, Any]] = []

    def on_epoch_end(self, trainer: Trainer) -> None:
        row = {"epoch": trainer.epoch + 1, "loss": trainer.epoch_loss, "lr": trainer.adam.lr}
        if self.validation is not None and self.validation.last_epoch == row["epoch"]:
            row[self.validation.metric] = self.validation.values[-1]
        self.epochs.append(row)

    def state_dict(self) -> tuple[Facts, Arrays]:
        return {"epochs": self.epochs}, {}

    def load_state_dict(self, facts: Facts, arrays: Arrays) -> None:
        if not all(type(row) is dict for row in facts["epochs"]):
            raise ValueError("the epochs in the state of History must be dicts; train from the beginning")
        self.epochs[:] = facts["epochs"]  # in place, as `AutoEncoder.history_` is the same list

    def plot(self, ax: Any = None) -> Any:
        """Plot the loss, and the validation metric on a second axis; return matplotlib's Axes.

        Requires matplotlib: `pip install '.[plot]'`. `plots.draw_history` does the same without
        a display.
        """
        if ax is None:
            plots.check_matplotlib()
            from matplotlib import pyplot

            ax = pyplot.figure(figsize=(7, 4), layout="constrained").add_subplot()
        plots.draw_history(self.epochs, ax)
        return ax


class Validation(Callback):
    """Evaluates the network on held-out likes during training, and keeps the best weights.

    Parameters
    ----------
    train, held_out : (n_users, n_items), anything that `as_user_items` accepts
        For each validation user, the likes that the network sees and those that it should predict.
    metric : str
        A metric of `autoenc.evaluate` to maximize, such as "precision@1" or "ndcg@100".
    patience : int, optional
        Stop training after this many validations in a row without improvement. By default never.
    every : int
        Validate every `every` epochs, and after the last.
    keep_best : bool
        Whether to restore the best weights when the training ends.

    Attributes
    ----------
    values : list of float
        The metric of each validation.
    best_epoch : int
        Epoch of the best validation, from 1; 0 before the first.
    last_epoch : int
        Epoch of the last validation, from 1; 0 if there was none since the training began or was resumed.
    """

    def __init__(
        self,
        train: UserItemsLike,
        held_out: UserItemsLike,
        metric: str = "precision@10",
        patience: int | None = None,
        every: int = 1,
        keep_best: bool = True,
    ):
        _, k = metric_at_k("metric", metric, HIGHER_IS_BETTER)
        if every < 1 or (patience is not None and patience < 1):
            raise ValueError(f"every and patience must be 1 or more, got {every} and {patience}")
        self.train, self.held_out = as_user_items(train), as_user_items(held_out)
        self.metric, self.k = metric, k
        self.patience, self.every, self.keep_best = patience, every, keep_best
        self.values: list[float] = []
        self.best, self.best_epoch = -math.inf, 0
        self.best_state: Arrays | None = None
        self.last_epoch = 0
        self._shapes: Shapes | None = None  # of the network's arrays, once known

    def on_train_begin(self, trainer: Trainer) -> None:
        self._shapes = None  # a training that fails here ends, and must not get weights of another network
        shapes = _shapes_of(trainer.engine.network.state)
        self._check_weights(self.best_state, shapes)
        self._shapes = shapes

    def on_train_end(self, trainer: Trainer) -> None:
        if self.best_state is not None and self._shapes is not None:
            trainer.engine.load_state_dict(self.best_state)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if (trainer.epoch + 1) % self.every and trainer.epoch + 1 < trainer.epochs:
            return
        report = evaluate(trainer.engine, self.train, self.held_out, ks=(self.k,))
        self.values.append(report[self.metric])
        self.last_epoch = trainer.epoch + 1
        if self.values[-1] > self.best:
            self.best, self.best_epoch = self.values[-1], trainer.epoch + 1
            if self.keep_best:
                self.best_state = {name: array.copy() for name, array in trainer.engine.state_dict().items()}
        since_best = len(self.values) - 1 - int(np.argmax(self.values))
        if self.patience is not None and since_best >= self.patience:
            trainer.stop = True

    def state_dict(self) -> tuple[Facts, Arrays]:
        facts = {"values": self.values, "best": self.best, "best_epoch": self.best_epoch}
        return facts, dict(self.best_state or {})

    def load_state_dict(self, facts: Facts, arrays: Arrays) -> None:
        values, best, best_epoch = facts["values"], facts["best"], facts["best_epoch"]
        numbers = type(values) is list and all(type(value) is float for value in [*values, best])
        if not numbers or type(best_epoch) is not int or bool(arrays) != (self.keep_best and best_epoch > 0):
            raise ValueError(
                "the state of Validation must have its values, the best of them with its epoch, and that epoch's "
                "weights; train from the beginning"
            )
        self._check_weights(arrays, self._shapes)
        self.values, self.best, self.best_epoch = values, best, best_epoch
        self.best_state = arrays or None

    def _check_weights(self, weights: Arrays | None, shapes: Shapes | None) -> None:
        """Raise ValueError if a checkpoint's weights do not fit the network; called whenever either becomes known."""
        if not weights or shapes is None:
            return
        theirs = _shapes_of(weights)
        for name in sorted(shapes.keys() | theirs.keys()):
            if shapes.get(name) != theirs.get(name):
                raise ValueError(
                    f"the state of Validation has the weights of another network, which differ in {name}; "
                    "train from the beginning, or with the checkpoint's network"
                )


def _shapes_of(state: Arrays) -> Shapes:
    return {name: (array.dtype, array.shape) for name, array in state.items()}
