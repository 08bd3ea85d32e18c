"""Blend: several models' scores in a weighted sum, the weights chosen on users held out for it.

Score
    score = weights[0] * models[0].score + weights[1] * models[1].score + ...
    Models err in different places. A network's logits and EASE's scores are of different sizes, so
    the weights are as much units as trust: 1 and some 10 to 20 in the recipe that this is for.

Weights, where none are given
    Some users are held out, with a share of their likes to be predicted, and each model is fitted
    on the rest. The first model's weight stays 1. The others start where all scores are spread
    alike, and one after another each is multiplied by the best for the metric of 2**-6, 2**-5, ...
    2**6; with three models all over again, with four twice, and so on; and last by the best of
    2**-.5, 1 and 2**.5. Then all models are fitted anew on all likes.

Also chosen there, where it is asked for
    The models' hyperparameters, each from a list. The epoch at which the first model's training
    stops, where that is a network: after every so many steps the weights are chosen for what it is
    by then, from the best so far on, and the best of all that decides. With `lean_on`, of the
    weights that are within one standard error of the best, paired by user, those that give that
    model most: a rule of Breiman et al. 1984 for trees, that the simpler model has the benefit of
    the doubt.

Explaining
    The sum of what the models' own explanations say: a leave-one-out of a sum is the sum of them.

Cost
    Each model fitted twice and once more for each hyperparameter tried, or once where the weights
    are given; a prediction costs all of them.

Source
    A linear combination of predictions with fitted weights: Wolpert 1992 (Neural Networks 5:241),
    stacked generalization; Jahrer, Töscher and Legenstein 2010 (KDD) for recommenders. Differences:
    the weights are fitted to a metric of the ranking, not by least squares.

Example
    >>> from autoenc.models.ease import EASE
    >>> from autoenc.models.popular import Popular
    >>> blend = Blend([EASE(l2=1.0), Popular()], weights=[1, 0.1]).fit([[0, 1], [0, 1], [1]])
    >>> blend.score([[0]]).round(3)                                # 0 + 2 / 10 and 2 / 3 + 3 / 10
    array([[0.2  , 0.967]], dtype=float32)
    >>> blend.get_params()["ease__l2"]
    1.0
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from autoenc.evaluation.metrics import PER_USER
from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.evaluation.splits import holdout_users, number_of_users
from autoenc.models.base import BATCH_SIZE, Recommender
from autoenc.models.network_model import NetworkRecommender
from autoenc.models.random_state import RandomState, seed_of
from autoenc.training.callbacks import Callback

COARSE = 2.0 ** np.arange(-6, 7)
FINE = 2.0 ** np.array([-0.5, 0, 0.5])
THREADS = min(4, os.cpu_count() or 1)  # that measure weights; in NumPy each holds some arrays of a batch's scores
MOST_BY_KERNEL = 256  # items of a user's ranking: the kernel's time grows with the square
MOST_USERS = 2_000  # to validate on by default: more say little more


@dataclass(eq=False, repr=False)
class Blend(Recommender):
    """A weighted sum of models.

    Parameters
    ----------
    models : list of Recommender
        Not fitted here; `fit` fits copies. No Blend among them.
    weights : list of float, optional
        One a model; then nothing is chosen. By default chosen as above.
    metric : str
        Of `autoenc.metrics`, such as "ndcg@100": what the choice is for.
    validation : "strong" or "weak"
        Whether the users who validate are left out of the fit that is validated, or only their
        likes that are to be predicted: as the model will be used, for new users or for known ones.
    validation_users : float or int, optional
        The share of users to validate on, or their number. By default a fifth of them, or with
        "weak" all; 2,000 at most, and none with fewer than two likes.
    candidates : dict, optional
        Values to choose among by hyperparameter, as {"ease__l2": [100.0, 200.0, 500.0]}: by how the
        model does alone, from the middle on to either side as long as that does better.
    stop_every : int, optional
        Stop the first model, a network, where it validates best, which is looked at after so many
        steps (in whole epochs). By default it is trained for all its epochs.
    patience : int
        End the training that is validated after so many looks without a new best.
    lean_on : str, optional
        The model that has the benefit of the doubt, such as "ease"; not the first.
    fallback : dict, optional
        Another model for one that needs more memory than it may take, as {"ease": ELSA()}. `fit`
        warns where it takes it.
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None
        Names who validates.

    Attributes
    ----------
    models_ : list of Recommender
        The fitted copies, with what was chosen for them as their hyperparameters.
    weights_ : array (n_models,), float64
    search_ : list of dict
        Of the choice, in order: what was tried, which is a hyperparameter, or weights (a list) and
        where training is stopped the epoch; and the metric's value.
    """

    models: Sequence[Recommender] = ()
    _: KW_ONLY
    weights: Sequence[float] | None = None
    metric: str = "ndcg@100"
    validation: str = "strong"
    validation_users: float | None = None
    candidates: dict[str, Sequence] | None = None
    stop_every: int | None = None
    patience: int = 2
    lean_on: str | None = None
    fallback: dict[str, Recommender] | None = None
    random_state: RandomState = 0

    def _fit(self, user_items):
        self._check()
        self.seed_ = seed_of(self.random_state)
        self.search_: list[dict] = []
        models = []
        for name, model in self.named_models():
            models.append(_copy(self._that_fits(name, model, user_items.shape)))
        if self.weights is not None:
            self.weights_ = np.array(self.weights, np.float64)
        elif len(models) == 1 and not self.candidates:
            self.weights_ = np.ones(1)
        else:
            models, self.weights_ = self._choose(models, user_items)
        self.models_ = [model.fit(user_items) for model in models]

    def _check(self):
        if not self.models:
            raise ValueError("models is empty; pass the models to blend, such as [AutoEncoder(), EASE()].")
        fallback = self.fallback or {}
        for model in [*self.models, *fallback.values()]:
            if not isinstance(model, Recommender):
                raise TypeError(f"models holds {model!r}; pass models, such as EASE().")
            if isinstance(model, Blend):
                raise ValueError("models holds a Blend; pass the models that it is of.")
        if self.weights is not None:
            weights = np.array(self.weights, np.float64)
            if weights.shape != (len(self.models),) or not np.isfinite(weights).all():
                raise ValueError(f"weights is {self.weights!r}; pass a number for each of {len(self.models)} models.")
        name, _, k = str(self.metric).partition("@")
        if name not in PER_USER or not k.isdecimal() or int(k) < 1:
            raise ValueError(f'metric is {self.metric!r}; pass one of {", ".join(PER_USER)} at a k, as "ndcg@100".')
        if self.validation not in ("strong", "weak"):
            raise ValueError(f'validation is {self.validation!r}; pass "strong" or "weak".')
        names = _names(self.models)
        for name in fallback:
            if name not in names:
                raise ValueError(f"fallback is for {name!r}; the models are {', '.join(names)}.")
        if self.lean_on is not None and self.lean_on not in names[1:]:
            raise ValueError(f"lean_on is {self.lean_on!r}; pass a model after the first, of {', '.join(names)}.")
        for name, values in (self.candidates or {}).items():
            if "__" not in name or name not in self.get_params():
                raise ValueError(f"candidates has {name!r}; name a model's hyperparameter, such as 'ease__l2'.")
            if not isinstance(values, (list, tuple)) or not values:
                raise ValueError(f"candidates[{name!r}] is {values!r}; pass a list of values to choose from.")
            if self.stop_every is not None and name.startswith(f"{names[0]}__"):
                raise ValueError(
                    f"candidates has {name!r}, of the network that stop_every stops: it is trained once; "
                    "leave one of the two out."
                )
        for name in ("stop_every", "patience"):
            value = getattr(self, name)
            if not (name == "stop_every" and value is None) and (not isinstance(value, (int, np.integer)) or value < 1):
                raise ValueError(f"{name} is {value!r}; pass a whole number, 1 or more.")
        if self.stop_every is not None and not isinstance(self.models[0], NetworkRecommender):
            raise ValueError(f"stop_every stops a network, and the first model is {self.models[0]!r}; leave it out.")

    def _that_fits(self, name, model, shape):
        """The model, or its fallback where it would refuse for want of memory."""
        if name not in (self.fallback or {}):
            return model
        try:
            model.check_memory(*shape)
            return model
        except ValueError as error:
            other = self.fallback[name]
            told = f"{str(error).removesuffix('.')}; {type(other).__name__} is in its place"
            warnings.warn(told, stacklevel=4)  # of whoever called `fit`
            return other

    def _choose(self, models, user_items):
        """The models, unfitted and with what was chosen as their hyperparameters, and the weights (n_models,)."""
        n_users = self._number_who_validate(user_items)
        train, fold_in, held_out, _ = holdout_users(user_items, n_users, seed=self.seed_)
        if not held_out.nnz:
            raise ValueError(
                f"none of the {n_users:,} users who validate has enough likes to hold a fifth of them out; "
                "pass weights, or more likes."
            )
        if self.validation == "weak":
            train = sparse.vstack([train, fold_in], format="csr")
        backends = {getattr(model, "backend", "numpy") for model in models}
        judge = _Judge(fold_in, held_out, self.metric, "numba" if "numba" in backends else "numpy")

        names = _names(self.models)
        for i in range(self.stop_every is not None, len(models)):
            models[i] = self._best_candidate(names[i], models[i], train, judge)
        if self.stop_every is None:
            trials = judge.search([model.score for model in models])
            self.search_ += [trial.told(self.metric) for trial in trials]
        else:
            network, others = models[0], models[1:]
            stopping = _Stopping(judge, others, self.stop_every, self.patience)
            network.fit(train, callbacks=[stopping])
            self.search_ += [{"epoch": epoch, **trial.told(self.metric)} for epoch, trial in stopping.all_trials]
            trials, models = stopping.trials, [network.stopped_at(stopping.epoch), *others]
        lean_on = None if self.lean_on is None else names.index(self.lean_on)
        return [_copy(model) for model in models], _leaning(trials, lean_on).weights

    def _number_who_validate(self, user_items) -> int:
        n_users, wanted = user_items.shape[0], self.validation_users
        if wanted is not None:
            return number_of_users(user_items, wanted, "validation_users")
        most = min(int((np.diff(user_items.indptr) >= 2).sum()), n_users - 1)
        if most < 1:
            raise ValueError(
                "the weights are chosen on users with two likes or more, beside others to train on, and of "
                f"{n_users:,} users there are none; pass weights, or more likes."
            )
        return max(1, min(MOST_USERS, most, round(n_users / 5) if self.validation == "strong" else most))

    def _best_candidate(self, name, model, train, judge):
        """The model fitted on `train`, with the best of the candidates for each of its hyperparameters in turn."""
        likes = model.prepare(train)
        model = _copy(model).fit(likes)
        for parameter, values in (self.candidates or {}).items():
            of_model, _, inner = parameter.partition("__")
            if of_model != name or inner not in model.get_params():
                continue

            best = -np.inf

            def does_better(value, inner=inner, parameter=parameter):
                nonlocal best, model
                as_it_is = model.get_params()[inner] == value
                other = model if as_it_is else _copy(model).set_params(**{inner: value}).fit(likes)
                found = float(judge.values([other.score], np.ones((1, 1))).mean())
                self.search_.append({parameter: value, self.metric: found})
                if found <= best:
                    return False
                best, model = found, other
                return True

            middle = len(values) // 2
            does_better(values[middle])
            for step in (1, -1):
                at = middle + step
                while 0 <= at < len(values) and does_better(values[at]):
                    at += step
                if at != middle + step:
                    break
        return model

    def _score(self, user_items):
        return weighted_sum((model._score(user_items) for model in self.models_), self.weights_)

    def _contributions(self, row, column):
        return weighted_sum((model._contributions(row, column) for model in self.models_), self.weights_)

    def named_models(self) -> list[tuple[str, Recommender]]:
        """The models, unfitted, each with the name that its hyperparameters go by."""
        return list(zip(_names(self.models), self.models))

    def get_params(self, deep: bool = True) -> dict:
        """The hyperparameters by name.

        With `deep` also the models, each under its class's name in small letters ("ease", or
        "ease-1" and "ease-2"), and theirs, as "ease__l2": as scikit-learn's make_union has it.
        """
        params = super().get_params()
        if deep:
            for name, model in self.named_models():
                params[name] = model
                params |= {f"{name}__{inner}": value for inner, value in model.get_params().items()}
        return params

    def set_params(self, **params) -> Blend:
        """Change hyperparameters, the models' too ("ease__l2"), or a model ("ease"), for the next `fit`.

        Raises ValueError at a name that isn't one.
        """
        own = self._defaults()
        super().set_params(**{name: value for name, value in params.items() if name in own})
        for name in sorted(set(params) - set(own), key=lambda name: "__" in name):
            part, _, inner = name.partition("__")
            if part not in _names(self.models):
                super().set_params(**{name: params[name]})
            i = _names(self.models).index(part)
            if inner:
                self.models[i].set_params(**{inner: params[name]})
            else:
                self.models = [*self.models[:i], params[name], *self.models[i + 1 :]]
        return self

    def _file_params(self):
        params = super()._file_params()
        del params["candidates"], params["fallback"]  # what was taken of them is the models' own
        if self.lean_on is not None:  # by the name of what was taken
            params["lean_on"] = _names(self.models_)[_names(self.models).index(self.lean_on)]
        params["models"] = ", ".join(type(model).__name__ for model in self.models_)
        if self.weights is not None:
            params["weights"] = ", ".join(repr(float(weight)) for weight in self.weights)
        for name, model in zip(_names(self.models_), self.models_):
            params |= {f"{name}__{inner}": value for inner, value in model._file_params().items()}
        return params

    @classmethod
    def _of_file_params(cls, params):
        known = importlib.import_module("autoenc.models").MODELS  # which has this class too
        own = {name: value for name, value in params.items() if name in cls._defaults()}
        names = str(own.get("models")).split(", ")
        if not set(names) <= set(known) - {cls.__name__}:
            raise ValueError(f"its models are {own.get('models')!r}, and not all are known here")
        blend = cls(**{**own, "models": [known[name]() for name in names]})
        if own.get("weights") is not None:
            blend.weights = [float(weight) for weight in str(own["weights"]).split(", ")]
        return blend.set_params(**{name: value for name, value in params.items() if name not in own})

    def _arrays(self):
        arrays = {"weights": self.weights_}
        for name, model in zip(_names(self.models_), self.models_):
            arrays |= {f"{name}.{inner}": array for inner, array in model._arrays().items()}
        return arrays

    def _set_arrays(self, arrays):
        weights = arrays.get("weights")
        if weights is None or weights.shape != (len(self.models),) or weights.dtype != np.float64:
            raise ValueError("weights must be there, a float64 for each model.")
        self.weights_, self.models_ = weights, []
        for name, model in self.named_models():
            model = _copy(model)
            of_model = {key.removeprefix(f"{name}."): a for key, a in arrays.items() if key.startswith(f"{name}.")}
            model.n_items_, model.catalogue_, model.about_ = model._set_arrays(of_model), None, {}
            self.models_.append(model)
        widths = [model.n_items_ for model in self.models_]
        if len(set(widths)) != 1:
            raise ValueError(f"its models must be on the same items, and are on {', '.join(map(str, widths))}.")
        self.search_, self.seed_ = [], seed_of(self.random_state)
        return widths[0]


class _Trial(NamedTuple):
    """Weights, and what they come to for each validation user."""

    weights: np.ndarray  # (n_models,)
    values: np.ndarray  # (n_users,)

    def told(self, metric: str) -> dict[str, Any]:
        return {"weights": self.weights.tolist(), metric: float(self.values.mean())}


class _Judge:
    """Measures weighted sums on the users who validate."""

    def __init__(self, fold_in: sparse.csr_array, held_out: sparse.csr_array, metric: str, backend: str):
        name, _, k = metric.partition("@")
        has_any = np.diff(held_out.indptr) > 0
        self.fold_in, self.held_out = fold_in[has_any], held_out[has_any]
        self.per_user, self.k = PER_USER[name], int(k)
        self.top_n = _top_n_by_kernel if backend == "numba" and self.k <= MOST_BY_KERNEL else _top_n

    def values(self, scorers, candidates: np.ndarray) -> np.ndarray:
        """The metric of each of `candidates` (n, n_models), weights: (n, n_users). Each user is scored once."""
        batches = []
        with ThreadPoolExecutor(THREADS) as pool:  # nearly all is ranking, which lets others compute
            for start in range(0, self.fold_in.shape[0], BATCH_SIZE):
                users = slice(start, start + BATCH_SIZE)
                scores = np.stack([score(self.fold_in[users]) for score in scorers])  # (n_models, batch, n_items)
                batches.append(list(pool.map(partial(self._values_of, scores, users), candidates)))
        return np.concatenate(batches, axis=1)

    def _values_of(self, scores, users, weights):
        liked, held_out = self.fold_in[users], self.held_out[users]
        top_items = self.top_n(scores, weights, liked, self.k)
        return self.per_user(top_items, held_out, self.k)

    def search(self, scorers, start: np.ndarray | None = None) -> list[_Trial]:
        """All that was tried for the weights, from `start` on where that is known to be near."""
        if len(scorers) == 1:
            return [_Trial(np.ones(1), self.values(scorers, np.ones((1, 1)))[0])]
        n_rounds = len(scorers) - 1 if start is None else 1
        weights = self._of_equal_spread(scorers) if start is None else start
        trials = []
        for factors in [COARSE] * n_rounds + [FINE]:
            for i in range(1, len(scorers)):
                candidates = np.tile(weights, (len(factors), 1))
                candidates[:, i] *= factors
                values = self.values(scorers, candidates)
                trials += [_Trial(*trial) for trial in zip(candidates, values)]
                weights = candidates[np.argmax(values.mean(axis=1))]
        return trials

    def _of_equal_spread(self, scorers):
        """Weights (n_models,) with which all models' scores are spread as the first's are."""
        first_users = self.fold_in[:BATCH_SIZE]
        spreads = np.array([score(first_users).std(dtype=np.float64) for score in scorers])
        weights = spreads[0] / np.where(spreads > 0, spreads, 1)
        weights[0] = 1
        return weights


def _top_n(scores, weights, liked, n):
    """The n best items (batch, n) by the weighted sum of scores (n_models, batch, n_items), liked ones struck."""
    return top_n_of_scores(weighted_sum(scores, weights), liked, n)[0]


def _top_n_by_kernel(scores, weights, liked, n):
    from autoenc.kernels.top_n_of_sum import top_n_of_sum  # imports numba

    items, _, any_nan = top_n_of_sum(scores, weights.astype(scores.dtype), liked.indptr, liked.indices, n)
    return _top_n(scores, weights, liked, n) if any_nan else items  # which raises the sentence


class _Stopping(Callback):
    """Chooses the weights for a network in mid-training and for the others, and remembers where they did best.

    Attributes
    ----------
    epoch : int
        From 1, the best.
    trials : list of _Trial
        After that epoch.
    all_trials : list of (epoch, _Trial)
    """

    def __init__(self, judge: _Judge, others: list[Recommender], every: int, patience: int):
        self.judge, self.others, self.every, self.patience = judge, others, every, patience
        self.best, self.since_best = -np.inf, 0
        self.epoch = 0
        self.trials: list[_Trial] = []
        self.all_trials: list[tuple[int, _Trial]] = []

    def on_epoch_end(self, trainer):
        epoch = trainer.epoch + 1
        if epoch % max(1, round(self.every / trainer.n_steps)) and epoch < trainer.epochs:
            return
        # What was best at the last best epoch is near what is best now: a round less to try.
        start = _best(self.trials).weights if self.trials else None
        trials = self.judge.search([trainer.model.score, *(model.score for model in self.others)], start)
        self.all_trials += [(epoch, trial) for trial in trials]
        value = _best(trials).values.mean()
        self.since_best += 1
        if value > self.best:
            self.best, self.since_best, self.epoch, self.trials = value, 0, epoch, trials
        if self.since_best >= self.patience:
            trainer.stop = True


def _best(trials: list[_Trial]) -> _Trial:
    return max(trials, key=lambda trial: trial.values.mean())


def _leaning(trials: list[_Trial], lean_on: int | None) -> _Trial:
    """The best trial; with `lean_on`, a model's number, of those that could as well be it the one that leans most."""
    best = _best(trials)
    if lean_on is None:
        return best

    def could_be_best(trial):
        behind = best.values - trial.values
        return behind.mean() <= behind.std() / len(behind) ** 0.5

    return max(filter(could_be_best, trials), key=lambda trial: trial.weights[lean_on])


def _names(models: Sequence[Recommender]) -> list[str]:
    names = [type(model).__name__.lower() for model in models]
    return [name if names.count(name) == 1 else f"{name}-{names[: i + 1].count(name)}" for i, name in enumerate(names)]


def _copy(model: Recommender) -> Recommender:
    """An unfitted model of the same hyperparameters."""
    return type(model)(**model.get_params(deep=False))


def weighted_sum(arrays, weights):
    """arrays[0] * weights[0] + arrays[1] * weights[1] + ..., from the left: a new array of their shape and dtype.

    arrays is n_models of one shape, such as (batch, n_items), and weights (n_models,).
    """
    total = 0.0
    for array, weight in zip(arrays, weights.tolist()):
        total = total + array * weight
    return total
