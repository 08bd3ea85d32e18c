"""Blend: several models' scores in a weighted sum, the weights chosen on users held out for it.

Score
    score = weights[0] * models[0].score + weights[1] * models[1].score + ...
    Models err in different places. A network's logits and EASE's scores are of different sizes, so
    the weights are as much units as trust: 1 and some 10 to 20 in the recipe that this is for.

Weights, where none are given
    Some users are held out, with a share of their likes to be predicted, and each model is fitted
    on the rest. The first model's weight stays 1. The others start where all scores are spread
    alike, and one after another each is multiplied by the best for the metric of 2**-6, 2**-5, ...
    2**6; with more than two models again; and last by the best of 2**-.5, 1 and 2**.5. Then all
    models are fitted anew on all likes.

Explaining
    The sum of what the models' own explanations say: a leave-one-out of a sum is the sum of them.

Cost
    Each model fitted twice, or once where the weights are given; a prediction costs all of them.

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
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from autoenc.metrics import PER_USER
from autoenc.models.base import BATCH_SIZE, Recommender
from autoenc.models.random_state import seed_of
from autoenc.ranking import top_n_of_scores
from autoenc.splits import holdout_users

COARSE = 2.0 ** np.arange(-6, 7)
FINE = 2.0 ** np.array([-0.5, 0, 0.5])
MOST_USERS = 2_000  # to validate on by default: more say little more


class Blend(Recommender):
    """A weighted sum of models.

    Parameters
    ----------
    models : list of Recommender
        Not fitted here; `fit` fits copies. No Blend among them.
    weights : list of float, optional
        One a model. By default chosen as above.
    metric : str
        Of `autoenc.metrics`, such as "ndcg@100": what the choice is for.
    validation : "users" or "likes"
        Whether the users who validate are left out of the fit that is validated, or only their
        likes that are to be predicted: as the model will be used, for new users or for known ones.
    validation_users : float or int, optional
        The share of users to validate on, or their number. By default a tenth, 2,000 at most.
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None
        Names who validates.

    Attributes
    ----------
    models_ : list of Recommender
        The fitted copies.
    weights_ : array (n_models,), float64
    search_ : list of dict
        Of the choice, in order: weights (a list) and the metric's value.
    """

    def __init__(
        self,
        models: Sequence[Recommender] = (),
        weights=None,
        metric="ndcg@100",
        validation="users",
        validation_users=None,
        random_state=0,
    ):
        self.models = models
        self.weights = weights
        self.metric = metric
        self.validation = validation
        self.validation_users = validation_users
        self.random_state = random_state

    def _fit(self, user_items):
        self._check()
        self.seed_ = seed_of(self.random_state)
        self.search_: list[dict] = []
        if self.weights is not None:
            self.weights_ = np.array(self.weights, np.float64)
        elif len(self.models) == 1:
            self.weights_ = np.ones(1)
        else:
            self.weights_ = self._choose_weights(user_items)
        self.models_ = [_copy(model).fit(user_items) for model in self.models]

    def _check(self):
        if not self.models:
            raise ValueError("models is empty; pass the models to blend, such as [AutoEncoder(), EASE()].")
        for model in self.models:
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
        if self.validation not in ("users", "likes"):
            raise ValueError(f'validation is {self.validation!r}; pass "users" or "likes".')

    def _choose_weights(self, user_items):
        n_users = self.validation_users
        if n_users is None:
            n_users = max(1, min(MOST_USERS, round(user_items.shape[0] / 10)))
        train, fold_in, held_out, _ = holdout_users(user_items, n_users, seed=self.seed_)
        if self.validation == "likes":
            train = sparse.vstack([train, fold_in], format="csr")
        models = [_copy(model).fit(train) for model in self.models]

        spreads = np.array([model.score(fold_in[:BATCH_SIZE]).std(dtype=np.float64) for model in models])
        weights = spreads[0] / np.where(spreads > 0, spreads, 1)
        weights[0] = 1
        for factors in [COARSE] * (len(models) - 1) + [FINE]:
            for i in range(1, len(models)):
                candidates = np.tile(weights, (len(factors), 1))
                candidates[:, i] *= factors
                values = _mean_metric(models, candidates, fold_in, held_out, self.metric)
                self.search_ += [
                    {"weights": candidate.tolist(), self.metric: float(value)}
                    for candidate, value in zip(candidates, values)
                ]
                weights = candidates[np.argmax(values)]
        return weights

    def _score(self, user_items):
        return _weighted_sum((model._score(user_items) for model in self.models_), self.weights_)

    def _contributions(self, row, column):
        return _weighted_sum((model._contributions(row, column) for model in self.models_), self.weights_)

    def get_params(self, deep: bool = True) -> dict:
        """The hyperparameters by name.

        With `deep` also the models, each under its class's name in small letters ("ease", or
        "ease-1" and "ease-2"), and theirs, as "ease__l2": as scikit-learn's make_union has it.
        """
        params = super().get_params()
        if deep:
            for name, model in zip(self._names(), self.models):
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
            if part not in self._names():
                super().set_params(**{name: params[name]})
            i = self._names().index(part)
            if inner:
                self.models[i].set_params(**{inner: params[name]})
            else:
                self.models = [*self.models[:i], params[name], *self.models[i + 1 :]]
        return self

    def _names(self) -> list[str]:
        names = [type(model).__name__.lower() for model in self.models]
        return [
            name if names.count(name) == 1 else f"{name}-{names[: i + 1].count(name)}" for i, name in enumerate(names)
        ]

    def _file_params(self):
        params = super()._file_params()
        params["models"] = ", ".join(type(model).__name__ for model in self.models_)
        if self.weights is not None:
            params["weights"] = ", ".join(repr(float(weight)) for weight in self.weights)
        for name, model in zip(self._names(), self.models_):
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
        for name, model in zip(self._names(), self.models_):
            arrays |= {f"{name}.{inner}": array for inner, array in model._arrays().items()}
        return arrays

    def _set_arrays(self, arrays):
        weights = arrays.get("weights")
        if weights is None or weights.shape != (len(self.models),) or weights.dtype != np.float64:
            raise ValueError("weights must be there, a float64 for each model.")
        self.weights_, self.models_ = weights, []
        for name, model in zip(self._names(), self.models):
            model = _copy(model)
            of_model = {key.removeprefix(f"{name}."): a for key, a in arrays.items() if key.startswith(f"{name}.")}
            model.n_items_, model.catalogue_, model.about_ = model._set_arrays(of_model), None, {}
            self.models_.append(model)
        widths = [model.n_items_ for model in self.models_]
        if len(set(widths)) != 1:
            raise ValueError(f"its models must be on the same items, and are on {', '.join(map(str, widths))}.")
        self.search_, self.seed_ = [], seed_of(self.random_state)
        return widths[0]


def _copy(model: Recommender) -> Recommender:
    """An unfitted model of the same hyperparameters."""
    return type(model)(**model.get_params(deep=False))


def _weighted_sum(arrays, weights):
    """A new array, of the arrays' own dtype."""
    total = 0.0
    for array, weight in zip(arrays, weights.tolist()):
        total = total + array * weight
    return total


def _mean_metric(models, candidates, fold_in, held_out, metric) -> np.ndarray:
    """The metric of each of `candidates` (n, n_models), weights, over users: (n,). Each user is scored once."""
    name, _, k = metric.partition("@")
    total = np.zeros(len(candidates))
    for start in range(0, fold_in.shape[0], BATCH_SIZE):
        users = slice(start, start + BATCH_SIZE)
        liked = fold_in[users]
        scores = [model.score(liked) for model in models]
        for i, weights in enumerate(candidates):
            top_items, _ = top_n_of_scores(_weighted_sum(scores, weights), liked, int(k))
            total[i] += np.nansum(PER_USER[name](top_items, held_out[users], int(k)))
    return total / (np.diff(held_out.indptr) > 0).sum()
