"""The validation users of a blend, the metric on them, and early stopping of its network.

`models.blend` describes the order of the choices, `models.candidate_search` the search for the models'
hyperparameters, and `models.blend_weights` the search for weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from scipy import sparse

from autoenc.checks import metric_at_k
from autoenc.evaluation.metrics import PER_USER
from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.evaluation.splits import holdout_by_time, holdout_users, number_of_users, stacked
from autoenc.interactions import UserItems
from autoenc.machine import threads_to_use
from autoenc.models.base import Recommender
from autoenc.models.blend_weights import Trial, best_of, coarse_trials
from autoenc.models.scorer import BATCH_SIZE, Score
from autoenc.models.weighted_sum import mean_and_spread, standardized, weighted_sum
from autoenc.training.callbacks import Callback
from autoenc.training.progress import Progress
from autoenc.training.trainer import Trainer

MOST_USERS = 2_000  # to validate on by default: more users add little precision


def number_of_validation_users(user_items: sparse.csr_array, wanted: float | None, validation: str) -> int:
    """Number of validation users: as `wanted`, a fraction or a number, or the default if None.

    Raises ValueError if there are not enough users.
    """
    if wanted is not None:
        return number_of_users(user_items, wanted, "validation_users")
    n_users: int = user_items.shape[0]
    most = min(int((np.diff(user_items.indptr) >= 2).sum()), n_users - 1)
    if most < 1:
        raise ValueError(
            "the weights are chosen on users with two likes or more, with others left to train on, and there are "
            f"none among {n_users:,} users; pass more likes, or a Blend with given weights."
        )
    return max(1, min(MOST_USERS, most, round(n_users / 5) if validation == "strong" else most))


class ValidationSplit(NamedTuple):
    """The result of `validation_split`: three csr_array over the same items."""

    train: sparse.csr_array  # training likes
    fold_in: sparse.csr_array  # (n_users, n_items), the validation users' likes that the models see
    held_out: sparse.csr_array  # (n_users, n_items), the likes that the models should predict


def validation_split(user_items: UserItems, validation: str, wanted: float | None, seed: int) -> ValidationSplit:
    """Split likes for validation; `validation` and `wanted` are `Blend`'s `validation` and `validation_users`.

    Raises ValueError if there are too few likes or users.
    """
    if validation == "time":
        train, held_out, *_ = holdout_by_time(user_items)
        most = MOST_USERS if wanted is None else number_of_users(user_items, wanted, "validation_users")
        able = np.flatnonzero(np.diff(held_out.indptr))
        chosen = np.sort(np.random.Generator(np.random.Philox(seed)).permutation(able)[:most])
        return ValidationSplit(train, train[chosen], held_out[chosen])
    n_users = number_of_validation_users(user_items, wanted, validation)
    train, fold_in, held_out, _ = holdout_users(user_items, n_users, seed=seed)
    if not held_out.nnz:
        raise ValueError(
            f"none of the {n_users:,} validation users has enough likes to hold out a fifth of them; "
            "pass more likes, or a Blend with given weights."
        )
    return ValidationSplit(stacked(train, fold_in) if validation == "weak" else train, fold_in, held_out)


class Judge:
    """Evaluates weighted sums of scores on the validation users.

    Parameters
    ----------
    fold_in, held_out : csr_array (n_users, n_items)
        The users' likes that the models see, and those that they should predict.
    metric : str
    backend : "numba" or "numpy"
        The ranking code to use.
    standardize : bool
        Whether to rescale the scores of each user, or only those of each model (`scales`).
    """

    def __init__(
        self,
        fold_in: sparse.csr_array,
        held_out: sparse.csr_array,
        metric: str,
        backend: str = "numba",
        standardize: bool = True,
    ):
        self.metric, self.standardize = metric, standardize
        name, k = metric_at_k("metric", metric, PER_USER)
        has_any = np.diff(held_out.indptr) > 0
        self.fold_in, self.held_out = fold_in[has_any], held_out[has_any]
        self.per_user, self.k = PER_USER[name], min(k, fold_in.shape[1])
        self.top_n = _hits_by_kernel if backend == "numba" else _top_n

    def values(self, scorers: Sequence[Score], weights: np.ndarray) -> np.ndarray:
        """The metric for each row of weights (n, n_models) and each user: (n, n_users). Each user is scored once."""
        weights = weights / self.scales(scorers)
        batches = []
        for liked, held_out in zip(self._in_batches(self.fold_in), self._in_batches(self.held_out)):
            scores = [score(liked) for score in scorers]
            if self.standardize:
                scores = [standardized(each, liked) for each in scores]
            batches.append(self._values_of(np.stack(scores), liked, held_out, weights))
        return np.concatenate(batches, axis=1)

    def scales(self, scorers: Sequence[Score]) -> np.ndarray:
        """The standard deviation of each model's scores (n_models,); 1 if scores are standardized per user."""
        if self.standardize:
            return np.ones(len(scorers))
        liked = self.fold_in[:BATCH_SIZE]
        return np.array([mean_and_spread(score(liked), liked)[1].mean() for score in scorers], np.float64)

    def _in_batches(self, likes: sparse.csr_array) -> list[sparse.csr_array]:
        return [likes[start : start + BATCH_SIZE] for start in range(0, likes.shape[0], BATCH_SIZE)]

    def _values_of(
        self, scores: np.ndarray, liked: sparse.csr_array, held_out: sparse.csr_array, weights: np.ndarray
    ) -> np.ndarray:
        """The metric (n, batch), with the users divided among the threads."""
        n_users = liked.shape[0]
        at_once = -(-n_users // threads_to_use())

        def of_some(start: int) -> list[np.ndarray]:
            users = slice(start, start + at_once)
            top_items = self.top_n(scores[:, users], weights, liked[users], held_out[users], self.k)
            return [self.per_user(top, held_out[users], self.k) for top in top_items]

        with ThreadPoolExecutor(threads_to_use()) as pool:
            return np.concatenate(list(pool.map(of_some, range(0, n_users, at_once))), axis=1)


def _top_n(
    scores: np.ndarray, weights: np.ndarray, liked: sparse.csr_array, held_out: sparse.csr_array, n: int
) -> list[np.ndarray]:
    """The n best items (batch, n) for each row of weights, by scores (n_models, batch, n_items), without liked ones."""
    return [top_n_of_scores(weighted_sum(scores, each), liked, n)[0] for each in weights]


def _hits_by_kernel(
    scores: np.ndarray, weights: np.ndarray, liked: sparse.csr_array, held_out: sparse.csr_array, n: int
) -> list[np.ndarray]:
    """For each row of weights, a mask (batch, n) of the items returned by `_top_n` that were held out."""
    from autoenc.kernels.ranks_of_sum import ranks_of_sum  # imports numba

    of_liked, of_held_out = (liked.indptr, liked.indices), (held_out.indptr, held_out.indices)
    ranks, any_nan = ranks_of_sum(np.ascontiguousarray(scores), weights.astype(scores.dtype), of_liked, of_held_out)
    if any_nan:
        return _top_n(scores, weights, liked, held_out, n)  # raises the error
    users = np.repeat(np.arange(held_out.shape[0]), np.diff(held_out.indptr))
    hits = np.zeros((len(weights), held_out.shape[0], n), bool)
    for of_sum, rank in zip(hits, ranks):
        is_hit = rank < n
        of_sum[users[is_hit], rank[is_hit]] = True
    return list(hits)


class Stopping(Callback):
    """Evaluates a network during training in a blend with other models, and restores its state of the best epoch.

    Training stops after `patience` evaluations in which neither the blend nor the network alone was better than
    before: a network that is still learning may add nothing to a blend yet.

    Attributes
    ----------
    epoch : int
        The best epoch, from 1.
    all_trials : list of (epoch, Trial)
    """

    def __init__(self, judge: Judge, others: list[Recommender], every: int, patience: int, progress: Progress):
        self.judge, self.others, self.every, self.patience = judge, others, every, patience
        self.progress = progress
        self.best, self.best_alone, self.since_best, self.epoch = -math.inf, -math.inf, 0, 0
        self.best_state: dict[str, np.ndarray] = {}
        self.all_trials: list[tuple[int, Trial]] = []

    def on_step_end(self, trainer: Trainer) -> None:
        doing = f"training the network, epoch {trainer.epoch + 1} of at most {trainer.epochs}"
        self.progress(doing, trainer.epoch * trainer.n_steps + trainer.step + 1, trainer.epochs * trainer.n_steps)

    def on_epoch_end(self, trainer: Trainer) -> None:
        epoch = trainer.epoch + 1
        if epoch % max(1, round(self.every / trainer.n_steps)) and epoch < trainer.epochs:
            return
        scorers = [trainer.engine.score, *(model.score for model in self.others)]
        trials = coarse_trials(len(scorers), lambda weights: self.judge.values(scorers, weights))
        self.all_trials += [(epoch, trial) for trial in trials]
        self.since_best += 1
        if (alone := max(trial.value for trial in trials if trial.weights[0] == 1)) > self.best_alone:
            self.best_alone, self.since_best = alone, 0
        if (value := best_of(trials).value) > self.best:
            self.best, self.since_best, self.epoch = value, 0, epoch
            self.best_state = {name: array.copy() for name, array in trainer.engine.state_dict().items()}
        if self.since_best >= self.patience:
            trainer.stop = True

    def on_train_end(self, trainer: Trainer) -> None:
        if self.best_state:
            trainer.engine.load_state_dict(self.best_state)
        self.best_state = {}
