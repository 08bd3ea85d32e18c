"""The commands that use a trained model, run as a user would, on the bundled ratings."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from autoenc import EASE, EDLAE, ELSA, AutoEncoder, Blend, ItemKNN, Popular, datasets, load_model, plots
from autoenc.cli import main
from autoenc.datasets.npz import save_likes
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.splits import holdout_by_time, holdout_last, holdout_per_user, holdout_users
from autoenc.interactions import Interactions
from tests.helpers import DATA, ROOT

HEAT, RONIN = "Heat (1995)", "Ronin (1998)"


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    arguments = ["--dataset", "ml-latest-small", "--emb-dim", "64", "--hidden-dim", "32", "--epochs", "20"]
    assert main(["train", *arguments, "--out", str(path)]) == 0
    return str(path)


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """ask(command, ...): the exit code, stdout and stderr, run in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


def test_recommend_lists_ten_titles_and_what_drove_each(ask, model_file):
    model = load_model(model_file)
    titles, scores = model.recommend(liked=[HEAT, RONIN])
    code, out, err = ask("recommend", model_file, "--liked", HEAT, "--liked", RONIN)
    assert (code, err) == (0, "")
    for line, title in zip(out.splitlines(), titles, strict=True):
        drivers, contributions = model.explain(liked=[HEAT, RONIN], item=title)
        assert title in line and [driver in line for driver in drivers] == (contributions > 0).tolist()
    code, out, _ = ask("recommend", model_file, "--liked", HEAT, "--liked", RONIN, "--json")
    rows = json.loads(out)["recommended"]
    assert [row["item"] for row in rows] == list(titles)
    np.testing.assert_allclose([row["score"] for row in rows], scores, rtol=1e-6)
    likes, contributions = model.explain(liked=[HEAT, RONIN], item=titles[0])
    assert rows[0]["because"] == [{"item": i, "contribution": float(c)} for i, c in zip(likes, contributions)]


def test_similar_and_explain(ask, model_file):
    model = load_model(model_file)
    code, out, _ = ask("similar", model_file, HEAT, "-n", "3", "--json")
    assert code == 0
    assert [row["item"] for row in json.loads(out)["similar"]] == list(model.similar_items(HEAT, 3)[0])
    code, out, _ = ask("explain", model_file, "--liked", HEAT, "--liked", RONIN, "--item", "Fargo (1996)")
    assert code == 0 and "Fargo (1996) has a score of" in out and out.count("\n") == 3


def test_titles_are_found_as_people_type_them(ask, model_file):
    _, as_they_are, err = ask("recommend", model_file, "--liked", "Matrix, The (1999)", "--liked", HEAT)
    assert err == ""
    code, out, err = ask("recommend", model_file, "--liked", "The Matrix", "--liked", "heat 1995")
    assert (code, out) == (0, as_they_are)
    assert err == "The Matrix is taken to mean Matrix, The (1999)\nheat 1995 is taken to mean Heat (1995)\n"
    _, out, _ = ask("recommend", model_file, "--liked", "the matrix", "--json", "-n", "1")
    assert json.loads(out)["liked"] == ["Matrix, The (1999)"]
    code, out, err = ask("similar", model_file, "Teh Martix")
    assert (code, out) == (2, "") and "did you mean 'Matrix, The (1999)' or" in err


def test_explain_says_where_an_item_is_liked_already(ask, model_file):
    arguments = ("explain", model_file, "--liked", HEAT, "--liked", RONIN, "--item")
    _, out, _ = ask(*arguments, HEAT)
    assert out.splitlines()[0] == "Heat (1995) is already liked, so it would not be recommended"
    _, out, _ = ask(*arguments, HEAT, "--json")
    assert json.loads(out)["is_liked"] is True
    _, out, _ = ask(*arguments, "Fargo (1996)", "--json")
    assert json.loads(out)["is_liked"] is False


@pytest.fixture
def few(tmp_path):
    """A model of five teas, in the folder where `ask` runs."""
    pairs = ["ann,assam", "ann,earl grey", "bob,assam", "bob,earl grey", "cem,sencha", "dan,sencha", "eva,sencha"]
    Path(tmp_path, "train.csv").write_text("user,item\n" + "\n".join([*pairs, "fay,mate", "gil,pu-erh"]) + "\n")
    EASE(l2=1.0).fit(datasets.load(path=tmp_path / "train.csv")).save(tmp_path / "teas")
    return "teas"


