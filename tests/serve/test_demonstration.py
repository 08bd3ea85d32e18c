"""The models served by default: convincing lists, and a network that is trained once."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("starlette", reason="starlette is not installed, which serving needs: make test-all")
pytest.importorskip("uvicorn", reason="uvicorn is not installed, which serving needs: make test-all")

from autoenc.interactions import as_user_items
from autoenc.models import load_model
from autoenc.serve import demonstration
from autoenc.serve.answers import Answers

pytestmark = pytest.mark.optional


@pytest.fixture(scope="module")
def answers():
    return Answers(demonstration.ranking())


@pytest.mark.parametrize(
    ("liked", "recommended"),
    [
        ("Godfather, The (1972)", ["Godfather: Part II, The (1974)", "Goodfellas (1990)"]),
        (
            "Spirited Away (Sen to Chihiro no kamikakushi) (2001)",
            [
                "Howl's Moving Castle (Hauru no ugoku shiro) (2004)",
                "Laputa: Castle in the Sky (Tenkû no shiro Rapyuta) (1986)",
                "My Neighbor Totoro (Tonari no Totoro) (1988)",
                "Princess Mononoke (Mononoke-hime) (1997)",
            ],
        ),
        ("Toy Story (1995)", ["Toy Story 2 (1999)"]),
        ("Toy Story 2 (1999)", ["Toy Story (1995)", "Bug's Life, A (1998)", "Monsters, Inc. (2001)"]),
        ("Alien (1979)", ["Aliens (1986)", "Terminator, The (1984)", "Blade Runner (1982)"]),
        ("Die Hard (1988)", ["Terminator, The (1984)", "Aliens (1986)", "Die Hard 2 (1990)"]),
        ("Vertigo (1958)", ["Rear Window (1954)", "North by Northwest (1959)", "Psycho (1960)"]),
        ("Annie Hall (1977)", ["Manhattan (1979)"]),
        ("Seven Samurai (Shichinin no samurai) (1954)", ["Ran (1985)", "Lawrence of Arabia (1962)"]),
        ("Pretty Woman (1990)", ["Sleepless in Seattle (1993)", "Ghost (1990)"]),
        ("Dark Knight, The (2008)", ["Batman Begins (2005)", "Inception (2010)", "Iron Man (2008)"]),
        ("Before Sunrise (1995)", ["Before Sunset (2004)"]),
        ("Shrek (2001)", ["Shrek 2 (2004)", "Finding Nemo (2003)", "Monsters, Inc. (2001)"]),
        ("Monty Python and the Holy Grail (1975)", ["Monty Python's Life of Brian (1979)"]),
    ],
)
def test_a_like_brings_what_somebody_who_loves_films_expects(answers, liked, recommended):
    titles = [item["title"] for item in answers.recommend([liked], 10, explain=False)["recommended"]]
    assert set(recommended) <= set(titles)


def test_what_it_begins_with_is_films_with_films_alike(answers):
    tiles = {tile["title"]: {item["title"] for item in tile["brings"]} for tile in answers.starters(9)["starters"]}
    assert len(tiles) == 9
    known = {
        "Star Wars: Episode IV - A New Hope (1977)": "Star Wars: Episode V - The Empire Strikes Back (1980)",
        "Dark Knight, The (2008)": "Batman Begins (2005)",
        "Rear Window (1954)": "Vertigo (1958)",
    }
    assert all(brought in tiles[title] for title, brought in known.items())


def test_two_likes_each_bring_something(answers):
    liked = ["Godfather, The (1972)", "Spirited Away (Sen to Chihiro no kamikakushi) (2001)"]
    titles = [item["title"] for item in answers.recommend(liked, 10, explain=False)["recommended"]]
    assert {"Godfather: Part II, The (1974)", "My Neighbor Totoro (Tonari no Totoro) (1988)"} <= set(titles)


def test_contributions_add_up_to_the_scores(answers):
    answer = answers.recommend(["Alien (1979)", "Heat (1995)", "Fargo (1996)"], 10, explain=True)
    for item in answer["recommended"]:
        assert sum(item["contributions"]) == pytest.approx(item["score"], abs=1e-4)


@pytest.fixture
def small_network(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOENC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(demonstration, "NETWORK", {"emb_dim": 8, "hidden_dim": 4, "epochs": 1, "backend": "numpy"})
    return tmp_path / "cache"


def test_the_network_is_trained_once_and_read_the_next_time(small_network, ratings):
    said, done = [], []
    first = demonstration.network(done.append, said.append)
    assert first.n_items == ratings.n_items and first.emb_dim == 8
    assert done == sorted(done) and done[-1] == 1
    (file,) = small_network.iterdir()
    assert said == [f"training a network on the bundled ratings, for its view, once; it is saved in {file}"]
    again = demonstration.network(done.append, said.append)
    assert len(said) == 1
    row = as_user_items([[1, 2]], ratings.n_items)
    np.testing.assert_array_equal(again.score(row), first.score(row))

    file.write_bytes(b"damaged")
    demonstration.network(done.append, said.append)
    assert said[1].endswith("was not written by this version of autoenc, so the network is trained again")
    assert load_model(file).n_items == ratings.n_items


def test_without_a_home_folder_it_is_trained_and_not_kept(monkeypatch):
    def nowhere():
        raise OSError("this user has no home folder to keep data in; set AUTOENC_CACHE_DIR to a folder")

    monkeypatch.setattr(demonstration, "cache_folder", nowhere)
    monkeypatch.setattr(demonstration, "trained_network", lambda report: "the model")
    said = []
    assert demonstration.network(None, said.append) == "the model"
    [line] = said
    assert "it can't be saved: this user has no home folder" in line


def test_what_cannot_be_written_is_said(small_network):
    small_network.touch()  # a file in the folder's place
    said = []
    assert demonstration.network(lambda done: None, said.append).emb_dim == 8
    assert said[1].startswith("the network can't be saved for the next time: ")


def test_the_kept_network_is_named_by_what_makes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOENC_CACHE_DIR", str(tmp_path))
    ratings = tmp_path / "ml-latest-small.zip"
    ratings.write_bytes(demonstration.BUNDLED.read_bytes())
    names = [demonstration.network_file()]
    assert names[0].parent == tmp_path
    monkeypatch.setattr(demonstration, "BUNDLED", ratings)
    assert demonstration.network_file() == names[0], "the same bytes elsewhere"
    with ratings.open("ab") as file:
        file.write(b"more")
    names.append(demonstration.network_file())
    for name, value in (("NETWORK", {"epochs": 1}), ("PIECE", 13), ("__version__", "0.0.0")):
        monkeypatch.setattr(demonstration, name, value)
        names.append(demonstration.network_file())
    assert len(set(names)) == len(names)


def test_the_network_is_trained_on_pieces_of_everybodys_likes(ratings):
    pieces = demonstration.in_pieces(ratings)
    sizes = np.diff(pieces.user_items.indptr)
    n_whole = ratings.n_users
    np.testing.assert_array_equal(sizes[:n_whole], np.diff(ratings.user_items.indptr))
    assert sizes[n_whole:].min() >= 12 and sizes[n_whole:].max() < 24
    np.testing.assert_array_equal(
        pieces.user_items[n_whole:].sum(axis=0), ratings.user_items.sum(axis=0), "each like is in one piece"
    )
    np.testing.assert_array_equal(pieces.titles, ratings.titles)
