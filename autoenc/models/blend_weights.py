"""Search for the weights of a blend: a coarse grid over all weights at once, then finer grids around the best points.

Grid
    Points c of a simplex: c >= 0, sum of c = 1, each a multiple of 1 / steps
    weights = c**2 / sum of c**2
    The corners of the simplex are single models and its edges are pairs. Squaring moves points towards
    the edges, as a good weight may be a fiftieth of another; with 15 steps, the weights of two models
    range from 1 : 196 to 196 : 1. The coarse grid does not depend on any earlier search.

Finer grids
    Around the three best points, all points within 2 half steps; then, around the three best of all
    so far, all points within 2 quarter steps.

Choice
    The mean of c over all points with the same models that are within one standard error of the best,
    paired by user: which of them comes first is a matter of chance, and their centre is the safest
    guess. If the centre itself is further behind, or worse than a single model, the best point is
    taken.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

MOST_POINTS = 150  # of the coarse grid
MOST_STEPS = 30
STARTS = 3  # for the finer grids
Values = Callable[[np.ndarray], np.ndarray]
"""The metric for each row of weights (n, n_models) and each validation user: (n, n_users)."""


class Trial(NamedTuple):
    """Weights, and the metric for each validation user."""

    weights: np.ndarray  # (n_models,), summing to 1
    values: np.ndarray  # (n_users,)

    @property
    def value(self) -> float:
        return float(self.values.mean())

    @property
    def point(self) -> np.ndarray:
        """The point c (n_models,) of the grid that gives these weights."""
        roots = np.sqrt(self.weights)
        point: np.ndarray = roots / roots.sum()
        return point

    def as_row(self, metric: str) -> dict[str, Any]:
        return {"weights": self.weights.tolist(), metric: self.value}


def best_of(trials: list[Trial]) -> Trial:
    return max(trials, key=lambda trial: trial.value)


def coarse_trials(n_models: int, values: Values) -> list[Trial]:
    """One trial per point of the coarse grid."""
    return _trials(_simplex(n_models, _steps(n_models)) / _steps(n_models), values)


def finer_trials(trials: list[Trial], values: Values) -> list[Trial]:
    """The given trials, followed by those of the finer grids."""
    n_models = len(trials[0].weights)
    if n_models == 1:
        return trials
    moves = _moves(n_models) / _steps(n_models)
    for part in (2, 4):
        starts = sorted(trials, key=lambda trial: -trial.value)[:STARTS]
        points = np.concatenate([start.point + moves / part for start in starts])
        points = points[(points > -1e-9).all(axis=1)].clip(0)
        trials = trials + _trials(np.unique(points.round(9), axis=0), values)
    return trials


def choice(trials: list[Trial], values: Values) -> Trial:
    """The trial with the weights to use."""
    best = best_of(trials)
    alike = (trial for trial in trials if np.array_equal(trial.weights > 0, best.weights > 0))
    level = [trial for trial in alike if _behind(trial, best) <= _standard_error(trial, best)]
    if len(level) == 1:
        return best
    [centre] = _trials(np.mean([trial.point for trial in level], axis=0)[None], values)
    alone = max(trial.value for trial in trials if np.count_nonzero(trial.weights) == 1)
    is_level = _behind(centre, best) <= _standard_error(centre, best)
    return centre if is_level and centre.value >= alone else best


def _trials(points: np.ndarray, values: Values) -> list[Trial]:
    weights = points**2 / (points**2).sum(axis=1, keepdims=True)
    return [Trial(*trial) for trial in zip(weights, values(weights))]


def _behind(trial: Trial, best: Trial) -> float:
    return best.value - trial.value


def _standard_error(trial: Trial, best: Trial) -> float:
    return float((best.values - trial.values).std() / len(best.values) ** 0.5)


def _steps(n_models: int) -> int:
    """Number of steps of the coarse grid: at least 2, so that it includes the pairs."""
    steps = 2
    while steps < MOST_STEPS and math.comb(steps + n_models, n_models - 1) <= MOST_POINTS:
        steps += 1
    return steps


@functools.cache
def _simplex(n_models: int, steps: int) -> np.ndarray:
    """All rows (n, n_models) of nonnegative integers that sum to `steps`."""
    bars = itertools.combinations(range(steps + n_models - 1), n_models - 1)
    bounds = np.array([(-1, *bar, steps + n_models - 1) for bar in bars])
    return np.diff(bounds, axis=1) - 1


@functools.cache
def _moves(n_models: int) -> np.ndarray:
    """Moves between points: rows of integers that sum to 0; with 5 models or more, only moves between two models."""
    if n_models <= 4:
        moves = [move for move in itertools.product(range(-2, 3), repeat=n_models) if sum(move) == 0]
        return np.array(moves)
    pairs = itertools.permutations(np.eye(n_models, dtype=int), 2)
    return np.array([size * (up - down) for up, down in pairs for size in (1, 2)])