def test_what_no_like_speaks_for_is_said_to_be_liked_by_many(ask, few):
    _, out, _ = ask("recommend", few, "--liked", "assam")
    assert [line.split("  ")[1:] for line in out.splitlines()] != []
    assert [line.endswith("popular") for line in out.splitlines()] == [False, True, True, True]
    assert [line.split()[1] for line in out.splitlines()] == ["earl", "sencha", "mate", "pu-erh"]
    _, out, _ = ask("similar", few, "mate", "-n", "3", "--json")
    rows = json.loads(out)["similar"]
    assert [row["item"] for row in rows] == ["sencha", "assam", "earl grey"] and all(r["by_popularity"] for r in rows)


def test_users_of_whom_nothing_is_known_are_counted(ask, few):
    Path("users.csv").write_text("user,item\nx,assam\ny,cocoa\nz,mate\n")
    code, out, err = ask("recommend", few, "--users", "users.csv", "--out", "recs.csv", "-n", "2")
    assert (code, out) == (0, "wrote the 2 best of 3 users to recs.csv\n")
    told = err.splitlines()
    assert told[-2] == "left out 1 likes of 1 items that the model doesn't know"
    assert told[-1] == "2 of 3 users got the most popular items, as their likes lead to no others"
    with open("recs.csv", encoding="utf-8", newline="") as file:
        rows = [(row["user"], row["item"]) for row in csv.DictReader(file)]
    assert rows[2:] == [("y", "sencha"), ("y", "assam"), ("z", "sencha"), ("z", "assam")]


def test_a_model_of_an_older_file_says_that_it_has_no_counts(ask):
    Path("users.csv").write_text("user,item\nx,10\ny,99\n")
    old = DATA / "models" / "version_1.safetensors"
    code, _, err = ask("recommend", old, "--users", "users.csv", "--out", "recs.csv", "-n", "2")
    assert code == 0 and err.splitlines()[-1].startswith(
        "autoenc recommend: the model was read from a file of format version 1"
    )


def test_what_may_be_recommended_comes_from_files(ask, few):
    Path("stock.txt").write_text("Earl Grey\n\ncocoa\nmate\n")
    _, out, err = ask("recommend", few, "--liked", "assam", "--items", "stock.txt")
    assert [line.split()[1] for line in out.splitlines()] == ["earl", "mate"]
    assert err == "left out 1 lines of stock.txt that name no item of the model, or more than one\n"
    _, out, _ = ask("recommend", few, "--liked", "assam", "--filter-items", "stock.txt")
    assert [line.split()[1] for line in out.splitlines()] == ["sencha", "pu-erh"]
    Path("users.csv").write_text("user,item\nx,assam\ny,mate\n")
    Path("per_user.csv").write_text("user,item\nx,sencha\nx,pu-erh\ny,pu-erh\n")
    found = {}
    for flag, path in (("--items-per-user", "per_user.csv"), ("--filter-items-per-user", "per_user.csv")):
        assert ask("recommend", few, "--users", "users.csv", "--out", "recs.csv", flag, path)[0] == 0
        with open("recs.csv", encoding="utf-8", newline="") as file:
            found[flag] = [(row["user"], row["item"]) for row in csv.DictReader(file)]
    assert found["--items-per-user"] == [("x", "sencha"), ("x", "pu-erh"), ("y", "pu-erh")]
    assert found["--filter-items-per-user"] == [
        *(("x", "earl grey"), ("x", "mate"), ("y", "sencha"), ("y", "assam"), ("y", "earl grey"))
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--liked", "assam", "--items", "a", "--filter-items", "b"], "--items and --filter-items can't be combined"),
        (["--liked", "assam", "--items", "nowhere"], "there is no file nowhere"),
        (["--liked", "assam", "--items", "empty"], "empty names no item of the model; write one id or title per line"),
        (["--liked", "assam", "--items-per-user", "a"], "--items-per-user needs --users; with --liked, pass"),
        (
            ["--users", "a", "--out", "b.csv", "--items", "a", "--engine", "dask"],
            "--items cannot be combined with --engine dask",
        ),
    ],
)
def test_files_of_items_that_are_refused(ask, few, arguments, sentence):
    Path("empty").write_text("\n")
    code, out, err = ask("recommend", few, *arguments)
    assert (code, out) == (2, "") and sentence in err and err.count("\n") <= 2


def test_recommend_for_everybody_says_how_many_there_are(ask, model_file):
    Path("likes.csv").write_text("user,item\n7,1\n")
    n_items = load_model(model_file).n_items
    code, out, _ = ask("recommend", model_file, "--users", "likes.csv", "--out", "recs.csv", "-n", str(10 * n_items))
    assert (code, out) == (0, f"wrote the {n_items} best of 1 users to recs.csv\n")


