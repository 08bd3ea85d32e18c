"""The batches of an epoch: a seeded shuffle of the users, cut into `batch_size`.

A last batch of a single user, which BatchNorm can't train on, joins the one before.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from autoenc.checks import whole_number


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
