"""What may watch a training: a progress bar, its history, early stopping.

`checkpoint.Checkpoints`, which writes to disk, is another. A callback only reads the network,
through `trainer.engine`, so a run that is watched has the bits of one that isn't.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from autoenc.checks import metric_at_k
from autoenc.evaluation import plots
from autoenc.evaluation.evaluate import HIGHER_IS_BETTER, evaluate
from autoenc.interactions import UserItemsLike, as_user_items
from autoenc.progress import new_bar

if TYPE_CHECKING:
    from autoenc.training.trainer import Trainer

Facts = dict[str, Any]
"""The part of a callback's state that JSON holds."""
Arrays = dict[str, np.ndarray]
Shapes = dict[str, tuple[np.dtype, tuple[int, ...]]]
"""The dtype and the shape of each array, by its name."""


class Callback:
    """Watches a training; every method does nothing until it is overridden.

    A callback that has a state gives it to a checkpoint by `state_dict` and takes it back, when the
    training is resumed, by `load_state_dict`.
    """

    def on_train_begin(self, trainer: Trainer) -> None: ...

    def on_step_begin(self, trainer: Trainer) -> None: ...

    def on_step_end(self, trainer: Trainer) -> None: ...

    def on_epoch_end(self, trainer: Trainer) -> None: ...

    def on_train_end(self, trainer: Trainer) -> None:
        """Called however the training ends, by an error or Ctrl-C too."""

    def state_dict(self) -> tuple[Facts, Arrays]:
        """The callback's state: what JSON holds, and arrays."""
        return {}, {}

    def load_state_dict(self, facts: Facts, arrays: Arrays) -> None: ...


class ProgressBar(Callback):
    """A bar on stderr, where there is one: users/s and the epoch's loss so far."""

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
    """The loss of each epoch, and of a validation if there is one.

    Parameters
    ----------
    validation : Validation, optional
        The one whose figures to take down. It must stand before this in the callbacks.

    Attributes
    ----------
    epochs : list of dict
        epoch (from 1), loss (summed over items, per user), lr; and the validation's metric.
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
            raise ValueError("the epochs in History's state are rows by name; train from the beginning")
        self.epochs[:] = facts["epochs"]  # the same list: `AutoEncoder.history_` is it

    def plot(self, ax: Any = None) -> Any:
        """Draw the loss, and the validation's metric on an axis of its own; return matplotlib's Axes.

        Takes matplotlib, which `pip install --editable '.[plot]'` brings. `plots.draw_history` is the same
        without a screen.
        """
        if ax is None:
            plots.check_matplotlib()
            from matplotlib import pyplot

            ax = pyplot.figure(figsize=(7, 4), layout="constrained").add_subplot()
        plots.draw_history(self.epochs, ax)
        return ax


class Validation(Callback):
    """Measures the network on held-out likes after an epoch, and keeps the best weights.

    Parameters
    ----------
    train, held_out : (n_users, n_items), whatever `as_user_items` takes
        What the network is shown of each validation user, and what it should find.
    metric : str
        A metric of `autoenc.evaluate`, higher is better, such as "precision@1" or "ndcg@100".
    patience : int, optional
        End the training after so many validations in a row without a new best. None: never.
    every : int
        Validate after every so many epochs, and after the last.
    keep_best : bool
        Whether the network gets its best weights back when the training ends.

    Attributes
    ----------
    values : list of float
        What was measured, one a validation.
    best_epoch : int
        Of the best of them, from 1; 0 before the first.
    last_epoch : int
        Of the last of them, from 1; 0 where there was none since the training began or went on.
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
        self._shapes: Shapes | None = None  # of the network's arrays, once they are known

    def on_train_begin(self, trainer: Trainer) -> None:
        self._shapes = None  # a training that is refused here ends, and must not be given other weights
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
                "Validation's state is its values, the best of them with its epoch, and that epoch's weights; "
                "train from the beginning"
            )
        self._check_weights(arrays, self._shapes)
        self.values, self.best, self.best_epoch = values, best, best_epoch
        self.best_state = arrays or None

    def _check_weights(self, weights: Arrays | None, shapes: Shapes | None) -> None:
        """Weights from a checkpoint must fit the network: checked as soon as both are known, whichever comes first."""
        if not weights or shapes is None:
            return
        theirs = _shapes_of(weights)
        for name in sorted(shapes.keys() | theirs.keys()):
            if shapes.get(name) != theirs.get(name):
                raise ValueError(
                    f"Validation's state has weights of another network, which differ in {name}; "
                    "train from the beginning, or with the checkpoint's network"
                )


def _shapes_of(state: Arrays) -> Shapes:
    return {name: (array.dtype, array.shape) for name, array in state.items()}
