"""The flags of `autoenc train`, run on part of the bundled ratings, including kills and interrupts."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from autoenc.cli import main
from autoenc.cli.common import own_command
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.splits import holdout_per_user, holdout_users
from autoenc.interactions import Interactions
from autoenc.models import load_model
from autoenc.storage.model_file import read_model_file
from autoenc.training.checkpoint import MANIFEST, Checkpoints
from tests.helpers import ROOT

SMALL = ["--data", "likes.csv", "--emb-dim", "12", "--hidden-dim", "8", "--batch-size", "128", "--no-progress"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive"}

on_posix = pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")


@pytest.fixture(scope="module")
def likes(ratings):
    """The bundled ratings' first 500 items, so that a training is short."""
    users, items = ratings.user_items[:, :500].nonzero()
    return Interactions.from_pairs(ratings.user_ids[users], ratings.item_ids[items], name="likes")


@pytest.fixture(scope="module")
def split(likes):
    return holdout_per_user(likes.user_items, 0.2, seed=0)


@pytest.fixture
def train(likes, tmp_path, monkeypatch, capsys):
    """train(*arguments): exit code, report (None where it prints none) and stderr, run beside likes.csv."""
    monkeypatch.chdir(tmp_path)
    users, items = likes.user_items.nonzero()
    pairs = np.stack([likes.user_ids[users], likes.item_ids[items]], axis=1)
    np.savetxt("likes.csv", pairs, "%d", ",", header="user,item", comments="")
    monkeypatch.delenv("AUTOENC_DEBUG", raising=False)

    def run(*arguments):
        capsys.readouterr()
        code = main(["train", *SMALL, *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return run


def start(*arguments):
    """The same in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "autoenc", "train", *SMALL, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
        # where the tests run in the background, SIGINT may be ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def step_in(folder) -> int:
    path = Path(folder) / MANIFEST
    return json.loads(path.read_text(encoding="utf-8"))["step_count"] if path.exists() else 0


def wait_for_a_checkpoint(process, folder, after=0):
    while step_in(folder) <= after:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


# A checkpoint after each step
OFTEN = ["--checkpoint", "state", "--checkpoint-minutes", "0.000001"]
STRICTEST = ["--epochs", "8", "--schedule", "cosine", "--early-stopping", "ndcg@10"]


KILLED = """
import sys
sys.path[:0] = [{root!r}]
from tests.helpers import torture
from autoenc.cli import main
from autoenc.cli.common import own_command
torture.die_at_operation({number}, {folder!r})
main({arguments!r})
"""


@on_posix
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_killed_and_begun_again_it_ends_in_the_same_model_file(train, tmp_path, backend):
    """Killed at the 101st and then at the 131st time that it touches a file of its checkpoints."""
    folder = str(tmp_path / "state")
    arguments = [*STRICTEST, "--backend", backend]
    often = [*arguments, "--checkpoint", folder, "--checkpoint-minutes", "0.000001", "--out", "resumed"]
    assert train(*arguments, "--out", "whole")[0] == 0
    steps = [0]
    for number in (101, 131):
        command = ["train", *SMALL, *often]
        code = KILLED.format(root=str(ROOT), number=number, folder=folder, arguments=command)
        killed = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        steps.append(step_in("state"))
    assert steps[0] < steps[1] < steps[2]
    assert train(*often)[0] == 0
    assert Path("resumed").read_bytes() == Path("whole").read_bytes()
    assert len(list(Path("state").iterdir())) == 2


@on_posix
def test_ctrl_c_in_mid_training_keeps_the_last_checkpoint(train):
    arguments = ["--epochs", "100000", "--backend", "numpy", "--out", "model"]
    process = start(*arguments, *OFTEN)
    wait_for_a_checkpoint(process, "state", after=3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == "" and err.endswith("autoenc train: interrupted\n") and "Traceback" not in err
    step = step_in("state")
    assert step > 3 and sorted(path.name for path in Path().iterdir()) == ["likes.csv", "state"]
    process = start(*arguments, *OFTEN)
    wait_for_a_checkpoint(process, "state", after=step)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1].endswith("interrupted\n")


def test_a_checkpoint_of_another_command_is_one_sentence(train):
    numpy = ["--backend", "numpy", "--checkpoint", "state"]
    assert train("--epochs", "1", *numpy)[0] == 0
    before = {path.name: path.read_bytes() for path in Path("state").iterdir()}
    code, report, err = train("--epochs", "1", "--lr", "0.1", *numpy, "--out", "model")
    assert (code, report) == (2, None)
    assert err.splitlines()[-1] == (
        "autoenc train: state holds a training with lr 0.01, but this one has 0.1; use the same, or name another folder"
    )
    assert {path.name: path.read_bytes() for path in Path("state").iterdir()} == before
    assert not Path("model").exists()


def test_a_checkpoint_that_cannot_be_written_is_one_sentence_and_code_2(train, monkeypatch):
    Path("file").write_text("no folder")
    code, report, err = train("--epochs", "1", "--backend", "numpy", "--checkpoint", "file")
    assert (code, report) == (2, None)
    assert err.endswith("\nautoenc train: file is a file; name a folder for the checkpoints\n")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, report, err = train("--epochs", "2", "--backend", "numpy", *OFTEN)
    assert (code, report) == (2, None) and "Traceback" not in err
    assert "\nautoenc train: the checkpoint of step 1 can't be written to state (" in err and "No space left" in err
    assert list(Path("state").iterdir()) == []


def test_a_schedule_is_another_training(train):
    assert train("--epochs", "4", "--backend", "numpy", "--out", "constant")[0] == 0
    assert train("--epochs", "4", "--backend", "numpy", "--schedule", "cosine", "--out", "cosine")[0] == 0
    constant, cosine = (read_model_file(name).arrays["output.weight"] for name in ("constant", "cosine"))
    assert constant.shape == cosine.shape and not np.array_equal(constant, cosine)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_schedule_gives_each_step_its_rate(train, monkeypatch, backend):
    rates = []
    monkeypatch.setattr(Checkpoints, "on_step_end", lambda self, trainer: rates.append(trainer.adam.lr))
    epochs = ["--epochs", "3", "--backend", backend]
    assert train(*epochs, "--lr", "0.02", "--schedule", "cosine", "--checkpoint", "state")[0] == 0
    assert rates == pytest.approx([0.01 * (1 + math.cos(math.pi * step / 18)) for step in range(18)])
    rates.clear()
    assert train(*epochs, "--lr", "0.02", "--checkpoint", "another")[0] == 0
    assert rates == [0.02] * 18


def test_early_stopping_ends_the_training_and_keeps_the_best_weights(train, split):
    code, _, _ = train("--epochs", "60", "--lr", "0.05", "--early-stopping", "ndcg@100", "--out", "model")
    assert code == 0
    model = load_model("model")
    n_epochs = model.about_["epochs"]
    assert n_epochs < 60
    users = holdout_users(split[0], 0.1, seed=0)
    best = evaluate(model, users.fold_in, users.held_out, ks=[100])["ndcg@100"]
    # the same, as long as the best epoch: nothing later was better
    code, _, _ = train("--epochs", str(n_epochs - 5), "--lr", "0.05", "--early-stopping", "ndcg@100", "--out", "short")
    assert code == 0
    assert evaluate(load_model("short"), users.fold_in, users.held_out, ks=[100])["ndcg@100"] == best
    code, _, err = train("--early-stopping", "ndcg")
    assert code == 2 and "metric is 'ndcg'; pass one of" in err


def test_the_backends_learn_the_same(train):
    for backend in ("numba", "numpy"):
        code, report, _ = train("--epochs", "2", "--backend", backend, "--out", backend)
        assert code == 0 and report["backend"] == backend
    ours, theirs = (read_model_file(backend).arrays for backend in ("numba", "numpy"))
    for name, array in theirs.items():
        if array.dtype.kind == "f":
            np.testing.assert_allclose(ours[name], array, rtol=1e-3, atol=1e-3, err_msg=name)


def test_topk_lists_each_users_ten_best_that_are_new(train, likes, split):
    assert train("--epochs", "2", "--out", "model", "--topk", "lists/topk")[0] == 0
    rows = np.loadtxt("lists/topk", dtype=int)
    items, _ = load_model("model").recommend(split[0], N=10)
    np.testing.assert_array_equal(rows, likes.item_ids[items])
    liked = split[0].toarray() > 0
    assert not np.take_along_axis(liked, items, axis=1).any()


def test_plot_is_a_picture_of_the_training(train):
    pytest.importorskip("matplotlib")
    code, report, err = train("--epochs", "3", "--backend", "numpy", "--plot", "pictures/training.png")
    assert (
        code == 0 and report["status"] == "DONE" and "wrote the plot of the training to pictures/training.png\n" in err
    )
    assert Path("pictures/training.png").read_bytes().startswith(b"\x89PNG")


def test_plot_without_matplotlib_is_refused_before_the_training(train, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, report, err = train("--epochs", "1", "--plot", "training.png", "--out", "model")
    assert (code, report) == (2, None)
    assert err.endswith("a plot needs matplotlib: pip install '.[plot]', or leave the plot out\n")
    assert list(Path().iterdir()) == [Path("likes.csv")]


def test_the_last_line_says_what_the_first_figure_means(train):
    code, report, err = train("--epochs", "1", "--out", "a model.safetensors")
    assert code == 0
    *_, told = err.splitlines()
    assert told.startswith(
        f"For {report['p_at_01']:.0%} of the users, the first recommendation is an item they liked that was held out"
    )
    assert f"the most popular items reaches {report['popular_p_at_01']:.0%}. Next, try it" in told
    assert "recommend 'a model.safetensors' --liked ID prints a list" in told and "--preset fast" in told
    assert "training the network for 1 epoch\n" in err
    assert train("--epochs", "1")[2].endswith("To recommend with this model, save it: --out model.safetensors.\n")


@pytest.mark.parametrize("is_installed", [True, False])
def test_the_last_line_suggests_the_page_only_if_it_can_be_served(train, monkeypatch, is_installed):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: (is_installed or None) if name == "starlette" else find_spec(name, *rest),
    )
    told = train("--epochs", "1", "--out", "model.safetensors")[2].splitlines()[-1]
    assert ("serve model.safetensors opens a page" in told) is is_installed


def test_a_preset_without_a_network_has_no_epochs(likes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    users, items = likes.user_items.nonzero()
    np.savetxt("likes.csv", np.stack([users, items], axis=1), "%d", ",", header="user,item", comments="")
    assert main(["train", "--preset", "fast", "--data", "likes.csv", "--no-progress", "--out", "model"]) == 0
    out, err = capsys.readouterr()
    assert "epochs" not in json.loads(out)
    assert "epochs" not in read_model_file("model").about
    assert re.search(r"^trained EASE\S* in \d+ s$", err, re.MULTILINE)
    assert "recommend model --liked ID prints a list" in err.splitlines()[-1]


def test_how_this_program_is_called(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.which", lambda name: "/bin/autoenc")
    assert own_command() == "autoenc"
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.executable", str(tmp_path / ".venv" / "python"))
    assert own_command() == f"{Path('.venv') / 'python'} -m autoenc"
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "autoenc").touch()
    assert own_command() == str(Path(".venv") / "autoenc")
    monkeypatch.setattr("sys.executable", str(tmp_path.parent / "a b" / "python"))
    assert own_command() == f"'{tmp_path.parent / 'a b' / 'python'}' -m autoenc"
