"""Presets are data; each can be trained, saved, loaded and explained, in Python and on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autoenc import train_job
from autoenc.cli import main
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.splits import holdout_per_user
from autoenc.interactions import Interactions
from autoenc.models import (
    EASE,
    IALS,
    AutoEncoder,
    Blend,
    DenoisingAutoEncoder,
    Popular,
    candidate_search,
    ease,
    gram,
    load_model,
)
from autoenc.models.presets import PRESETS, preset


@pytest.fixture(scope="module")
def likes(ratings):
    """The bundled ratings of items with at least 60 ratings."""
    often = np.flatnonzero(np.bincount(ratings.user_items.indices) >= 60)
    items = ratings.item_ids[often]
    return Interactions.from_csr(ratings.user_items[:, often], item_ids=items, titles=ratings.titles[often])


@pytest.fixture(scope="module")
def split(likes):
    return holdout_per_user(likes.user_items, seed=0)


@pytest.fixture(scope="module")
def best(likes, split):
    small = preset("best").set_params(denoisingautoencoder__hidden_dim=128)
    return small.fit(likes.with_user_items(split[0]))


def test_the_tasks_preset_is_the_tasks_network():
    assert list(PRESETS) == ["task", "best", "fast"]
    assert repr(preset("task")) == repr(AutoEncoder())
    assert all(description and "\n" not in description for description, _ in PRESETS.values())


def test_a_preset_is_a_copy_that_can_be_changed():
    changed = preset("best").set_params(validation="strong", ease__l2=3.0)
    assert changed.models[1].l2 == 3.0
    assert preset("best").models[1].l2 == EASE().l2 and preset("best").validation == "weak"


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="there is no preset 'quick'; pass one of task, best, fast"):
        preset("quick")


def test_best_chooses_and_has_learned(best, split):
    assert [type(model).__name__ for model in best.models_] == ["DenoisingAutoEncoder", "EASE", "ELSA", "IALS"]
    assert all(len(trial["weights"]) == 4 for trial in best.search_ if "weights" in trial)
    assert {trial["ease__l2"] for trial in best.search_ if "ease__l2" in trial} >= {500.0}
    assert best.models_[0].epochs in {trial["epoch"] for trial in best.search_ if "epoch" in trial}
    popular = evaluate(Popular().fit(split[0]), *split, ks=[100])["ndcg@100"]
    assert evaluate(best, *split, ks=[100])["ndcg@100"] > popular + 0.1


@pytest.mark.parametrize("name", ["best", "fast"])
def test_it_is_saved_loaded_and_explained(name, best, likes, tmp_path):
    model = best if name == "best" else preset("fast").fit(likes)
    model.save(tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    rows = likes.user_items[:5]
    np.testing.assert_array_equal(again.score(rows), model.score(rows))
    item = int(model.recommend(rows[[0]], N=1)[0][0, 0])
    for before, after in zip(model.explain(rows[[0]], item), again.explain(rows[[0]], item)):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", ["best", "fast"])
def test_where_ease_has_no_room_ials_is_taken_and_that_is_said(name, likes):
    model = preset(name).set_params(ease__max_memory=1e3)
    for other in model.fallback:
        if isinstance(other, IALS):
            other.set_params(emb_dim=16, epochs=2, backend="numpy")  # whose kernels take long to compile
    with pytest.warns(UserWarning, match="instead, the model is made of .*IALS"):
        model.fit(likes)
    assert model.about_["instead"] == (
        {"DenoisingAutoEncoder, EASE, ELSA, IALS": "ItemKNN, IALS, ELSA"} if name == "best" else {"EASE": "IALS"}
    )
    assert not any(isinstance(part, (EASE, DenoisingAutoEncoder)) for part in model.models_)
    assert name == "best" or isinstance(model.models_[0], IALS)


@pytest.fixture
def train(likes, tmp_path, monkeypatch, capsys):
    """train(*arguments): exit code, report (None if it prints none) and stderr, run in the folder of likes.csv."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOENC_DEBUG", raising=False)
    users, items = likes.user_items.nonzero()
    pairs = np.stack([likes.user_ids[users], likes.item_ids[items]], axis=1)
    np.savetxt("likes.csv", pairs, "%d", ",", header="user,item", comments="")

    def run_it(*arguments):
        capsys.readouterr()
        code = main(["train", "--data", "likes.csv", "--no-progress", *arguments])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return run_it


