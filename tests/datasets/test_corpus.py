"""Realistic files of likes are read correctly, or refused with a sentence."""

from __future__ import annotations

import re

import pytest

from autoenc import datasets
from autoenc.datasets import ReadOptions, read
from tests.helpers.corpus import CASES, Case


def write(folder, case: Case):
    path = folder / "likes"
    path.write_bytes(case.content.encode() if isinstance(case.content, str) else case.content)
    return path


def pairs_of(ratings):
    return sorted(zip(ratings.users.tolist(), ratings.items.tolist()))


@pytest.mark.parametrize("name", CASES)
def test_what_it_gives_or_the_sentence_that_it_gets(name, tmp_path):
    case = CASES[name]
    path = write(tmp_path, case)
    if case.refused is not None:
        with pytest.raises(ValueError, match=f"(?s)^{re.escape(str(path))}.*({case.refused})") as error:
            read(path, options=ReadOptions(**case.options), times=case.times is not None)
        assert "\n" not in str(error.value) and str(error.value).endswith(".")
        return
    found = read(path, options=ReadOptions(**case.options), times=case.times is not None)
    assert pairs_of(found) == sorted(case.pairs)
    assert re.match(r"read as .*; [\d,]+ rows(\nleft out .*)?$", found.source) and re.search(
        case.source or "", found.source
    )
    if case.times is not None:
        assert found.timestamps.tolist() == case.times


def test_there_are_enough_of_them():
    assert len(CASES) >= 90
    assert sum(case.refused is not None for case in CASES.values()) >= 40


def test_a_rating_is_a_weight_only_where_that_is_said(tmp_path):
    path = write(tmp_path, CASES["comma"])
    assert datasets.load(path=path).weights is None
    assert "rating = rating (every rating is a like)" in datasets.load(path=path).source
    weighted = datasets.load(path=path, weight="rating")
    assert weighted.weights.tolist() == [4, 2, 5, 3.5, 0.5] and "weight = rating" in weighted.source
    liked = datasets.load(path=path, min_rating=4)
    assert (liked.n_likes, liked.source.splitlines()[1]) == (2, "left out 3 of 5 rows, with a rating below 4")
    with pytest.raises(ValueError, match="has no rating of 6 or more; the highest is 5"):
        datasets.load(path=path, min_rating=6)


def test_a_comma_is_read_as_a_point(tmp_path):
    (tmp_path / "a.csv").write_text("user;item;rating\n1;2;3,5\n1;3;+4,25\n1;4; 5 \n1;5;0,0625\n")
    assert datasets.load(path=tmp_path / "a.csv", weight="rating").weights.tolist() == [3.5, 4.25, 5, 0.0625]
    assert datasets.load(path=tmp_path / "a.csv", min_rating=4).n_likes == 2
    (tmp_path / "a.csv").write_text("1;2;3,5\n1;3;4,0\n")
    assert datasets.load(path=tmp_path / "a.csv", min_rating=4).item_ids.tolist() == [3]


def test_ratings_that_are_asked_for_and_not_there(tmp_path):
    (tmp_path / "a.csv").write_text("user,item,liking\n1,2,3\n")
    with pytest.raises(ValueError, match=r"no known column of ratings.*pass rating="):
        datasets.load(path=tmp_path / "a.csv", min_rating=3)
    assert datasets.load(path=tmp_path / "a.csv", min_rating=3, rating="liking").n_likes == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"user": 0}, "user is 0; columns are numbered from 1"),
        ({"item": 1.5}, "item is 1.5; pass the name of a column, or its number"),
        ({"delimiter": "ab"}, "delimiter is 'ab'; pass one character, '::', or one of tab, comma"),
        ({"delimiter": '"'}, "which cannot separate columns"),
        ({"delimiter": "§"}, "which cannot separate columns"),
        ({"min_rating": float("nan")}, "min_rating is nan; pass a finite number"),
        ({"min_likes_per_user": -1}, "min_likes_per_user must be 0 or more, got -1"),
    ],
)
def test_options_that_make_no_sense(options, sentence):
    with pytest.raises((ValueError, TypeError), match=re.escape(sentence)):
        ReadOptions(**options)


@pytest.mark.parametrize("user", ["7", "ann"])  # in a table of numbers, the points are seen in the bytes
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_whole_column_decides_what_points_are(user, end, tmp_path):
    rows = [f"{user},{item},{item},978300760.123" for item in range(1000)]
    path = tmp_path / "a.csv"

    def weights(*last):
        path.write_bytes(("user,item,plays,time\n" + "\n".join([*rows[1:], *last]) + end).encode())
        return datasets.load(path=path, weight="plays").weights[-len(last) :].tolist()

    assert weights(f"{user},1000,5,1") == [5]
    assert weights(f"{user},1000,1.250,1", f"{user},1001,2.5,1") == [1.25, 2.5]
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: the weight '123.250' has a point"):
        weights(f"{user},1000,123.250,1")
    path.write_text("user,item,plays\n7,1,900\n7,2,1.200")
    with pytest.raises(ValueError, match=r"the weight '1\.200' has a point"):
        datasets.load(path=path, weight="plays")
