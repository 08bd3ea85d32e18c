"""Blend is the weighted sum that its docstring states, chooses the best weights, and is saved as one file."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import sparse

from autoenc import machine
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.splits import holdout_users
from autoenc.interactions import Interactions
from autoenc.models import (
    EASE,
    MODELS,
    AutoEncoder,
    Blend,
    DenoisingAutoEncoder,
    ItemKNN,
    Popular,
    Recommender,
    blend,
    blend_search,
    candidate_search,
    ease,
    load_model,
)
from autoenc.models.blend_search import Judge, Stopping
from autoenc.models.candidate_search import CandidateSearch
from autoenc.models.estimator import unfitted
from autoenc.models.weighted_sum import mean_and_spread, standardized, weighted_sum
from autoenc.training.progress import no_progress


@pytest.fixture(scope="module")
def likes(ratings):
    """The bundled ratings of items with at least 40 ratings."""
    often = np.flatnonzero(np.bincount(ratings.user_items.indices) >= 40)
    return Interactions.from_csr(
        ratings.user_items[:, often], item_ids=ratings.item_ids[often], titles=ratings.titles[often]
    )


def of_network_and_ease(**params):
    return Blend([AutoEncoder(emb_dim=16, hidden_dim=8, epochs=5, batch_size=64), EASE(l2=100.0)], **params)


@pytest.fixture(scope="module")
def fitted(likes):
    return of_network_and_ease(weights=[1, 15]).fit(likes)


def test_scores_are_the_weighted_sum(fitted, likes):
    network, ease = fitted.models_
    rows = likes.user_items[:9]
    expected = network.score(rows) + 15 * ease.score(rows)
    np.testing.assert_allclose(fitted.score(rows), expected, rtol=1e-5, atol=1e-5)
    assert fitted.score(rows).dtype == np.float32


def test_the_models_are_fitted_as_they_would_be_alone(fitted, likes):
    ease = EASE(l2=100.0).fit(likes)
    np.testing.assert_array_equal(fitted.models_[1].item_weights_, ease.item_weights_)
    assert not hasattr(fitted.models[1], "item_weights_")  # fit leaves what it was given alone


def test_explain_is_the_sum_of_what_the_models_say_and_leaving_out(fitted, likes):
    row = likes.user_items[[7]]
    item = int(fitted.recommend(row, N=1)[0][0, 0])
    items, contributions = fitted.explain(row, item)
    by_item = dict(zip(items.tolist(), contributions.tolist()))
    network, ease = (dict(zip(*(a.tolist() for a in model.explain(row, item)))) for model in fitted.models_)
    assert by_item == {like: pytest.approx(network[like] + 15 * ease[like], abs=1e-5) for like in network}
    leaving_out = Recommender._contributions(fitted, row, item)
    np.testing.assert_allclose(fitted._contributions(row, item), leaving_out, rtol=1e-3, atol=1e-4)


# The choice of weights


def test_the_chosen_weights_are_the_best_of_those_tried_or_level_with_it(likes):
    model = of_network_and_ease(validation_users=100, metric="ndcg@20").fit(likes)
    train, fold_in, held_out, _ = holdout_users(likes.user_items, 100, seed=0)
    network, ease = (clone.fit(train) for clone in map(unfitted, model.models))
    spreads = [mean_and_spread(each.score(fold_in), fold_in)[1].mean() for each in (network, ease)]
    trials = [np.array(trial["weights"]) for trial in model.search_]
    assert {(1.0, 0.0), (0.0, 1.0)} <= set(map(tuple, trials)) and len(trials) > 20
    np.testing.assert_allclose(model.weights_, trials[-1] / spreads, rtol=1e-4)  # of scores as they are
    again = of_network_and_ease(weights=model.weights_).fit(train)
    found = evaluate(again, fold_in, held_out, ks=[20])["ndcg@20"]
    assert found == pytest.approx(model.search_[-1]["ndcg@20"], abs=1e-6)
    assert max(trial["ndcg@20"] for trial in model.search_) - 0.01 < found
    np.testing.assert_array_equal(model.models_[1].item_weights_, EASE(l2=100.0).fit(likes).item_weights_)


def test_validation_by_likes_keeps_the_users_in_the_training(likes, monkeypatch):
    seen = []
    monkeypatch.setattr(Popular, "_fit", spying(Popular._fit, seen))
    for validation in ("strong", "weak"):
        Blend([Popular(), Popular()], validation=validation, validation_users=50).fit(likes)
    split = holdout_users(likes.user_items, 50, seed=0)
    n_users, n_likes = likes.n_users, likes.user_items.nnz
    of_users, of_likes = (split.train.shape[0], split.train.nnz), (n_users, n_likes - split.held_out.nnz)
    of_all = (n_users, n_likes)  # one of two that are the same is enough; of few held-out likes there is no second fit
    assert seen == [of_users, of_users, of_all, of_likes, of_likes]


def spying(method, seen):
    def fit(self, user_items):
        seen.append((user_items.shape[0], user_items.nnz))
        method(self, user_items)

    return fit


def test_a_model_that_knows_nothing_gets_little_weight(likes):
    noise = Blend([EASE(l2=100.0), Random()], validation_users=100, standardize=True).fit(likes)
    assert len(noise.weights_) == 1 or noise.weights_[1] < noise.weights_[0] / 8


def test_a_model_without_weight_is_left_out_of_the_blend_and_of_its_file(likes, tmp_path, monkeypatch):
    monkeypatch.setattr(blend, "choice", lambda trials, values: trials[0]._replace(weights=np.array([0.0, 0.0, 1.0])))
    useless = AutoEncoder(emb_dim=2, hidden_dim=2, epochs=1, lr=1e-9)
    model = Blend([useless, Popular(), EASE(l2=100.0)], validation_users=100, standardize=True, stop_every=9)
    model.fit(likes)
    assert [type(part) for part in model.models_] == [EASE] and model.weights_.tolist() == [1]
    model.save(tmp_path / "blend.safetensors")
    again = load_model(tmp_path / "blend.safetensors")
    np.testing.assert_array_equal(again.score([[3]]), model.score([[3]]))
    assert again.fit(likes).weights_.tolist() == [1]


class Random(Popular):
    """Scores that are unrelated to the items."""

    def _score(self, user_items):
        return np.random.default_rng(0).standard_normal((user_items.shape[0], len(self.item_counts_)), np.float32)


def test_the_choice_is_the_same_by_numpy_alone_and_by_the_kernel(likes, monkeypatch):
    def chosen(backend):
        return of_network_and_ease(stop_every=1).set_params(autoencoder__backend=backend)

    by_kernel = chosen("numba").fit(likes)
    monkeypatch.setattr(blend_search, "_hits_by_kernel", blend_search._top_n)
    by_numpy = chosen("numba").fit(likes)
    assert by_kernel.search_ == by_numpy.search_ and len(by_kernel.search_) > 10
    monkeypatch.undo()
    monkeypatch.setattr(blend_search, "_hits_by_kernel", None)  # not to be called
    chosen("numpy").fit(likes)


def test_a_network_that_diverges_is_refused_by_a_sentence(likes, monkeypatch):
    monkeypatch.setattr(AutoEncoder, "_score", lambda self, batch: np.full(batch.shape, np.nan, np.float32))
    with pytest.raises(ValueError, match="a score is NaN, as the model has diverged"):
        of_network_and_ease().fit(likes)


def test_one_model_needs_no_choice(likes):
    model = Blend([Popular()]).fit(likes)
    assert model.weights_.tolist() == [1] and model.search_ == []


def test_by_default_a_fifth_of_the_users_validate_or_all_by_likes_and_2000_at_most(monkeypatch):
    asked = []
    monkeypatch.setattr(
        blend_search, "holdout_users", lambda likes, n, seed: asked.append(n) or holdout_users(likes, n, seed=0)
    )
    for validation in ("strong", "weak"):
        for n_users in (40, 30_000):
            model = Blend([Popular(), Popular()], metric="ndcg@1", validation=validation)
            model.fit(sparse.csr_array(np.ones((n_users, 2), np.float32)))
    assert asked == [8, 2000, 39, 2000]


def test_hyperparameters_are_chosen_from_the_middle_on(likes):
    values = [1.0, 10.0, 100.0, 1000.0, 1e5]
    model = Blend([EASE()], candidates={"ease__l2": values}, validation_users=100).fit(likes)
    tried = {trial["ease__l2"]: trial["ndcg@100"] for trial in model.search_ if "ease__l2" in trial}
    assert 100.0 in tried and len(tried) >= 3
    assert tried[model.models_[0].l2] == max(tried.values())
    assert len(set(tried) - set(values)) <= 1  # the top of a parabola
    train, fold_in, held_out, _ = holdout_users(likes.user_items, 100, seed=0)
    for l2, found in tried.items():
        alone = evaluate(EASE(l2=l2).fit(train), fold_in, held_out, ks=[100])["ndcg@100"]
        assert alone == pytest.approx(found, abs=1e-4)  # in float32
    assert model.models[0].l2 == 500.0  # as it was given


@pytest.mark.parametrize(
    ("found", "chosen", "tried"),
    [
        ({1: 0.5, 2: 0.45, 4: 0.6, 8: 0.1}, 4, [4, 8, 2]),
        ({1: 0.50, 2: 0.49, 4: 0.5, 8: 0.1, 16: 0.9}, 4, [4, 8, 2, 1]),  # 8 hides 16; 2 is not clearly worse
        ({1: 0.52, 2: 0.49, 4: 0.5, 8: 0.1, 16: 0.9}, 1, [4, 8, 2, 1]),  # beyond a dip within the error
        ({1: 0.52, 2: 0.40, 4: 0.5, 8: 0.1, 16: 0.9}, 4, [4, 8, 2]),
        ({1: 0.5, 2: 0.5, 4: 0.5}, 2, [2, 4, 1]),
    ],
)
def test_the_search_goes_on_past_a_value_that_is_not_clearly_worse(likes, monkeypatch, found, chosen, tried):
    # The difference of neighbouring values has a standard error of 0.05.
    noise = np.array([0.1, -0.1, 0.1, -0.1])

    def values(judge, scorers, weights):
        l2 = scorers[0].__self__.l2
        return (found[l2] + noise * (-1) ** int(np.log2(l2)) / 2)[None]

    monkeypatch.setattr(Judge, "values", values)
    judge = Judge(likes.user_items[:4], likes.user_items[:4], "ndcg@100")
    search = CandidateSearch("ease", EASE(), likes.user_items, judge)
    monkeypatch.setattr(candidate_search, "MANY_ITEMS", 0)
    search.choose("ease__l2", sorted(found), no_progress)
    assert search.finish().l2 == chosen
    assert [trial["ease__l2"] for trial in search.tried] == tried


def test_where_items_are_many_only_the_candidates_are_tried(likes, monkeypatch):
    monkeypatch.setattr(candidate_search, "MANY_ITEMS", 10)
    values = [1.0, 10.0, 100.0, 1000.0, 1e5]
    model = Blend([EASE()], candidates={"ease__l2": values}, validation_users=100).fit(likes)
    assert {trial["ease__l2"] for trial in model.search_} <= set(values)


def test_a_candidate_that_is_rounded_away_is_passed_over(likes, monkeypatch):
    def with_a_bound(self, gram, fit_gram=EASE._fit_gram):
        if self.l2 < 50:
            raise np.linalg.LinAlgError("the matrix is singular within rounding")
        fit_gram(self, gram)

    monkeypatch.setattr(EASE, "_fit_gram", with_a_bound)
    model = Blend([EASE()], candidates={"ease__l2": [1.0, 10.0, 100.0]}, validation_users=100).fit(likes)
    assert model.models_[0].l2 == 100.0 and {trial["ease__l2"] for trial in model.search_} == {100.0}


@pytest.mark.parametrize(
    ("values", "found", "top"),
    [
        ([1.0, 10.0, 100.0], [-1.0, 0.0, -1.0], None),  # the middle one itself
        ([1.0, 10.0, 100.0], [-2.25, -0.25, -0.25], 10**1.5),
        ([1.0, 10.0, 100.0], [0.0, 0.0, 0.0], None),
        (["a", "b", "c"], [0.0, 1.0, 0.0], None),
        ([1.0, 10.0, 100.0], [-np.inf, 0.0, -1.0], None),
        ([None, 1.0, 2.0], [0.0, 1.0, 0.0], None),
        ([8, 20, 40], [-1.0, -0.1, -0.2], 26),
        ([1, 2, 3], [-1.0, 0.0, -0.5], None),
    ],
)
def test_the_top_of_a_parabola(values, found, top):
    found_top = candidate_search._top_of_parabola(values, found)
    assert found_top == (top and float(f"{top:.2g}")) and type(found_top) is (type(top) if top else type(None))


def test_whole_numbers_are_searched(likes):
    values = [1, 3, 8, 20, 40, 55]
    model = Blend([ItemKNN()], candidates={"itemknn__k": values}, validation_users=100).fit(likes)
    assert all(isinstance(trial["itemknn__k"], int) for trial in model.search_)
    assert model.models_[0].k in [trial["itemknn__k"] for trial in model.search_]


def test_a_single_network_is_stopped_too(likes):
    network = DenoisingAutoEncoder(hidden_dim=8, epochs=9, batch_size=128, lr=0.5)
    model = Blend([network], stop_every=6, patience=1, validation="weak").fit(likes)
    values = {trial["epoch"]: trial["ndcg@100"] for trial in model.search_}
    assert len(values) > 1 and model.models_[0].epochs == max(values, key=values.get)
    assert len(model.models_[0].history_) == model.models_[0].epochs


def test_a_fitted_network_keeps_neither_likes_nor_models(likes):
    network = DenoisingAutoEncoder(hidden_dim=8, epochs=4, batch_size=128)
    model = Blend([network, EASE(l2=100.0)], stop_every=6, validation="weak", validation_users=5)
    model.fit(likes, progress=lambda *told: None)
    assert model.models_[0]._trainer.callbacks == []
    assert pickle.loads(pickle.dumps(model)).weights_.tolist() == model.weights_.tolist()


def test_what_no_hyperparameter_changes_is_computed_once_for_all_candidates(likes, monkeypatch):
    made = []
    monkeypatch.setattr(ease, "gram_of", lambda *of, gram_of=ease.gram_of: made.append(0) or gram_of(*of))
    model = Blend([EASE(), Popular()], candidates={"ease__l2": [1.0, 10.0, 100.0, 1000.0]}, validation_users=100)
    model.fit(likes)
    assert sum("ease__l2" in trial for trial in model.search_) >= 2
    assert len(made) == 2  # on what is left of the likes, and on all of them


def test_a_network_stops_where_the_blend_validates_best(likes):
    network = DenoisingAutoEncoder(hidden_dim=16, epochs=12, batch_size=128, lr=0.02, schedule_length=2.0)
    model = Blend([network, EASE(l2=100.0)], stop_every=9, patience=2, validation="weak").fit(likes)
    by_epoch: dict[int, float] = {}
    for trial in (trial for trial in model.search_ if "epoch" in trial):
        by_epoch[trial["epoch"]] = max(by_epoch.get(trial["epoch"], 0.0), trial["ndcg@100"])
    chosen = max(by_epoch, key=by_epoch.get)
    fitted = model.models_[0]
    assert next(iter(by_epoch)) == 2 and len(by_epoch) > 1  # 5 or 6 steps an epoch
    assert fitted.epochs == chosen and len(fitted.history_) == chosen
    assert fitted.epochs * fitted.schedule_length == pytest.approx(12 * 2.0)  # at the rates of the longer training
    again = unfitted(fitted).fit(likes)  # a fifth of the likes was held out, so it was fitted again
    np.testing.assert_array_equal(again.score(likes.user_items[:5]), fitted.score(likes.user_items[:5]))


@pytest.mark.parametrize(
    ("alone", "blended", "epochs", "best"),
    [
        ([0.1, 0.2, 0.3, 0.3, 0.3, 0.3], [0.5, 0.5, 0.5, 0.5, 0.5, 0.5], 5, 1),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5, 0.6, 0.5], 6, 5),
        ([0.3, 0.2, 0.2, 0.2, 0.2, 0.2], [0.5, 0.6, 0.7, 0.6, 0.6, 0.6], 5, 3),
    ],
)
def test_training_goes_on_while_the_network_alone_or_the_blend_improves(likes, alone, blended, epochs, best):
    left = iter(zip(alone, blended))

    class Scripted(Judge):
        def values(self, scorers, weights):
            of_network, of_blend = next(left)
            return np.where(weights[:, :1] == 1, of_network, np.where(weights[:, 1:] == 1, 0.4, of_blend))

    judge = Scripted(likes.user_items[:5], likes.user_items[:5], "ndcg@100")
    stopping = Stopping(judge, [Popular().fit(likes)], every=1, patience=2, progress=no_progress)
    network = DenoisingAutoEncoder(hidden_dim=4, epochs=6, batch_size=512)
    network.fit(likes, callbacks=[stopping])
    assert (len(network.history_), stopping.epoch) == (epochs, best)


def test_models_are_kept_where_few_likes_were_held_out(likes):
    network = DenoisingAutoEncoder(hidden_dim=16, epochs=6, batch_size=128, lr=0.02)
    few, many = (
        Blend([network, EASE(l2=100.0)], stop_every=1, validation="weak", validation_users=n).fit(likes)
        for n in (20, 200)
    )
    for model, same in ((few, False), (many, True)):
        kept = model.models_[0]
        assert len(kept.history_) == kept.epochs
        again = unfitted(kept).fit(likes).score(likes.user_items[:5])
        assert np.array_equal(again, kept.score(likes.user_items[:5])) == same
    train = holdout_users(likes.user_items, 20, seed=0)
    seen = sparse.vstack([train.train, train.fold_in], format="csr")
    np.testing.assert_array_equal(
        unfitted(few.models_[0]).fit(seen).score(likes.user_items[:5]), few.models_[0].score(likes.user_items[:5])
    )
    np.testing.assert_allclose(few.models_[1].item_weights_, EASE(l2=100.0).fit(seen).item_weights_, atol=1e-6)
    np.testing.assert_array_equal(many.models_[1].item_weights_, EASE(l2=100.0).fit(likes).item_weights_)


def test_a_model_alone_is_fitted_again_on_all_likes(likes):
    alone = Blend([EASE()], validation_users=20, candidates={"ease__l2": [50.0, 100.0]}).fit(likes).models_[0]
    np.testing.assert_array_equal(alone.item_weights_, EASE(l2=alone.l2).fit(likes).item_weights_)


def test_each_look_starts_from_nothing_and_tries_the_same_weights(likes):
    network = AutoEncoder(emb_dim=8, hidden_dim=4, epochs=4, batch_size=128)
    model = Blend([network, EASE(l2=100.0), Popular()], stop_every=6, patience=9, validation_users=60).fit(likes)
    looks: dict[int, list] = {}
    for trial in model.search_:
        if "epoch" in trial:
            looks.setdefault(trial["epoch"], []).append(trial["weights"])
    first, *later = looks.values()
    assert len(later) >= 2 and all(weights == first for weights in later)
    assert {(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)} <= set(map(tuple, first))


def test_a_model_without_the_memory_is_replaced_and_that_is_said(likes, tmp_path):
    model = Blend([Popular(), EASE(max_memory=1e3)], weights=[0, 1], fallback=[Popular(), ItemKNN(k=20)])
    sentence = "EASE on .* items needs .* bytes, .*; instead, the model is made of Popular, ItemKNN"
    with pytest.warns(UserWarning, match=sentence) as told:
        model.fit(likes)
    assert told[0].filename == __file__
    knn = ItemKNN(k=20).fit(likes)
    np.testing.assert_array_equal(model.recommend([[3]], N=5)[0], knn.recommend([[3]], N=5)[0])
    model.save(tmp_path / "blend.safetensors")
    again = load_model(tmp_path / "blend.safetensors")
    np.testing.assert_array_equal(again.score([[3]]), model.score([[3]]))
    assert [type(member) for member in again.models] == [Popular, ItemKNN]
    assert again.about_["instead"] == {"Popular, EASE": "Popular, ItemKNN"}


def test_an_invalid_fallback_is_refused_before_anything_is_fitted(likes, monkeypatch):
    fitted: list = []
    monkeypatch.setattr(Popular, "_fit", spying(Popular._fit, fitted))
    blend = Blend([Popular(), EASE(max_memory=1e3)], weights=[1, 1], fallback=[Popular(), ItemKNN(k=0)])
    with pytest.warns(UserWarning, match="made of Popular, ItemKNN"), pytest.raises(ValueError, match="k "):
        blend.fit(likes)
    assert not fitted


def test_whether_a_model_is_replaced_does_not_depend_on_what_is_free(likes, monkeypatch):
    monkeypatch.setattr(machine, "free_memory", lambda: 1000)
    blend = Blend([EASE()], fallback=[Popular()])
    with pytest.raises(ValueError, match=r"EASE on .* items needs .* bytes, but the machine has 1,000 free"):
        blend.fit(likes)
    monkeypatch.setattr(ease, "usable_memory", lambda: 1000)
    with pytest.warns(UserWarning, match="half of the memory that this process may use is 500; .* made of Popular"):
        blend.fit(likes)


# One scale


def test_each_users_scores_are_brought_to_one_scale(likes):
    model = of_network_and_ease(weights=[0.7, 0.3], standardize=True).fit(likes)
    rows = likes.user_items[:9]
    parts = [standardized(part.score(rows), rows) for part in model.models_]
    np.testing.assert_array_equal(model.score(rows), weighted_sum(parts, np.array([0.7, 0.3])))
    for user in range(9):
        np.testing.assert_array_equal(model.score(rows[[user]])[0], model.score(rows)[user])


def test_what_is_standardized_is_explained_at_the_users_scale(likes):
    model = of_network_and_ease(weights=[0.7, 0.3], standardize=True).fit(likes)
    row = likes.user_items[[7]]
    item = int(model.recommend(row, N=1)[0][0, 0])
    spreads = [mean_and_spread(part.score(row), row)[1][0] for part in model.models_]
    parts = [part._contributions(row, item) for part in model.models_]
    expected = 0.7 * parts[0] / spreads[0] + 0.3 * parts[1] / spreads[1]
    np.testing.assert_allclose(model._contributions(row, item), expected, rtol=1e-5)


def test_a_file_of_before_standardize_scores_as_it_did(likes):
    old = {"models": "EASE, Popular", "weights": None, "metric": "ndcg@100", "validation": "weak", "lean_on": "ease"}
    model = Blend._of_file_params({**old, "validation_users": None, "stop_every": None, "patience": 2}, MODELS)
    fitted = [EASE(l2=100.0).fit(likes), Popular().fit(likes)]
    arrays = {"weights": np.array([1.0, 0.5])}
    for name, part in zip(("ease", "popular"), fitted):
        arrays |= {f"{name}.{key}": array for key, array in part._arrays().items()}
    model._set_arrays(arrays)
    rows = likes.user_items[:5]
    np.testing.assert_array_equal(model._score(rows), fitted[0].score(rows) + fitted[1].score(rows) * 0.5)


# What it tells while it fits


def test_fit_tells_what_it_is_doing(likes):
    told = []
    network = AutoEncoder(emb_dim=8, hidden_dim=4, epochs=2, batch_size=128)
    model = Blend([network, EASE()], candidates={"ease__l2": [10.0, 100.0, 1000.0]}, stop_every=6, validation_users=60)
    model.fit(likes, progress=lambda *args: told.append(args))
    doing = list(dict.fromkeys(what for what, _, _ in told))
    assert doing[:2] == ["fitting EASE for validation", "trying EASE with l2 100.0"]
    assert "training the network, epoch 2 of at most 2" in doing and "choosing the weights" in doing
    assert doing[-1].startswith("fitting ")
    assert all(0 <= done <= total for _, done, total in told)


def test_an_invalid_model_is_refused_and_not_replaced(likes):
    for model, told in (
        (AutoEncoder(emb_dim=0), "emb_dim must be 1 or more"),
        (EASE(max_memory=-1), "max_memory is -1"),
    ):
        blend = Blend([model, Popular()], weights=[1, 1], fallback=[ItemKNN(), Popular()])
        with pytest.raises(ValueError, match=told):
            blend.fit(likes)


# Hyperparameters


def test_parameters_of_its_models_by_name():
    model = of_network_and_ease()
    deep = model.get_params()
    assert deep["ease__l2"] == 100.0 and deep["autoencoder__emb_dim"] == 16 and deep["ease"] is model.models[1]
    assert list(model.get_params(deep=False)) == [
        "models",
        "weights",
        "standardize",
        "metric",
        "validation",
        "validation_users",
        "candidates",
        "stop_every",
        "patience",
        "fallback",
        "random_state",
    ]
    assert model.set_params(ease__l2=7.0, metric="ndcg@5") is model
    assert (model.models[1].l2, model.metric) == (7.0, "ndcg@5")
    model.set_params(ease__l2=8.0, ease=EASE(l2=1.0, max_memory=5e9))
    assert repr(model.models[1]) == "EASE(l2=8.0, max_memory=5000000000.0)"
    for name in ("knn__k", "knn", "depth"):
        with pytest.raises(ValueError, match=f"Blend has no hyperparameter '{name}'; it has: models"):
            model.set_params(**{name: 3})
    with pytest.raises(ValueError, match="EASE has no hyperparameter 'depth'"):
        model.set_params(ease__depth=3)


def test_models_of_one_class_are_numbered():
    model = Blend([EASE(l2=1.0), Popular(), EASE(l2=2.0)])
    assert {name: model.get_params()[name] for name in ("ease-1__l2", "ease-2__l2")} == {
        "ease-1__l2": 1.0,
        "ease-2__l2": 2.0,
    }
    model.set_params(**{"ease-2__l2": 3.0})
    assert [m.l2 for m in (model.models[0], model.models[2])] == [1.0, 3.0]


def test_repr_of_an_array():
    assert repr(Blend([Popular()], weights=np.array([2.0]))) == "Blend(models=[Popular()], weights=array([2.]))"


def test_repr_makes_it_again():
    model = of_network_and_ease(weights=[1, 2])
    assert repr(eval(repr(model))) == repr(model)
    assert repr(model).startswith("Blend(models=[AutoEncoder(epochs=5,") and repr(Blend()) == "Blend()"


@pytest.mark.optional
def test_scikit_learns_clone():
    sklearn_base = pytest.importorskip("sklearn.base")
    model = of_network_and_ease(weights=[1, 2])
    again = sklearn_base.clone(model)
    assert repr(again) == repr(model)
    assert again.models[1] is not model.models[1]


# Files


@pytest.mark.parametrize("weights", [None, [1, -0.1]])
def test_it_is_one_file_that_scores_to_the_same_bits(likes, tmp_path, weights):
    path = tmp_path / "blend.safetensors"
    models = [EASE(l2=9.5), AutoEncoder(emb_dim=8, hidden_dim=4, epochs=1, random_state=np.random.RandomState(3))]
    model = Blend(models, weights=weights, validation_users=50, random_state=np.random.default_rng(1)).fit(likes)
    model.save(path)
    assert list(tmp_path.iterdir()) == [path]
    again = load_model(path)
    np.testing.assert_array_equal(again.score(likes.user_items[:20]), model.score(likes.user_items[:20]))
    np.testing.assert_array_equal(again.weights_, model.weights_)
    assert again.weights == (None if weights is None else [1.0, -0.1])
    assert again.random_state == model.seed_ and again.models[1].random_state == model.models_[1].seed_
    assert repr(again.models[0]) == "EASE(l2=9.5)"
    assert again.recommend(liked=["Heat (1995)"])[0].tolist() == model.recommend(liked=["Heat (1995)"])[0].tolist()
    assert again.models_[0].n_items == likes.n_items  # each of them works by itself
    again.save(path)
    np.testing.assert_array_equal(load_model(path).score([[1, 2]]), model.score([[1, 2]]))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"models": "EASE, Blend"}, "its models are 'EASE, Blend', and not all of these are known"),
        ({"models": "os.system"}, r"its models are 'os\.system', and not all of these are known"),
        ({}, "its models are None, and not all of these are known"),
        ({"models": "EASE", "weights": 3.5, "popular__k": 1}, "Blend has no hyperparameter 'popular__k'"),
        ({"models": "EASE", "weights": "a lot"}, "could not convert string to float"),
    ],
)
def test_parameters_that_no_file_has_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        Blend._of_file_params(params, MODELS)


def test_arrays_that_do_not_fit_each_other_are_refused():
    arrays = Blend([Popular(), EASE()], weights=[1, 2]).fit([[0, 1], [1]])._arrays()
    assert sorted(arrays) == ["ease.item_weights", "popular.item_counts", "weights"]
    wider = {**arrays, "popular.item_counts": np.zeros(3, np.int64)}
    with pytest.raises(ValueError, match="its models must have the same number of items; they have 3, 2"):
        Blend([Popular(), EASE()])._set_arrays(wider)
    with pytest.raises(ValueError, match="weights must be an array with one float64 per model"):
        Blend([Popular()])._set_arrays(arrays)
    del arrays["ease.item_weights"]
    with pytest.raises(ValueError, match="item_weights must be a square matrix of float32"):
        Blend([Popular(), EASE()])._set_arrays(arrays)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"models": []}, "models is empty; pass the models to blend"),
        ({"models": [Blend([Popular()])]}, "models holds a Blend; pass the models that it blends"),
        ({"weights": [1]}, r"weights is \[1\]; pass a number for each of 2 models"),
        ({"weights": [1, np.inf]}, r"weights is \[1, inf\]; pass a number for each of 2 models"),
        ({"metric": "ndcg"}, "metric is 'ndcg'; pass one of precision, .* with its k"),
        ({"metric": "novelty@5"}, "metric is 'novelty@5'; pass one of precision, .* with its k"),
        ({"models": EASE()}, r"models is EASE\(\); pass a list of models"),
        ({"fallback": [Blend([Popular()])]}, "fallback holds a Blend; pass the models that it blends"),
        (
            {"weights": [1, 1], "fallback": [Popular()]},
            "weights are for 2 models, but fallback has 1; pass equally many, or leave weights out",
        ),
        ({"models": [EASE()], "candidates": {"ease__l2": [1.0]}, "validation": "time"}, "has no times"),
        ({"standardize": "yes"}, "standardize is 'yes'; pass True or False"),
        ({"candidates": {"l2": [1.0]}}, "candidates has 'l2'; name a model's hyperparameter, such as 'ease__l2'"),
        ({"models": [EASE()], "candidates": {"ease__l2": 3}}, r"candidates\['ease__l2'\] is 3; pass a list of values"),
        ({"patience": 0}, "patience must be 1 or more, got 0"),
        ({"stop_every": 2.5}, "stop_every must be a whole number, got 2.5"),
        ({"stop_every": 30}, r"stop_every is for a network, and the first model is Popular\(\); leave stop_every out"),
        (
            {
                "models": [DenoisingAutoEncoder(), EASE()],
                "stop_every": 9,
                "candidates": {"denoisingautoencoder__lr": [1]},
            },
            "candidates has 'denoisingautoencoder__lr', a hyperparameter of the network that stop_every stops",
        ),
        ({"validation_users": 0.0}, "validation_users is 0.0, which is 0 of 2 users; pass a fraction or a number"),
        (
            {"validation_users": 9},
            "validation_users is 9, which is 9 of 2 users; .* at most the 1 users with two likes or more",
        ),
        ({}, "none of the 1 validation users has enough likes to hold out a fifth of them; pass more likes"),
        ({"validation": "users"}, 'validation is \'users\'; pass "strong", "weak" or "time"'),
    ],
)
def test_it_refuses(params, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Blend(**{"models": [Popular(), Popular()], **params}).fit([[0, 1], [1]])


@pytest.mark.parametrize("likes", [[[0, 1, 2]], [[0], [1], [1]]])
def test_it_refuses_to_choose_where_nobody_can_validate(likes):
    with pytest.raises(
        ValueError, match=f"and there are none among {len(likes)} users; pass more likes, or a Blend with given weights"
    ):
        Blend([Popular(), EASE()]).fit(likes)


@pytest.mark.parametrize("validation", ["strong", "weak"])
def test_who_has_one_like_does_not_validate(validation):
    likes = [[0, 1, 2], [1, 2, 3]] * 3 + [[0]] * 90  # 6 who can, of whom a fifth of the users would be more
    model = Blend([Popular(), EASE(l2=1.0)], validation=validation).fit(likes)
    assert len(model.search_[0]["weights"]) == 2


def test_it_refuses_what_is_no_model():
    with pytest.raises(TypeError, match="models holds 'EASE'; pass recommenders, such as"):
        Blend(["EASE"]).fit([[0, 1]])
    with pytest.raises(TypeError, match="fallback holds 3; pass recommenders, such as"):
        Blend([Popular()], fallback=[3]).fit([[0, 1]])
    with pytest.raises(TypeError, match=r"fallback is {'ease': .*}; pass a list of models"):
        Blend([Popular()], fallback={"ease": Popular()}).fit([[0, 1]])


def test_a_file_may_name_it():
    assert MODELS["Blend"] is Blend
