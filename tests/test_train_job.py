"""The main job on the bundled ratings, run through the command line as a user would."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import autoenc.train_job
from autoenc import datasets
from autoenc.cli import main
from autoenc.datasets.task_cache import write_task_cache
from autoenc.evaluation.evaluate import evaluate
from autoenc.interactions import Interactions
from autoenc.models import load_model
from autoenc.models.popular import Popular
from autoenc.storage.atomic import check_writable
from autoenc.train_job import Settings, fingerprint, main_job, write_rankings
from tests.helpers import ROOT

SMALL = ["--emb-dim", "24", "--hidden-dim", "12", "--no-progress"]
SHAPE = {"users": 671, "items": 9_066, "likes": 100_004}
KEYS = [
    *("status", "p_at_01", "p_at_05", "p_at_10", "popular_p_at_01", "popular_p_at_05", "popular_p_at_10", "dataset"),
    *("users", "items", "likes", "users_evaluated", "users_skipped", "epochs", "seed", "backend"),
    *("train_seconds", "seconds", "peak_memory_mb"),
]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    """So that no data/cache is found, and what is written lands there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOENC_DEBUG", raising=False)


@pytest.fixture
def train(capsys):
    """train(*arguments): the exit code of `autoenc train`, its report (None where it prints none), and stderr."""

    def run(*arguments):
        capsys.readouterr()
        code = main(["train", *arguments])
        out, err = capsys.readouterr()
        assert out.count("\n") == (1 if out else 0)
        return code, json.loads(out) if out else None, err

    return run


def files() -> list[str]:
    return sorted(path.as_posix() for path in Path().rglob("*"))


def test_the_main_job_learns_from_real_ratings(train):
    """The task's network on MovieLens: well ahead of popularity, on the same split."""
    code, report, _ = train("--no-progress")
    assert code == 0
    assert report["status"] == "DONE" and report["epochs"] == 20
    assert {name: report[name] for name in SHAPE} == SHAPE
    assert report["p_at_01"] > 0.33
    for k in ("01", "05", "10"):
        assert report[f"p_at_{k}"] > 1.2 * report[f"popular_p_at_{k}"]


