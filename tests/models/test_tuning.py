"""Hyperparameter search, in Python and on the command line."""

from __future__ import annotations

import json
import logging
import sys

import numpy as np
import pytest
from scipy import sparse

from autoenc import cli
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.popularity import popularity_warning
from autoenc.evaluation.splits import holdout_per_user, holdout_users
from autoenc.interactions import Interactions, as_user_items, carrying
from autoenc.models import (
    EASE,
    ELSA,
    MODELS,
    AutoEncoder,
    Blend,
    DenoisingAutoEncoder,
    ItemKNN,
    MultVAE,
    Popular,
    Recommender,
    ease,
    load_model,
    presets,
    tuning,
)
from autoenc.models.gram import gram_of
from autoenc.models.presets import preset
from autoenc.models.tuning import Range, search_space_of, tune
from autoenc.models.weighting import DAY

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.optional


@pytest.fixture(scope="module")
def likes():
    """Real ratings of the first 400 users and 300 items."""
    from autoenc import datasets

    ratings = datasets.load()
    by_count = np.argsort(-np.bincount(ratings.user_items.indices), kind="stable")
    few = ratings.user_items[:400][:, np.sort(by_count[:300])]
    return as_user_items(few[np.diff(few.indptr) > 1])


def test_the_best_trial_is_what_is_measured_and_fitted_again_on_everything(likes):
    tuned = tune(EASE(), likes, metric="ndcg@20", trials=6, seed=3)
    train, held_out = holdout_per_user(likes, seed=3)
    for trial in tuned.trials:
        report = evaluate(EASE(**trial["params"]).fit(train), train, held_out, ks=[20])
        assert (trial["value"], trial["standard_error"]) == (report["ndcg@20"], report.standard_errors["ndcg@20"])
    values = [trial["value"] for trial in tuned.trials]
    assert len(set(values)) == 6
    assert tuned.value == max(values) and tuned.params == tuned.trials[int(np.argmax(values))]["params"]
    assert (tuned.metric, tuned.ended_by, [trial["number"] for trial in tuned.trials]) == (
        "ndcg@20",
        "trials",
        [*range(6)],
    )
    assert tuned.model.get_params() == EASE(**tuned.params).get_params()
    np.testing.assert_array_equal(tuned.model.item_weights_, EASE(**tuned.params).fit(likes).item_weights_)


def test_strong_validation_holds_out_users(likes):
    tuned = tune(EASE(), likes, metric="recall@20", trials=2, seed=1, validation="strong")
    train, fold_in, held_out, _ = holdout_users(likes, seed=1)
    for trial in tuned.trials:
        report = evaluate(EASE(**trial["params"]).fit(train), fold_in, held_out, ks=[20])
        assert trial["value"] == report["recall@20"]


def test_the_same_seed_gives_the_same_answer(likes):
    def search(seed):
        tuned = tune(ItemKNN(), likes, metric="ndcg@10", trials=12, seed=seed)
        return [{**trial, "seconds": 0} for trial in tuned.trials]

    assert search(5) == search(5) != search(6)


def test_the_first_trial_is_the_model_as_given_and_the_model_stays_as_it_was(likes):
    model = ItemKNN(k=7, shrink=1e6)  # shrink is outside of the space, and so is drawn
    first, second = tune(model, likes, trials=2).trials
    assert first["params"]["k"] == 7 != second["params"]["k"]
    assert 0.1 <= first["params"]["shrink"] <= 1e3
    assert (model.get_params(), hasattr(model, "n_items_")) == ({"k": 7, "shrink": 1e6, "half_life": None}, False)


def test_what_is_not_searched_stays_as_given(likes):
    space = {"epochs": Range(1, 3), "lr": [0.01, 0.02]}
    model = AutoEncoder(emb_dim=16, hidden_dim=8, bias_offset=-3, epochs=2, random_state=4)
    tuned = tune(model, likes, space, metric="ndcg@10", trials=3)
    assert tuned.trials[0]["params"] == {"epochs": 2, "lr": 0.01}
    assert all(isinstance(trial["params"]["epochs"], int) for trial in tuned.trials)
    assert tuned.model.get_params() == {**model.get_params(), **tuned.params}
    assert len(tuned.model.history_) == tuned.params["epochs"]


def test_names_are_kept_and_trials_are_json(likes):
    named = Interactions.from_csr(likes, item_ids=np.arange(likes.shape[1]) * 2, name="few")
    told = []
    tuned = tune(EASE(), named, trials=2, progress=told.append)
    assert told == json.loads(json.dumps(tuned.trials)) == tuned.trials
    assert tuned.model.catalogue_.item_ids[1] == 2
    assert tuned.model.about_ == {"dataset": "few"}