def test_recommend_for_everybody_in_each_format(ask, model_file, ratings):
    Path("likes.csv").write_text("user,item\n" + "7,1\n7,2\n9,50\n9,999999999\n")
    likes = ratings.index_of_items([1, 2])
    model = load_model(model_file)
    [items], [scores] = model.recommend([likes], N=5)
    for ending in ("csv", "npz", "parquet"):
        if ending == "parquet":
            parquet = pytest.importorskip("pyarrow.parquet")
        code, out, err = ask("recommend", model_file, "--users", "likes.csv", "--out", f"recs.{ending}", "-n", "5")
        assert (code, out) == (0, f"wrote the 5 best of 2 users to recs.{ending}\n")
        assert (
            err == "read as CSV with a header: user = user, item = item; 4 rows\n"
            "left out 1 likes of 1 items that the model doesn't know\n"
        )
        if ending == "csv":
            with open("recs.csv", encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            assert [row["user"] for row in rows] == ["7"] * 5 + ["9"] * 5
            found, theirs = [int(row["item"]) for row in rows[:5]], [float(row["score"]) for row in rows[:5]]
        elif ending == "npz":
            with np.load("recs.npz") as arrays:
                assert arrays["user_ids"].tolist() == [7, 9] and arrays["item_ids"].shape == (2, 5)
                found, theirs = arrays["item_ids"][0].tolist(), arrays["scores"][0]
        else:
            columns = parquet.read_table("recs.parquet").to_pydict()
            found, theirs = columns["item"][:5], columns["score"][:5]
        assert found == ratings.item_ids[items].tolist()
        np.testing.assert_allclose(theirs, scores, rtol=1e-5)


def test_prepare_makes_what_loads_as_the_original(ask):
    Path("movies").mkdir()
    Path("movies/ratings.csv").write_text("userId,movieId\n5,20\n5,30\n8,30\n")
    Path("movies/movies.csv").write_text("movieId,title\n20,Heat (1995)\n30,Ronin (1998)\n")
    code, out, _ = ask("prepare", "movies", "--out", "new/likes.npz")
    assert (code, out) == (0, "wrote 3 likes of 2 users x 2 items to new/likes.npz\n")
    before, after = datasets.load(path="movies"), datasets.load(path="new/likes.npz")
    for name in ("user_ids", "item_ids", "titles"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    assert (after.user_items != before.user_items).nnz == 0
    assert sparse.load_npz("new/likes.npz").shape == (2, 2)


def test_evaluate_weakly_gives_the_figures_of_the_training(ask, model_file, split):
    code, out, err = ask("evaluate", model_file, "--k", "1", "10", "--json")
    found = json.loads(out)
    assert code == 0 and "another split" not in err and list(found["models"]) == ["AutoEncoder", "Popular"]
    report = evaluate(load_model(model_file), *split, ks=[1, 10])
    assert found["models"]["AutoEncoder"] == pytest.approx(report.as_row())
    _, _, err = ask("evaluate", model_file, "--seed", "1", "--json")
    assert "AutoEncoder was trained on another split" in err


@pytest.fixture(scope="module")
def popular_file(tmp_path_factory, ratings, split):
    path = tmp_path_factory.mktemp("popular") / "popular.safetensors"
    Popular().fit(ratings.with_user_items(split[0])).save(path)
    return str(path)


def test_evaluate_prints_a_table_for_each_model_and_the_differences(ask, model_file):
    code, out, err = ask("evaluate", model_file, "--k", "5")
    first, second, together = out.split("\n\n")
    assert code == 0 and "training on" in err
    assert first.startswith("AutoEncoder\n") and second.startswith("Popular\n")
    assert "precision" in first and "671 users" in first and "±" in first
    assert "precision@5" in together and "ndcg@5" in together


def test_evaluate_a_split_that_somebody_else_made(ask, few):
    Path("test.csv").write_text("user,item\nfay,sencha\nann,sencha\nnew,sencha\nbob,cocoa\n")
    code, out, err = ask("evaluate", few, "--data", "train.csv", "--held-out", "test.csv", "--k", "1", "--json")
    assert code == 0
    assert "left out 2 of 4 held-out likes: those of 1 users that are not in train, those of 1 items that" in err
    assert "showing 9 likes of 7 users, evaluating on 2" in err
    figures = json.loads(out)["models"]["EASE"]
    assert (figures["n_users"], figures["precision@1"]) == (2, 1)  # by popularity, as no like of theirs speaks
    Path("other.csv").write_text("user,item\n7,8\n")
    code, out, err = ask("evaluate", few, "--data", "train.csv", "--held-out", "other.csv")
    assert (code, out) == (2, "") and "held_out and train can't be aligned" in err


def test_evaluate_by_quartiles(ask, popular_file):
    arguments = ("evaluate", popular_file, "--k", "5", "--beside", "--by")
    code, out, _ = ask(*arguments, "activity")
    rows = out[out.index("ndcg@5   ") :].splitlines()
    assert code == 0 and len(rows) == 5 and all(row.startswith("users with ") for row in rows[1:])
    _, out, _ = ask(*arguments, "popularity", "--json")
    parts = json.loads(out)["popularity"]
    assert len(parts) == 4 and all(part.startswith("items with ") for part in parts)
    assert [part["Popular"]["n_users"] > 0 for part in parts.values()] == [True] * 4


def test_evaluate_from_several_seeds(ask, popular_file, ratings):
    code, out, err = ask("evaluate", popular_file, "--k", "5", "--beside", "--seeds", "2", "--seed", "3", "--json")
    assert code == 0 and "was trained on another split" not in err
    found = json.loads(out)
    expected = []
    for seed in (3, 4):
        train, held_out = holdout_per_user(ratings.user_items, seed=seed)
        expected.append(evaluate(Popular().fit(train), train, held_out, ks=[5])["ndcg@5"])
    assert [row["ndcg@5"] for row in found["of_seeds"]["Popular"]] == pytest.approx(expected)
    assert found["models"]["Popular"]["ndcg@5"] == pytest.approx(np.mean(expected))
    _, out, _ = ask("evaluate", popular_file, "--k", "5", "--beside", "--seeds", "2")
    assert out.startswith("Popular, means and standard errors over 2 seeds\n")


def test_diversity_is_by_the_model_that_is_named(ask, model_file, popular_file):
    code, out, _ = ask("evaluate", popular_file, "--k", "5", "--beside", "--diversity", model_file)
    assert code == 0 and out.splitlines()[-1] == f"diversity is measured by the item vectors of {model_file}"
    assert any(line.startswith("diversity ") for line in out.splitlines())
    code, _, err = ask("evaluate", popular_file, "--diversity", popular_file)
    assert code == 2 and "Popular has no item vectors; use ELSA or a network" in err


def test_a_model_that_is_behind_popularity_says_so(ask):
    tiny = ["--emb-dim", "8", "--hidden-dim", "4", "--epochs", "1", "--backend", "numpy"]
    _, _, err = ask("train", *tiny, "--out", "behind")
    told = r"this model is behind popularity on its own held-out likes \(ndcg@10 0\.0\d+, popularity 0.18\d\d\)"
    assert re.search(told, err)
    assert load_model("behind").about_["beside_popularity"]["popularity"] == pytest.approx(0.1828, abs=1e-4)
    _, _, err = ask("evaluate", "behind", "--k", "10")
    assert "AutoEncoder is behind popularity: ndcg@10 0.0" in err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--held-out", "a"], "--held-out needs --data, without --dataset, --cache-path or --protocol"),
        (["--held-out", "a", "--data", "b", "--protocol", "time"], "--held-out needs --data"),
        (["--held-out", "a", "--data", "b", "--seeds", "2"], "--held-out is a single split, but --seeds makes several"),
        (["--seeds", "1"], "--seeds must be 2 or more, got 1"),
        (["--seeds", "2", "--by", "activity"], "--by and --plot need a single seed; leave --seeds out"),
        (
            ["--engine", "dask", "--data", "a", "--by", "activity"],
            "--by cannot be combined with --engine dask; leave it out",
        ),
    ],
)
def test_evaluate_refuses_flags_that_do_not_go_together(ask, popular_file, flags, sentence):
    code, out, err = ask("evaluate", popular_file, *flags)
    assert (code, out) == (2, "") and sentence in err


