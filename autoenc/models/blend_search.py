"""Choosing a blend's weights, its models' hyperparameters, and where its network's training stops.

Each choice is the one with the best metric of the weighted sum's ranking on held-out users. The order
of the choices is in `models.blend`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from autoenc.checks import metric_at_k
from autoenc.evaluation.metrics import PER_USER
from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.evaluation.splits import number_of_users
from autoenc.models.base import Recommender
from autoenc.models.estimator import unfitted
from autoenc.models.scorer import BATCH_SIZE
from autoenc.training.callbacks import Callback
from autoenc.training.trainer import Trainer

COARSE = 2.0 ** np.arange(-6, 7)
FINE = 2.0 ** np.array([-0.5, 0, 0.5])
THREADS = min(4, os.cpu_count() or 1)  # that measure weights; in NumPy each holds some arrays of a batch's scores
MOST_BY_KERNEL = 256  # items of a user's ranking: the kernel's time grows with the square
MOST_USERS = 2_000  # to validate on by default: more say little more

Score = Callable[[sparse.csr_array], np.ndarray]
"""Every item's score for each user, from their likes: both are (batch, n_items)."""


def number_who_validate(user_items: sparse.csr_array, wanted: float | None, validation: str) -> int:
    """How many users validate, where `wanted` of them are asked for, a share or a number, or None.

    Raises ValueError where so many can't be had.
    """
    if wanted is not None:
        return number_of_users(user_items, wanted, "validation_users")
    n_users: int = user_items.shape[0]
    most = min(int((np.diff(user_items.indptr) >= 2).sum()), n_users - 1)
    if most < 1:
        raise ValueError(
            "the weights are chosen on users with two likes or more, beside others to train on, and of "
            f"{n_users:,} users there are none; pass weights, or more likes."
        )
    return max(1, min(MOST_USERS, most, round(n_users / 5) if validation == "strong" else most))


class Trial(NamedTuple):
    """Weights, and what they come to for each validation user."""

    weights: np.ndarray  # (n_models,)
    values: np.ndarray  # (n_users,)

    def told(self, metric: str) -> dict[str, Any]:
        return {"weights": self.weights.tolist(), metric: float(self.values.mean())}


class Judge:
    """Measures weighted sums on the users who validate."""

    def __init__(self, fold_in: sparse.csr_array, held_out: sparse.csr_array, metric: str, backend: str):
        self.metric = metric
        name, k = metric_at_k("metric", metric, PER_USER)
        has_any = np.diff(held_out.indptr) > 0
        self.fold_in, self.held_out = fold_in[has_any], held_out[has_any]
        self.per_user, self.k = PER_USER[name], k
        self.top_n = _top_n_by_kernel if backend == "numba" and self.k <= MOST_BY_KERNEL else _top_n

    def values(self, scorers: Sequence[Score], candidates: np.ndarray) -> np.ndarray:
        """The metric of each of `candidates` (n, n_models), weights: (n, n_users). Each user is scored once."""
        batches = []
        with ThreadPoolExecutor(THREADS) as pool:  # nearly all is ranking, which lets others compute
            for start in range(0, self.fold_in.shape[0], BATCH_SIZE):
                users = slice(start, start + BATCH_SIZE)
                scores = np.stack([score(self.fold_in[users]) for score in scorers])  # (n_models, batch, n_items)
                batches.append(list(pool.map(partial(self._values_of, scores, users), candidates)))
        return np.concatenate(batches, axis=1)

    def _values_of(self, scores: np.ndarray, users: slice, weights: np.ndarray) -> np.ndarray:
        liked, held_out = self.fold_in[users], self.held_out[users]
        top_items = self.top_n(scores, weights, liked, min(self.k, liked.shape[1]))
        return self.per_user(top_items, held_out, self.k)

    def search(self, scorers: Sequence[Score], start: np.ndarray | None = None) -> list[Trial]:
        """All that was tried for the weights, from `start` on where that is known to be near."""
        if len(scorers) == 1:
            return [Trial(np.ones(1), self.values(scorers, np.ones((1, 1)))[0])]
        n_rounds = len(scorers) - 1 if start is None else 1
        weights = self._of_equal_spread(scorers) if start is None else start
        trials = []
        for factors in [COARSE] * n_rounds + [FINE]:
            for i in range(1, len(scorers)):
                candidates = np.tile(weights, (len(factors), 1))
                candidates[:, i] *= factors
                values = self.values(scorers, candidates)
                trials += [Trial(*trial) for trial in zip(candidates, values)]
                weights = candidates[np.argmax(values.mean(axis=1))]
        return trials

    def _of_equal_spread(self, scorers: Sequence[Score]) -> np.ndarray:
        """Weights (n_models,) with which all models' scores are spread as the first's are."""
        first_users = self.fold_in[:BATCH_SIZE]
        spreads = np.array([score(first_users).std(dtype=np.float64) for score in scorers])
        weights: np.ndarray = spreads[0] / np.where(spreads > 0, spreads, 1)
        weights[0] = 1
        return weights