@pytest.mark.parametrize(("minutes", "n_trials"), [(1e-9, 1), (3.9, 1), (4.0, 2), (5.0, 3)])
def test_a_time_budget_leaves_room_for_the_trial_and_the_last_fit(likes, monkeypatch, minutes, n_trials):
    now = [0.0]

    def slow_gram_of(user_items, dtype=np.float64):
        now[0] += 30
        return gram_of(user_items, dtype)

    class Slow(EASE):
        """A minute for each fit, half a minute to precompute what the trials share, and the last fit once more."""

        def _fit_gram(self, gram):
            now[0] += 60
            super()._fit_gram(gram)

    monkeypatch.setattr(ease, "gram_of", slow_gram_of)
    monkeypatch.setattr(tuning.time, "perf_counter", lambda: now[0])
    tuned = tune(Slow(), likes, minutes=minutes, trials=9)
    assert (len(tuned.trials), tuned.ended_by) == (n_trials, "minutes")
    assert tuned.seconds == 60 * (n_trials + 2) <= max(180, 60 * minutes)
    assert [trial["seconds"] for trial in tuned.trials] == [60] * n_trials


class Diverging(Recommender):
    """Diverges if lr is above a half."""

    def __init__(self, lr=0.9):
        self.lr = lr

    def _fit(self, user_items):
        if self.lr > 0.5:
            raise FloatingPointError("the loss became nan")
        self.width = user_items.shape[1]

    def _score(self, user_items):
        return np.tile(np.arange(self.width, dtype=np.float32), (user_items.shape[0], 1))

    def _arrays(self):
        return {}

    def _set_arrays(self, arrays):
        return 0


def test_a_trial_that_diverges_is_noted_and_passed_over(likes):
    tuned = tune(Diverging(), likes, {"lr": [0.9, 0.1]}, trials=6)
    diverged = [trial for trial in tuned.trials if trial["params"]["lr"] == 0.9]
    assert 0 < len(diverged) < 6 and tuned.trials[0] in diverged
    assert {(trial["value"], trial["standard_error"]) for trial in diverged} == {(None, None)}
    assert tuned.params == {"lr": 0.1}
    with pytest.raises(FloatingPointError, match="all 2 trials diverged; search lower learning rates"):
        tune(Diverging(), likes, {"lr": Range(0.6, 0.9)}, trials=2)


def test_default_spaces_are_of_the_classes_and_fit_for_them(likes):
    class Mine(EASE):
        """Has the search space of EASE."""

    assert search_space_of(Mine(), 100) == search_space_of(EASE(), 100) == tuning.SEARCH_SPACES["EASE"]
    for name, space in tuning.SEARCH_SPACES.items():
        params = MODELS[name]().get_params()
        assert set(space) <= set(params)
    assert set(MODELS) - set(tuning.SEARCH_SPACES) == {"Blend", "Popular"}
    assert search_space_of(AutoEncoder(), 69_878)["epochs"] == (1, 4, True)
    assert search_space_of(AutoEncoder(), 671)["epochs"] == (10, 80, True)
    assert all("epochs" in search_space_of(MODELS[name](), 671) for name in ("DenoisingAutoEncoder", "MultVAE", "ELSA"))
    with pytest.raises(ValueError, match="Popular has no default search space; pass search_space, such as"):
        tune(Popular(), likes, trials=1)


def test_a_blends_space_is_its_models_but_for_what_it_chooses_itself():
    models = [DenoisingAutoEncoder(), EASE(), Popular()]
    ease, network = (search_space_of(model, 671) for model in (EASE(), DenoisingAutoEncoder()))
    of_ease = {f"ease__{name}": values for name, values in ease.items()}
    of_network = {f"denoisingautoencoder__{name}": values for name, values in network.items()}
    assert search_space_of(Blend(models), 671) == of_network | of_ease
    chooses = Blend(models, stop_every=30, candidates={"ease__l2": [1.0, 2.0]})
    del of_network["denoisingautoencoder__epochs"]
    assert search_space_of(chooses, 671) == of_network