def test_update_learns_new_items_in_place(ask, few):
    model = ELSA(emb_dim=4, epochs=30, batch_size=4).fit(datasets.load(path="train.csv"))
    model.save("elsa")
    pairs = [f"{user},{item}" for user in ("u", "v", "w") for item in ("assam", "oolong", "earl grey")]
    Path("new.csv").write_text("\n".join(["user,item", *pairs]) + "\n")
    code, out, err = ask("update", "elsa", "--data", "new.csv", "--epochs", "20")
    assert (code, out) == (0, "trained on 9 likes, with 1 new items; wrote the model to elsa\n")
    assert "training on 9 likes of 3 users, epochs: 20" in err
    updated = load_model("elsa")
    assert set(updated.recommend(liked=["oolong"], N=2).items) == {"assam", "earl grey"}
    assert updated.item_counts_.sum() == model.item_counts_.sum() + 9
    code, out, _ = ask("update", "elsa", "--data", "new.csv", "--out", "other", "--json")
    assert json.loads(out) == {"out": "other", "users": 3, "likes": 9, "new_items": 0, "items": 6}


def test_update_refuses_what_cannot_learn_more(ask, few):
    before = Path(few).read_bytes()
    code, out, err = ask("update", few, "--data", "train.csv")
    assert (code, out) == (2, "") and f"{few} cannot be updated: EASE is fitted on all likes at once; train it" in err
    assert Path(few).read_bytes() == before
    Blend([EASE()]).fit(datasets.load(path="train.csv")).save("blend")
    code, _, err = ask("update", "blend", "--data", "train.csv")
    assert code == 2 and "a blend, such as --preset best and fast train, is fitted on all likes at once" in err
    Popular().fit([[0, 1]]).save("matrix")
    code, _, err = ask("update", "matrix", "--data", "train.csv")
    assert code == 2 and "matrix has no item ids to match new likes with; train it on a file that has ids" in err


