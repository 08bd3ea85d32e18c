"""The contract of all models, and the mathematics of each."""

from __future__ import annotations

import copy
import inspect
import pickle
import sys
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from threadpoolctl import threadpool_limits

import autoenc
from autoenc import machine
from autoenc.evaluation import ranking
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.splits import holdout_per_user
from autoenc.interactions import Interactions, as_user_items
from autoenc.models import (
    EASE,
    EDLAE,
    ELSA,
    IALS,
    Blend,
    ItemKNN,
    NotFittedError,
    Popular,
    Recommender,
    ease,
    gram,
    item_knn,
    load_model,
    registry,
)
from autoenc.models.autoencoder import AutoEncoder
from autoenc.models.deep_recommender import DeepRecommender
from autoenc.models.denoising import DenoisingAutoEncoder
from autoenc.models.mult_vae import MultVAE

MODELS = [
    Popular(),
    EASE(l2=50.0),
    EDLAE(l2=20.0, dropout=0.25),
    ItemKNN(k=20),
    ELSA(emb_dim=16, epochs=12, batch_size=64),
    IALS(emb_dim=16, epochs=4),
    AutoEncoder(emb_dim=24, hidden_dim=16, epochs=12, batch_size=64),
    DenoisingAutoEncoder(hidden_dim=24, epochs=12, batch_size=64),
    MultVAE(hidden_dim=24, latent_dim=8, epochs=12, batch_size=64),
    DeepRecommender(hidden_dims=(24, 12), dropout=0.2, epochs=12, batch_size=64),
    Blend([AutoEncoder(emb_dim=16, hidden_dim=8, epochs=6, batch_size=64), EASE(l2=50.0)], weights=[1.0, 10.0]),
]
BY_NAME = {type(model).__name__: type(model) for model in MODELS}
LOWEST = np.finfo(np.float32).min


@pytest.fixture(scope="module")
def likes(ratings):
    """The bundled ratings of items with at least 15 ratings, with titles."""
    often = np.flatnonzero(np.bincount(ratings.user_items.indices) >= 15)
    return Interactions.from_csr(
        ratings.user_items[:, often], item_ids=ratings.item_ids[often], titles=ratings.titles[often]
    )


@pytest.fixture(scope="module")
def weak_split(likes):
    return holdout_per_user(likes.user_items, seed=0)


@pytest.fixture(params=MODELS, ids=lambda model: type(model).__name__)
def unfitted(request):
    return copy.deepcopy(request.param)


@pytest.fixture(scope="module", params=MODELS, ids=lambda model: type(model).__name__)
def model(request, likes):
    """Fitted on the first 500 users; the others are new to it."""
    return copy.deepcopy(request.param).fit(first_users(likes, 500))


def first_users(likes, n):
    return Interactions.from_csr(likes.user_items[:n], item_ids=likes.item_ids, titles=likes.titles)


