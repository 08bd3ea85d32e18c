"""The protocol of MovieLens 20M, on a small file with the same layout."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from benchmarks.ranking import movielens_20m as protocol

pytestmark = pytest.mark.optional

N_USERS, N_ITEMS = 90, 40


@pytest.fixture(scope="module")
def ratings():
    """user, movie, rating, timestamp: users from 1, movies in tens; the last user has no like, the last movie one."""
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((N_USERS, N_ITEMS)) < 0.5)
    stars = rng.integers(1, 11, len(users)) / 2
    stars[users == N_USERS - 1] = 3.5
    stars[items == N_ITEMS - 1] = 0.5
    users, items, stars = np.append(users, 3), np.append(items, N_ITEMS - 1), np.append(stars, 5.0)
    _, first = np.unique(users * N_ITEMS + items, return_index=True)
    return np.stack([users + 1, 10 * (items + 1), stars, np.full(len(users), 1112486027)], axis=1)[first]


@pytest.fixture(scope="module")
def archive(ratings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ml")
    lines = [f"{user:.0f},{item:.0f},{stars},{time:.0f}" for user, item, stars, time in ratings]
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n")
    with zipfile.ZipFile(folder / "ml-20m.zip", "w") as file:
        file.write(folder / "ratings.csv", "ml-20m/ratings.csv")
        file.writestr("ml-20m/movies.csv", "movieId,title,genres\n10,Heat (1995),Crime\n")
    return folder / "ml-20m.zip"


def test_likes_are_ratings_above_3_and_a_half_of_users_with_5(ratings, archive):
    likes = protocol.likes_of(archive)
    n_likes = np.bincount(ratings[ratings[:, 2] > 3.5, 0].astype(int))
    assert sorted(np.diff(likes.indptr)) == sorted(n_likes[n_likes >= 5])
    assert (protocol.likes_of(archive.with_name("ratings.csv")) != likes).nnz == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_users_are_held_out_whole_and_a_fifth_of_their_likes(archive, seed):
    likes = protocol.likes_of(archive)
    train, validation, test = protocol.split(likes, 20, seed)
    assert train.shape[0] + 40 == likes.shape[0]
    assert (np.bincount(train.indices, minlength=train.shape[1]) > 0).all()
    for shown, held_out in (validation, test):
        assert shown.shape == held_out.shape == (20, train.shape[1])
        assert shown.multiply(held_out).nnz == 0
        n_likes = np.diff(shown.indptr) + np.diff(held_out.indptr)
        np.testing.assert_array_equal(np.diff(held_out.indptr), n_likes // 5)
    assert train.nnz + sum(of.nnz for asked in (validation, test) for of in asked) <= likes.nnz
    again = protocol.split(likes, 20, seed)
    assert (again.test.held_out != test.held_out).nnz == 0
    other = protocol.split(likes, 20, seed + 1)
    assert other.train.shape != train.shape or (other.train != train).nnz > 0


def test_the_command_prints_our_figures_and_the_published_beside_them(archive, capsys):
    assert protocol.main([str(archive), "--models", "Popular", "ItemKNN", "--held-out-users", "20"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["Popular", "ItemKNN"]
    users = protocol.split(protocol.likes_of(archive), 20, 0)
    report = protocol.report_of(protocol.MODELS["Popular"][0]().fit(users.train), users.test)
    assert f"{report['ndcg@100']:.4f} ± " in lines[1] and f"{report['capped_recall@20']:.4f} ± " in lines[1]
    assert " k " in lines[2]
    assert any(line.split() == ["EASE,", "published", "0.420", "0.391", "0.521", "Steck", "2019"] for line in lines)
    assert lines[-1].startswith("means over 20 test users") and "users to train on" in err


@pytest.mark.parametrize("arguments", [["nowhere.zip"], ["LIKES", "--held-out-users", "20"], ["ARCHIVE"]])
def test_bad_input_gets_a_sentence(archive, arguments, tmp_path, capsys):
    (tmp_path / "likes.csv").write_text("user,item\n1,2\n3,4\n")
    places = {"ARCHIVE": str(archive), "LIKES": str(tmp_path / "likes.csv")}
    with pytest.raises(SystemExit) as stop:
        protocol.main([places.get(argument, argument) for argument in arguments])
    assert stop.value.code == 2
    said = {"nowhere.zip": "nowhere.zip", "LIKES": "has no column of ratings", "ARCHIVE": "cannot be held out"}
    assert said[arguments[0]] in " ".join(capsys.readouterr().err.split())