def test_evaluate_several_models_beside_baselines(ask):
    rng = np.random.default_rng(0)
    likes = Interactions.from_pairs(np.repeat(np.arange(60), 15), 5 * rng.integers(40, size=900))
    save_likes(likes, "likes.npz")
    shown, held_out = holdout_per_user(likes.user_items, seed=0)
    models = {"popular": Popular(), "ease": EASE(l2=30.0)}
    for path, model in models.items():
        model.fit(likes.with_user_items(shown)).save(path)
    arguments = ["--data", "likes.npz", "--beside", "knn", "edlae", "--k", "3", "--json"]
    code, out, _ = ask("evaluate", "ease", "popular", *arguments)
    found = json.loads(out)["models"]
    assert code == 0 and list(found) == ["ease", "popular", "ItemKNN", "EDLAE"]
    models |= {"ItemKNN": ItemKNN().fit(shown), "EDLAE": EDLAE().fit(shown)}
    for name, model in models.items():
        assert found[name] == pytest.approx(evaluate(model, shown, held_out, ks=[3]).as_row())


@pytest.mark.parametrize(
    ("beside", "names"),
    [([], ["Popular"]), (["popular"], ["Popular", "Popular (defaults)"])],
)
def test_baselines_are_those_asked_for(ask, popular_file, beside, names):
    code, out, _ = ask("evaluate", popular_file, "--dataset", "ml-latest-small", "--json", "--beside", *beside)
    assert code == 0 and list(json.loads(out)["models"]) == names


@pytest.mark.parametrize("protocol", ["weak", "strong"])
def test_evaluate_draws(ask, popular_file, protocol, monkeypatch):
    pytest.importorskip("matplotlib")
    drawn = []
    monkeypatch.setattr(
        plots, "draw_evaluation", lambda *what, draw=plots.draw_evaluation: drawn.append(what) or draw(*what)
    )
    arguments = ["--protocol", protocol, "--dataset", "ml-latest-small", "--k", "2", "5", "--plot", "plot.png"]
    code, _, err = ask("evaluate", popular_file, *arguments)
    assert code == 0 and err.endswith("wrote the plot to plot.png\n")
    assert Path("plot.png").read_bytes().startswith(b"\x89PNG")
    [(reports, hits, k)] = drawn
    assert list(reports) == list(hits) == ["Popular", "Popular (defaults)"] and k == 5
    # popularity finds the head alone
    assert hits["Popular"][0] > 0 and hits["Popular"][-1] == 0


def test_evaluate_strongly_retrains_without_the_evaluation_users(ask, model_file, ratings):
    code, out, err = ask("evaluate", model_file, "--protocol", "strong", "--k", "5", "--json", "--seed", "3")
    assert code == 0 and "training on 604 users, evaluating on the other 67" in err and "\r" not in err
    held = holdout_users(ratings.user_items, seed=3)
    trained = load_model(model_file)
    trained = AutoEncoder(**trained.get_params()).fit(held.train)
    found = json.loads(out)["models"]
    assert found["AutoEncoder"] == pytest.approx(evaluate(trained, held.fold_in, held.held_out, ks=[5]).as_row())
    popular = evaluate(Popular().fit(held.train), held.fold_in, held.held_out, ks=[5])
    assert found["Popular"] == pytest.approx(popular.as_row())


