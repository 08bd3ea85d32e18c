"""A training that is killed goes on to the same bits, and a strange checkpoint is one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from autoenc.callbacks import History, Validation
from autoenc.checkpoint import MANIFEST, Checkpoints
from autoenc.network import Network, initial_state
from autoenc.trainer import Callback, Trainer

ROOT = Path(__file__).parent.parent


class Killed(Exception):
    pass


class KillAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.adam.step_count == self.step:
            raise Killed


def train(split, *callbacks, backend="numba", seed=0, epochs=3):
    train_items, held_out = split
    network = Network(initial_state(train_items.shape[1], emb_dim=12, hidden_dim=8, seed=seed))
    validation = Validation(train_items, held_out, "precision@10")
    history = History(validation)
    trainer = Trainer(
        network,
        epochs=epochs,
        batch_size=128,
        schedule="cosine",
        seed=seed,
        backend=backend,
        callbacks=[validation, history, *callbacks],
    )
    trainer.fit(train_items)
    return digest(network.state), history.epochs


def digest(state) -> str:
    return hashlib.sha256(b"".join(state[name].tobytes() for name in sorted(state))).hexdigest()


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("killed_at", [1, 7, 12, 17])
def test_a_killed_training_goes_on_to_the_same_bits(split, tmp_path, backend, killed_at):
    """In the middle of an epoch and at its end, with what validation and history remember."""
    whole = train(split, backend=backend)
    with pytest.raises(Killed):
        train(split, Checkpoints(tmp_path, every_steps=3), KillAt(killed_at), backend=backend)
    assert train(split, Checkpoints(tmp_path, every_steps=3), Callback(), backend=backend) == whole


def test_only_the_newest_checkpoint_is_kept(split, tmp_path):
    train(split, Checkpoints(tmp_path, every_steps=2))
    manifest = json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))
    assert {path.name for path in tmp_path.iterdir()} == {MANIFEST, manifest["shards"][0]["file"]}


def test_another_training_is_refused_and_the_checkpoint_stands(split, tmp_path):
    train(split, Checkpoints(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="holds a training with seed 0, and this one has 1"):
        train(split, Checkpoints(tmp_path), seed=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_other_likes_are_refused(split, tmp_path):
    train(split, Checkpoints(tmp_path))
    with pytest.raises(ValueError, match="holds a training with "):
        train(split[::-1], Checkpoints(tmp_path))


def test_a_folder_with_a_checkpoint_is_refused_where_it_is_not_resumed(split, tmp_path):
    train(split, Checkpoints(tmp_path))
    with pytest.raises(ValueError, match="holds a checkpoint already"):
        train(split, Checkpoints(tmp_path, resume=False))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": "autoenc checkpoint", "version": 99}'])
def test_a_foreign_manifest_is_one_sentence(split, tmp_path, content):
    (tmp_path / MANIFEST).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="is no checkpoint that this autoenc reads"):
        train(split, Checkpoints(tmp_path))


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_truncated_shard_is_one_sentence(split, tmp_path, keep):
    train(split, Checkpoints(tmp_path))
    [shard] = tmp_path.glob("step-*.safetensors")
    shard.write_bytes(shard.read_bytes()[:keep])
    with pytest.raises(ValueError, match="is not whole"):
        train(split, Checkpoints(tmp_path))


@pytest.mark.parametrize("arguments", [{"every_steps": 0}, {"every_minutes": 0.0}])
def test_bad_intervals_are_refused(tmp_path, arguments):
    with pytest.raises(ValueError, match="every_steps must be 1 or more and every_minutes above 0"):
        Checkpoints(tmp_path, **arguments)


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import test_checkpoint as t
from autoenc.checkpoint import Checkpoints
from autoenc.datasets import load
from autoenc.splits import holdout_per_user
print("ready", flush=True)
split = holdout_per_user(load().user_items, seed=0)
print(t.train(split, Checkpoints({folder!r}, every_steps=1), epochs=6)[0])
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_kill_9_at_any_moment(split, tmp_path):
    whole = train(split, epochs=6)[0]
    code = SCRIPT.format(root=str(ROOT), tests=str(Path(__file__).parent), folder=str(tmp_path))
    rng = np.random.default_rng(0)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.3, 2.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["ready", whole]