def _top_n(scores: np.ndarray, weights: np.ndarray, liked: sparse.csr_array, n: int) -> np.ndarray:
    """The n best items (batch, n) by the weighted sum of scores (n_models, batch, n_items), liked ones struck."""
    return top_n_of_scores(weighted_sum(scores, weights), liked, n)[0]


def _top_n_by_kernel(scores: np.ndarray, weights: np.ndarray, liked: sparse.csr_array, n: int) -> np.ndarray:
    from autoenc.kernels.top_n_of_sum import top_n_of_sum  # imports numba

    items, _, any_nan = top_n_of_sum(scores, weights.astype(scores.dtype), liked.indptr, liked.indices, n)
    return _top_n(scores, weights, liked, n) if any_nan else items  # which raises the sentence


class CandidateSearch:
    """Chooses a model's hyperparameters, each from a list, by how the model does alone.

    Attributes
    ----------
    best : Recommender
        Fitted, with the best of what was tried so far.
    tried : list of dict
        In order: a hyperparameter's value, and the metric's.
    """

    def __init__(self, name: str, model: Recommender, train: sparse.csr_array, judge: Judge):
        self.name, self.judge = name, judge
        self.likes = model.precompute(train)
        self.best = unfitted(model).fit(self.likes)
        self.tried: list[dict[str, Any]] = []
        self.best_value = -np.inf

    def choose(self, parameter: str, values: Sequence[Any]) -> None:
        """Try values of `parameter`, such as "ease__l2", from the middle on to either side as long as that does better.

        A parameter of another model is passed over.
        """
        name, _, own = parameter.partition("__")
        if name != self.name or own not in self.best.get_params():
            return
        self.best_value = -np.inf
        middle = len(values) // 2
        self._does_better(own, values[middle])
        for step in (1, -1):
            at = middle + step
            while 0 <= at < len(values) and self._does_better(own, values[at]):
                at += step
            if at != middle + step:
                break

    def _does_better(self, own: str, value: Any) -> bool:
        model = self.best
        if model.get_params()[own] != value:
            model = unfitted(model).set_params(**{own: value}).fit(self.likes)
        found = float(self.judge.values([model.score], np.ones((1, 1))).mean())
        self.tried.append({f"{self.name}__{own}": value, self.judge.metric: found})
        if found <= self.best_value:
            return False
        self.best, self.best_value = model, found
        return True


class Stopping(Callback):
    """Chooses the weights for a network in mid-training and for the others, and remembers where they did best.

    Attributes
    ----------
    epoch : int
        From 1, the best.
    trials : list of Trial
        After that epoch.
    all_trials : list of (epoch, Trial)
    """

    def __init__(self, judge: Judge, others: list[Recommender], every: int, patience: int):
        self.judge, self.others, self.every, self.patience = judge, others, every, patience
        self.best, self.since_best = -np.inf, 0
        self.epoch = 0
        self.trials: list[Trial] = []
        self.all_trials: list[tuple[int, Trial]] = []

    def on_epoch_end(self, trainer: Trainer) -> None:
        epoch = trainer.epoch + 1
        if epoch % max(1, round(self.every / trainer.n_steps)) and epoch < trainer.epochs:
            return
        # What was best at the last best epoch is near what is best now: a round less to try.
        start = _best(self.trials).weights if self.trials else None
        trials = self.judge.search([trainer.engine.score, *(model.score for model in self.others)], start)
        self.all_trials += [(epoch, trial) for trial in trials]
        value = _best(trials).values.mean()
        self.since_best += 1
        if value > self.best:
            self.best, self.since_best, self.epoch, self.trials = value, 0, epoch, trials
        if self.since_best >= self.patience:
            trainer.stop = True


def _best(trials: list[Trial]) -> Trial:
    return max(trials, key=lambda trial: trial.values.mean())


def leaning(trials: list[Trial], lean_on: int | None) -> Trial:
    """The best trial; with `lean_on`, a model's number, of those that could as well be it the one that leans most."""
    best = _best(trials)
    if lean_on is None:
        return best

    def could_be_best(trial: Trial) -> bool:
        behind = best.values - trial.values
        return bool(behind.mean() <= behind.std() / len(behind) ** 0.5)

    return max(filter(could_be_best, trials), key=lambda trial: trial.weights[lean_on])


def weighted_sum(arrays: Iterable[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """arrays[0] * weights[0] + arrays[1] * weights[1] + ..., from the left: a new array of their shape and dtype.

    arrays is n_models of one shape, such as (batch, n_items), and weights (n_models,).
    """
    total: Any = 0.0
    for array, weight in zip(arrays, weights.tolist()):
        total = total + array * weight
    weighted: np.ndarray = total
    return weighted
