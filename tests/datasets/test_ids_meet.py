"""Ids in a file are matched with those of a model, even if the file alone would be read differently."""

from __future__ import annotations

import pytest

from autoenc import EASE, datasets, load_model
from autoenc.cli import main


@pytest.fixture
def of_strings(tmp_path):
    """A model of items that are strings, some of digits alone."""
    (tmp_path / "train.csv").write_text(
        "user,item\n" + "".join(f"{u},{i}\n" for u in "abc" for i in ("0312", "7", "B0"))
    )
    model = EASE().fit(datasets.load(path=tmp_path / "train.csv"))
    model.save(tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


@pytest.mark.parametrize(("rows", "n_known"), [(["1,7"], 1), (["1,0312"], 1), (["1,7", "2,0312", "2,312"], 2)])
def test_a_file_of_digits_meets_a_model_of_strings(rows, n_known, of_strings, tmp_path, capsys):
    (tmp_path / "likes.csv").write_text("\n".join(["user,item", *rows]) + "\n")
    command = ["recommend", str(of_strings), "--users", str(tmp_path / "likes.csv"), "--out", str(tmp_path / "r.csv")]
    assert main([*command, "--no-progress"]) == 0
    said = capsys.readouterr().err
    assert ("left out 1 likes of 1 items" in said) == (n_known < len(rows))
    assert load_model(of_strings).catalogue_.item_ids.tolist() == ["0312", "7", "B0"]


def test_a_file_of_strings_meets_a_model_of_numbers(tmp_path, capsys):
    (tmp_path / "train.csv").write_text("user,item\n" + "".join(f"{u},{i}\n" for u in (1, 2, 3) for i in (7, 8, 9)))
    EASE().fit(datasets.load(path=tmp_path / "train.csv")).save(tmp_path / "m")
    (tmp_path / "likes.csv").write_text("user,item\nann,7\nann,heat\nbob,8\n")
    command = [
        "recommend",
        str(tmp_path / "m"),
        "--users",
        str(tmp_path / "likes.csv"),
        "--out",
        str(tmp_path / "r.csv"),
    ]
    assert main([*command, "--no-progress"]) == 0
    assert "left out 1 likes of 1 items that the model doesn't know" in capsys.readouterr().err
    assert {line.split(",")[0] for line in (tmp_path / "r.csv").read_text().splitlines()[1:]} == {"ann", "bob"}
