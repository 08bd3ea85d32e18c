"""The memory of training and evaluation, measured in separate processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.child import run

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux' /proc"),
]

MB = 1_000_000

PREPARE = """
import sys
import numpy as np
from scipy import sparse
from autoenc.interactions import as_user_items
from autoenc.evaluation.splits import holdout_per_user
from autoenc.training.warm_up import warm_up

path, n_users = sys.argv[1], int(sys.argv[2])
n_items, n_likes = 10_677, round(n_users * 10_000_054 / 69_878)
rng = np.random.default_rng(0)
popularity = np.cumsum(1 / np.arange(20, 20 + n_items))  # a long tail
activity = np.cumsum(1 / np.arange(200, 200 + n_users))
keys = np.empty(0, np.int64)
while len(keys) < n_likes:
    users = np.searchsorted(activity, rng.random(n_likes // 4) * activity[-1])
    items = np.searchsorted(popularity, rng.random(n_likes // 4) * popularity[-1])
    keys = np.union1d(keys, users * n_items + items)
keys = keys[np.sort(rng.permutation(len(keys))[:n_likes])]
users, items = keys // n_items, keys % n_items
user_items = sparse.csr_array((np.ones(n_likes, np.float32), (users, items)), shape=(n_users, n_items))
train, held_out = holdout_per_user(as_user_items(user_items))
np.savez(path, **{f"{name}_{part}": getattr(half, part) for name, half in (("train", train), ("held_out", held_out))
                  for part in ("data", "indices", "indptr")})
warm_up()  # so that the measured processes only load the kernels
"""

MEASURE = """
import json
import sys
import numpy as np
from scipy import sparse
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.ranking import rank
from autoenc.machine import compute_threads, peak_memory_mb
from autoenc.training.trainer import Trainer
from autoenc.training.warm_up import warm_up

path, emb_dim, hidden_dim, n_items = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), 10_677
warm_up()
report = {"started": peak_memory_mb()}
arrays = dict(np.load(path))
n_users = len(arrays["train_indptr"]) - 1
halves = ([arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr")] for name in ("train", "held_out"))
train, held_out = (sparse.csr_array(tuple(half), shape=(n_users, n_items)) for half in halves)
report["data"] = sum(array.nbytes for array in arrays.values()) / 1e6
report["loaded"] = peak_memory_mb()
network = AutoEncoderNetwork(initial_state(n_items, emb_dim, hidden_dim))
trainer = Trainer(network)
adam = trainer.adam
report["model"] = sum(
    array.nbytes for part in (network.state, adam.first_moment, adam.second_moment) for array in part.values()
) / 1e6
trainer.fit(train)
report["trained"] = peak_memory_mb()
with compute_threads():
    report["p_at_01"] = evaluate(trainer.engine, train, held_out)["precision@1"]
report["peak"] = peak_memory_mb()
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def likes(tmp_path_factory):
    """likes(n_users): the path of the likes of this many users, split, with as many likes per user as ML-10M."""
    folder = tmp_path_factory.mktemp("likes")

    def prepare(n_users):
        path = folder / f"{n_users}.npz"
        if not path.exists():
            run(PREPARE, path, n_users)
        return path

    return prepare


def working_memory(report) -> float:
    """The memory needed beyond the interpreter with its kernels, the data and the model's own arrays, in MB."""
    return report["peak"] - report["started"] - report["data"] - report["model"]


def test_training_and_evaluation_at_ml_10ms_shape_need_less_than_200_mb(likes):
    report = json.loads(run(MEASURE, likes(69_878), 800, 400))
    print(report)
    assert report["p_at_01"] > 0
    assert working_memory(report) < 200


def test_four_times_the_users_add_their_likes_alone(likes):
    """From a quarter of ML-10M's users to all, with a network so small that it hides nothing.

    To within a third of what the likes take: checking their values temporarily needs 2 bytes per like, in
    addition to the 8 for storing it.
    """
    once, four_times = (json.loads(run(MEASURE, likes(n), 64, 32)) for n in (69_878 // 4, 69_878))
    print(once, four_times)
    more_data = four_times["data"] - once["data"]
    assert more_data > 50
    assert working_memory(four_times) - working_memory(once) < more_data / 3