@pytest.mark.parametrize("protocol", ["strong", "time"])
def test_a_blend_is_retrained_with_what_it_chose(protocol, ask, tmp_path):
    likes = [[0, 1, 2], [1, 2, 3], [0, 1, 3], [4, 5, 6, 7], [4, 5, 7], [5, 6, 7]] * 6
    with open("likes.csv", "w") as file:
        file.write("user,item,timestamp\n")
        file.writelines(f"{u},{i},{100 * (i % 3) + u % 7}\n" for u, items in enumerate(likes) for i in items)
    blend = Blend([Popular(), EASE()], candidates={"ease__l2": [1.0, 10.0]}, validation_users=9)
    blend.fit(datasets.load(path="likes.csv")).save("blend.safetensors")
    code, out, err = ask("evaluate", "blend.safetensors", "--data", "likes.csv", "--protocol", protocol, "--json")
    assert code == 0, err
    assert 0 < json.loads(out)["models"]["Blend"]["precision@1"] <= 1


def test_evaluate_by_time_retrains_on_what_came_before(ask, popular_file):
    code, out, err = ask(
        "evaluate", popular_file, "--dataset", "ml-latest-small", "--protocol", "time", "--k", "5", "--json"
    )
    split = holdout_by_time(datasets.load(times=True))
    assert (
        code == 0 and "training on 80,003 likes before 2012-06-09T07:32:05, evaluating on 3,454; left out 16,547" in err
    )
    popular = evaluate(Popular().fit(split.train), split.train, split.held_out, ks=[5])
    assert json.loads(out)["models"]["Popular"] == pytest.approx(popular.as_row())
    code, _, err = ask("evaluate", popular_file, "--dataset", "synthetic", "--protocol", "time")
    assert code == 2 and "the synthetic likes have no times" in err
    code, _, err = ask("evaluate", popular_file, "--dataset", "ml-1m", "--data", "x.csv", "--protocol", "time")
    assert (code, err) == (2, "autoenc evaluate: --dataset and --data both name the likes; pass one of them\n")


def test_evaluate_asks_for_the_latest_like(ask, popular_file):
    code, out, err = ask(
        "evaluate", popular_file, "--dataset", "ml-latest-small", "--protocol", "last", "--k", "5", "--json"
    )
    split = holdout_last(datasets.load(times=True))
    assert code == 0 and "training on 99,333 likes, evaluating on the latest one of 671 users" in err
    popular = evaluate(Popular().fit(split.train), split.train, split.held_out, ks=[5])
    assert json.loads(out)["models"]["Popular"] == pytest.approx(popular.as_row())


@pytest.mark.parametrize("is_new", [True, False])
def test_evaluate_by_time_tells_of_new_users_where_there_are_some(is_new, ask, tmp_path):
    likes = [(user, item, 1_700_000_000 + 100 * (user + 10 * item)) for item in range(9) for user in range(9)]
    likes += [(99, item, 1_800_000_000) for item in range(9)] if is_new else []
    (tmp_path / "a.csv").write_text("user,item,timestamp\n" + "".join(f"{u},{i},{t}\n" for u, i, t in likes))
    Popular().fit(datasets.load(path=tmp_path / "a.csv")).save(tmp_path / "popular.safetensors")
    arguments = [str(tmp_path / "popular.safetensors"), "--data", str(tmp_path / "a.csv"), "--protocol", "time"]
    code, _, err = ask("evaluate", *arguments, "--k", "2")
    assert code == 0 and "evaluating on" in err and ("users new since" in err) == is_new


@pytest.fixture
def timed_csv():
    rng = np.random.default_rng(0)
    with open("timed.csv", "w") as file:
        file.write("user,item,timestamp\n")
        for user in range(60):
            liked = rng.choice(30, 12, replace=False)
            file.writelines(f"{user},{item},{86_400 * day}\n" for item, day in zip(liked, rng.integers(0, 900, 12)))
    return "timed.csv"