def assert_same_scores(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


class TestContract:
    def test_the_constructor_keeps_hyperparameters_as_they_are(self, unfitted):
        params = unfitted.get_params(deep=False)
        assert list(params) == list(inspect.signature(type(unfitted)).parameters)
        assert vars(unfitted) == params
        for name, value in type(unfitted)(**params).get_params(deep=False).items():
            assert value is params[name]  # as scikit-learn's clone asks

    def test_repr_makes_the_model_again(self, unfitted):
        again = eval(repr(unfitted), dict(BY_NAME))
        assert type(again) is type(unfitted) and repr(again) == repr(unfitted)
        assert repr(type(unfitted)()) == f"{type(unfitted).__name__}()"

    def test_set_params(self, unfitted):
        for name, value in unfitted.get_params().items():
            assert unfitted.set_params(**{name: value + 1 if isinstance(value, float) else value}) is unfitted
        with pytest.raises(ValueError, match=f"{type(unfitted).__name__} has no hyperparameter 'depth'; it has: "):
            unfitted.set_params(depth=3)

    def test_fit_returns_the_model_and_leaves_hyperparameters_and_likes_alone(self, unfitted, likes):
        before = unfitted.get_params()
        user_items = likes.user_items[:50].copy()
        kept = user_items.copy()
        assert unfitted.fit(user_items) is unfitted
        assert unfitted.get_params() == before
        learned = set(vars(unfitted)) - set(before)
        assert {"n_items_", "catalogue_"} < learned
        assert all(name.endswith("_") or name.startswith("_") for name in learned)
        assert unfitted.n_items == likes.n_items
        assert (user_items != kept).nnz == 0

    def test_nothing_works_before_fit(self, unfitted):
        calls = [
            lambda: unfitted.score([[0]]),
            lambda: unfitted.top_n([[0]], 1),
            lambda: unfitted.recommend([[0]]),
            lambda: unfitted.recommend(liked=["Heat (1995)"]),
            lambda: unfitted.similar_items(0),
            lambda: unfitted.explain([[0]], 1),
            lambda: unfitted.n_items,
        ]
        for call in calls:
            with pytest.raises(NotFittedError, match="is not fitted yet; call fit"):
                call()

    def test_a_second_fit_forgets_the_first(self, unfitted, likes):
        unfitted.fit(likes)
        unfitted.fit([[0, 1], [1, 2], [0, 1, 2]])
        assert (unfitted.n_items, unfitted.catalogue_) == (3, None)
        fresh = copy.deepcopy(unfitted).fit([[0, 1], [1, 2], [0, 1, 2]])
        np.testing.assert_array_equal(unfitted.score([[0], [2]]), fresh.score([[0], [2]]))

    def test_a_score_for_each_user_and_item(self, model, likes):
        scores = model.score(likes.user_items[490:510])
        assert scores.shape == (20, likes.n_items)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        assert scores.flags.writeable
        assert_same_scores(scores[3:4], model.score(likes.user_items[493:494]))

    def test_any_form_of_likes_is_the_same(self, model, likes):
        rows = likes.user_items[495:505]
        expected = model.recommend(rows, N=5)
        lists = [row.indices.tolist() for row in (rows[[u]] for u in range(10))]
        interactions = Interactions.from_csr(rows, item_ids=likes.item_ids)
        for form in (sparse.csc_matrix(rows), rows.tocoo(), rows.tolil(), rows.astype(bool), lists, interactions):
            items, scores = model.recommend(form, N=5)
            np.testing.assert_array_equal(items, expected[0])
            np.testing.assert_array_equal(scores, expected[1])

    def test_recommend_is_the_best_of_what_is_not_liked(self, model, likes):
        items, scores = model.recommend(likes, N=7)
        assert items.shape == scores.shape == (likes.n_users, 7)
        assert items.dtype == np.int32 and scores.dtype == np.float32
        expected = ranking.top_n_of_scores(model.score(likes), likes.user_items, 7)
        assert_same_scores(scores, expected[1])
        assert (items == expected[0]).mean() > 0.999  # batches of another size may round another way
        rows = np.repeat(np.arange(likes.n_users), 7)
        assert likes.user_items[rows, items.ravel()].sum() == 0

    @pytest.mark.parametrize("integer", [int, np.int16, np.int32])
    def test_the_number_of_items_may_be_of_any_integer_type(self, model, likes, integer):
        rows = likes.user_items[:2]
        np.testing.assert_array_equal(model.recommend(rows, N=integer(100))[0], model.recommend(rows, N=100)[0])
        items, _ = model.recommend(rows, N=integer(30_000))
        assert items.shape == (2, likes.n_items)

    def test_more_items_than_there_are_cost_those_that_there_are(self, model, likes):
        """10**12 items per user would take terabytes."""
        items, scores = model.recommend(likes.user_items[:2], N=10**12)
        assert items.shape == scores.shape == (2, likes.n_items)

    def test_already_liked_items_are_recommended_if_asked(self, model, likes):
        rows = likes.user_items[500:510]
        items, scores = model.recommend(rows, N=likes.n_items, filter_already_liked_items=False)
        assert (np.sort(items, axis=1) == np.arange(likes.n_items)).all()
        assert_same_scores(scores, np.take_along_axis(model.score(rows), items, axis=1))

    def test_filter_items_and_items(self, model, likes):
        rows = likes.user_items[500:510]
        best, _ = model.recommend(rows, N=20)
        without, _ = model.recommend(rows, N=15, filter_items=best[0, :5])
        np.testing.assert_array_equal(without[0], best[0, 5:20])
        among, _ = model.recommend(rows, N=4, items=best[0, [9, 3, 6, 1]])
        np.testing.assert_array_equal(among[0], best[0, [1, 3, 6, 9]])
        nothing, _ = model.recommend(rows, N=2, items=[])
        assert (nothing == -1).all()
        both, _ = model.recommend(rows, N=1, items=rows[[0]].indices, filter_already_liked_items=False)
        assert both[0, 0] in rows[[0]].indices

    def test_fewer_than_n_left_are_padded(self, model, likes):
        n_items = likes.n_items
        items, scores = model.recommend([range(n_items - 2), range(n_items)], N=3)
        assert set(items[0, :2]) == {n_items - 2, n_items - 1}
        assert items[0, 2] == -1 and (items[1] == -1).all()
        assert scores[0, 2] == LOWEST and (scores[1] == LOWEST).all()

    def test_users_without_likes_and_no_users(self, model, likes):
        items, _ = model.recommend([[], []], N=3)
        assert (items >= 0).all()
        items, scores = model.recommend(sparse.csr_array((0, likes.n_items), dtype=np.float32), N=3)
        assert items.shape == scores.shape == (0, 3)

    def test_by_name_is_the_same_in_titles(self, model, likes):
        names = ["Heat (1995)", "Ronin (1998)"]
        columns = likes.index_of_items(names)
        items, scores = model.recommend([columns], N=10)
        titles, title_scores = model.recommend(liked=names, N=10)
        assert titles.tolist() == likes.item_names(items[0])
        np.testing.assert_array_equal(title_scores, scores[0])
        without, _ = model.recommend(liked=names, N=9, filter_items=[titles[0]])
        assert without.tolist() == titles[1:].tolist()
        among, _ = model.recommend(liked=names, items=[titles[2], titles[1], "Heat (1995)"])
        assert among.tolist() == [titles[1], titles[2]]  # not padded, and Heat is liked already

    def test_near_misses_are_named(self, model):
        with pytest.raises(ValueError, match=r"no item 'Heet \(1995\)' among .* did you mean .*'Heat \(1995\)'"):
            model.recommend(liked=["Heet (1995)"])

    def test_by_name_without_titles_is_by_id(self, unfitted):
        unfitted.fit(Interactions.from_pairs(["ann", "ann", "bob"], ["tea", "jam", "tea"]))
        items, _ = unfitted.recommend(liked=["tea"])
        assert items.tolist() == ["jam"]

    def test_by_name_needs_names(self, unfitted):
        unfitted.fit([[0, 1], [1]])
        with pytest.raises(ValueError, match="liked has names of items, but the model was fitted on a matrix"):
            unfitted.recommend(liked=["Heat (1995)"])

    def test_similar_items_are_those_for_who_likes_it_alone(self, model, likes):
        [heat, ronin] = likes.index_of_items(["Heat (1995)", "Ronin (1998)"])
        expected, _ = model.recommend([[heat], [ronin]], N=5)
        items, scores = model.similar_items(heat, N=5)
        assert items.shape == scores.shape == (5,)
        np.testing.assert_array_equal(items, expected[0])
        np.testing.assert_array_equal(model.similar_items([heat, ronin], N=5)[0], expected)
        assert model.similar_items("Heat (1995)", N=5)[0].tolist() == likes.item_names(items)

    def test_explain_is_really_leaving_out(self, model, likes):
        row = likes.user_items[[int(np.argmax(np.diff(likes.user_items.indptr[500:]))) + 500]]
        assert row.nnz > 256  # more than one batch
        item = int(model.recommend(row, N=1)[0][0, 0])
        items, contributions = model.explain(row, item)
        assert sorted(items) == row.indices.tolist()
        assert (np.diff(contributions) <= 0).all()
        for like, contribution in zip(items[::40], contributions[::40]):
            without = as_user_items([row.indices[row.indices != like]], likes.n_items)
            left_out = model.score(row)[0, item] - model.score(without)[0, item]
            assert contribution == pytest.approx(left_out, rel=1e-4, abs=1e-4)

    def test_a_shorter_way_to_explain_comes_to_the_same(self, model, likes):
        row = likes.user_items[[int(np.argmax(np.diff(likes.user_items.indptr)))]]
        assert row.nnz > 256  # more than one batch
        column = int(model.recommend(row, N=1)[0][0, 0])
        leaving_out = Recommender._contributions(model, row, column)
        np.testing.assert_allclose(model._contributions(row, column), leaving_out, rtol=1e-4, atol=1e-4)

    def test_explain_by_name(self, model, likes):
        names = ["Heat (1995)", "Ronin (1998)", "Casino (1995)"]
        columns = likes.index_of_items([*names, "Fargo (1996)"])
        items, contributions = model.explain([columns[:3]], columns[3])
        titles, same = model.explain(liked=names, item="Fargo (1996)")
        assert titles.tolist() == likes.item_names(items)
        np.testing.assert_array_equal(same, contributions)

    def test_explain_without_likes_is_empty(self, model):
        items, contributions = model.explain([[]], 0)
        assert len(items) == len(contributions) == 0

    def test_another_number_of_items_is_refused(self, model, likes):
        with pytest.raises(ValueError, match=rf"has 9 columns, but the model was fitted on {likes.n_items:,} items"):
            model.recommend(sparse.csr_array((2, 9), dtype=np.float32))
        with pytest.raises(ValueError, match=rf"has 2 columns, but the model was fitted on {likes.n_items:,} items"):
            model.score(Interactions.from_lists([[4, 5]]))

    def test_other_items_are_refused(self, model, likes):
        others = Interactions.from_csr(likes.user_items, item_ids=likes.item_ids + 1)
        with pytest.raises(ValueError, match="user_items has other item_ids than the model was fitted on"):
            model.recommend(others)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"N": 0}, "N is 0; pass how many items to recommend"),
            ({"N": 2.5}, "N is 2.5; pass how many items to recommend"),
            ({"items": [0], "filter_items": [1]}, "filter_items and items are both given"),
            ({"items": [-1]}, "items holds -1; items are numbered from 0 to"),
            ({"filter_items": [10**6]}, "filter_items holds 1000000; items are numbered from 0 to"),
        ],
    )
    def test_recommend_refuses(self, model, arguments, message):
        with pytest.raises(ValueError, match=message):
            model.recommend([[0]], **arguments)

    def test_the_call_of_implicit_is_refused_in_a_sentence(self, model, likes):
        row = likes.user_items[[0]]
        for arguments, named in (((0, row), {"N": 2}), ((0, row), {}), (([0, 1], row), {"N": 2})):
            with pytest.raises(TypeError, match="recommend takes likes, not a user number"):
                model.recommend(*arguments, **named)

    def test_wrong_types_are_refused(self, model):
        with pytest.raises(TypeError, match="pass either user_items, rows of likes, or liked"):
            model.recommend()
        with pytest.raises(TypeError, match="pass either user_items, rows of likes, or liked"):
            model.explain([[0]], 1, liked=["Heat (1995)"])
        for one_user in (0, "Heat (1995)", ["Heat (1995)"], [0, 7], [["Heat (1995)"]], (0,)):
            with pytest.raises(TypeError, match=r"user_items is .*; pass one user's likes by name as liked=\[...\]"):
                model.recommend(one_user)
        with pytest.raises(TypeError, match=r"user_items is \[0\]; pass one user's likes by name as liked="):
            model.explain([0], 1)
        with pytest.raises(TypeError, match=r"items is \['Heat \(1995\)'\]; pass item numbers"):
            model.recommend([[0]], items=["Heat (1995)"])
        with pytest.raises(ValueError, match=r"item is \[1, 2\]; pass one item"):
            model.explain([[0, 1]], item=[1, 2])
        with pytest.raises(TypeError, match="item is missing; pass the item"):
            model.explain([[0]])
        with pytest.raises(ValueError, match="user_items has 2 rows; pass one user's"):
            model.explain([[0], [1]], 1)

    def test_its_arrays_are_all_there_is_to_it(self, model, likes):
        arrays = {name: array.copy() for name, array in model._arrays().items()}
        again = type(model)(**model.get_params(deep=False))
        again._set_arrays(arrays)
        again.n_items_, again.catalogue_ = model.n_items_, model.catalogue_
        rows = likes.user_items[495:505]
        np.testing.assert_array_equal(again.score(rows), model.score(rows))

    def test_missing_arrays_are_refused(self, model):
        with pytest.raises(ValueError, match=r"must (both )?be (an? |matrices)"):
            type(model)()._set_arrays({})

    def test_it_is_a_scorer(self, unfitted, weak_split):
        train, held_out = weak_split
        report = evaluate(unfitted.fit(train), train, held_out, ks=[10])
        assert report["precision@10"] > 0.15  # ten times what chance finds

    def test_a_saved_model_answers_with_the_same_bits(self, model, likes, tmp_path):
        model.save(tmp_path / "model.safetensors")
        again = load_model(tmp_path / "model.safetensors")
        rows, [heat] = likes.user_items[495:505], likes.index_of_items("Heat (1995)")
        np.testing.assert_array_equal(again.score(rows), model.score(rows))
        for ask in (
            lambda m: m.recommend(rows, N=7),
            lambda m: m.recommend(rows, N=7, filter_already_liked_items=False),
            lambda m: m.similar_items(heat),
            lambda m: m.explain(rows[[0]], heat),
            lambda m: m.recommend(liked=["Heat (1995)"]),
        ):
            for ours, theirs in zip(ask(again), ask(model), strict=True):
                np.testing.assert_array_equal(ours, theirs)

    def test_more_than_there_are_items(self, model, likes):
        row, n_items = likes.user_items[[500]], likes.n_items
        items, scores = model.recommend(row, N=n_items + 5)
        assert items.shape == scores.shape == (1, n_items)
        assert sorted(items[0, : n_items - row.nnz]) == sorted(set(range(n_items)) - set(row.indices))
        assert (items[0, n_items - row.nnz :] == -1).all() and (scores[0, n_items - row.nnz :] == LOWEST).all()
        assert model.similar_items(0, N=n_items)[0][-1] == -1  # itself left out

    def test_of_whom_nothing_is_known_gets_what_is_most_liked(self, model, likes):
        counts = np.bincount(likes.user_items[:500].indices, minlength=likes.n_items)
        np.testing.assert_array_equal(model.item_counts_, counts)
        unliked = 3  # as if: then a like of it says nothing
        counts[unliked] = 0
        model = copy.copy(model)
        model._set_counts(counts)
        rows = as_user_items([[], [unliked], [0]], likes.n_items)
        most_liked = np.argsort(-counts, kind="stable")[:5]
        answer = model.recommend(rows, N=5)
        np.testing.assert_array_equal(answer.items[:2], [most_liked] * 2)
        np.testing.assert_array_equal(answer.scores[:2], [counts[most_liked]] * 2)
        assert answer.by_popularity[:2].all()
        assert answer.by_popularity[2].any() == isinstance(model, Popular)
        for again in (model.recommend(rows, N=5, filter_items=[]), model.top_n(rows, 5)):
            np.testing.assert_array_equal(again[0][:2], answer.items[:2])
        by_name = model.recommend(liked=[likes.titles[unliked]], N=5, filter_items=[likes.titles[most_liked[0]]])
        assert by_name.items.tolist() == likes.item_names(np.argsort(-counts, kind="stable")[1:6])
        assert by_name.by_popularity.all()

    def test_counts_come_back_from_the_file(self, model, tmp_path):
        model.save(tmp_path / "model.safetensors")
        again = load_model(tmp_path / "model.safetensors")
        np.testing.assert_array_equal(again.item_counts_, model.item_counts_)
        np.testing.assert_array_equal(again.recommend([[]], N=5)[0], model.recommend([[]], N=5)[0])

    def test_without_counts_the_answer_says_so(self, model, likes):
        again = copy.copy(model)
        again._set_counts(None)
        if isinstance(model, Popular):
            return  # it is nothing else
        with pytest.warns(UserWarning, match="does not hold the number of likes of each item") as told:
            answer = again.recommend([[], [0]], N=5)
        assert told[0].filename == __file__
        assert (answer.items >= 0).all() and not answer.by_popularity.any()

    def test_a_filter_for_each_user(self, model, likes):
        rows = likes.user_items[500:510]
        n_items = likes.n_items
        best, best_scores = model.recommend(rows, N=20)
        left_out = as_user_items(best[:, :5].tolist(), n_items)
        without, scores = model.recommend(rows, N=15, filter_items=left_out)
        np.testing.assert_array_equal(without, best[:, 5:])
        assert_same_scores(scores, best_scores[:, 5:])
        offered = as_user_items(best[:, [9, 3, 6]].tolist(), n_items)
        among, _ = model.recommend(rows, N=4, items=Interactions.from_csr(offered, item_ids=likes.item_ids))
        np.testing.assert_array_equal(among[:, :3], best[:, [3, 6, 9]])
        assert (among[:, 3] == -1).all()
        many = likes.user_items[:600]  # more than one batch
        offered = as_user_items([[user, user + 1, user + 2] for user in range(600)], n_items)
        among, _ = model.recommend(many, N=3, items=offered, filter_already_liked_items=False)
        np.testing.assert_array_equal(np.sort(among, axis=1), offered.indices.reshape(600, 3))
        assert model.recommend(rows, N=2, items=as_user_items([[]] * 10, n_items)).items.max() == -1

    def test_n_is_met_while_items_are_left(self, model, likes):
        rows, n_items = likes.user_items[500:510], likes.n_items
        nearly_all = as_user_items([range(n_items - 3)] * 10, n_items)
        items, _ = model.recommend(rows, N=3, filter_items=nearly_all, filter_already_liked_items=False)
        np.testing.assert_array_equal(np.sort(items, axis=1), [[n_items - 3, n_items - 2, n_items - 1]] * 10)

    def test_filters_of_another_shape_are_refused(self, model, likes):
        with pytest.raises(ValueError, match="filter_items has 3 rows for 1 users; pass one row for each user, or a"):
            model.recommend([[0]], filter_items=likes.user_items[:3])
        with pytest.raises(ValueError, match=rf"has 9 columns, but the model was fitted on {likes.n_items:,} items"):
            model.recommend([[0]], items=sparse.csr_array((1, 9), dtype=np.float32))

    def test_answers_tell_what_stands_behind_them(self, model, likes):
        answer = model.recommend(liked=["Heat (1995)"], N=3)
        titles, scores = answer
        assert [line.split("  ")[1] for line in str(answer).splitlines()] == titles.tolist()
        assert (answer.items is titles, answer.scores is scores) == (True, True)
        again = pickle.loads(pickle.dumps(answer))
        assert again.by_popularity.tolist() == answer.by_popularity.tolist()
        assert model.explain(liked=["Heat (1995)", "Ronin (1998)"], item="Heat (1995)").is_liked
        explained = model.explain(liked=["Heat (1995)", "Ronin (1998)"], item="Fargo (1996)")
        assert not explained.is_liked
        assert {line.split("  ")[0] for line in str(explained).splitlines()} == {"Heat (1995)", "Ronin (1998)"}

    def test_dense_rows_are_refused_by_both_numbers(self, model, likes):
        rows = likes.user_items[495:505]
        np.testing.assert_array_equal(model.score(rows.toarray()), model.score(rows))
        with pytest.raises(ValueError, match=rf"has 9 columns, but the model was fitted on {likes.n_items:,} items"):
            model.recommend(np.zeros((2, 9)))

    def test_nobody_and_nothing_are_refused(self, unfitted):
        for shape in ((0, 3), (3, 0)):
            with pytest.raises(
                ValueError, match=rf"user_items is of shape \({shape[0]}, {shape[1]}\); pass one user and"
            ):
                unfitted.fit(np.zeros(shape))
        with pytest.raises(ValueError, match="user_items holds no likes, so there is nothing to learn from"):
            unfitted.fit(sparse.csr_array((3, 4), dtype=np.float32))

    def test_scikit_learns_tags_come_from_scikit_learn_when_it_asks(self, model, monkeypatch):
        asked = types.SimpleNamespace(Tags=dict, TargetTags=dict, InputTags=dict)
        monkeypatch.setitem(sys.modules, "sklearn", types.ModuleType("sklearn"))
        monkeypatch.setitem(sys.modules, "sklearn.utils", asked)
        assert model.__sklearn_tags__()["input_tags"]["sparse"]
        assert model.__sklearn_is_fitted__()


