"""Blend: several models' scores in a weighted sum, the weights chosen on users held out for it.

Score
    score = weights[0] * models[0].score + weights[1] * models[1].score + ...
    Models err in different places. A network's logits and EASE's scores are of different sizes, so
    the weights are as much units as trust. With `standardize` each model's scores of a user are first
    brought to mean 0 and spread 1 (weighted_sum.py), and the weights are trust alone.

Weights, where none are given
    Some users are held out, with a share of their likes to be predicted, and each model is fitted
    on the rest. The weights are those whose sum ranks best by the metric, of a grid over all of them
    at once, then of finer ones (blend_weights.py). Every model alone and every pair of them are in
    the grid, so on the users who validate a blend is never behind a part of it. Last, all models of a
    weight above 0 are fitted again on all likes.

Validation by time
    What came last is held out, of users who liked something before (evaluation/splits.py). Only there
    can a half-life be chosen: first of all, for all models but networks at once (half_life.py), unless
    one of them has a half-life already.

Also chosen there, where it is asked for
    The models' hyperparameters, each from a list. The epoch at which the first model's training
    stops, where that is a network: after every so many steps it is looked at in a blend with the
    others, its weights looked for from nothing, and the best of these looks decides.

What is not fitted again
    The models, where no more than a fiftieth of the likes were held out: so few more would hardly change
    them, and fitting them twice would take nearly twice the time. A model alone is always fitted again.

Explaining
    The sum of what the models' own explanations say: a leave-one-out of a sum is the sum of them. With
    `standardize` each is divided by the spread of the user's scores, which is taken as it is.

Cost
    Each model fitted twice (once where few likes are held out) and once more for each hyperparameter tried,
    or once where the weights are given; a prediction costs all of them.

Source
    A linear combination of predictions with fitted weights: Wolpert 1992 (Neural Networks 5:241),
    stacked generalization; Jahrer, Töscher and Legenstein 2010 (KDD) for recommenders. Differences:
    the weights are fitted to a metric of the ranking, not by least squares, and are 0 or more.

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

from autoenc.checks import metric_at_k
from autoenc.evaluation.metrics import PER_USER
from autoenc.interactions import UserItems, UserItemsLike
from autoenc.messages import shown
from autoenc.models.base import Recommender
from autoenc.models.blend_search import CandidateSearch, Judge, Stopping, validation_split
from autoenc.models.blend_weights import choice, coarse_trials, finer_trials
from autoenc.models.estimator import unfitted
from autoenc.models.half_life import takes_half_life, with_chosen_half_life
from autoenc.models.network_model import NetworkRecommender
from autoenc.models.random_state import RandomState, seed_of
from autoenc.models.weighted_sum import mean_and_spread, standardized, weighted_sum
from autoenc.progress import Progress, untold

MOST_MODELS = 100  # in a file
FEW = 1 / 50  # of the likes, without which several models are about as good


@dataclass(eq=False, repr=False)
class Blend(Recommender):
    """A weighted sum of models.

    Parameters
    ----------
    models : list of Recommender
        Not fitted here; `fit` fits copies. No Blend among them.
    weights : list of float, optional
        One a model; then nothing is chosen. By default chosen as above.
    standardize : bool
        Whether each model's scores of a user are brought to mean 0 and spread 1 before they are summed.
    metric : str
        Of `autoenc.metrics`, such as "ndcg@100": what the choice is for.
    validation : "strong", "weak" or "time"
        Whether the users who validate are left out of the fit that is validated, or only their
        likes that are to be predicted, any of them or those that came last: as the model will be
        used, for new users, for known ones, or for what known ones like next. "time" needs likes
        with times, and chooses a half-life.
    validation_users : float or int, optional
        The share of users to validate on, or their number. By default a fifth of them, or with
        "weak" and "time" all; 2,000 at most, and none with fewer than two likes.
    candidates : dict, optional
        Values to choose among by hyperparameter, of a fallback's too, as {"ease__l2": [100.0, 200.0,
        500.0]}: by how the model does alone, from the middle on to either side as long as that does better.
        A single model keeps its own where the likes are too few to validate on.
    stop_every : int, optional
        Stop the first model, a network, where it validates best, which is looked at after so many
        steps (in whole epochs). By default it is trained for all its epochs.
    patience : int
        End the training that is validated after so many looks without a new best.
    fallback : dict, optional
        Another model for one that needs more memory than it is allowed, as {"ease": ELSA()}. `fit`
        warns where it takes it, and `about_` and the model file say so.
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None
        Names who validates.

    Attributes
    ----------
    models_ : list of Recommender
        The fitted copies, with what was chosen for them as their hyperparameters; without those whose
        chosen weight is 0.
    weights_ : array (n_models,), float64
        Of `models_`.
    search_ : list of dict
        Of the choice, in order: what was tried, which is a hyperparameter, or weights (a list) and
        where training is stopped the epoch; and the metric's value.
    """

    weighs_likes = True  # where its models do

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
    fallback: dict[str, Recommender] | None = None
    random_state: RandomState = 0

    def fit(self, user_items: UserItemsLike, y: object = None, *, progress: Progress | None = None) -> Self:
        """Choose and learn from who liked what, as `Recommender.fit` has it.

        `progress`, a callable, is told (doing, done, total): what is being done, in words, and how many
        steps of it are done.
        """
        self._progress = progress or untold
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
        models = []
        for name, model in self.named_models():
            models.append(unfitted(self._that_fits(name, model, user_items.shape)))
        if self.validation == "time":
            models = self._of_one_half_life(models, user_items)
        if self.weights is not None:
            self.weights_ = np.array(self.weights, np.float64)
        elif len(models) == 1 and not self.candidates:
            self.weights_ = np.ones(1)
        else:
            models, self.weights_ = self._choose(models, user_items)
        self.models_: list[Recommender] = []
        while models:  # one that is replaced by its fit makes room for it
            model = models.pop(0)
            self._progress(f"fitting {type(model).__name__}", len(self.models_), len(self.weights_))
            self.models_.append(model if model.__sklearn_is_fitted__() else model.fit(user_items))

    def _check_hyperparameters(self) -> None:
        super()._check_hyperparameters()
        self._check_models()
        metric_at_k("metric", self.metric, PER_USER)
        if self.validation not in ("strong", "weak", "time"):
            raise ValueError(f'validation is {self.validation!r}; pass "strong", "weak" or "time".')
        names = _names(self.models)
        for name in self.fallback or {}:
            if name not in names:
                raise ValueError(f"fallback is for {name!r}; the models are {', '.join(names)}.")
        if not isinstance(self.standardize, (bool, np.bool_)):
            raise ValueError(f"standardize is {self.standardize!r}; pass True or False.")
        self._check_candidates(names[0])
        for name in ("stop_every", "patience"):
            value = getattr(self, name)
            if not (name == "stop_every" and value is None) and (not isinstance(value, (int, np.integer)) or value < 1):
                raise ValueError(f"{name} is {value!r}; pass a whole number, 1 or more.")
        if self.stop_every is not None and not isinstance(self.models[0], NetworkRecommender):
            raise ValueError(f"stop_every stops a network, and the first model is {self.models[0]!r}; leave it out.")

    def _check_models(self) -> None:
        if not self.models:
            raise ValueError("models is empty; pass the models to blend, such as [AutoEncoder(), EASE()].")
        for name in ("fallback", "candidates"):
            if not isinstance(getattr(self, name) or {}, Mapping):
                raise TypeError(f"{name} is {shown(getattr(self, name))}; pass a dict, or None.")
        for model in [*self.models, *(self.fallback or {}).values()]:
            if not isinstance(model, Recommender):
                raise TypeError(f"models holds {model!r}; pass models, such as EASE().")
            if isinstance(model, Blend):
                raise ValueError("models holds a Blend; pass the models that it is of.")
        if self.weights is not None:
            weights = np.array(self.weights, np.float64)
            if weights.shape != (len(self.models),) or not np.isfinite(weights).all():
                raise ValueError(f"weights is {self.weights!r}; pass a number for each of {len(self.models)} models.")

    def _check_candidates(self, first: str) -> None:
        known = self.get_params()
        for model in (self.fallback or {}).values():
            known |= {f"{type(model).__name__.lower()}__{inner}": value for inner, value in model.get_params().items()}
        for name, values in (self.candidates or {}).items():
            if "__" not in name or name not in known:
                raise ValueError(f"candidates has {name!r}; name a model's hyperparameter, such as 'ease__l2'.")
            if not isinstance(values, (list, tuple)) or not values:
                raise ValueError(f"candidates[{name!r}] is {values!r}; pass a list of values to choose from.")
            if self.stop_every is not None and name.startswith(f"{first}__"):
                raise ValueError(
                    f"candidates has {name!r}, of the network that stop_every stops: it is trained once; "
                    "leave one of the two out."
                )

    def _that_fits(self, name: str, model: Recommender, shape: tuple[int, int]) -> Recommender:
        """The model, or its fallback where it needs more memory than it is allowed."""
        fallback = self.fallback or {}
        if name not in fallback:
            return model
        model._check_hyperparameters()
        try:
            model.check_limit(*shape)
            return model
        except ValueError as error:
            other = fallback[name]
            told = f"{str(error).removesuffix('.')}; {type(other).__name__} is in its place"
            warnings.warn(told, stacklevel=5)  # of whoever called `fit`
            self._replaced[type(model).__name__] = type(other).__name__
            return other

    def _choose(self, models: list[Recommender], user_items: UserItems) -> tuple[list[Recommender], np.ndarray]:
        """The models of a weight above 0, with what was chosen as their hyperparameters, and the weights.

        Those that needn't be fitted again are fitted.
        """
        try:
            train, judge = self._validation_split(models, user_items)
        except ValueError:
            if len(models) > 1 or self.validation_users is not None or self.validation == "time":
                raise
            return models, np.ones(1)  # nobody can validate, and there is something to do without
        for i in range(self.stop_every is not None, len(models)):
            models[i] = self._best_candidate(i, models[i], train, judge)
        if self.stop_every is not None:
            models[0] = self._stopped(models, train, judge)

        if len(models) == 1:
            return [unfitted(models[0])], np.ones(1)
        scorers = [model.score for model in models]

        def values(weights: np.ndarray) -> np.ndarray:
            self._progress("choosing the weights", len(self.search_), len(self.search_) + len(weights))
            return judge.values(scorers, weights)

        trials = finer_trials(coarse_trials(len(models), values), values)
        chosen = choice(trials, values)
        self.search_ += [trial.told(self.metric) for trial in [*trials, chosen]]
        weights = chosen.weights / judge.scales(scorers)
        few = train.nnz >= (1 - FEW) * user_items.nnz
        kept = models if few else [unfitted(model) for model in models]
        return [model for model, weight in zip(kept, weights) if weight > 0], weights[weights > 0]

    def _stopped(self, models: list[Recommender], train: sparse.csr_array, judge: Judge) -> NetworkRecommender:
        """The first model, fitted until where it did best in a blend with the others, which are fitted."""
        network, others = models[0], models[1:]
        assert isinstance(network, NetworkRecommender) and self.stop_every is not None  # or the checks have raised
        stopping = Stopping(judge, others, self.stop_every, self.patience, self._progress)
        network.fit(train, callbacks=[stopping])
        self.search_ += [{"epoch": epoch, **trial.told(self.metric)} for epoch, trial in stopping.all_trials]
        return network.as_stopped_at(stopping.epoch)

    def _validation_split(self, models: list[Recommender], user_items: UserItems) -> tuple[UserItems, Judge]:
        """What to train on, and the judge of what comes of it."""
        train, fold_in, held_out = validation_split(user_items, self.validation, self.validation_users, self.seed_)
        backends = {getattr(model, "backend", "numpy") for model in models}
        backend = "numba" if "numba" in backends else "numpy"
        return train, Judge(fold_in, held_out, self.metric, backend, self.standardize)

    def _of_one_half_life(self, models: list[Recommender], user_items: UserItems) -> list[Recommender]:
        """The models, unfitted, with the half-life that is best by time, unless one of them has one already."""
        half_lives = [model.get_params(deep=False)["half_life"] for model in models if takes_half_life(model)]
        if not half_lives or any(half_lives):
            return models
        self._progress("choosing the half-life", 0, 1)
        models, chosen = with_chosen_half_life(models, user_items, self.metric)
        self.search_ += chosen.tried
        return models

    def _best_candidate(self, i: int, model: Recommender, train: sparse.csr_array, judge: Judge) -> Recommender:
        """The i-th model fitted on `train`, with the best of the candidates for each of its hyperparameters in turn."""
        self._progress(f"fitting {type(model).__name__} to choose by", 0, 1)
        search = CandidateSearch(_names([*self.models[:i], model, *self.models[i + 1 :]])[i], model, train, judge)
        for parameter, values in (self.candidates or {}).items():
            search.choose(parameter, values, self._progress)
        self.search_ += search.tried
        return search.finish()

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
        """The models, unfitted, each with the name that its hyperparameters go by."""
        return list(zip(_names(self.models), self.models))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
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

    def set_params(self, **params: Any) -> Self:
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

    def _file_params(self) -> dict[str, Any]:
        params = super()._file_params()
        del params["candidates"], params["fallback"]  # what was taken of them is the models' own
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
        params.pop("lean_on", None)  # of files before `standardize`
        own = {name: value for name, value in params.items() if name in cls._defaults()}
        names = str(own.get("models")).split(", ")
        if len(names) > MOST_MODELS or not set(names) <= set(classes) - {cls.__name__}:
            raise ValueError(f"its models are {shown(own.get('models'))}, and not all are known here")
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
            raise ValueError("weights must be there, a float64 for each model.")
        self.weights_, self.models_ = weights, []
        for name, model in self.named_models():
            model = unfitted(model)
            of_model = {key.removeprefix(f"{name}."): a for key, a in arrays.items() if key.startswith(f"{name}.")}
            model.n_items_, model.catalogue_, model.about_ = model._set_arrays(of_model), None, {}
            self.models_.append(model)
        widths = [model.n_items_ for model in self.models_]
        if len(set(widths)) != 1:
            raise ValueError(f"its models must be on the same items, and are on {', '.join(map(str, widths))}.")
        self.search_, self.seed_, self._replaced = [], seed_of(self.random_state), {}
        return widths[0]


def _names(models: Sequence[Recommender]) -> list[str]:
    names = [type(model).__name__.lower() for model in models]
    return [name if names.count(name) == 1 else f"{name}-{names[: i + 1].count(name)}" for i, name in enumerate(names)]
