"""The minibatches of an epoch: a seeded shuffle of the users, split into batches.

A last batch of a single user, on which BatchNorm can't train, is merged with the one before.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from autoenc.checks import whole_number


def batch_bounds(n_users: int, batch_size: int) -> np.ndarray:
    """The bounds of the minibatches of n_users: ascending from 0 to n_users."""
    bounds = [*range(0, n_users, batch_size), n_users]
    if len(bounds) > 2 and bounds[-1] - bounds[-2] == 1:
        del bounds[-2]
    return np.array(bounds)


def minibatches(users: np.ndarray, batch_size: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """Minibatches of the users, shuffled with (seed, epoch); each batch is ascending."""
    shuffled = np.random.Generator(np.random.Philox([seed, epoch])).permutation(users)
    bounds = batch_bounds(len(users), batch_size)
    for first, last in itertools.pairwise(bounds):
        yield np.sort(shuffled[first:last])


def steps_per_epoch(n_users: int, batch_size: int) -> int:
    """Number of minibatches for n_users; 1 if there are no users, so that it can be divided by."""
    return max(1, len(batch_bounds(n_users, whole_number("batch_size", batch_size, 2))) - 1)


def default_epochs(n_users: int, batch_size: int = 256, steps: int = 60, least: int = 1) -> int:
    """Number of epochs that take at least `steps` steps: for 60 steps, 1 on MovieLens 10M and 20 on the bundled set.

    The task's single epoch is 273 steps on its 69,878 users, but would be only 3 on the 671 users of the
    bundled set, far too few. `least` is for networks that need several epochs on any set.
    """
    return max(least, math.ceil(steps / steps_per_epoch(n_users, batch_size)))