class TestPopular:
    def test_scores_are_how_many_like_an_item(self):
        model = Popular().fit([[0, 1], [1], [1, 3]])
        np.testing.assert_array_equal(model.score([[2], []]), [[1, 3, 0, 1]] * 2)

    def test_explaining_scores_nobody(self, monkeypatch):
        model = Popular().fit([[0, 1], [1]])
        monkeypatch.setattr(Popular, "_score", lambda *_: pytest.fail("scored"))
        items, contributions = model.explain([[0, 1]], 1)
        assert (items.tolist(), contributions.tolist(), contributions.dtype) == ([0, 1], [0, 0], np.float32)

    def test_it_ranks_the_head_of_the_items_as_all_of_them(self):
        """With many ties, and users who have liked nothing, everything, or only the most popular items."""
        rng = np.random.default_rng(0)
        liked = rng.random((90, 40)) < rng.random((90, 1)) ** 2
        model = Popular().fit(liked.astype(np.float32))
        liked[:3] = False
        liked[1] = True
        liked[2, ranking.top_n_of_scores(model.score(liked[:1]), None, 12)[0][0]] = True
        likes = sparse.csr_array(liked.astype(np.float32))
        for n in (1, 5, 39, 45):
            for batch in (likes, likes[:1], likes[1:2], likes[2:3]):
                got, expected = model.top_n(batch, n), ranking.top_n_of_scores(model.score(batch), batch, n)
                assert all((a == b).all() and a.dtype == b.dtype for a, b in zip(got, expected))


