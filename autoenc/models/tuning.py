"""Hyperparameter search: find what does best on validation likes, held out of the training likes.

    each trial: model.fit(part of the likes) -> metric on the rest; Optuna proposes the next trial
    result: a model with the best trial's hyperparameters, fitted on all likes

Validation likes are taken from the likes passed in, so a test set held out before is never seen and
its figures stay honest. The validation figures themselves are slightly optimistic, being the best of
many.

The first trial is the model as given; hyperparameters that lie outside the search space are drawn at
random. Then Optuna's tree-structured Parzen estimator (Bergstra et al. 2011, NIPS) draws 10 trials at
random, and the following ones near the best so far. Trials are not stopped early: with a decaying learning rate,
trainings of different lengths can't be compared midway.

Requires Optuna: `pip install '.[tune]'`.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from scipy import sparse

from autoenc.checks import metric_at_k, whole_number
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.metrics import PER_USER
from autoenc.evaluation.splits import holdout_per_user, holdout_users
from autoenc.interactions import UserItemsLike, as_user_items
from autoenc.models.base import Recommender
from autoenc.models.blend import Blend
from autoenc.models.elsa import LEAST_EPOCHS, LEAST_STEPS
from autoenc.models.network_model import NetworkRecommender
from autoenc.training.minibatches import default_epochs


class Range(NamedTuple):
    """Numbers from low to high, both included; integers if both are integers; on a logarithmic scale if log."""

    low: float
    high: float
    log: bool = False


SEARCH_SPACES: dict[str, dict[str, Range | Sequence[Any]]] = {
    "EASE": {"l2": Range(1.0, 1e4, log=True)},
    "EDLAE": {"l2": Range(1.0, 1e4, log=True), "dropout": Range(0.05, 0.8)},
    "ItemKNN": {"k": Range(5, 500, log=True), "shrink": Range(0.1, 1e3, log=True)},
    "AutoEncoder": {
        "emb_dim": [200, 400, 800],
        "hidden_dim": [100, 200, 400],
        "dropout": Range(0.1, 0.8),
        "lr": Range(1e-3, 3e-2, log=True),
        "schedule": ["constant", "cosine"],
    },
    "DenoisingAutoEncoder": {
        "hidden_dim": [300, 600, 1200],
        "input_dropout": Range(0.2, 0.8),
        "dropout": Range(0.1, 0.7),
        "negative_weight": Range(0.1, 1.0, log=True),
        "lr": Range(1e-3, 2e-2, log=True),
    },
    "MultVAE": {
        "hidden_dim": [300, 600],
        "latent_dim": [100, 200, 400],
        "input_dropout": Range(0.2, 0.8),
        "beta": Range(0.05, 1.0, log=True),
        "lr": Range(3e-4, 1e-2, log=True),
    },
    "DeepRecommender": {
        "hidden_dims": ["256", "256, 128", "512, 256"],
        "dropout": Range(0.1, 0.8),
        "lr": Range(1e-3, 2e-2, log=True),
    },
    "ELSA": {"emb_dim": [128, 256, 512], "lr": Range(3e-3, 0.3, log=True)},
    "IALS": {
        "emb_dim": [128, 256, 512],
        "l2": Range(0.3, 30.0, log=True),
        "unobserved_weight": Range(3e-3, 0.3, log=True),
    },
}
"""The default search spaces by class name: a range or a list of values per hyperparameter.
`search_space_of` adds the epochs, which depend on the number of users. A Blend has the spaces of its
models, and Popular has nothing to tune."""


def search_space_of(model: Recommender, n_users: int) -> dict[str, Range | Sequence[Any]]:
    """The default search space of a model's class, or of its nearest base class that has one.

    For models trained on minibatches the epochs range from half to four times the default. A Blend has
    the spaces of its models, with names like "ease__l2", except for what it chooses itself in each fit:
    the weights, its `candidates`, and with `stop_every` the epochs. Raises ValueError if there is no
    such space.
    """
    if isinstance(model, Blend):
        return _space_of_blend(model, n_users)
    names = [cls.__name__ for cls in type(model).__mro__ if cls.__name__ in SEARCH_SPACES]
    if not names:
        raise ValueError(
            f"{type(model).__name__} has no default search space; pass search_space, such as "
            "{'l2': Range(1.0, 1e4, log=True)}, if it has anything to tune."
        )
    space = dict(SEARCH_SPACES[names[0]])
    params = model.get_params()
    if "batch_size" in params:
        least = LEAST_STEPS, LEAST_EPOCHS
        if isinstance(model, NetworkRecommender):
            least = model.default_steps, model.default_epochs
        epochs = default_epochs(n_users, params["batch_size"], *least)
        space["epochs"] = Range(max(1, epochs // 2), 4 * epochs, log=True)
    return space


def _space_of_blend(blend: Blend, n_users: int) -> dict[str, Range | Sequence[Any]]:
    chosen = set(blend.candidates or ())
    space = {}
    for i, (name, part) in enumerate(blend.named_models()):
        if not any(cls.__name__ in SEARCH_SPACES for cls in type(part).__mro__):
            continue
        for inner, values in search_space_of(part, n_users).items():
            is_stopped = i == 0 and inner == "epochs" and blend.stop_every is not None
            if f"{name}__{inner}" not in chosen and not is_stopped:
                space[f"{name}__{inner}"] = values
    return space


@dataclass(frozen=True)
class Tuned:
    """The result of `tune`.

    Attributes
    ----------
    model : Recommender
        The model with the best hyperparameters, fitted on all likes.
    params : dict
        The tuned hyperparameters of the best trial.
    metric : str
    value : float
        Validation metric of the best trial.
    trials : list of dict
        number, params, value, standard_error, seconds; value is None if the training diverged.
    ended_by : "trials" or "minutes"
        The limit that ended the search.
    seconds : float
        Total time, including the last fit.
    """

    model: Recommender
    params: dict[str, Any]
    metric: str
    value: float
    trials: list[dict[str, Any]] = field(repr=False)
    ended_by: str
    seconds: float


def tune(
    model: Recommender,
    user_items: UserItemsLike,
    search_space: Mapping[str, Range | Sequence[Any]] | None = None,
    *,
    metric: str = "ndcg@100",
    minutes: float | None = None,
    trials: int | None = None,
    seed: int = 0,
    validation: str = "weak",
    progress: Callable[[dict[str, Any]], object] | None = None,
) -> Tuned:
    """Search for a model's best hyperparameters.

    Parameters
    ----------
    model : Recommender
        Gives the class, and the values of the hyperparameters that aren't searched. It is left unfitted.
    user_items : (n_users, n_items), as in `Recommender.fit`
        Training likes.
    search_space : mapping of str to Range or list, optional
        Values to try for each hyperparameter. By default `search_space_of(model, n_users)`.
    metric : str
        A metric of `autoenc.evaluate` to maximize, such as "ndcg@100".
    minutes : float, optional
        Time limit. No trial is started if it and the last fit would exceed the limit, assuming that each
        takes as long as the longest fit so far. The first trial always runs.
    trials : int, optional
        Maximum number of trials. At least one of the two limits must be given. With `trials` alone, and
        an integer `random_state` of the model, the same seed gives the same result.
    seed : int
        Seed of the validation split and the search.
    validation : "weak" or "strong"
        Hold out a fifth of each user's likes, as for recommending to known users, or a tenth of the users,
        as for new ones (`splits.holdout_per_user`, `splits.holdout_users`).
    progress : callable, optional
        Called after each trial with its entry of `Tuned.trials`.

    Returns
    -------
    Tuned

    Raises
    ------
    TypeError
        If `model` is not a model, or `trials` is not an integer.
    ValueError
        If Optuna is not installed, an argument is invalid, or the model does not accept the likes.
    FloatingPointError
        If every trial diverged.

    Examples
    --------
    >>> from autoenc.models import ItemKNN
    >>> likes = [[0, 1, 2], [0, 1], [1, 2], [3, 4, 5], [3, 4], [4, 5]] * 5
    >>> tuned = tune(ItemKNN(), likes, {"k": [1, 2], "shrink": Range(0.0, 9.0)}, metric="mrr@3", trials=3)
    >>> len(tuned.trials), tuned.ended_by, type(tuned.model).__name__
    (3, 'trials', 'ItemKNN')
    """
    started = time.perf_counter()
    if not isinstance(model, Recommender):
        raise TypeError(f"model is {model!r}; pass a model, such as EASE().")
    metric_at_k("metric", metric, PER_USER)
    limits = _Limits(minutes, trials, started)
    likes = as_user_items(user_items)
    if search_space is None:
        search_space = search_space_of(model, likes.shape[0])
    judge = _Judge(likes, validation, metric, seed)
    done, ended_by = _search(model, search_space, judge, limits, seed, progress)

    good = [trial for trial in done if trial["value"] is not None]
    if not good:
        raise FloatingPointError(f"all {len(done)} trials diverged; search lower learning rates.")
    best = max(good, key=lambda trial: trial["value"])  # the first of ties
    fitted = _with(model, best["params"]).fit(user_items)
    seconds = round(time.perf_counter() - started, 3)
    return Tuned(fitted, best["params"], metric, best["value"], done, ended_by, seconds)


class _Limits:
    """The limits of a search that began at `started`, leaving time for the last fit."""

    def __init__(self, minutes: float | None, trials: int | None, started: float):
        if minutes is None and trials is None:
            raise ValueError("the search has no limit; pass minutes or trials, such as trials=30.")
        if minutes is not None and not minutes > 0:
            raise ValueError(f"minutes is {minutes}; pass a number above 0.")
        self.minutes, self.started = minutes, started
        self.trials = None if trials is None else whole_number("trials", trials, 1)

    def reached(self, done: list[dict[str, Any]], before_a_fit: float) -> str | None:
        """The limit that rules out another trial, "trials" or "minutes", or None; `before_a_fit` is in seconds."""
        if self.trials is not None and len(done) >= self.trials:
            return "trials"
        if self.minutes is not None and done:
            longest = max(trial["seconds"] for trial in done)
            if time.perf_counter() - self.started + 2 * longest + before_a_fit > 60 * self.minutes:
                return "minutes"
        return None


class _Judge:
    """Evaluates models on held-out likes.

    Attributes
    ----------
    train, fold_in, held_out : csr_array
        The likes to fit on, and, for each validation user, those that the model sees and should predict.
    """

    def __init__(self, likes: sparse.csr_array, validation: str, metric: str, seed: int):
        self.metric, self.k = metric, metric_at_k("metric", metric, PER_USER)[1]
        if validation == "weak":
            self.train, self.held_out = holdout_per_user(likes, seed=seed)
            self.fold_in = self.train
        elif validation == "strong":
            n_users = max(1, round(0.1 * likes.shape[0]))
            self.train, self.fold_in, self.held_out, _ = holdout_users(likes, n_users, seed=seed)
        else:
            raise ValueError(f"validation is {validation!r}; pass 'weak' or 'strong'.")

    def trial(self, model: Recommender, params: dict[str, Any], train: Any) -> dict[str, Any]:
        """The entry of `Tuned.trials` for these hyperparameters; `train` is `self.train`, or precomputed from it."""
        begun = time.perf_counter()
        value: float | None = None
        standard_error: float | None = None
        try:
            report = evaluate(_with(model, params).fit(train), self.fold_in, self.held_out, ks=[self.k])
            value, standard_error = report[self.metric], report.standard_errors[self.metric]
        except FloatingPointError:
            pass  # it diverged, and the search should know
        seconds = round(time.perf_counter() - begun, 3)
        return {"params": params, "value": value, "standard_error": standard_error, "seconds": seconds}


def _search(
    model: Recommender,
    search_space: Mapping[str, Range | Sequence[Any]],
    judge: _Judge,
    limits: _Limits,
    seed: int,
    progress: Callable[[dict[str, Any]], object] | None,
) -> tuple[list[dict[str, Any]], str]:
    """All trials, and the limit that ended them."""
    begun = time.perf_counter()
    train: Any = judge.train
    if not any(name.rpartition("__")[2] == "half_life" for name in search_space):  # which precompute depends on
        train = model.precompute(train)  # freed before the last fit, which needs the memory for its own
    before_a_fit = time.perf_counter() - begun
    done: list[dict[str, Any]] = []
    with _study(model, search_space, seed) as (study, distributions, failed):
        while (ended_by := limits.reached(done, before_a_fit)) is None:
            asked = study.ask(distributions)
            trial = {"number": len(done), **judge.trial(model, asked.params, train)}
            done.append(trial)
            study.tell(asked, trial["value"], state=failed if trial["value"] is None else None)
            if progress is not None:
                progress(trial)
    return done, ended_by


def _with(model: Recommender, params: dict[str, Any]) -> Recommender:
    """An unfitted copy of the model and its inner models, with these hyperparameters."""
    return copy.deepcopy(type(model)(**model.get_params(deep=False))).set_params(**params)


@contextlib.contextmanager
def _study(
    model: Recommender, search_space: Mapping[str, Range | Sequence[Any]], seed: int
) -> Iterator[tuple[Any, dict[str, Any], Any]]:
    """Optuna's study, its distributions, and its state for a failed trial, with its logging silenced."""
    try:
        import optuna
    except ImportError:
        raise ValueError("tuning needs Optuna: pip install '.[tune]'.") from None

    if not search_space:
        raise ValueError("search_space is empty; pass values by hyperparameter, such as {'l2': [100.0, 500.0]}.")
    params = model.get_params()
    distributions = {}
    for name, values in search_space.items():
        if name not in params:
            raise ValueError(
                f"search_space has {name!r}, which is not a hyperparameter of {type(model).__name__}; "
                f"it has: {', '.join(params) or 'none'}."
            )
        distributions[name] = _distribution(optuna, name, values)

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        study.enqueue_trial({name: params[name] for name in distributions if _holds(search_space[name], params[name])})
        yield study, distributions, optuna.trial.TrialState.FAIL
    finally:
        optuna.logging.set_verbosity(verbosity)


def _distribution(optuna: Any, name: str, values: Range | Sequence[Any]) -> Any:
    if not isinstance(values, Range):
        if not isinstance(values, (list, tuple)) or not values:
            raise ValueError(f"search_space[{name!r}] is {values!r}; pass a Range, or a list of values to choose from.")
        return optuna.distributions.CategoricalDistribution(values)
    low, high, log = values
    if not (math.isfinite(low) and math.isfinite(high) and low <= high) or (log and low <= 0):
        raise ValueError(
            f"search_space[{name!r}] is {values}; pass a Range from low to high, finite, and above 0 if log."
        )
    whole = isinstance(low, int) and isinstance(high, int)
    of_kind = optuna.distributions.IntDistribution if whole else optuna.distributions.FloatDistribution
    return of_kind(low, high, log=log)


def _holds(values: Range | Sequence[Any], value: object) -> bool:
    if isinstance(values, Range):
        return isinstance(value, (int, float)) and values.low <= value <= values.high
    return value in values
