"""Titles, ids and arguments never reach the terminal unescaped, and JSON is valid."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest

from autoenc import Popular
from autoenc.cli import common, main
from autoenc.interactions import Interactions

ODD = ["\x1b[2J\x1b]0;owned\x07", "two\nlines\r", "\u202egnp.exe", "bell\x07\x9b31m", "plain é 漢"]


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    titles = dict(enumerate(ODD))
    Popular().fit(Interactions.from_pairs([0, 0, 1, 1, 2, 3], [0, 1, 0, 2, 3, 4], titles=titles)).save("model")
    return "model"


@pytest.mark.parametrize(
    ("command", "n_lines"),
    [
        (["recommend", "model", "--liked", "0"], 4),
        (["similar", "model", "0"], 4),
        (["explain", "model", "--liked", "0", "--liked", "1", "--item", ODD[0]], 4),
        (["recommend", "model", "--liked", ODD[0][:9] + "\x1b" * 9], 0),
        (["recommend", "model\x1b[2J", "--liked", "0"], 0),
        (["similar", "model", "\x07" * 100_000], 0),
        (["recommend", "model", "--liked", "0", "-n", "\x1b" * 100_000], 0),
        (["recommend", "model", "--\x1b[2J"], 0),
        (["\x1b[2J"], 0),
    ],
)
@pytest.mark.usefixtures("model")
def test_escape_sequences_are_escaped(command, n_lines, capsys):
    try:
        main(command)
    except SystemExit as end:
        assert end.code == 2
    printed, told = capsys.readouterr()
    assert len(printed.splitlines()) == n_lines
    assert all(line.isprintable() for line in (printed + told).splitlines())
    assert len(told) < 1_500 and bool(told) == (n_lines == 0)


@pytest.mark.usefixtures("model")
def test_json_has_titles_as_they_are(capsys):
    assert main(["similar", "model", "0", "--json"]) == 0
    line = capsys.readouterr().out
    assert line.isascii() and {row["item"] for row in json.loads(line)["similar"]} == set(ODD[1:])


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_table_is_whole_whatever_the_terminal_can_show(encoding, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["similar", "model", "0"]) == 0
    stream.flush()
    assert len(stream.buffer.getvalue().decode(encoding).splitlines()) == 4


def test_json_has_null_for_nan_and_infinity(capsys):
    common.print_json(
        {"a": [np.nan, 1.5, (float("inf"), {"b": -np.inf})], "c": np.float64("nan"), "d": None, "e": "NaN"}
    )
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "a": [None, 1.5, [None, {"b": None}]],
        "c": None,
        "d": None,
        "e": "NaN",
    }


@pytest.mark.usefixtures("model")
def test_more_than_the_catalogue_is_the_catalogue(capsys):
    for command in (["recommend", "model", "--liked", "0"], ["similar", "model", "0"]):
        assert main([*command, "-n", str(10**15)]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 4


def test_memory_that_is_not_there_is_one_sentence(model, monkeypatch, capsys):
    monkeypatch.setattr(Popular, "recommend", lambda *args, **kwargs: np.empty(2**56))
    assert main(["recommend", model, "--liked", "0"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("autoenc recommend: not enough memory (Unable to allocate ") and told.count("\n") == 1
