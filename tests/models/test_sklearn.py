"""scikit-learn's estimator checks, with a list of those that each model fails, and its tools used with a model.

The checks draw real numbers, but a like is 0 or 1, so most of them fail in `fit` before they have checked
anything. Each model is therefore checked twice: unchanged, and as `OfPositive`, in which numbers above one
half are likes and the scores are the decision function, so that the checks of predictions apply to scores.
"""

from __future__ import annotations

import copy
import inspect
import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse

from autoenc.models import EASE, MODELS, AutoEncoder, NotFittedError, Popular, load_model
from autoenc.models.network_model import NetworkRecommender

sklearn = pytest.importorskip("sklearn", minversion="1.6")
base = pytest.importorskip("sklearn.base")
estimator_checks = pytest.importorskip("sklearn.utils.estimator_checks")
exceptions = pytest.importorskip("sklearn.exceptions")
model_selection = pytest.importorskip("sklearn.model_selection")
pipeline = pytest.importorskip("sklearn.pipeline")
preprocessing = pytest.importorskip("sklearn.preprocessing")
check_is_fitted = pytest.importorskip("sklearn.utils.validation").check_is_fitted
pytestmark = pytest.mark.optional

TRAINED_BRIEFLY = {"epochs": 2, "batch_size": 16}
SMALL = {
    "AutoEncoder": {"emb_dim": 8, "hidden_dim": 4, **TRAINED_BRIEFLY},
    "Blend": {"models": [EASE(), Popular()], "weights": [1.0, 0.1]},
    "DenoisingAutoEncoder": {"hidden_dim": 4, **TRAINED_BRIEFLY},
    "DeepRecommender": {"hidden_dims": "8, 4", **TRAINED_BRIEFLY},
    "ELSA": {"emb_dim": 4, **TRAINED_BRIEFLY},
    "IALS": {"emb_dim": 4, "epochs": 2},
    "MultVAE": {"hidden_dim": 4, "latent_dim": 2, **TRAINED_BRIEFLY},
}


class OfPositive:
    """Mixed into a model: values above one half are likes; anything but a matrix is passed on unchanged."""

    def fit(self, X, y=None):
        return super().fit(_as_likes(X))

    def decision_function(self, X):
        return super().score(_as_likes(X))

    def score(self, X, y=None):
        return self.decision_function(X)


def _as_likes(X):
    if sparse.issparse(X):
        return X > 0.5
    try:
        numbers = np.asarray(X, np.float64)
    except (TypeError, ValueError):
        return X
    if np.iscomplexobj(X) or numbers.ndim != 2 or not (numbers >= 0).all() or np.isinf(numbers).any():
        return X
    return numbers > 0.5


def _of_positive(cls):
    members = {"__module__": __name__}
    if inspect.isfunction(cls.partial_fit):
        members["partial_fit"] = lambda self, X, y=None: super(of_positive, self).partial_fit(_as_likes(X))
    of_positive = type(f"{cls.__name__}OfPositive", (OfPositive, cls), members)
    return globals().setdefault(of_positive.__name__, of_positive)  # where pickle looks for it


ESTIMATORS = [kind(**SMALL.get(name, {})) for name, cls in MODELS.items() for kind in (cls, _of_positive(cls))]


def every(model):
    return True


def as_it_is(model):
    return not isinstance(model, OfPositive)


def of_positive(model):
    return isinstance(model, OfPositive)


def as_it_is_and_networks(model):
    return as_it_is(model) or isinstance(model, NetworkRecommender)


# Reasons.
REAL_NUMBERS = "fits on real numbers, which are refused: a like is 1, and 0 is none. Passes OfPositive."
OWN_WORDS = "what it wants to be refused is refused, but it wants scikit-learn's words, without the value and the fix: "

