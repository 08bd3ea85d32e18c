"""`best` on derived data sets: how they are derived, the table, and one run with a small blend."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from autoenc.interactions import Interactions
from autoenc.models import EASE, Blend, Popular
from benchmarks.ranking import derived
from benchmarks.ranking.choices import stored

pytestmark = pytest.mark.optional


def likes(rows) -> sparse.csr_array:
    return sparse.csr_array(np.array(rows, np.float32))


def test_what_is_derived():
    x = likes([[1, 0, 1], [0, 0, 1], [0, 1, 1], [0, 1, 0]])
    assert derived.popular(x, 2).toarray().tolist() == [[0, 1], [0, 1], [1, 1], [1, 0]]
    y = likes([[1, 1, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]])  # without the last user, the last item has one like
    assert derived.dense(y, 2, 2).toarray().tolist() == [[1, 1], [1, 1]]
    assert derived.exchanged(x).toarray().tolist() == x.toarray().T.tolist()
    found = derived.sample(x, 2).toarray().tolist()
    assert len(found) == 2 and all(row in x.toarray().tolist() for row in found)


def test_a_set_has_users_with_two_likes_and_items_that_they_like(monkeypatch):
    monkeypatch.setattr(
        derived.datasets, "load", lambda name: Interactions.from_csr(likes([[1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]]))
    )
    monkeypatch.setitem(derived.DERIVED, "all", derived.Derived("ml-latest-small", "all", lambda x: x))
    assert derived.likes_of("all").toarray().tolist() == [[1, 1, 0], [1, 0, 1]]


def test_a_run_and_its_table(ratings, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(derived.datasets, "load", lambda name: ratings)
    small = {"fast": Blend([Popular()], weights=[1]), "best": Blend([EASE(l2=5.0), Popular()], standardize=True)}
    monkeypatch.setattr(derived, "preset", small.__getitem__)
    monkeypatch.setattr("benchmarks.ranking.choices.in_own_process", lambda measure, *run: measure(*run))
    path = tmp_path / "derived.jsonl"
    assert derived.main(["--run", "latest-small-popular:weak", "--results", str(path)]) == 0
    assert "users x items" in capsys.readouterr().out
    (line,) = stored(path)
    assert line["over_fast"][0][0] == pytest.approx(line["best"][0] - line["fast"][0], abs=2e-6)
    assert line["best_part"] == "EASE" and line["over_best_part"][0][0] < line["over_fast"][0][0]
    head, row = derived.table([line])
    assert len(row) == len(head) and row[0] == "ml-latest-small: the 800 most popular films"
    assert row[2].startswith("{:+.4f}".format(line["over_fast"][0][0])) and row[3].endswith(line["best_part"])
    assert row[4:] == ["", ""]


def test_an_unknown_set_is_named(capsys):
    with pytest.raises(SystemExit) as exit_:
        derived.main(["--run", "pinterest:weak"])
    assert exit_.value.code == 2
    assert "pinterest:weak is not DATASET:PROTOCOL of latest-small-popular" in capsys.readouterr().err