class TestEqualScores:
    """Items that are related to no like come in order of popularity, not of their numbers."""

    LIKES = as_user_items([[8, 9], [8, 9], [7], [7], [7], [6, 5]], 10)

    @pytest.mark.parametrize("unfitted", [EASE(l2=1.0), EDLAE(l2=1.0), ItemKNN()], ids=lambda m: type(m).__name__)
    def test_one_like_does_not_end_in_the_lowest_numbers(self, unfitted):
        model = unfitted.fit(self.LIKES)
        answer = model.recommend([[8]], N=9)
        assert answer.items.tolist() == [[9, 7, 5, 6, 0, 1, 2, 3, 4]]
        assert answer.by_popularity.tolist() == [[False] + [True] * 8]
        assert model.recommend([[8]], N=3, filter_items=[0]).items.tolist() == [[9, 7, 5]]
        assert model.top_n([[8]], 2)[0].tolist() == [[9, 7]]

    @pytest.mark.parametrize("unfitted", [EASE(l2=1.0), EDLAE(l2=1.0), ItemKNN()], ids=lambda m: type(m).__name__)
    def test_what_is_like_nothing_else_gets_what_is_most_liked(self, unfitted):
        answer = unfitted.fit(self.LIKES).similar_items(7, N=4)
        assert answer.items.tolist() == [8, 9, 5, 6] and answer.by_popularity.all()


