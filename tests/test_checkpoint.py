"""A training that is killed goes on to the same bits, and a strange checkpoint is one sentence."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from torture import EPOCHS, digest, small_split, torture, train

from autoenc.callbacks import History
from autoenc.checkpoint import MANIFEST, Checkpoints
from autoenc.network import Network, initial_state
from autoenc.trainer import Callback, Trainer

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def split():
    return small_split()


class Killed(Exception):
    pass


class KillAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.adam.step_count == self.step:
            raise Killed


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


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
@pytest.mark.parametrize(("backend", "every_steps", "kills"), [("numba", 1, 2), ("numpy", 3, 4)])
def test_kill_9_at_any_moment(split, tmp_path, backend, every_steps, kills):
    assert_survives(split, tmp_path, backend, every_steps, kills)


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
@pytest.mark.parametrize(("backend", "every_steps"), [("numba", 1), ("numpy", 4)])
def test_kill_9_fifty_times(split, tmp_path, backend, every_steps):
    assert_survives(split, tmp_path, backend, every_steps, kills=25)


def assert_survives(split, tmp_path, backend, every_steps, kills):
    summary = torture(tmp_path / "checkpoint", kills, backend, every_steps)
    assert summary.digests == {train(split, backend=backend, epochs=EPOCHS)[0]}
    assert summary.kills == kills and summary.trainings > 0
    assert summary.lost_steps <= every_steps


@pytest.mark.parametrize("moment", ["an epoch's end", "an epoch's last step"])
def test_a_crash_between_shard_and_manifest(split, tmp_path, monkeypatch, moment):
    """An epoch's last step is written twice, and what callbacks remember differs."""
    whole = train(split)
    last = 3 * 6  # steps of three epochs
    before = last if moment == "an epoch's end" else last - 1

    def crashes(source, target):
        path = tmp_path / MANIFEST
        if Path(target) == path and path.exists() and json.loads(path.read_text())["step_count"] == before:
            raise Killed
        return replace(source, target)

    replace = os.replace
    monkeypatch.setattr(os, "replace", crashes)
    monkeypatch.setattr("autoenc.checkpoint._sweep", lambda folder: None)  # as a killed process wouldn't
    with pytest.raises(Killed):
        train(split, Checkpoints(tmp_path, every_steps=1))
    monkeypatch.undo()
    assert train(split, Checkpoints(tmp_path, every_steps=1)) == whole


def test_what_a_killed_training_left_is_swept_away(split, tmp_path):
    train(split, Checkpoints(tmp_path))
    before = sorted(tmp_path.iterdir())
    others = [tmp_path / "model.safetensors", tmp_path / "notes.part"]
    for path in others:
        path.write_text("the user's own")
    for name in (".step-000000001-0.safetensors.abc.part", ".manifest.json.abc.part", "step-000000099-0.safetensors"):
        (tmp_path / name).write_text("half")
    train(split, Checkpoints(tmp_path))
    assert sorted(tmp_path.iterdir()) == sorted(before + others)


def network(split, **settings):
    return Network(initial_state(split[0].shape[1], emb_dim=12, hidden_dim=8), **settings)


def test_other_callbacks_are_refused_and_nothing_is_changed(split, tmp_path):
    train(split, Checkpoints(tmp_path))
    callbacks = [History(), Checkpoints(tmp_path)]
    trainer = Trainer(network(split), epochs=3, batch_size=128, schedule="cosine", callbacks=callbacks)
    before = digest(trainer.model.network.state)
    theirs, ours = r"\['Validation', 'WeightAverage', 'History'\]", r"\['History'\]"
    with pytest.raises(ValueError, match=f"holds a training with callbacks {theirs}, and this one has {ours}; give it"):
        trainer.fit(split[0])
    assert digest(trainer.model.network.state) == before and trainer.adam.step_count == 0


@pytest.mark.parametrize("change", [{"dropout": 0.25}, {"loss": "multinomial"}])
def test_another_network_is_refused(split, tmp_path, change):
    Trainer(network(split), callbacks=[Checkpoints(tmp_path)]).fit(split[0])
    [value] = change.values()
    with pytest.raises(ValueError, match=f"holds a training with settings .*, and this one has .*{value}"):
        Trainer(network(split, **change), callbacks=[Checkpoints(tmp_path)]).fit(split[0])


# A disk that is full, a folder that can't be written to

FULL = """
import resource, signal, sys
sys.path[:0] = [{root!r}, {tests!r}]
import torture
from autoenc.checkpoint import Checkpoints
from autoenc.trainer import Callback

class Fill(Callback):
    def on_step_end(self, trainer):
        if trainer.adam.step_count == 10:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))

try:
    torture.train(torture.small_split(), Fill(), Checkpoints({folder!r}, every_steps=1), backend="numpy")
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on a file's size")
@pytest.mark.parametrize("room", [0, 100_000])
def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_stands(split, tmp_path, room):
    """By a limit on the size of files, which fails as a full disk does: in the middle of a write."""
    folder = tmp_path / "checkpoint"
    code = FULL.format(root=str(ROOT), tests=str(Path(__file__).parent), folder=str(folder), room=room)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{folder} can't take a checkpoint of step 10 (")
    assert "File too large" in done.stdout and done.stdout.count("\n") == 1
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["step_count"] == 9
    assert {path.name for path in folder.iterdir()} == {MANIFEST, manifest["shards"][0]["file"]}
    assert train(split, Checkpoints(folder, every_steps=1), backend="numpy") == train(split, backend="numpy")


@pytest.mark.parametrize("place", ["shard", "manifest"])
def test_no_space_left_destroys_nothing(split, tmp_path, monkeypatch, place):
    with pytest.raises(Killed):
        train(split, Checkpoints(tmp_path, every_steps=3), KillAt(7))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    calls, fsync = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == (1 if place == "shard" else 2):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"can't take a checkpoint of step 9 \(.*No space left on device\); mend that"):
        train(split, Checkpoints(tmp_path, every_steps=3))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    monkeypatch.undo()
    assert train(split, Checkpoints(tmp_path, every_steps=3)) == train(split)


def test_a_folder_that_cannot_be_one_is_refused_before_the_training(split, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(NotADirectoryError, match="file is a file; name a folder for the checkpoints"):
        train(split, Checkpoints(tmp_path / "file"), KillAt(1))
    with pytest.raises(NotADirectoryError):
        train(split, Checkpoints(tmp_path / "file" / "below"), KillAt(1))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="new can't be written to; name a folder of yours for the checkpoints"):
        train(split, Checkpoints(tmp_path / "new"), KillAt(1))