def test_a_blends_models_are_searched_and_stay_as_they_were(likes):
    model = Blend([ItemKNN(k=30), EASE(l2=100.0)], validation_users=100)
    tuned = tune(model, likes, {"ease__l2": Range(1.0, 1e3, log=True), "itemknn__k": [20, 30]}, trials=3, seed=1)
    assert tuned.trials[0]["params"] == {"ease__l2": 100.0, "itemknn__k": 30}
    assert len({trial["value"] for trial in tuned.trials}) == 3
    knn, ease = tuned.model.models_
    assert {"ease__l2": ease.l2, "itemknn__k": knn.k} == tuned.params
    assert [repr(part) for part in model.models] == ["ItemKNN(k=30)", "EASE(l2=100.0)"]


def test_what_no_hyperparameter_changes_is_computed_once_for_all_trials(likes, monkeypatch):
    made = []
    monkeypatch.setattr(ease, "gram_of", lambda *of, gram_of=ease.gram_of: made.append(0) or gram_of(*of))
    tune(EASE(), likes, trials=3)
    assert len(made) == 2  # for the trials, and for the last fit


def test_half_lives_are_searched_with_pairs_of_their_own(likes):
    timed = carrying(likes, np.arange(likes.nnz) * DAY)
    tuned = tune(EASE(), timed, {"half_life": [30.0, 900.0]}, trials=3)
    train, held_out = holdout_per_user(timed, seed=0)
    for trial in tuned.trials:
        expected = evaluate(EASE(**trial["params"]).fit(train), train, held_out, ks=[100])["ndcg@100"]
        assert trial["value"] == pytest.approx(expected, abs=1e-9)


def test_epochs_are_searched_around_the_default_of_the_model():
    assert search_space_of(MultVAE(), 200_000)["epochs"] == Range(6, 48, log=True)
    assert search_space_of(ELSA(), 200_000)["epochs"] == Range(2, 16, log=True)


def test_few_users_are_enough_for_strong_validation():
    tuned = tune(Popular(), [[0, 1, 2, 3, 4, 5]] * 4, {"half_life": [None]}, trials=1, validation="strong")
    assert len(tuned.trials) == 1


