"""A training run that is stopped by an exception, as if killed, in this process."""

from __future__ import annotations

import pytest

from autoenc.training.callbacks import Callback
from tests.helpers.torture import train


class Killed(Exception):
    pass


class KillAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.adam.step_count == self.step:
            raise Killed


def new_trainer(split, backend):
    """One that stands at the beginning of what `train` does."""
    trainers = []

    class Take(Callback):
        def on_train_begin(self, trainer):
            trainers.append(trainer)
            raise Killed

    with pytest.raises(Killed):
        train(split, Take(), backend=backend)
    return trainers[0]