def test_run_train_prints_one_line_of_json():
    arguments = ["--epochs", "2", "--threads", "1", *SMALL]
    done = subprocess.run([sys.executable, ROOT / "run_train.py", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    report = json.loads(done.stdout)
    assert list(report) == KEYS
    assert report["dataset"] == "ml-latest-small" and report["backend"] == "numba"
    assert 0 < report["train_seconds"] < report["seconds"]
    assert report["users_evaluated"] + report["users_skipped"] == report["users"] == 671
    assert "ml-latest-small: 671 users x 9,066 items; training on 80,003 likes, evaluating on 20,001" in done.stderr
    assert files() == []


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_the_model_that_is_written_scores_the_same(train, ratings, split, backend):
    code, report, err = train("--epochs", "3", "--out", "new/model.safetensors", "--backend", backend, *SMALL)
    assert code == 0 and report["backend"] == backend
    assert err.splitlines()[-2] == "wrote the model to new/model.safetensors"
    assert files() == ["new", "new/model.safetensors"]

    model = load_model("new/model.safetensors")
    np.testing.assert_array_equal(model.catalogue_.item_ids, ratings.item_ids)
    np.testing.assert_array_equal(model.catalogue_.titles, ratings.titles)
    assert model.about_["epochs"] == 3 and model.about_["dataset"] == "ml-latest-small"
    assert model.emb_dim == 24 and model.about_["seed"] == 0 and model.about_["likes"] == fingerprint(split[0])
    found = evaluate(model, *split)
    popular = evaluate(Popular().fit(split[0]), *split)
    for k in (1, 5, 10):
        assert report[f"p_at_{k:02d}"] == round(found[f"precision@{k}"], 6)
        assert report[f"popular_p_at_{k:02d}"] == round(popular[f"precision@{k}"], 6)


def test_the_seed_names_the_whole_run(train):
    def figures(*arguments):
        _, report, _ = train("--epochs", "2", *SMALL, *arguments)
        return {name: value for name, value in report.items() if name not in KEYS[-3:]}

    assert figures("--seed", "3") == figures("--seed", "3", "--threads", "1")
    other = figures("--seed", "4")
    assert other["p_at_10"] != figures("--seed", "3")["p_at_10"] and other["seed"] == 4


def test_progress_is_shown_on_stderr(train):
    code, report, err = train("--epochs", "2", *SMALL[:-1], "--progress")
    assert code == 0 and report is not None
    assert "epoch 2/2: 100%" in err and "users/s" in err and "loss=" in err and "ranking: 100%" in err


def test_data_by_path(train):
    Path("likes.csv").write_text(
        "userId,movieId\n" + "".join(f"{u},{i}\n" for u in range(20) for i in range(u % 7, 12))
    )
    code, report, _ = train("--data", "likes.csv", "--epochs", "2", *SMALL)
    assert code == 0
    assert report["dataset"] == "likes" and (report["users"], report["items"]) == (20, 12)


# The task's own cache


def precision_as_the_task_has_it(valid_path, topk_path) -> dict[str, float]:
    """The arithmetic of the task's validate script: the share of a user's first k that are valid, over all users."""
    valid = np.load(valid_path, allow_pickle=True)
    top = np.loadtxt(topk_path, dtype=int)
    return {
        f"p_at_{k:02d}": np.mean([len(set(items) & set(row[:k])) / k for items, row in zip(valid, top)])
        for k in (1, 5, 10)
    }


@pytest.fixture
def cache(split):
    """A cache as the task has it, of the bundled ratings: every user has valid items."""
    train, held_out = split
    write_task_cache("somewhere/cache", train, held_out)
    return "somewhere/cache"


def test_the_tasks_cache_and_its_own_validation(train, cache):
    code, report, _ = train("--cache-path", cache, "--epochs", "3", *SMALL)
    assert code == 0
    assert report["dataset"] == "cache" and report["users_skipped"] == 0
    assert {name: report[name] for name in SHAPE} == SHAPE
    assert np.loadtxt("results/topk").shape == (671, 10)
    for name, precision in precision_as_the_task_has_it(f"{cache}_valid.npy", "results/topk").items():
        assert report[name] == pytest.approx(precision, abs=1e-6) and precision > 0


def test_data_cache_is_the_default_where_it_is(train, cache):
    Path("somewhere").rename("data")
    code, report, _ = train("--epochs", "1", "--topk", "elsewhere", *SMALL)
    assert code == 0 and report["dataset"] == "cache"
    assert not Path("results").exists()
    for name, precision in precision_as_the_task_has_it("data/cache_valid.npy", "elsewhere").items():
        assert report[name] == pytest.approx(precision, abs=1e-6)
    _, report, _ = train("--epochs", "1", "--dataset", "ml-latest-small", *SMALL)
    assert report["dataset"] == "ml-latest-small" and not Path("results").exists()


def test_a_user_with_fewer_than_ten_items_left_is_padded_with_0():
    likes = Interactions.from_lists([[1, 2], [1, 2, 3, 4], []], item_ids=[1, 2, 3, 4])
    write_rankings("results/topk", Popular().fit(likes), likes)
    rows = np.loadtxt("results/topk", dtype=int).tolist()
    assert rows == [[3, 4, *[0] * 8], [0] * 10, [1, 2, 3, 4, *[0] * 6]]


# PASS and FAIL


@pytest.fixture
def as_if_ml_10m(monkeypatch):
    monkeypatch.setattr(autoenc.train_job, "ML_10M", SHAPE)


@pytest.mark.parametrize(("limit", "status", "expected"), [(0.0, "PASS", 0), (1.0, "FAIL", 1)])
def test_pass_and_fail_at_the_tasks_shape_and_settings(train, as_if_ml_10m, monkeypatch, limit, status, expected):
    monkeypatch.setattr(autoenc.train_job, "PASS_AT", limit)
    code, report, _ = train("--epochs", "1", "--seed", "5", "--no-progress")
    assert (code, report["status"]) == (expected, status)


def test_no_verdict_at_another_shape(train, monkeypatch):
    for change in ("users", "items", "likes"):
        monkeypatch.setattr(autoenc.train_job, "ML_10M", {**SHAPE, change: SHAPE[change] + 1})
        monkeypatch.setattr(Settings, "are_the_tasks", lambda settings: True)
        code, report, _ = train("--epochs", "1", *SMALL)
        assert (code, report["status"]) == (0, "DONE")


def test_no_verdict_on_the_synthetic_set(train, as_if_ml_10m, monkeypatch, ratings):
    monkeypatch.setattr(datasets, "load", lambda *args, **kwargs: dataclasses.replace(ratings, name="synthetic"))
    monkeypatch.setattr(Settings, "are_the_tasks", lambda settings: True)
    code, report, _ = train("--dataset", "synthetic", "--epochs", "1", *SMALL)
    assert (code, report["status"]) == (0, "DONE")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("epochs", 2), ("batch_size", 128), ("emb_dim", 400), ("hidden_dim", 800), ("lr", 0.001)),
        *(("bias_offset", 0.0), ("dropout", 0.4)),
    ],
)
def test_the_tasks_settings_are_all_of_them(name, value):
    settings = Settings(epochs=1, seed=9, threads=1, backend="numpy", progress=False, out="model")
    assert settings.are_the_tasks()
    assert not dataclasses.replace(settings, **{name: value}).are_the_tasks()


