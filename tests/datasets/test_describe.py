"""The description of a file of likes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autoenc import datasets
from autoenc.cli import main
from autoenc.datasets.describe import as_text, describe, describe_likes
from autoenc.evaluation import plots
from autoenc.interactions import Interactions
from tests.helpers import DATA


@pytest.fixture
def path(tmp_path):
    rows = ["1,7,2001-01-01,2", "1,7,2000-01-01,2", "1,8,2001-01-01,1", "2,7,2002-03-04 05:06:07,5", "3,7,2001-01-01,1"]
    (tmp_path / "likes.csv").write_text("user,item,date,plays\n" + "\n".join(rows) + "\n")
    return tmp_path / "likes.csv"


def test_what_is_counted(path):
    found = describe(path, datasets.ReadOptions(weight="plays"))
    assert (found["users"], found["items"], found["likes"], found["rows"], found["duplicates"]) == (3, 2, 4, 5, 1)
    assert found["density"] == pytest.approx(4 / 6)
    assert found["times"] == {"first": "2000-01-01T00:00:00", "last": "2002-03-04T05:06:07"}
    assert found["weights"]["max"] == 5 and found["weights"]["median"] == 2.5
    assert found["likes_per_user"]["histogram"] == [{"from": 1, "to": 1, "n": 2}, {"from": 2, "to": 3, "n": 1}]
    assert found["most_liked"] == [{"item": "7", "likes": 3}, {"item": "8", "likes": 1}]
    assert found["source"].startswith(
        "read as CSV with a header: user = user, item = item, time = date, weight = plays"
    )
    assert json.loads(json.dumps(found)) == found


def test_its_spreads_are_numpys(ratings):
    found = describe_likes(ratings)
    per_user = np.diff(ratings.user_items.indptr)
    assert found["likes_per_user"]["q3"] == np.quantile(per_user, 0.75)
    assert sum(group["n"] for group in found["likes_per_user"]["histogram"]) == ratings.n_users
    for group in found["likes_per_item"]["histogram"]:
        per_item = ratings.user_items.sum(axis=0)
        assert group["n"] == ((per_item >= group["from"]) & (per_item <= group["to"])).sum()


def test_as_text_json_and_a_picture(path, tmp_path, capsys):
    assert main(["describe", str(path), "--plot", str(tmp_path / "likes.png")]) == 0
    out, err = capsys.readouterr()
    assert (
        "likes: 3 users x 2 items, 4 likes\n" in out and "1 of 5 rows" in out and "2000-01-01T00:00:00 to 2002" in out
    )
    assert "\n       1          2  ########################################\n" in out
    assert err.startswith("read as CSV with a header: user = user, item = item, time = date; 5 rows\nwrote the plot to")
    assert (tmp_path / "likes.png").read_bytes()[:4] == b"\x89PNG"
    assert main(["describe", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["duplicates"] == 1


def test_of_what_is_no_table(tmp_path, capsys):
    assert main(["describe", "ml-latest-small"]) == 0
    assert "671 users x 9,066 items" in capsys.readouterr().out
    assert describe(DATA / "formats" / "csr.npz")["duplicates"] == 0
    (tmp_path / "a.csv").write_text("user,item,date\n1,2,01/02/2003\n")
    found = describe(tmp_path / "a.csv")
    assert found["times"] is None and "without times: " in found["source"] and "'01/02/2003' is" in found["source"]
    with pytest.raises(ValueError, match="'01/02/2003' is"):
        describe(tmp_path / "a.csv", datasets.ReadOptions(time="date"))
    assert "weights       none" in as_text(describe_likes(Interactions.from_pairs([1], [2])))


def test_the_picture_has_a_bar_for_each_group(ratings):
    pytest.importorskip("matplotlib")
    found = describe_likes(ratings)
    figure = plots.draw_description(found)
    assert [len(axes.patches) for axes in figure.axes] == [
        len(found[f"likes_per_{whose}"]["histogram"]) for whose in ("user", "item")
    ]
