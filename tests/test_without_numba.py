"""Code that doesn't use the kernels does not import numba, which takes longer than most commands."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autoenc import cli
from autoenc.interactions import Interactions
from autoenc.models import EASE, ItemKNN, Popular
from tests.helpers import child

RUN = """
import contextlib, json, os, sys
from autoenc.cli import main

os.chdir(sys.argv[1])
sys.stdout = sys.stderr
for command in json.loads(sys.argv[2]):
    try:
        code = main(command)
    except SystemExit as stop:  # of --help
        code = stop.code
    assert code == 0, (command, code)
    assert "numba" not in sys.modules, command
"""

TRAIN = "train --data likes.csv --emb-dim 8 --hidden-dim 4 --epochs 2 --backend numpy"
ASKING = (
    "evaluate {0} --data likes.csv --beside popular ease knn",
    "evaluate {0} --data likes.csv --protocol strong --beside",
    "recommend {0} --liked 1 --liked 2",
    "recommend {0} --users likes.csv --out recommended.csv",
    "similar {0} 3",
    "explain {0} --liked 1 --liked 2 --item 5",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Likes in a file, and models that need no kernels."""
    folder = tmp_path_factory.mktemp("without")
    rng = np.random.default_rng(0)
    users, items = np.repeat(np.arange(60), 8), rng.integers(20, size=480)
    np.savetxt(folder / "likes.csv", np.stack([users, items], axis=1), "%d", ",", header="user,item", comments="")
    likes = Interactions.from_pairs(users, items, name="likes")
    for model in (EASE(), ItemKNN(), Popular()):
        model.fit(likes).save(folder / type(model).__name__)
    return folder


def runs_without_numba(folder, *commands: str) -> None:
    child.run(RUN, folder, json.dumps([command.split() for command in commands]))


def test_the_help_of_each_command(folder):
    runs_without_numba(folder, "--help", *(f"{name} --help" for name in cli.command_names()))


@pytest.mark.parametrize("model", ["EASE", "ItemKNN", "Popular"])
def test_asking_a_model_without_kernels(folder, model):
    runs_without_numba(folder, *(command.format(model) for command in ASKING))


@pytest.mark.parametrize("threads", ["", " --threads 1"])
def test_a_training_in_numpy_and_what_follows(folder, threads):
    train = f"{TRAIN}{threads} --early-stopping ndcg@10 --checkpoint state{len(threads)} --out network"
    asking = (command.format("network") for command in ASKING)
    runs_without_numba(folder, train, f"merge state{len(threads)} merged", *asking)


def test_the_fast_preset_and_what_makes_no_model(folder):
    others = ("prepare likes.csv --out likes.npz", "gradcheck --layer relu", "train --preset")
    runs_without_numba(folder, "train --data likes.csv --preset fast --threads 1 --out fast", *others)
    runs_without_numba(folder, *(command.format("fast") for command in ASKING))


@pytest.mark.optional
def test_the_search_of_a_model_without_kernels(folder):
    pytest.importorskip("optuna")
    runs_without_numba(folder, "tune --model knn --data likes.csv --metric ndcg@5 --trials 2")


def test_the_check_itself(folder):
    with pytest.raises(AssertionError, match="--backend"):
        runs_without_numba(folder, TRAIN.replace("numpy", "numba"))
