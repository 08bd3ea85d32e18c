"""The commands that ask a trained model, on the bundled ratings, as a user would."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from autoenc import datasets, load_model
from autoenc.cli import main

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
        assert title in line and HEAT in line and RONIN in line
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
    assert code == 0 and "Fargo (1996) has the score" in out and out.count("\n") == 3


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
        assert err == "left out 1 likes of 1 items that the model doesn't know\n"
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
    from autoenc.ranking import evaluate

    code, out, err = ask("evaluate", model_file, "--k", "1", "10", "--json")
    found = json.loads(out)
    assert code == 0 and "not the split" not in err and list(found["models"]) == ["AutoEncoder", "Popular"]
    report = evaluate(load_model(model_file), *split, ks=[1, 10])
    assert found["models"]["AutoEncoder"] == pytest.approx(report.as_row())
    _, _, err = ask("evaluate", model_file, "--seed", "1", "--json")
    assert "this is not the split that the model was trained on" in err


def test_evaluate_strongly_and_draw(ask, model_file):
    pytest.importorskip("matplotlib")
    code, out, err = ask("evaluate", model_file, "--protocol", "strong", "--k", "5", "--plot", "plot.png")
    assert code == 0 and "training on 604 users, judged by the other 67" in err and "±" in out
    assert Path("plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["recommend", "MODEL"], "pass either --liked, once for each like, or --users with --out"),
        (["recommend", "MODEL", "--liked", HEAT, "-n", "0"], "-n must be 1 or more, got 0"),
        (["recommend", "MODEL", "--liked", "Heat (1994)"], "did you mean 'Heat (1995)'"),
        (["recommend", "missing", "--liked", HEAT], "there is no model file missing"),
        (["recommend", "MODEL", "--users", "x.csv", "--out", "recs.txt"], "ends in none of .parquet, .csv, .npz"),
        (["recommend", "MODEL", "--users", "x.csv", "--out", "recs.csv"], "There is no file or folder x.csv"),
        (["evaluate", "MODEL", "--k", "0"], "--k must be 1 or more, got 0"),
        (["evaluate", "MODEL", "--seed", "-1"], "--seed must be 0 or more, got -1"),
        (["prepare", "missing", "--out", "x.csv"], "--out is x.csv; name a file that ends in .npz, or a folder"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(ask, model_file, arguments, sentence):
    code, out, err = ask(*(model_file if argument == "MODEL" else argument for argument in arguments))
    assert (code, out) == (2, "") and sentence in err and err.count("\n") == 1
    assert list(Path().iterdir()) == []