# What goes wrong


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "missing.csv"], "There is no file or folder missing.csv."),
        (["--dataset", "netflix"], "name is 'netflix'; pass one of ml-latest-small, "),
        (["--cache-path", "nowhere/cache"], "nowhere/cache_train.npy"),
        (
            ["--cache-path", "a", "--dataset", "b"],
            "--cache-path and --dataset each name the likes to train on; pass only one",
        ),
        (["--emb-dim", "0"], "emb_dim must be 1 or more, got 0"),
        (["--hidden-dim", "-3"], "hidden_dim must be 1 or more, got -3"),
        (["--batch-size", "0"], "batch_size must be 2 or more, got 0"),
        (["--batch-size", "-5"], "batch_size must be 2 or more, got -5"),
        (["--epochs", "-1"], "epochs must be 0 or more, got -1"),
        (["--lr", "0"], "lr must be a finite number above 0, got 0.0"),
        (["--lr", "nan"], "lr must be a finite number above 0, got nan"),
        (["--dropout", "1"], "dropout must be at least 0 and below 1, got 1.0"),
        (["--bias-offset", "inf"], "bias_offset must be a finite number, got inf"),
        (["--seed", "-1"], "seed must be from 0 to 9223372036854775807, got -1"),
        (["--seed", "99999999999999999999"], "seed must be from 0 to 9223372036854775807, got 99999999999999999999"),
        (["--threads", "1000"], "threads must be from 1 to "),
        (["--out", "."], ". is a folder; name a file in it"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2_and_writes_nothing(train, arguments, sentence):
    arguments = arguments if "--out" in arguments else [*arguments, "--out", "new/model.safetensors"]
    code, report, err = train("--epochs", "1", *arguments, "--no-progress")
    *_, last = err.splitlines()
    assert (code, report) == (2, None)
    assert last.startswith("autoenc train: ") and sentence in last
    assert "Traceback" not in err
    assert files() == []


def test_batch_size_is_checked_where_epochs_are_the_default(train):
    code, _, err = train("--batch-size", "0", "--no-progress")
    assert code == 2 and err.endswith("batch_size must be 2 or more, got 0\n")


def test_a_model_file_that_cannot_be_written_is_refused_before_the_training(train, monkeypatch):
    Path("file").write_text("no folder")
    code, report, err = train("--epochs", "1", "--out", "file/model.safetensors", *SMALL)
    assert (code, report) == (2, None) and "file" in err and "Traceback" not in err
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    code, _, err = train("--epochs", "1", "--out", "model.safetensors", *SMALL)
    assert code == 2 and ". can't be written to; name a file in another folder" in err
    with pytest.raises(PermissionError, match="new can't be written to"):
        check_writable("new/model")


def test_rankings_by_text_are_refused_before_the_training(train):
    Path("likes.csv").write_text("user,item\n" + "".join(f"u{u},i{i}\n" for u in range(9) for i in range(6)))
    code, report, err = train("--data", "likes.csv", "--topk", "topk", "--out", "model", *SMALL)
    assert (code, report) == (2, None)
    assert "topk lists items by number, but likes has ids like i0; leave it out" in err
    assert files() == ["likes.csv"]


def test_training_items_of_nobody_are_refused(train):
    """A cache may hold empty lists alone in its training half."""
    lists = np.empty(2, object)
    for half, values in (("train", [[], []]), ("valid", [[1], [2]])):
        lists[:] = values
        np.save(f"cache_{half}.npy", lists, allow_pickle=True)
    code, report, err = train("--cache-path", "cache", *SMALL)
    assert (code, report) == (2, None)
    assert "user_items holds no likes, so there is nothing to learn from" in err


def test_a_training_that_diverges_is_code_1_and_writes_nothing(train):
    code, report, err = train("--epochs", "3", "--lr", "1e30", "--out", "model.safetensors", *SMALL)
    assert (code, report) == (1, None)
    assert "autoenc train: the loss became" in err and "train with a lower lr than 1e+30" in err
    assert "Traceback" not in err
    assert files() == []


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_training_whose_last_step_diverges_is_code_1_and_writes_nothing(train, backend):
    """No loss tells of it, as none is computed after that step."""
    arguments = ["--epochs", "1", "--lr", "1e10", "--out", "model.safetensors", "--checkpoint", "state"]
    code, report, err = train(*arguments, "--backend", backend, "--no-progress")
    assert (code, report) == (1, None)
    assert "running_var became infinite or NaN in epoch 1; train with a lower lr than 10000000000.0" in err
    assert "Traceback" not in err
    assert files() == ["state"] and list(Path("state").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_ctrl_c_in_mid_training_is_code_130_and_leaves_nothing():
    arguments = ["--epochs", "100000", "--out", "model.safetensors", *SMALL[:-1], "--progress"]
    process = subprocess.Popen(
        [sys.executable, ROOT / "run_train.py", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # where the tests run in the background, SIGINT may be ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        seen = b""
        while b"epoch 3/" not in seen:
            read = os.read(process.stderr.fileno(), 4096)
            assert read, seen.decode()
            seen += read
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == b""
    assert err.decode().endswith("autoenc train: interrupted\n")
    assert b"Traceback" not in err
    assert files() == []


# From Python


def test_the_main_job_can_be_called():
    said = []
    report = main_job(Settings(epochs=1, emb_dim=4, hidden_dim=4, progress=False, backend="numpy"), said.append)
    assert list(report) == KEYS and report["status"] == "DONE"
    assert said == [
        "ml-latest-small: 671 users x 9,066 items; training on 80,003 likes, evaluating on 20,001",
        "training the network for 1 epoch",
        said[2],
    ]
    assert said[2].startswith("this model is behind popularity on its own held-out likes (ndcg@10 0.0")


@pytest.mark.skipif(importlib.util.find_spec("resource") is None, reason="this system doesn't tell the peak")
def test_peak_memory_is_that_of_this_process():
    code = """
import numpy
from autoenc.machine import peak_memory_mb
print(peak_memory_mb())
numpy.ones(37_500_000)
print(peak_memory_mb())
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    before, after = (int(number) for number in done.stdout.split())
    assert 20 < before < 300
    assert 250 < after - before < 301
