"""A half-life is chosen where it helps to predict later likes, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from autoenc import load_model
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.splits import holdout_by_time
from autoenc.interactions import Interactions, carrying
from autoenc.models import EASE, ELSA, AutoEncoder, Blend, Popular
from autoenc.models.blend_search import validation_split
from autoenc.models.half_life import HALF_LIVES, choose_half_life, with_chosen_half_life
from autoenc.models.weighting import DAY


def fashion(changes: bool, n_users=80, n_items=60, n_days=400, seed=0):
    """One like per day and user, of what is in fashion that day: always the same, or another item every ten days."""
    rng = np.random.default_rng(seed)
    users, items, times = [], [], []
    for user in range(n_users):
        days = rng.choice(n_days, 25, replace=False)
        in_fashion = days * n_items // n_days if changes else np.zeros(25, int)
        users += [user] * 25
        items += ((in_fashion + rng.geometric(0.15, 25)) % n_items).tolist()
        times += (days * DAY).tolist()
    return Interactions.from_pairs(users, items, times=times)


@pytest.mark.parametrize("model", [Popular(), EASE(l2=20.0)], ids=lambda model: type(model).__name__)
def test_a_half_life_is_taken_where_fashions_change(model):
    likes = fashion(changes=True)
    chosen, tried = choose_half_life(model, likes, [365.0, 30.0], metric="ndcg@10")
    assert chosen == 30.0
    assert [trial["half_life"] for trial in tried] == [None, 365.0, 30.0]
    split = holdout_by_time(likes)
    for trial in tried:
        fitted = type(model)(**model.get_params() | {"half_life": trial["half_life"]}).fit(split.train)
        assert trial["ndcg@10"] == evaluate(fitted, split.train, split.held_out, ks=[10])["ndcg@10"]


def test_none_is_taken_where_nothing_changes():
    likes = fashion(changes=False)
    chosen, tried = choose_half_life(Popular(), likes)
    assert chosen is None and len(tried) == 1 + len(HALF_LIVES)
    assert choose_half_life(Popular(), likes.user_items) == (None, tried)


def test_the_model_is_left_as_it_was():
    model = Popular()
    choose_half_life(model, fashion(changes=True), [30.0])
    assert model.half_life is None and not model.__sklearn_is_fitted__()


def test_all_models_but_networks_get_the_half_life_of_the_first():
    likes = fashion(changes=True)
    models = [AutoEncoder(), ELSA(), Popular(), EASE()]
    copies, chosen = with_chosen_half_life(models, likes, "ndcg@10")
    assert chosen == choose_half_life(Popular(), likes, metric="ndcg@10") and chosen.half_life is not None
    assert [getattr(copy, "half_life", "none") for copy in copies] == [None, "none", *[chosen.half_life] * 2]
    assert models[0].half_life is models[2].half_life is None
    with pytest.raises(ValueError, match="no half_life can be chosen for any of the models; pass one for which"):
        with_chosen_half_life([ELSA(), AutoEncoder()], likes)


def test_what_has_no_half_life_to_choose():
    likes = fashion(changes=True)
    with pytest.raises(ValueError, match="likes has no times"):
        choose_half_life(Popular(), Interactions.from_pairs([1], [1]))
    with pytest.raises(ValueError, match="ELSA has no hyperparameter 'half_life'"):
        choose_half_life(ELSA(), likes)


# In a blend


@pytest.mark.parametrize("candidates", [None, {"ease__l2": [5.0, 50.0]}])
def test_a_blend_that_validates_by_time_chooses_a_half_life(tmp_path, candidates):
    likes = fashion(changes=True)
    model = Blend([EASE(l2=20.0)], validation="time", metric="ndcg@10", candidates=candidates).fit(likes)
    chosen, tried = choose_half_life(EASE(l2=20.0), likes, metric="ndcg@10")
    assert model.models_[0].half_life == chosen is not None
    assert model.search_[: len(tried)] == tried
    assert model.models[0].half_life is None

    model.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.get_params()["ease__half_life"] == chosen
    np.testing.assert_array_equal(loaded.score(likes), model.score(likes))


def test_half_lives_among_the_candidates_have_pairs_of_their_own():
    likes = fashion(changes=True)
    candidates = {"ease__half_life": [30.0, 90.0], "ease__l2": [5.0, 50.0]}
    model = Blend([EASE()], candidates=candidates, metric="ndcg@10", validation="weak").fit(likes)
    tried = {trial["ease__half_life"]: trial["ndcg@10"] for trial in model.search_ if "ease__half_life" in trial}
    train, fold_in, held_out = validation_split(likes.user_items, "weak", None, 0)
    for half_life, value in tried.items():
        alone = EASE(half_life=half_life).fit(train)
        assert evaluate(alone, fold_in, held_out, ks=[10])["ndcg@10"] == pytest.approx(value, abs=1e-4)
    assert model.models_[0].half_life == max(tried, key=tried.get)


def test_the_weights_are_chosen_on_what_comes_later():
    likes = fashion(changes=True)
    model = Blend([EASE(l2=20.0), Popular()], validation="time", metric="ndcg@10", standardize=True).fit(likes)
    train, fold_in, held_out = validation_split(likes.user_items, "time", None, 0)
    split = holdout_by_time(likes)
    assert (train != split.train).nnz == 0 and held_out.nnz == split.held_out.nnz
    assert (fold_in.times < split.cut).all() and (held_out.times >= split.cut).all()
    assert {part.half_life for part in model.models_} == {choose_half_life(EASE(l2=20.0), likes, metric="ndcg@10")[0]}
    assert model.score(likes)[0].tolist() != model.score(likes.user_items.copy())[0].tolist()


def test_few_validate_where_few_are_asked_for():
    likes = fashion(changes=True).user_items
    _, fold_in, held_out = validation_split(likes, "time", 7, seed=1)
    assert fold_in.shape[0] == held_out.shape[0] == 7 == (np.diff(held_out.indptr) > 0).sum()
    again = validation_split(likes, "time", 7, seed=1)
    assert (again.held_out != held_out).nnz == 0 < (validation_split(likes, "time", 7, seed=2).held_out != held_out).nnz


def test_a_half_life_that_is_given_stays():
    model = Blend([EASE(l2=20.0, half_life=99.0), Popular()], weights=[1, 0.1], validation="time")
    model.fit(fashion(changes=True))
    assert [part.half_life for part in model.models_] == [99.0, None] and model.search_ == []


def test_a_blend_that_validates_by_time_needs_times():
    with pytest.raises(ValueError, match=r"likes has no times; pass likes from datasets.load"):
        Blend([EASE()], validation="time").fit(fashion(changes=True).user_items.copy())


def test_a_blend_keeps_the_weights_of_likes_when_it_validates():
    likes = fashion(changes=True).user_items
    likes = carrying(likes, likes.times, np.random.default_rng(0).lognormal(0, 1, likes.nnz))
    for validation in ("weak", "strong", "time"):
        train, fold_in, _ = validation_split(likes, validation, 9, seed=0)
        assert set(train.carried) == set(fold_in.carried) == {"times", "weights"}
    both = validation_split(likes, "weak", 9, seed=0).train
    with_times = {(time, weight) for time, weight in zip(likes.times.tolist(), likes.weights.tolist())}
    assert set(zip(both.times.tolist(), both.weights.tolist())) <= with_times
