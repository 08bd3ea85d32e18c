"""The search for a model's hyperparameters among a few candidates, as in `Blend`.

All values are compared on the same validation users, so differences are measured more precisely than the
values themselves. A metric measured on few users has small local maxima by chance, so the search continues
past a value that is not clearly worse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from autoenc.models.base import Recommender
from autoenc.models.blend_search import Judge
from autoenc.models.estimator import unfitted
from autoenc.training.progress import Progress

MANY_ITEMS = 5_000  # above this, values between the candidates are not tried


class CandidateSearch:
    """Chooses a model's hyperparameters, each from a list, by the metric of the model alone.

    Fits may use lower precision (`precompute` in float32). This is enough for comparing them, and for models
    that a blend doesn't fit again.

    Attributes
    ----------
    best : Recommender
        The best model so far; not fitted if it could be compared without a fit.
    tried : list of dict
        One entry per trial, in order: the hyperparameter's value and the metric's.
    """

    def __init__(self, name: str, model: Recommender, train: sparse.csr_array, judge: Judge):
        self.name, self.judge, self.train, self.n_items = name, judge, train, train.shape[1]
        self.likes = model.precompute(train, np.float32)
        self.best = model
        self.tried: list[dict[str, Any]] = []

    def choose(self, parameter: str, values: Sequence[Any], progress: Progress) -> None:
        """Try values of `parameter`, such as "ease__l2", upwards from the middle until one is clearly worse.

        If none is better, values below the middle are tried in the same way. A value is clearly worse than the
        best so far if its metric is lower by more than a standard error of the difference, paired by user. If
        the best value is a positive number with a worse one on each side, the maximum of a parabola
        through the three, on a logarithmic scale, is tried too, unless there are more than MANY_ITEMS
        items and a fit takes long. A parameter of another model is ignored.
        """
        name, _, own = parameter.partition("__")
        if name != self.name or own not in self.best.get_params():
            return
        found: dict[int, np.ndarray] = {}
        most = len(values) + 1

        def try_at(at: int) -> np.ndarray:
            if at not in found:
                progress(f"trying {type(self.best).__name__} with {own} {values[at]}", len(found), most)
                best_so_far = max((of_users.mean() for of_users in found.values()), default=-math.inf)
                found[at] = self._values_with(own, values[at], best_so_far)
            return found[at]

        best = len(values) // 2
        try_at(best)
        for step in (1, -1):
            start, at = best, best + step
            while 0 <= at < len(values) and not _clearly_worse(try_at(at), found[best]):
                if found[at].mean() > found[best].mean():
                    best = at
                at += step
            if best != start:
                break
        if self.n_items <= MANY_ITEMS and {best - 1, best + 1} <= set(found):
            around = [float(found[at].mean()) for at in (best - 1, best, best + 1)]
            between = _top_of_parabola(values[best - 1 : best + 2], around)
            if between is not None:
                progress(f"trying {type(self.best).__name__} with {own} {between}", len(found), most)
                self._values_with(own, between, around[1])

    def finish(self) -> Recommender:
        """The best model, fitted."""
        if not (self.tried and self.best.__sklearn_is_fitted__()):
            self.best = unfitted(self.best).fit(self.likes)
        return self.best

    def _values_with(self, own: str, value: Any, best: float) -> np.ndarray:
        """The metric for each user; the model is kept as the best so far if the mean is above `best`."""
        try:
            model = unfitted(self.best).set_params(**{own: value})
            likes = model.precompute(self.train, np.float32) if own == "half_life" else self.likes
            of_users: np.ndarray = self.judge.values([model._scores_of_trial(likes)], np.ones((1, 1)))[0]
        except np.linalg.LinAlgError:  # the penalty is lost to rounding
            return np.full(1, -math.inf)
        found = float(of_users.mean())
        self.tried.append({f"{self.name}__{own}": value, self.judge.metric: found})
        if found > best:
            self.best, self.likes = model, likes
        return of_users


def _clearly_worse(of_users: np.ndarray, best: np.ndarray) -> bool:
    """Whether the mean is lower than the best by more than a standard error of the difference, paired by user."""
    if not (np.isfinite(of_users).all() and np.isfinite(best).all()):
        return bool(of_users.mean() <= best.mean())
    behind = best - of_users
    return bool(behind.mean() > behind.std() / len(behind) ** 0.5)


def _top_of_parabola(values: Sequence[Any], found: Sequence[float]) -> float | None:
    """The maximum of a parabola through three points (log(value), found), to two significant digits.

    It is an integer if the values are integers, and None if they are not positive numbers, or if the maximum is not
    between the outer ones or is the middle one.
    """
    if not (all(isinstance(value, (int, float)) and value > 0 for value in values) and np.isfinite(found).all()):
        return None
    curvature, slope, _ = np.polyfit(np.log(values), found, 2)
    if not curvature < 0:
        return None
    top = float(f"{math.exp(-slope / (2 * curvature)):.2g}")
    if all(isinstance(value, int) for value in values):
        top = round(top)
    return top if values[0] < top < values[2] and top != values[1] else None
