"""All commands that read likes have the flags for how to read a file, and report how they read it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from autoenc.cli import main
from tests.helpers import ROOT

ROWS = [
    (user, (user * k) % 31, 1 + (user * k) % 5, f"2024-01-{1 + (user * k) % 28:02d} 10:00:00")
    for user in range(1, 41)
    for k in range(1, 9)
]
COLUMNS = ["--user-column", "who", "--item-column", "what"]
SAID = "user = who, item = what, rating = stars (every rating is a like)"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("likes") / "likes.csv"
    rows = [",".join(map(str, row)) for row in [("who", "what", "stars", "at"), *ROWS]]
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def model(path):
    out = path.with_name("m.safetensors")
    command = ["train", "--data", str(path), *COLUMNS, "--preset", "fast", "--no-progress", "--out", str(out)]
    assert main(command) == 0
    return str(out)


def commands(path, model, folder):
    return {
        "train": ["train", "--data", path, "--preset", "fast", "--no-progress"],
        "prepare": ["prepare", path, "--out", str(folder / "likes.npz")],
        "recommend": ["recommend", model, "--users", path, "--out", str(folder / "recs.csv"), "--no-progress"],
        "evaluate": ["evaluate", model, "--data", path, "--no-progress"],
        "describe": ["describe", path],
    }


@pytest.mark.parametrize("command", ["train", "prepare", "recommend", "evaluate", "describe"])
def test_every_command_that_reads_likes_takes_and_says_the_columns(command, path, model, tmp_path, capsys):
    arguments = commands(str(path), model, tmp_path)[command]
    assert main(arguments) == 2
    assert (
        "which has no known column of users and items; pass user= and item= (--user-column" in capsys.readouterr().err
    )
    assert main([*arguments, *COLUMNS]) in (0, 1)
    assert f"read as CSV with a header: {SAID}; 320 rows\n" in capsys.readouterr().err


def test_evaluate_by_time_takes_the_column_of_times(path, model, capsys):
    command = ["evaluate", model, "--data", str(path), *COLUMNS, "--protocol", "time", "--no-progress"]
    assert main(command) == 2
    assert "likes has no known column of times; pass time= (--time-column)" in capsys.readouterr().err
    assert main([*command, "--time-column", "at"]) == 0
    assert "training on 230 likes before 2024-01-21T10:00:00, evaluating on 75" in capsys.readouterr().err


def test_rows_and_users_are_left_out_and_said_to_be(path, tmp_path, capsys):
    command = [
        "prepare",
        str(path),
        "--out",
        str(tmp_path / "l.npz"),
        *COLUMNS,
        "--rating-column",
        "stars",
        "--min-rating",
        "3",
    ]
    assert main([*command, "--min-likes-per-user", "4", "--min-likes-per-item", "4", "--json"]) == 0
    out, err = capsys.readouterr()
    assert (
        "rating = stars (a like if 3 or higher); 320 rows\nleft out 152 of 320 rows, with a rating below 3\nleft out "
        in err
    )
    assert json.loads(out)["likes"] < 168


def test_columns_of_the_tasks_cache_can_not_be_said(tmp_path, capsys):
    assert main(["train", "--cache-path", str(tmp_path / "c"), "--min-rating", "3"]) == 2
    assert "the task's cache is already split; pass the ratings with --data" in capsys.readouterr().err


def test_a_pipe_on_the_command_line(path, tmp_path):
    command = [sys.executable, "-m", "autoenc", "prepare", "-", "--out", str(tmp_path / "l.npz"), *COLUMNS]
    done = subprocess.run(command, input=path.read_bytes(), capture_output=True, cwd=ROOT)
    assert done.returncode == 0 and b"wrote 313 likes of 40 users x 31 items" in done.stdout
    assert done.stderr.decode() == f"read as CSV with a header: {SAID}; 320 rows\n"
