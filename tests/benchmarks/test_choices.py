"""The choice of a blend by leaving out one data set: the arithmetic, and one run with small parts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autoenc.interactions import Interactions
from autoenc.models.presets import preset
from benchmarks.ranking import choices

pytestmark = pytest.mark.optional


def line(dataset, ahead_by_blend, protocol="weak", fine=0.0, alone=0.4, reference="EASE"):
    blends = {
        blend: {"weights": [1.0], "ahead": [ahead, 0.001], "precision@1": [ahead / 2, 0.002]}
        for blend, ahead in ahead_by_blend.items()
    }
    check = {"best": 0.5, "choice": 0.4999, "alone": 0.01, "pairs": 0.0, "fine grid": fine}
    return {
        "dataset": dataset,
        "protocol": protocol,
        "reference": reference,
        "alone": alone,
        "blends": blends,
        "check": {"all": check},
    }


def test_what_the_other_sets_choose_is_told_of_the_set_that_was_left_out():
    lines = [
        line("a", {"EASE": 0.0, "x": 0.03, "y": 0.01}),
        line("b", {"EASE": 0.0, "x": -0.02, "y": 0.02}),
        line("c", {"EASE": 0.0, "x": 0.01, "y": 0.02}),
        line("c", {"EASE": 0.0, "x": 0.01, "y": 0.02}, protocol="strong"),
    ]
    head, *rows = choices.left_out_table(lines)
    assert head[:2] == ["left out", "chosen on the others"] and len(rows) == 4
    by_name = {row[0]: row[1:] for row in rows}
    of_y, of_x = "+0.0100 ± 0.0010 (+0.0050 ± 0.0020)", "+0.0300 ± 0.0010 (+0.0150 ± 0.0020)"
    assert by_name["a, weak"] == ["y", of_y, "x", of_x]
    assert by_name["b, weak"][:2] == ["x", "-0.0200 ± 0.0010 (-0.0100 ± 0.0020)"]
    assert by_name["c, strong"][0] == "y"


def test_sets_without_ease_are_chosen_among_themselves():
    lines = [line("a", {"EASE": 0.0, "x": 0.03}), line("b", {"IALS": 0.0, "z": 0.02}, reference="IALS")]
    assert len(choices.left_out_table(lines)) == 1
    lines += [line("c", {"IALS": 0.0, "z": 0.01}, reference="IALS")]
    assert [row[0] for row in choices.left_out_table(lines)[1:]] == ["b, weak", "c, weak"]


def test_sets_count_alike_by_the_share_of_what_the_reference_has():
    lines = [line("a", {"x": 0.04}, alone=0.4), line("b", {"x": 0.01}, alone=0.1), line("b", {"x": 0.03}, alone=0.1)]
    assert choices.mean_ahead(lines, "x") == pytest.approx((0.1 + 0.2) / 2)


@pytest.mark.parametrize(("fine", "met"), [(-0.0004, True), (-0.0006, False)])
def test_a_fine_grid_may_be_ahead_by_next_to_nothing(fine, met):
    lines = [line("a", {"x": 0.0}, fine=fine)]
    assert choices.is_met(lines[0]) == met
    assert choices.check_table(lines)[1][-1] == ("met" if met else "NOT MET")


@pytest.mark.parametrize("protocol", ["weak", "strong"])
def test_a_run_of_small_parts(ratings, monkeypatch, tmp_path, capsys, protocol):
    often = np.flatnonzero(np.bincount(ratings.user_items.indices) >= 80)
    small = preset("best").set_params(denoisingautoencoder__hidden_dim=8, denoisingautoencoder__epochs=2)
    monkeypatch.setattr(choices, "preset", lambda name: small)
    monkeypatch.setattr(choices.datasets, "load", lambda name: Interactions.from_csr(ratings.user_items[:, often]))
    monkeypatch.setattr(choices, "in_own_process", lambda function, *args: function(*args))
    path = tmp_path / "choices.jsonl"
    choices.main(["--run", f"ml-latest-small:{protocol}", "--results", str(path)])
    [found] = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert found["reference"] == "EASE" and len(found["blends"]) == 2 * 15
    assert found["blends"]["EASE"]["ahead"] == found["blends"]["EASE"]["precision@1"] == [0, 0]
    for blend in found["check"].values():
        assert blend["alone"] >= 0 and blend["pairs"] >= -choices.WITHIN
    assert f"ml-latest-small, {protocol}" in capsys.readouterr().out


def test_an_unknown_run_is_refused(capsys):
    with pytest.raises(SystemExit):
        choices.main(["--run", "ml-latest-small:later"])
    assert "ml-latest-small:later is not DATASET:PROTOCOL of" in capsys.readouterr().err