class TestEASE:
    def test_weights_solve_the_constrained_least_squares(self, weak_split):
        train, _ = weak_split
        x = train[:, :200].toarray().astype(np.float64)
        weights = EASE(l2=7.0).fit(train[:, :200]).item_weights_
        assert weights.dtype == np.float32
        assert (weights.diagonal() == 0).all()
        # where the diagonal is fixed the gradient may point anywhere; elsewhere it is zero
        grad_weights = x.T @ (x @ weights - x) + 7.0 * weights
        np.fill_diagonal(grad_weights, 0)
        assert np.abs(grad_weights).max() < 1e-4 < np.abs(x.T @ x).max() / 1e5

    @pytest.mark.parametrize(("dense_entries", "block"), [(2**24, 512), (100, 7)])
    def test_gram_counts_users_in_common(self, likes, monkeypatch, dense_entries, block):
        monkeypatch.setattr(gram, "DENSE_ENTRIES", dense_entries)
        monkeypatch.setattr(gram, "BLOCK", block)
        user_items = likes.user_items[:, ::5]
        popular = np.diff(user_items.tocsc().indptr) > user_items.shape[0] / 32
        assert popular.any() and not popular.all()
        expected = (user_items.T @ user_items).toarray()
        for dtype in (np.float64, np.float32):
            counted = gram._users_in_common(user_items, dtype)
            np.testing.assert_array_equal(counted, expected)
            assert counted.dtype == dtype

    def test_blocks_change_nothing_but_the_memory(self, weak_split, monkeypatch):
        train, _ = weak_split
        expected = EASE(l2=7.0).fit(train[:, :100]).item_weights_
        for module in (gram, ease):
            monkeypatch.setattr(module, "BLOCK", 33)
        np.testing.assert_array_equal(EASE(l2=7.0).fit(train[:, :100]).item_weights_, expected)

    @pytest.mark.parametrize("block", [512, 33])
    def test_prepared_likes_give_the_same_bits_whatever_was_fitted_on_them_before(self, weak_split, monkeypatch, block):
        for module in (gram, ease):
            monkeypatch.setattr(module, "BLOCK", block)
        train = weak_split[0][:, :100]
        prepared = EASE().precompute(train)
        for model in (EASE(l2=7.0), EDLAE(l2=3.0, dropout=0.4), EASE(l2=900.0), EASE(l2=7.0)):
            expected = copy.deepcopy(model).fit(train)
            fitted = model.fit(prepared)
            np.testing.assert_array_equal(fitted.item_weights_, expected.item_weights_)
            assert (fitted.n_items, fitted.about_, fitted.catalogue_) == (100, {}, None)
        with pytest.raises(ValueError, match="l2 is -1; pass a number above 0"):
            EASE(l2=-1).fit(prepared)
        with pytest.raises(ValueError, match="EASE on 100 items needs 120,000 bytes, but max_memory is 9; raise"):
            EASE(max_memory=9).precompute(train)

    @pytest.mark.parametrize("n_users", [None, 80], ids=["by items", "by users"])
    def test_float32_is_enough_to_compare_by(self, weak_split, n_users):
        train = weak_split[0][:n_users, :300]
        rough = EASE(l2=50.0).fit(EASE().precompute(train, np.float32)).item_weights_
        expected = EASE(l2=50.0).fit(train).item_weights_
        assert 0 < np.abs(rough - expected).max() < 1e-4 * np.abs(expected).max()

    def test_the_memory_is_checked_once(self, weak_split, monkeypatch):
        checked = []
        monkeypatch.setattr(EASE, "check_memory", lambda model, *shape: checked.append(shape))
        EASE().fit(weak_split[0][:, :20])
        assert len(checked) == 1

    @pytest.mark.parametrize("n_users", [None, 200], ids=["by items", "by users"])
    def test_the_bits_do_not_depend_on_blas_threads(self, weak_split, n_users):
        train, _ = weak_split
        fits = []
        for threads in (1, 2):
            with threadpool_limits(threads, "blas"):
                fits.append(EASE(l2=7.0).fit(train[:n_users, :600]).item_weights_)
        np.testing.assert_array_equal(*fits)

    @pytest.mark.parametrize("block", [512, 33])
    @pytest.mark.parametrize("dense", [1e-9, 1e9], ids=["sparse likes", "dense likes"])
    @pytest.mark.parametrize("model", [EASE(l2=0.5), EASE(l2=2000.0), EDLAE(l2=3.0, dropout=0.4)])
    def test_few_users_come_to_the_same_by_their_own_square(self, weak_split, monkeypatch, model, dense, block):
        for module in (gram, ease):
            monkeypatch.setattr(module, "BLOCK", block)
        monkeypatch.setattr(gram, "DENSE", dense)
        train = weak_split[0][:80, :300]
        assert (np.diff(train.tocsc().indptr) == 0).any()  # an item that nobody likes
        by_items, by_users = gram.ItemGram(train), gram.UserGram(train)
        expected = model.fit(by_items).item_weights_
        assert np.abs(model.fit(by_users).item_weights_ - expected).max() < 1e-6 * np.abs(expected).max()
        liked = weak_split[0][100:120, :300]
        for grams, error in ((by_users, 1e-6), (gram.UserGram(train, np.float32), 2e-5)):
            scores = model._scores_of_trial(grams)(liked)
            assert np.abs(scores - liked @ expected).max() < error * np.abs(scores).max()
            assert scores.dtype == np.float32
        assert isinstance(model.precompute(train), gram.UserGram)
        assert isinstance(model.precompute(train[:, :239]), gram.ItemGram)

    @pytest.mark.parametrize("half_life", [None, 30.0])
    def test_few_users_with_weights_and_times_are_scored_without_the_matrix(self, half_life):
        rng = np.random.default_rng(0)
        users, items = np.divmod(rng.permutation(40 * 150)[:600], 150)
        likes = Interactions.from_pairs(
            users, items, weights=rng.uniform(0.5, 3, 600), times=rng.integers(0, 10**7, 600)
        )
        model = EASE(l2=5.0, half_life=half_life)
        grams = model.precompute(likes)
        assert isinstance(grams, gram.UserGram)
        expected = copy.deepcopy(model).fit(likes).score(likes.user_items)
        scores = model._scores_of_trial(grams)(likes.user_items)
        assert np.abs(scores - expected).max() < 1e-5 * np.abs(expected).max()
        with pytest.raises(ValueError, match=r"half_life is 7\.0, but the Gram matrix was computed with"):
            EASE(half_life=7.0)._scores_of_trial(grams)

    def test_it_refuses_items_squared_that_do_not_fit(self, monkeypatch):
        wide = sparse.csr_array(([1.0], ([0], [0])), shape=(20_000, 50_000), dtype=np.float32)
        message = "EASE on 50,000 items needs 30,000,000,000 bytes, but max_memory is 4,000,000,000; raise max_memory"
        with pytest.raises(ValueError, match=message):
            EASE(max_memory=4e9).fit(wide)
        monkeypatch.setattr(ease, "usable_memory", lambda: 8_000_000_001)
        message = "but half of the memory that this process may use is 4,000,000,000; raise max_memory if the machine"
        with pytest.raises(ValueError, match=message):
            EASE().fit(wide)
        few, many = [[0, 1, 2]], [[0, 1, 2], [0, 1]]  # users, for three items
        for likes, needed in ((few, 4 * 3**2 + 8 * (1 + 3)), (many, 12 * 3**2)):
            assert EASE(max_memory=needed).fit(likes).n_items == 3
            with pytest.raises(ValueError, match=f"needs {needed} bytes, but max_memory is {needed - 1}"):
                EASE(max_memory=needed - 1).fit(likes)
        with pytest.raises(ValueError, match="max_memory is '4GB'; pass a number of bytes, such as 4e9"):
            EASE(max_memory="4GB").fit(few)

    def test_it_refuses_items_squared_beyond_what_the_machine_has_free(self, monkeypatch):
        monkeypatch.setattr(machine, "free_memory", lambda: 107)
        monkeypatch.delattr(ease, "gram_of")  # nothing of that size is begun
        message = (
            "EASE on 3 items needs 108 bytes, but the machine has 107 free; fit on fewer items, or use IALS or "
            "ELSA, which need no items x items matrix"
        )
        with pytest.raises(ValueError, match=message):
            EASE().fit([[0, 1, 2], [0, 1]])
        monkeypatch.undo()
        for free in (108, None):
            monkeypatch.setattr(machine, "free_memory", lambda free=free: free)
            assert EASE().fit([[0, 1, 2], [0, 1]]).n_items == 3

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux says")
    def test_free_memory_is_what_linux_says(self):
        assert 2**20 < machine.free_memory() < 2**50

    @pytest.mark.parametrize("l2", [0, -1.0, np.nan, np.inf, None, "500"])
    def test_it_refuses_an_l2_that_is_none(self, l2):
        with pytest.raises(ValueError, match=f"l2 is {l2!r}; pass a number above 0"):
            EASE(l2=l2).fit([[0, 1]])

    def test_it_refuses_an_l2_that_vanishes_in_rounding(self):
        with pytest.raises(
            ValueError, match="l2 is 1e-30, which is lost to rounding with these likes; pass more than 2e-15"
        ):
            EASE(l2=1e-30).fit([[0, 1], [0, 1]])
        assert EASE(l2=1e-12).fit([[0, 1], [0, 1]]).item_weights_[0, 1] == pytest.approx(1, rel=1e-3)


