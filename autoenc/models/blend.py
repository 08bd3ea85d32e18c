"""Blend: a weighted sum of several models' scores, with weights chosen on validation users.

Score
    score = weights[0] * models[0].score + weights[1] * models[1].score + ...
    Different models make different errors. A network's logits and EASE's scores are on different
    scales, so a weight reflects both the scale of a model and how much it contributes. With
    `standardize`, each model's scores for a user are first brought to mean 0 and standard deviation 1
    (weighted_sum.py), and a weight reflects the contribution alone.

Weights, if none are given
    Some users are held out, with part of their likes to be predicted, and each model is fitted on the
    rest. The weights are searched on a coarse grid over all of them at once, then on finer grids
    (blend_weights.py), for the best ranking by the metric. The coarse grid includes every model alone
    and every pair, so on the validation users a blend is never behind one of its parts. Finally, all
    models with a weight above 0 are fitted again on all likes.

Validation by time
    The latest likes are held out, of users who liked something before (evaluation/splits.py). Only
    here can a half-life be chosen: before anything else, and the same for all models except networks
    (half_life.py), unless one of them already has a half-life.

Optionally chosen on the same users
    The models' hyperparameters, each from a list; and, if the first model is a network, the epoch at
    which its training stops: after every `stop_every` steps it is evaluated in a blend with the
    others, with the weights searched from scratch, and the epoch of the best blend is kept.

What is not fitted again
    The models, if at most a fiftieth of the likes were held out: so few more would hardly change them, and
    fitting them twice would take nearly twice the time. A single model is always fitted again.

Explaining
    The weighted sum of the models' own explanations, as the leave-one-out difference of a sum is the
    sum of the differences. With `standardize`, each is divided by the standard deviation of the user's
    scores, which is held fixed.

Cost
    Each model is fitted twice (once if few likes are held out), and once more for each hyperparameter
    value tried; only once if the weights are given. A prediction costs as much as the predictions of all
    models.

Source
    A linear combination of predictions with fitted weights: Wolpert 1992 (Neural Networks 5:241),
    stacked generalization; Jahrer, Töscher and Legenstein 2010 (KDD) for recommenders. Differences:
    the weights maximize a ranking metric instead of minimizing squared error, and are nonnegative.

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

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from scipy import sparse

from autoenc.checks import metric_at_k, whole_number
from autoenc.evaluation.metrics import PER_USER
from autoenc.interactions import UserItems, UserItemsLike
from autoenc.messages import shown
from autoenc.models.base import Recommender
from autoenc.models.blend_search import Judge, Stopping, validation_split
from autoenc.models.blend_weights import choice, coarse_trials, finer_trials
from autoenc.models.candidate_search import CandidateSearch
from autoenc.models.estimator import unfitted
from autoenc.models.half_life import takes_half_life, with_chosen_half_life
from autoenc.models.network_model import NetworkRecommender
from autoenc.models.random_state import RandomState, seed_of
from autoenc.models.weighted_sum import mean_and_spread, standardized, weighted_sum
from autoenc.training.progress import Progress, no_progress

MOST_MODELS = 100  # in a file
FEW = 1 / 50  # of the likes, which hardly change a model


@dataclass(eq=False, repr=False)
class Blend(Recommender):
    """A weighted sum of models.

    Parameters
    ----------
    models : list of Recommender
        The models to blend, none of them a Blend. `fit` fits copies and leaves these unchanged.
    weights : list of float, optional
        One weight per model. By default the weights are chosen on validation users, see above.
    standardize : bool
        Whether to bring each model's scores for a user to mean 0 and standard deviation 1 before summing.
    metric : str
        A metric of `autoenc.evaluate` to maximize, such as "ndcg@100".
    validation : "strong", "weak" or "time"
        How to validate. "strong" leaves the validation users out of training, as for recommending to
        new users; "weak" leaves out only their held-out likes, chosen at random, as for known users;
        "time" holds out the latest likes, as for predicting what known users like next. "time" needs
        likes with times, and chooses a half-life.
    validation_users : float or int, optional
        Fraction or number of users to validate on. By default a fifth of the users, or all with "weak"
        and "time", but at most 2,000. Users with fewer than two likes are never chosen.
    candidates : dict, optional
        Values to try for hyperparameters of the models and fallbacks, such as {"ease__l2": [100.0,
        200.0, 500.0]}. Each model is evaluated alone; the search starts at the middle value and moves
        up, or down if nothing above is better, until a value is worse than the best by more than a
        standard error of the difference. If there are too few likes to validate on, a single model
        keeps its own value.
    stop_every : int, optional
        Evaluate the first model, which must be a network, every `stop_every` steps (rounded to whole
        epochs), and keep the best epoch. By default it is trained for all its epochs.
    patience : int
        Stop training after this many evaluations in which neither the blend nor the network alone improved.
    fallback : list of Recommender, optional
        Models to blend instead if one of `models` needs more memory than allowed, such as [IALS(), ELSA()].
        `fit` warns if it uses them, and `about_` and the model file record it.
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None
        Seed for choosing the validation users.

    Attributes
    ----------
    models_ : list of Recommender
        Fitted copies of the models, with the chosen hyperparameters. If the weights were chosen, models
        with weight 0 are left out.
    weights_ : array (n_models,), float64
        Weights of `models_`.
    search_ : list of dict
        One entry per trial, in order: the hyperparameter's value, or the weights (a list) with the epoch
        if the network was still in training; and the value of the metric.
    """

    weighs_likes = True  # if its models do

    models: Sequence[Recommender] = ()
    _: KW_ONLY
    weights: Sequence[float] | None = None
    standardize: bool = False
    metric: str = "ndcg@100"
    validation: str = "strong"
    validation_users: float | None = None
    candidates: dict[str, Sequence[Any]] | None = None
    stop_every: int | None = None
    patience: int = 2
    fallback: Sequence[Recommender] = ()
    random_state: RandomState = 0

    def fit(self, user_items: UserItemsLike, y: object = None, *, progress: Progress | None = None) -> Self:
        """Choose the weights and learn from the likes, as `Recommender.fit` does.

        `progress` is called as progress(doing, done, total): a description of the current task, and the
        number of its steps done and in total.
        """
        self._progress = progress or no_progress
        try:
            super().fit(user_items)
        finally:
            del self._progress
        if self._replaced:
            self.about_["instead"] = self._replaced
        return self

    def _fit(self, user_items: UserItems) -> None:
        self.seed_ = seed_of(self.random_state)
        self.search_: list[dict[str, Any]] = []
        self._replaced: dict[str, str] = {}
        models = [unfitted(model) for model in self._models_that_fit(user_items.shape)]
        if self.validation == "time":
            models = self._of_one_half_life(models, user_items)
        if self.weights is not None:
            self.weights_ = np.array(self.weights, np.float64)
        elif len(models) == 1 and not self.candidates and self.stop_every is None:
            self.weights_ = np.ones(1)
        else:
            models, self.weights_ = self._choose(models, user_items)
        self.models_: list[Recommender] = []
        while models:  # drop each as soon as it is fitted again, to free its memory
            model = models.pop(0)
            self._progress(f"fitting {type(model).__name__}", len(self.models_), len(self.weights_))
            self.models_.append(model if model.__sklearn_is_fitted__() else model.fit(user_items))

    def _check_hyperparameters(self) -> None:
        super()._check_hyperparameters()
        self._check_models()
        metric_at_k("metric", self.metric, PER_USER)
        if self.validation not in ("strong", "weak", "time"):
            raise ValueError(f'validation is {self.validation!r}; pass "strong", "weak" or "time".')
        if not isinstance(self.standardize, (bool, np.bool_)):
            raise ValueError(f"standardize is {self.standardize!r}; pass True or False.")
        self._check_candidates(_names(self.models)[0])
        whole_number("patience", self.patience, 1)
        if self.stop_every is not None:
            whole_number("stop_every", self.stop_every, 1)
            if not isinstance(self.models[0], NetworkRecommender):
                raise ValueError(
                    f"stop_every is for a network, and the first model is {self.models[0]!r}; leave stop_every out, or "
                    "put a network first."
                )

    def _check_models(self) -> None:
        if not self.models:
            raise ValueError("models is empty; pass the models to blend, such as [AutoEncoder(), EASE()].")
        if not isinstance(self.candidates or {}, Mapping):
            raise TypeError(f"candidates is {shown(self.candidates)}; pass a dict, or None.")
        for name in ("models", "fallback"):
            if not isinstance(getattr(self, name), (list, tuple)):
                raise TypeError(f"{name} is {shown(getattr(self, name))}; pass a list of models.")
            for model in getattr(self, name):
                if not isinstance(model, Recommender):
                    raise TypeError(f"{name} holds {model!r}; pass recommenders, such as EASE().")
                if isinstance(model, Blend):
                    raise ValueError(f"{name} holds a Blend; pass the models that it blends.")
        if self.weights is not None:
            weights = np.array(self.weights, np.float64)
            if weights.shape != (len(self.models),) or not np.isfinite(weights).all():
                raise ValueError(f"weights is {self.weights!r}; pass a number for each of {len(self.models)} models.")
            if self.fallback and len(self.fallback) != len(self.models):
                raise ValueError(
                    f"weights are for {len(self.models)} models, but fallback has {len(self.fallback)}; pass "
                    "equally many, or leave weights out."
                )

    def _check_candidates(self, first: str) -> None:
        known = self.get_params()
        for name, model in zip(_names(self.fallback), self.fallback):
            known |= {f"{name}__{inner}": value for inner, value in model.get_params().items()}
        for name, values in (self.candidates or {}).items():
            if "__" not in name or name not in known:
                raise ValueError(f"candidates has {name!r}; name a model's hyperparameter, such as 'ease__l2'.")
            if not isinstance(values, (list, tuple)) or not values:
                raise ValueError(f"candidates[{name!r}] is {values!r}; pass a list of values to choose from.")
            if self.stop_every is not None and name.startswith(f"{first}__"):
                raise ValueError(
                    f"candidates has {name!r}, a hyperparameter of the network that stop_every stops, which is "
                    "trained only once; leave one of the two out."
                )

    def _models_that_fit(self, shape: tuple[int, int]) -> Sequence[Recommender]:
        """The models, or the fallback if one of them needs more memory than allowed."""
        if not self.fallback:
            return self.models
        for model in self.models:
            model._check_hyperparameters()
        for model in self.models:
            try:
                model.check_limit(*shape)
            except ValueError as error:
                names = ", ".join(type(other).__name__ for other in self.fallback)
                told = f"{str(error).removesuffix('.')}; instead, the model is made of {names}"
                warnings.warn(told, stacklevel=5)  # at the caller of `fit`
                for other in self.fallback:
                    other._check_hyperparameters()
                self._replaced[", ".join(type(each).__name__ for each in self.models)] = names
                return self.fallback
        return self.models

    def _choose(self, models: list[Recommender], user_items: UserItems) -> tuple[list[Recommender], np.ndarray]:
        """The models with a weight above 0, with the chosen hyperparameters, and the weights.

        Models that need not be fitted again are returned fitted.
        """
        try:
            train, judge = self._validation_split(models, user_items)
        except ValueError:
            if len(models) > 1 or self.validation_users is not None or self.validation == "time":
                raise
            return models, np.ones(1)  # a single model needs no validation users
        stops = self.stop_every is not None and isinstance(models[0], NetworkRecommender)
        for i, name in list(enumerate(_names(models)))[stops:]:
            search = self._searched(name, models[i], train, judge)
            models[i] = search.finish() if len(models) > 1 else search.best
        if stops:
            models[0] = self._stopped(models, train, judge)

        if len(models) == 1:
            return [unfitted(models[0])], np.ones(1)
        scorers = [model.score for model in models]

        def values(weights: np.ndarray) -> np.ndarray:
            self._progress("choosing the weights", len(self.search_), len(self.search_) + len(weights))
            return judge.values(scorers, weights)

        trials = finer_trials(coarse_trials(len(models), values), values)
        chosen = choice(trials, values)
        self.search_ += [trial.as_row(self.metric) for trial in [*trials, chosen]]
        weights = chosen.weights / judge.scales(scorers)
        few = train.nnz >= (1 - FEW) * user_items.nnz
        kept = models if few else [unfitted(model) for model in models]
        return [model for model, weight in zip(kept, weights) if weight > 0], weights[weights > 0]

    def _stopped(self, models: list[Recommender], train: sparse.csr_array, judge: Judge) -> NetworkRecommender:
        """The first model, trained up to the epoch at which its blend with the others, already fitted, was best."""
        network, others = models[0], models[1:]
        assert isinstance(network, NetworkRecommender) and self.stop_every is not None  # or the checks have raised
        stopping = Stopping(judge, others, self.stop_every, self.patience, self._progress)
        network.fit(train, callbacks=[stopping])
        self.search_ += [{"epoch": epoch, **trial.as_row(self.metric)} for epoch, trial in stopping.all_trials]
        return network.as_stopped_at(stopping.epoch)

    def _validation_split(self, models: list[Recommender], user_items: UserItems) -> tuple[UserItems, Judge]:
        """The likes to train on, and the judge of the models trained on them."""
        train, fold_in, held_out = validation_split(user_items, self.validation, self.validation_users, self.seed_)
        backends = {getattr(model, "backend", "numpy") for model in models}
        backend = "numba" if "numba" in backends else "numpy"
        return train, Judge(fold_in, held_out, self.metric, backend, self.standardize)

    def _of_one_half_life(self, models: list[Recommender], user_items: UserItems) -> list[Recommender]:
        """The models, unfitted, with the half-life that validates best, unless one of them has one already."""
        half_lives = [model.get_params(deep=False)["half_life"] for model in models if takes_half_life(model)]
        if not half_lives or any(half_lives):
            return models
        self._progress("choosing the half-life", 0, 1)
        models, chosen = with_chosen_half_life(models, user_items, self.metric)
        self.search_ += chosen.tried
        return models

    def _searched(self, name: str, model: Recommender, train: sparse.csr_array, judge: Judge) -> CandidateSearch:
        """Search `candidates`, one hyperparameter after another, for the model of that name; return the search."""
        self._progress(f"fitting {type(model).__name__} for validation", 0, 1)
        search = CandidateSearch(name, model, train, judge)
        for parameter, values in (self.candidates or {}).items():
            search.choose(parameter, values, self._progress)
        self.search_ += search.tried
        return search

    def _score(self, user_items: sparse.csr_array) -> np.ndarray:
        scores = (model._score(user_items) for model in self.models_)
        if self.standardize:
            scores = (standardized(each, user_items) for each in scores)
        return weighted_sum(scores, self.weights_)

    def _contributions(self, row: sparse.csr_array, column: int) -> np.ndarray:
        weights = self.weights_
        if self.standardize:
            weights = weights / [mean_and_spread(model._score(row), row)[1][0] for model in self.models_]
        return weighted_sum((model._contributions(row, column) for model in self.models_), weights)

    def named_models(self) -> list[tuple[str, Recommender]]:
        """The unfitted models, each with the prefix of its hyperparameters' names."""
        return list(zip(_names(self.models), self.models))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The hyperparameters by name.

        With `deep` also the models, each under its class's name in lower case ("ease", or "ease-1" and
        "ease-2"), and their hyperparameters, such as "ease__l2", as in scikit-learn's make_union.
        """
        params = super().get_params()
        if deep:
            for name, model in self.named_models():
                params[name] = model
                params |= {f"{name}__{inner}": value for inner, value in model.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set hyperparameters of the blend or of a model ("ease__l2"), or a model itself ("ease"), for the next `fit`.

        Raises ValueError if a name is unknown.
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

    def _file_params(self) -> dict[str, Any]:
        params = super()._file_params()
        del params["candidates"], params["fallback"]  # the models hold what was chosen from them
        if not isinstance(self.models_[0], NetworkRecommender):  # the network's weight may have been 0
            params["stop_every"] = None
        params["models"] = ", ".join(type(model).__name__ for model in self.models_)
        if self.weights is not None:
            params["weights"] = ", ".join(repr(float(weight)) for weight in self.weights)
        for name, model in zip(_names(self.models_), self.models_):
            params |= {f"{name}__{inner}": value for inner, value in model._file_params().items()}
        return params

    @classmethod
    def _of_file_params(cls, params: dict[str, Any], classes: Mapping[str, type[Recommender]]) -> Recommender:
        params.pop("lean_on", None)  # in files written before `standardize` was added
        own = {name: value for name, value in params.items() if name in cls._defaults()}
        names = str(own.get("models")).split(", ")
        if len(names) > MOST_MODELS or not set(names) <= set(classes) - {cls.__name__}:
            raise ValueError(f"its models are {shown(own.get('models'))}, and not all of these are known")
        blend = cls(**{**own, "models": [classes[name]() for name in names]})
        if own.get("weights") is not None:
            blend.weights = [float(weight) for weight in str(own["weights"]).split(", ")]
        return blend.set_params(**{name: value for name, value in params.items() if name not in own})

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {"weights": self.weights_}
        for name, model in zip(_names(self.models_), self.models_):
            arrays |= {f"{name}.{inner}": array for inner, array in model._arrays().items()}
        return arrays

    def _set_arrays(self, arrays: dict[str, np.ndarray]) -> int:
        weights = arrays.get("weights")
        if weights is None or weights.shape != (len(self.models),) or weights.dtype != np.float64:
            raise ValueError("weights must be an array with one float64 per model.")
        self.weights_, self.models_ = weights, []
        for name, model in self.named_models():
            model = unfitted(model)
            of_model = {key.removeprefix(f"{name}."): a for key, a in arrays.items() if key.startswith(f"{name}.")}
            model.n_items_, model.catalogue_, model.about_ = model._set_arrays(of_model), None, {}
            self.models_.append(model)
        widths = [model.n_items_ for model in self.models_]
        if len(set(widths)) != 1:
            raise ValueError(f"its models must have the same number of items; they have {', '.join(map(str, widths))}.")
        self.search_, self.seed_, self._replaced = [], seed_of(self.random_state), {}
        return widths[0]


def _names(models: Sequence[Recommender]) -> list[str]:
    names = [type(model).__name__.lower() for model in models]
    return [name if names.count(name) == 1 else f"{name}-{names[: i + 1].count(name)}" for i, name in enumerate(names)]