@pytest.mark.parametrize("protocol", ["weak", "strong", "time", "last"])
def test_a_model_with_a_half_life_is_evaluated_by_the_times(ask, timed_csv, protocol):
    options = ["--data", timed_csv, "--half-life", "8w", "--since", "1970-06-01", "--until", "30d"]
    code, out, err = ask("train", "--preset", "fast", *options, "--out", "fast.safetensors")
    assert code == 0, err
    report = json.loads(out)
    assert (report["half_life_days"], report["since"], report["until"]) == (56, "1970-06-01", "30d")
    model = load_model("fast.safetensors")
    assert model.get_params()["ease__half_life"] == 56
    likes = datasets.load(path=timed_csv, times=True)
    likes = likes.between(86_400 * 151, int(likes.times.max()) - 30 * 86_400)
    assert report["likes"] == likes.n_likes < 700

    code, out, err = ask(
        "evaluate", "fast.safetensors", "--data", timed_csv, "--protocol", protocol, "--k", "5", "--json"
    )
    assert code == 0 and "another split" not in err
    if protocol == "weak":
        halves = holdout_per_user(likes)
        expected = evaluate(model, *halves, ks=[5])
        assert expected["ndcg@5"] != evaluate(model, halves[0].copy(), halves[1], ks=[5])["ndcg@5"]
        assert json.loads(out)["models"]["Blend"] == pytest.approx(expected.as_row())


def test_a_preset_chooses_its_half_life_by_time(ask, timed_csv):
    options = ["--data", timed_csv, "--preset", "fast", "--validation", "time", "--out", "fast.safetensors"]
    code, _, err = ask("train", *options)
    assert code == 0, err
    assert load_model("fast.safetensors").get_params()["validation"] == "time"
    code, _, err = ask("evaluate", "fast.safetensors", "--data", timed_csv, "--protocol", "strong", "--json")
    assert code == 0, err
    with open("bare.csv", "w") as file:
        file.write("user,item\n1,2\n1,3\n2,3\n")
    code, _, err = ask("train", "--data", "bare.csv", "--preset", "fast", "--validation", "time")
    assert code == 2 and "time" in err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--half-life", "90"], "--half-life is '90'; give a duration above 0 in hours, days, weeks or years, such as"),
        (["--since", "soon"], "--since is 'soon'; give a date such as 2015-01-31 or 2015-01-31T12:00, or a duration"),
        (["--until", "1960-01-01"], "no like is in this range of time; those of timed are from 1970-01-0"),
        (["--half-life", "9d", "--cache-path", "c"], "the task's cache has no times; pass the ratings with --data"),
    ],
)
def test_train_refuses_times_that_are_none(ask, timed_csv, options, sentence):
    likes = [] if "--cache-path" in options else ["--data", timed_csv]
    code, out, err = ask("train", "--preset", "fast", *likes, *options)
    assert (code, out) == (2, "") and sentence in err


def test_the_tasks_network_is_trained_with_a_half_life(ask, timed_csv):
    options = ["--emb-dim", "8", "--hidden-dim", "4", "--batch-size", "16", "--epochs", "2"]
    code, _, err = ask("train", "--data", timed_csv, "--half-life", "1y", *options, "--out", "task.safetensors")
    assert code == 0, err
    assert load_model("task.safetensors").half_life == 365.25


def test_everybodys_likes_are_read_with_times_where_the_model_has_a_use_for_them(ask, timed_csv):
    likes = datasets.load(path=timed_csv, times=True)
    model = EASE(l2=5.0, half_life=30.0).fit(likes)
    model.save("ease.safetensors")
    code, _, err = ask("recommend", "ease.safetensors", "--users", timed_csv, "--out", "recs.npz", "-n", "3")
    assert code == 0 and "no times" not in err
    with np.load("recs.npz") as found:
        np.testing.assert_array_equal(found["scores"], model.recommend(likes, N=3)[1])
    likes = Interactions.from_pairs(
        *(ids[at] for ids, at in zip((likes.user_ids, likes.item_ids), likes.user_items.nonzero()))
    )
    save_likes(likes, "bare.npz")
    code, _, err = ask("recommend", "ease.safetensors", "--users", "bare.npz", "--out", "recs.npz", "-n", "3")
    assert code == 0 and "bare.npz has no times, so all likes of a user count equally" in err


def test_evaluate_refuses_models_of_different_items(ask, popular_file):
    Popular().fit([[0, 1], [1]]).save("other.safetensors")
    code, out, err = ask("evaluate", popular_file, "other.safetensors")
    assert (code, out) == (2, "")
    assert (
        err == f"autoenc evaluate: other.safetensors and {popular_file} have different items; evaluate each by itself\n"
    )