class TestItemKNN:
    @given(st.data())
    def test_it_is_its_definition(self, data):
        n_items = data.draw(st.integers(1, 7))
        user_lists = data.draw(st.lists(st.sets(st.integers(0, n_items - 1)), min_size=1, max_size=8).filter(any))
        k, shrink = data.draw(st.integers(1, 8)), data.draw(st.sampled_from([0.0, 0.5, 20.0]))
        model = ItemKNN(k=k, shrink=shrink).fit(as_user_items(user_lists, n_items))

        who_likes = [{u for u, items in enumerate(user_lists) if i in items} for i in range(n_items)]
        expected = np.zeros((n_items, n_items))
        for scored in range(n_items):
            similarity = {}
            for other in range(n_items):
                both = len(who_likes[scored] & who_likes[other])
                if both and other != scored:
                    norm = np.sqrt(len(who_likes[scored]) * len(who_likes[other]))
                    similarity[other] = both / (norm + shrink)
            for other in sorted(similarity, key=lambda item: (-round(similarity[item], 6), item))[:k]:
                expected[other, scored] = similarity[other]
        np.testing.assert_allclose(model.nearest_.toarray(), expected, rtol=1e-6)

    def test_blocks_change_nothing_but_the_memory(self, likes, monkeypatch):
        expected = ItemKNN().fit(likes).nearest_
        monkeypatch.setattr(item_knn, "BLOCK_PAIRS", 100 * likes.n_items)
        in_blocks = ItemKNN().fit(likes).nearest_
        for name in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(in_blocks, name), getattr(expected, name))

    def test_blocks_are_cut_by_pairs_so_that_items_nobody_likes_cost_nothing(self, likes, monkeypatch):
        many_items = as_user_items([[0, 999_999], [0]], 1_000_000)
        assert item_knn._blocks(many_items) == [0, 1_000_000]
        monkeypatch.setattr(item_knn, "BLOCK_PAIRS", 100 * likes.n_items)
        bounds = item_knn._blocks(likes.user_items)
        assert len(bounds) > 2 and bounds[0] == 0 and bounds[-1] == likes.n_items
        together = (likes.user_items.T @ likes.user_items).tocsr()
        assert np.diff(together.indptr[bounds]).max() <= 101 * likes.n_items

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"k": 0}, "k must be 1 or more, got 0"),
            ({"k": 2.5}, "k must be a whole number, got 2.5"),
            ({"shrink": -1.0}, "shrink is -1.0; pass a number, 0 or more"),
            ({"shrink": "a"}, "shrink is 'a'; pass a number, 0 or more"),
            ({"shrink": np.nan}, "shrink is nan; pass a number, 0 or more"),
        ],
    )
    def test_it_refuses(self, params, message):
        with pytest.raises((ValueError, TypeError), match=message):
            ItemKNN(**params).fit([[0, 1]])

    def test_a_neighbour_takes_8_bytes(self, likes):
        nearest = ItemKNN().fit(likes).nearest_
        assert (nearest.data.itemsize, nearest.indices.itemsize) == (4, 4)

    def test_arrays_that_point_outside_are_refused(self):
        model = ItemKNN().fit([[0, 1], [0, 1]])
        arrays = model._arrays()
        for name, wrong in [
            ("nearest.indices", np.array([0, 99], np.int32)),
            ("nearest.data", np.array([1, 1], np.int64)),
            ("nearest.indptr", np.array([0, 5, 2], np.int32)),
        ]:
            with pytest.raises(ValueError, match="must be a square CSR matrix of float32"):
                ItemKNN()._set_arrays({**arrays, name: wrong})


def test_every_public_model_can_be_loaded_from_its_file():
    public = [getattr(autoenc, name) for name in autoenc.__all__]
    models = {one.__name__ for one in public if isinstance(one, type) and issubclass(one, Recommender)}
    assert models - {"Recommender", "ShardedAutoEncoder"} == set(registry.MODELS)  # ranks write an AutoEncoder's file
