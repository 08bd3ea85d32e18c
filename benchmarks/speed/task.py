"""The task's sizes, and the cost of an epoch and of scoring all users."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from autoenc.doctor import step_flops
from autoenc.training.minibatches import batch_bounds

USERS, ITEMS, LIKES = 69_878, 10_677, 10_000_054  # MovieLens 10M
BATCH, EMB_DIM, HIDDEN_DIM = 256, 800, 400


def steps_per_epoch(n_users: int = USERS, batch_size: int = BATCH) -> int:
    return len(batch_bounds(n_users, batch_size)) - 1


def steps_of(contestant: str, n_users: int = USERS) -> int:
    """The number of steps in training: those of one epoch, or implicit's 15 iterations of ALS."""
    return 15 if contestant == "implicit-als" else steps_per_epoch(n_users)


def epoch_flops(n_users: int = USERS, n_items: int = ITEMS) -> int:
    """The flops of the matmuls in an epoch: 7.05 GFLOP per step at the task's sizes."""
    return steps_per_epoch(n_users) * step_flops(BATCH, n_items, EMB_DIM, HIDDEN_DIM)


def scoring_flops(n_users: int = USERS, n_items: int = ITEMS) -> int:
    """The flops of the matmuls in scoring users: 0.64 TFLOP at the task's sizes."""
    return 2 * n_users * HIDDEN_DIM * (EMB_DIM + n_items)


def epoch_seconds(step_seconds: Sequence[float], n_steps: int) -> float:
    """Seconds of an epoch: the sum if these are all its steps, else the median times the number of steps."""
    if len(step_seconds) >= n_steps:
        return sum(step_seconds) * n_steps / len(step_seconds)
    return statistics.median(step_seconds) * n_steps