@pytest.mark.parametrize("name", ["best", "fast"])
def test_on_the_command_line(name, train):
    code, report, err = train("--preset", name, "--seed", "3", "--out", "model.safetensors")
    assert (code, report["status"], report["preset"]) == (0, "DONE", name)
    assert f"--preset {name}: {PRESETS[name].description}" in err
    trained = err.partition("\ntrained ")[2].partition("\n")[0]
    assert trained.startswith("EASE") if name == "fast" else "times DenoisingAutoEncoder(epochs=" in trained
    assert report["p_at_01"] > report["popular_p_at_01"]
    model = load_model("model.safetensors")
    assert report.get("epochs", 0) == (model.models_[0].epochs if name == "best" else 0)
    assert isinstance(model, Blend) and model.random_state == 3
    assert model.recommend(liked=[model.catalogue_.item_ids[0]], N=2)[0].shape == (2,)


def test_the_command_line_describes_each_in_a_line(capsys):
    assert main(["train", "--preset"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{name:<6}{description}" for name, (description, _) in PRESETS.items()]


def test_the_command_line_says_what_is_taken_in_its_place(train, monkeypatch):
    small = preset("fast").set_params(ease__max_memory=1e3)
    small.fallback[0].set_params(emb_dim=16, epochs=2)
    monkeypatch.setattr(train_job, "preset", lambda name: small)
    code, _, err = train("--preset", "fast", "--seed", "5", "--backend", "numpy")
    taken = small.models_[0]
    assert (taken.random_state, taken.backend) == (5, "numpy")
    assert code == 0 and "instead, the model is made of IALS" in err


@pytest.mark.parametrize("validation", ["weak", "strong"])
def test_best_validates_as_the_command_line_asks(validation, train, monkeypatch):
    small = preset("best").set_params(denoisingautoencoder__hidden_dim=8, denoisingautoencoder__epochs=2)
    small.validation = "neither"
    monkeypatch.setattr(train_job, "preset", lambda name: small)
    code, report, _ = train("--preset", "best", "--validation", validation, "--out", "model.safetensors")
    assert (code, report["preset"]) == (0, "best")
    assert load_model("model.safetensors").validation == validation


def test_the_tasks_preset_takes_no_validation(train):
    code, report, err = train("--preset", "task", "--validation", "strong")
    assert (code, report) == (2, None)
    assert "--validation applies only to --preset best and fast, not to task; leave it out" in err


def test_fast_chooses_its_l2(likes, split):
    model = preset("fast").fit(likes.with_user_items(split[0]))
    tried = {trial["ease__l2"]: trial["ndcg@100"] for trial in model.search_}
    assert 500.0 in tried and len(tried) >= 3
    assert model.models_[0].l2 == max(tried, key=tried.get)
    few = [[0, 1], [0, 1], [1, 2]]
    np.testing.assert_array_equal(preset("fast").fit(few).score([[0]]), EASE().fit(few).score([[0]]))


def test_fast_fits_a_few_times_roughly_and_once_well(likes, monkeypatch):
    """At most 3 times the time of one fit: a fit in float32 takes half of it."""
    dtypes = []
    invert = gram.invert
    monkeypatch.setattr(gram, "invert", lambda square: dtypes.append(square.dtype) or invert(square))
    monkeypatch.setattr(candidate_search, "MANY_ITEMS", 10)
    preset("fast").fit(likes)
    assert dtypes[-1] == np.float64 and 3 <= dtypes.count(np.float32) == len(dtypes) - 1 <= 4


def test_fast_fills_one_items_x_items_matrix_for_few_users(ratings, monkeypatch):
    likes = ratings.user_items[:80, :300]
    assert isinstance(EASE().precompute(likes), gram.UserGram)
    filled = []
    monkeypatch.setattr(ease, "_weights", lambda inverse, fill=ease._weights: filled.append(1) or fill(inverse))
    model = preset("fast").fit(likes)
    assert len(model.search_) >= 3 and len(filled) == 1


def test_what_is_the_tasks_networks_is_refused(train):
    code, report, err = train("--preset", "best", "--emb-dim", "12")
    assert (code, report) == (2, None)
    assert err.endswith("--emb-dim applies only to --preset task\n")
    with pytest.raises(ValueError, match="preset is 'quick'; pass one of task, best, fast"):
        train_job.main_job(train_job.Settings(preset="quick"))


def test_the_tasks_preset_reports_as_ever(train):
    settings = ["--emb-dim", "8", "--hidden-dim", "4", "--epochs", "1"]
    reports = [train(*settings, *more)[1] for more in ((), ("--preset", "task"))]
    for report in reports:
        for changing in ("seconds", "train_seconds", "peak_memory_mb"):
            del report[changing]
    assert reports[0] == reports[1] and "preset" not in reports[0]