def test_evaluate_refuses_likes_that_it_cannot_find_or_hold_out(ask, popular_file):
    likes = Interactions.from_pairs([1, 1, 2], [5, 6, 5], name="mine")
    Popular().fit(likes).save("mine.safetensors")
    code, _, err = ask("evaluate", "mine.safetensors")
    assert (
        code == 2
        and "the model was trained on mine, which is not the name of a data set; pass --data, --dataset" in err
    )
    for half in ("train", "valid"):
        np.save(f"cache_{half}.npy", np.array([[5], [6, 5]], dtype=object), allow_pickle=True)
    code, _, err = ask("evaluate", "mine.safetensors", "--cache-path", "cache", "--protocol", "strong")
    assert code == 2 and "the task's cache is a weak split; pass --protocol weak, or the ratings with --data" in err


START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from autoenc.cli import main
sys.exit(main())
"""


def start(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", START, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, **options)


@pytest.fixture
def crowd(tmp_path):
    """A model and likes of so many users that a .csv of their recommendations takes seconds."""
    items = np.arange(200)
    users = sparse.csr_array(
        (np.ones(100_000, np.float32), np.arange(100_000) % 200, np.arange(100_001)), (100_000, 200)
    )
    likes = Interactions.from_csr(users, item_ids=items)
    Popular().fit(likes).save(tmp_path / "model")
    save_likes(likes, tmp_path / "users.npz")
    return tmp_path


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send to one process")
@pytest.mark.parametrize("ending", ["csv", "npz"])
def test_interrupted_recommend_leaves_nothing(crowd, ending):
    before = sorted(entry.name for entry in crowd.iterdir())
    arguments = ["recommend", "model", "--users", "users.npz", "--out", f"recs.{ending}", "-n", "100"]
    process = start(*arguments, cwd=crowd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not list(crowd.glob(".autoenc-*.part")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "autoenc recommend: interrupted\n")
    assert sorted(entry.name for entry in crowd.iterdir()) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pty")
def test_a_bar_moves_where_stderr_is_a_terminal(crowd):
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    arguments = ["recommend", "model", "--users", "users.npz", "--out", "recs.npz", "-n", "1"]
    process = start(*arguments, cwd=crowd, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # Linux' way of saying that the other end is closed
        while piece := os.read(ours, 65536):
            seen += piece
    os.close(ours)
    out, _ = process.communicate()
    assert (process.returncode, out) == (0, "wrote the 1 best of 100,000 users to recs.npz\n")
    assert b"\rrecommending: 100%" in seen and b"100k/100k" in seen


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["recommend", "MODEL"], "pass either --liked, once for each like, or --users with --out"),
        (["recommend", "MODEL", "--liked", HEAT, "-n", "0"], "-n must be 1 or more, got 0"),
        (["recommend", "MODEL", "--liked", "Heat (1994)"], "did you mean 'Heat (1995)'"),
        (["recommend", "missing", "--liked", HEAT], "there is no model file missing"),
        (["recommend", "MODEL", "--users", "x.csv", "--out", "recs.txt"], "must end in one of .parquet, .csv, .npz"),
        (["recommend", "MODEL", "--users", "x.csv", "--out", "recs.csv"], "There is no file or folder x.csv"),
        (["recommend", "MODEL", "--users", "x.csv"], "pass either --liked, once for each like, or --users with --out"),
        (["similar", "MODEL", "Heat (1994)"], "did you mean 'Heat (1995)'"),
        (["similar", "MODEL", HEAT, "-n", "0"], "-n must be 1 or more, got 0"),
        (["explain", "MODEL", "--liked", HEAT, "--item", "Ronin (1999)"], "did you mean 'Ronin (1998)'"),
        (["explain", "missing", "--liked", HEAT, "--item", RONIN], "there is no model file missing"),
        (["prepare", "missing", "--out", "x.npz"], "There is no file or folder missing"),
        (["evaluate", "MODEL", "--data", "missing"], "There is no file or folder missing"),
        (["evaluate", "MODEL", "--k", "0"], "--k must be 1 or more, got 0"),
        (["evaluate", "MODEL", "--seed", "-1"], "--seed must be 0 or more, got -1"),
        (["prepare", "missing", "--out", "x.csv"], "--out is x.csv; pass the name of an .npz file or of a folder"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(ask, model_file, arguments, sentence):
    code, out, err = ask(*(model_file if argument == "MODEL" else argument for argument in arguments))
    assert (code, out) == (2, "") and sentence in err and err.count("\n") == 1
    assert list(Path().iterdir()) == []