def test_the_log_is_quiet_and_as_loud_as_before_afterwards(likes):
    said = []
    handler = logging.Handler()
    handler.emit = said.append
    logging.getLogger("optuna").addHandler(handler)
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        tune(EASE(), likes, trials=2)
        assert said == []
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
        optuna.create_study().optimize(lambda trial: 0.0, n_trials=1)
        assert said != []
    finally:
        logging.getLogger("optuna").removeHandler(handler)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"metric": "ndcg"}, "metric is 'ndcg'; pass one of precision, .*, hit_rate with its k, such as 'ndcg@100'"),
        ({"metric": "novelty@5"}, "metric is 'novelty@5'"),
        ({"metric": "ndcg@0"}, "metric is 'ndcg@0'"),
        ({"trials": None}, "the search has no limit; pass minutes or trials"),
        ({"trials": 0}, "trials must be 1 or more, got 0"),
        ({"minutes": 0}, "minutes is 0; pass a number above 0"),
        ({"validation": "time"}, "validation is 'time'; pass 'weak' or 'strong'"),
        ({"search_space": {}}, "search_space is empty; pass values by hyperparameter"),
        (
            {"search_space": {"k": [1]}},
            "search_space has 'k', which is not a hyperparameter of EASE; it has: l2, max_mem",
        ),
        ({"search_space": {"l2": 5}}, r"search_space\['l2'\] is 5; pass a Range, or a list of values"),
        ({"search_space": {"l2": []}}, r"search_space\['l2'\] is \[\]; pass a Range, or a list of values"),
        ({"search_space": {"l2": Range(2, 1)}}, r"search_space\['l2'\] is Range\(low=2, high=1, .* from low to high"),
        ({"search_space": {"l2": Range(0, 1, log=True)}}, "pass a Range from low to high, finite, and above 0 if log"),
    ],
)
def test_what_cannot_be_searched_is_refused(likes, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        tune(EASE(), likes, **{"trials": 1, **arguments})


def test_what_is_of_another_type_is_refused(likes):
    with pytest.raises(TypeError, match=r"trials must be a whole number, got 1\.5"):
        tune(EASE(), likes, trials=1.5)
    with pytest.raises(TypeError, match=r"model is <class .*EASE'>; pass a model, such as EASE\(\)"):
        tune(EASE, likes, trials=1)


def test_without_optuna_it_says_what_to_install(likes, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ValueError, match=r"tuning needs Optuna: pip install '\.\[tune\]'"):
        tune(EASE(), likes, trials=1)


@pytest.fixture(scope="module")
def path(likes, tmp_path_factory):
    """The same likes as a file."""
    path = tmp_path_factory.mktemp("tune") / "few.npz"
    sparse.save_npz(path, likes)
    return str(path)


def test_the_command_tunes_on_the_training_likes_and_reports_the_test(likes, path, tmp_path, capsys):
    out = str(tmp_path / "tuned.safetensors")
    arguments = ["--data", path, "--metric", "ndcg@20", "--trials", "3", "--seed", "2", "--out", out]
    assert cli.main(["tune", "--model", "ease", *arguments, "--json"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert f"wrote the model to {out}" in printed.err

    train, held_out = holdout_per_user(likes, seed=2)
    tuned = tune(EASE(), train, metric="ndcg@20", trials=3, seed=2)
    assert (report["params"], report["value"], report["ended_by"]) == (tuned.params, tuned.value, "trials")
    assert len(report["trials"]) == 3
    expected = evaluate(tuned.model, train, held_out, ks=[1, 5, 10, 20]).as_row()
    assert report["test"]["EASE"] == expected
    assert evaluate(load_model(out), train, held_out, ks=[1, 5, 10, 20]).as_row() == expected
    assert report["test"]["Popular"]["ndcg@20"] < expected["ndcg@20"]

    assert cli.main(["evaluate", out, "--data", path, "--k", "20", "--json"]) == 0
    printed = capsys.readouterr()
    assert "another split" not in printed.err
    assert json.loads(printed.out)["models"]["EASE"]["ndcg@20"] == expected["ndcg@20"]


def test_the_command_prints_tables_for_people(path, capsys):
    assert cli.main(["tune", "--model", "knn", "--data", path, "--minutes", "1e-6", "--progress"]) == 0
    out, err = capsys.readouterr()
    assert "stopped after 1 trials, at the time limit of 1e-06 minutes" in err and "tuning: " in err
    first, trial, blank, title, header, *_ = out.splitlines()
    assert first == "1 trials, the best by ndcg@100 on validation:"
    assert trial.endswith(" s  k 100, shrink 20")
    assert (blank, title) == ("", "on the held-out likes:")
    assert header.split() == ["precision@1", "ndcg@100"]


def test_the_command_says_where_the_model_is_behind_popularity(tmp_path, capsys):
    likes = np.random.default_rng(1).random((20, 60)) < np.linspace(0.9, 0.05, 60)  # popularity is all there is
    sparse.save_npz(tmp_path / "likes.npz", sparse.csr_array(likes.astype(np.float32)))
    out = str(tmp_path / "tuned.safetensors")
    arguments = ["--data", str(tmp_path / "likes.npz"), "--trials", "1", "--out", out]
    assert cli.main(["tune", "--model", "knn", *arguments]) == 0
    beside = load_model(out).about_["beside_popularity"]
    assert beside["model"] < beside["popularity"]
    assert popularity_warning(beside) in capsys.readouterr().err


def test_the_command_tunes_the_preset_best(path, monkeypatch, capsys):
    small = preset("best").set_params(denoisingautoencoder__hidden_dim=8, denoisingautoencoder__epochs=2)
    monkeypatch.setattr(presets, "preset", lambda name: small)
    space = {"ease__l2": Range(10.0, 1e3, log=True), "denoisingautoencoder__lr": [0.01]}
    monkeypatch.setattr(tuning, "_space_of_blend", lambda blend, n_users: space)
    arguments = ["--data", path, "--trials", "2", "--seed", "4", "--validation", "strong", "--json"]
    assert cli.main(["tune", "--model", "best", *arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["model"], set(report["params"])) == ("Blend", set(space))
    assert (small.validation, small.candidates) == ("strong", None)
    assert {part.random_state for part in (small, small.models[0])} == {4}


def test_the_command_refuses_before_it_searches(path, tmp_path, capsys):
    assert cli.main(["tune", "--seed", "-1"]) == 2
    assert capsys.readouterr().err == "autoenc tune: --seed must be 0 or more, got -1\n"
    assert cli.main(["tune", "--data", path, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"autoenc tune: {tmp_path} is a folder; name a file in it\n"


@pytest.mark.parametrize("name", tuning.SEARCH_SPACES)
def test_every_default_space_can_be_searched(likes, name):
    small = {"epochs": [2], "hidden_dim": [8], "emb_dim": [16], "latent_dim": [4], "hidden_dims": ["16", "8"]}
    params = MODELS[name]().get_params()
    space = search_space_of(MODELS[name](), likes.shape[0])
    tuned = tune(MODELS[name](), likes, {**space, **{k: v for k, v in small.items() if k in params}}, trials=2)
    assert len({trial["value"] for trial in tuned.trials}) == 2