# Every check that is not passed: by whom, and why.
NOT_PASSED = {
    "check_dict_unchanged": (as_it_is, REAL_NUMBERS),
    "check_dont_overwrite_parameters": (as_it_is, REAL_NUMBERS),
    "check_dtype_object": (as_it_is, REAL_NUMBERS),
    "check_estimator_sparse_array": (as_it_is, REAL_NUMBERS),
    "check_estimator_sparse_matrix": (as_it_is, REAL_NUMBERS),
    "check_estimator_sparse_tag": (as_it_is, REAL_NUMBERS),
    "check_estimators_dtypes": (as_it_is, REAL_NUMBERS),
    "check_estimators_fit_returns_self": (as_it_is, REAL_NUMBERS),
    "check_estimators_nan_inf": (as_it_is, REAL_NUMBERS),
    "check_estimators_overwrite_params": (as_it_is, REAL_NUMBERS),
    "check_estimators_pickle": (as_it_is, REAL_NUMBERS),
    "check_f_contiguous_array_estimator": (as_it_is, REAL_NUMBERS),
    "check_fit2d_1feature": (as_it_is, REAL_NUMBERS),
    "check_fit2d_predict1d": (as_it_is, REAL_NUMBERS),
    "check_fit_check_is_fitted": (as_it_is, REAL_NUMBERS),
    "check_fit_idempotent": (as_it_is, REAL_NUMBERS),
    "check_fit_score_takes_y": (as_it_is, REAL_NUMBERS),
    "check_methods_sample_order_invariance": (as_it_is, REAL_NUMBERS),
    "check_methods_subset_invariance": (as_it_is, REAL_NUMBERS),
    "check_n_features_in": (as_it_is, REAL_NUMBERS),
    "check_pipeline_consistency": (as_it_is, REAL_NUMBERS),
    "check_readonly_memmap_input": (as_it_is, REAL_NUMBERS),
    "check_complex_data": (every, OWN_WORDS + "(in a TypeError) the dtype, and what to pass"),
    "check_estimators_empty_data_messages": (every, OWN_WORDS + "the shape (12, 0), and one item or more"),
    "check_fit2d_1sample": (as_it_is_and_networks, OWN_WORDS + "that training takes two users or more, got 1"),
    "check_n_features_in_after_fitting": (every, OWN_WORDS + "1 columns, and 4 items that the model was fitted on"),
    "check_positive_only_tag_during_fit": (
        every,
        OWN_WORDS + "the first value that is neither 0 nor 1",
    ),
    "check_estimators_unfitted": (
        of_positive,
        "wants scikit-learn's own NotFittedError, which needs scikit-learn; ours has the same name and bases",
    ),
    "check_array_api_input": (
        every,
        "skips itself unless SCIPY_ARRAY_API is set; other libraries' arrays aren't promised",
    ),
}
SINCE = {"check_array_api_input": (1, 9)}  # the versions of scikit-learn that have or run it, where not 1.6
VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda model: type(model).__name__)
def test_check_estimator(estimator):
    results = estimator_checks.check_estimator(estimator, on_skip=None, on_fail=None)
    passed = {result["check_name"] for result in results if result["status"] == "passed"}
    others = {result["check_name"]: result["exception"] for result in results if result["status"] != "passed"}
    listed = {name for name, (who, _) in NOT_PASSED.items() if who(estimator) and SINCE.get(name, VERSION) <= VERSION}
    assert {name: others[name] for name in others.keys() - listed} == {}
    assert passed & listed == set(), "these pass: take them off the list"
    assert listed - others.keys() == set(), "scikit-learn has no such checks"
    assert len(passed) >= (12 if as_it_is(estimator) else 30)


def test_every_check_that_is_not_passed_has_its_reason():
    assert all(callable(who) and len(reason) > 40 for who, reason in NOT_PASSED.values())
    assert set(SINCE) <= set(NOT_PASSED)


@pytest.fixture(scope="module")
def likes(ratings):
    """The bundled ratings of the 300 most rated items."""
    popular = np.sort(np.argsort(-np.bincount(ratings.user_items.indices), kind="stable")[:300])
    return ratings.user_items[:, popular]


of_every_model = pytest.mark.parametrize("model", ESTIMATORS[::2], ids=lambda model: type(model).__name__)


@of_every_model
def test_clone_is_unfitted_with_the_same_hyperparameters(model, likes):
    fitted = copy.deepcopy(model).fit(likes)
    clone = base.clone(fitted)
    assert type(clone) is type(model) and repr(clone) == repr(model)
    assert not hasattr(clone, "n_features_in_") and fitted.n_features_in_ == 300
    with pytest.raises(NotFittedError):
        clone.score(likes)
    np.testing.assert_array_equal(clone.fit(likes).score(likes[:20]), fitted.score(likes[:20]))


@of_every_model
def test_a_fitted_model_may_be_pickled_and_copied(model, likes, tmp_path):
    fitted = copy.deepcopy(model).fit(likes)
    fitted.save(tmp_path / "model.safetensors")
    for again in (
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
        load_model(tmp_path / "model.safetensors"),
    ):
        check_is_fitted(again)
        assert again.n_features_in_ == 300 and repr(again) == repr(fitted)
        np.testing.assert_array_equal(again.score(likes[:20]), fitted.score(likes[:20]))
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(again)).score(likes[:20]), fitted.score(likes[:20]))


@of_every_model
def test_in_a_pipeline_and_a_search(model, likes):
    ratings = likes * 4.0
    steps = pipeline.Pipeline([("rated_3", preprocessing.Binarizer(threshold=3.0)), ("model", model)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = base.clone(steps).fit(ratings).score(ratings[:5])
    np.testing.assert_array_equal(scores, copy.deepcopy(model).fit(likes).score(likes[:5]))

    def hits(fitted, user_items, y=None):
        items, _ = fitted.recommend(user_items, N=5)
        return float((items >= 0).mean())

    numbers = {name: v for name, v in model.get_params(deep=False).items() if type(v) in (int, float)}
    for name, value in list(numbers.items())[:1]:
        values = [value, value + 1 if isinstance(value, int) else value / 2]
        search = model_selection.GridSearchCV(model, {name: values}, scoring=hits, cv=2, error_score="raise")
        search.fit(likes[:100])
        assert search.best_score_ == 1 and search.best_estimator_.n_features_in_ == 300


@pytest.mark.parametrize("random_state", [7, np.int64(7), None, np.random.RandomState(7), np.random.default_rng(7)])
def test_random_state_of_any_kind_survives_clone_and_pickle(random_state, likes):
    model = AutoEncoder(**SMALL["AutoEncoder"], random_state=random_state)
    for again in (base.clone(model), pickle.loads(pickle.dumps(model))):
        assert type(again.random_state) is type(random_state)
        fitted = again.fit(likes[:50])
        assert isinstance(fitted.seed_, (int, np.integer)) and (random_state is None or fitted.seed_ >= 0)
    assert model.get_params()["random_state"] is random_state


def test_not_fitted_is_what_scikit_learns_is_by_its_bases():
    theirs = exceptions.NotFittedError
    assert NotFittedError.__bases__ == theirs.__bases__ and NotFittedError.__name__ == theirs.__name__
    with pytest.raises(theirs):
        check_is_fitted(Popular())
