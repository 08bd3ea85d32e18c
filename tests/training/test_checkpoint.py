"""Training that is killed resumes with the same bits, and an invalid checkpoint is refused with one sentence."""

from __future__ import annotations

import errno
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from autoenc.cli import main
from autoenc.layers import Multinomial
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.training.callbacks import Callback, History
from autoenc.training.checkpoint import MANIFEST, Checkpoints, restore_checkpoint
from autoenc.training.trainer import Trainer
from tests.helpers import DATA, ROOT
from tests.helpers.killed import KillAt, Killed, new_trainer
from tests.helpers.torture import EPOCHS, digest, small_split, torture, train


@pytest.fixture(scope="module")
def split():
    return small_split()


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
    with pytest.raises(ValueError, match="holds a training with seed 0, but this one has 1"):
        train(split, Checkpoints(tmp_path), seed=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_other_likes_are_refused(split, tmp_path):
    train(split, Checkpoints(tmp_path))
    with pytest.raises(ValueError, match="holds a training with "):
        train(split[::-1], Checkpoints(tmp_path))


def test_a_folder_with_a_checkpoint_is_refused_where_it_is_not_resumed(split, tmp_path):
    train(split, Checkpoints(tmp_path))
    with pytest.raises(ValueError, match="already holds a checkpoint"):
        train(split, Checkpoints(tmp_path, resume=False))


class Meanwhile(Callback):
    """Calls a function after a step."""

    def __init__(self, step, act):
        self.step, self.act = step, act

    def on_step_end(self, trainer):
        if trainer.adam.step_count == self.step:
            self.act()


def test_two_trainings_do_not_share_a_folder(split, tmp_path):
    refusal = (
        f"another training writes its checkpoints to {re.escape(str(tmp_path))}; wait until it ends, or name another"
    )
    answers = []

    def second():
        before = content_of(tmp_path)
        with pytest.raises(OSError, match=refusal):
            train(split, Checkpoints(tmp_path, every_steps=3), Callback())
        answers.append(content_of(tmp_path) == before)

    whole = train(split)
    assert train(split, Checkpoints(tmp_path, every_steps=3), Meanwhile(7, second)) == whole
    assert answers == [True]
    assert train(split, Checkpoints(tmp_path, every_steps=3), Callback()) == whole  # nothing is locked any more


def test_what_a_killed_training_locked_is_free(split, tmp_path):
    code = f"""
import os
from pathlib import Path
from autoenc.storage.locks import FolderLock
FolderLock(Path({str(tmp_path)!r})).acquire()
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode == 9
    assert (tmp_path / ".lock").exists()
    assert train(split, Checkpoints(tmp_path)) == train(split)
    assert not (tmp_path / ".lock").exists()


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
    monkeypatch.setattr("autoenc.training.checkpoint._sweep", lambda folder: None)  # as a killed process wouldn't
    with pytest.raises(Killed):
        train(split, Checkpoints(tmp_path, every_steps=1))
    monkeypatch.undo()
    assert train(split, Checkpoints(tmp_path, every_steps=1)) == whole


def test_what_a_killed_training_left_is_swept_away(split, tmp_path):
    train(split, Checkpoints(tmp_path))
    before = sorted(tmp_path.iterdir())
    others = [
        tmp_path / name
        for name in (
            "model.safetensors",
            "notes.part",
            "step-1.safetensors",
            "step-000000099-of-my-own.safetensors",
            "step-000000099-epoch-000001-0-of-1.safetensors.bak",
            "my-step-000000099-epoch-000001-0-of-1.safetensors",
        )
    ]
    for path in others:
        path.write_text("the user's own")
    for name in (".autoenc-01234567-89abcdef.part", "step-000000099-epoch-000001-0-of-1.safetensors"):
        (tmp_path / name).write_text("half")
    train(split, Checkpoints(tmp_path))
    assert sorted(tmp_path.iterdir()) == sorted(before + others)


def network(split, **settings):
    return AutoEncoderNetwork(initial_state(split[0].shape[1], emb_dim=12, hidden_dim=8), **settings)


def test_other_callbacks_are_refused_and_nothing_is_changed(split, tmp_path):
    train(split, Checkpoints(tmp_path))
    callbacks = [History(), Checkpoints(tmp_path)]
    trainer = Trainer(network(split), epochs=3, batch_size=128, schedule="cosine", callbacks=callbacks)
    before = digest(trainer.engine.network.state)
    theirs, ours = r"\['Validation', 'History'\]", r"\['History'\]"
    with pytest.raises(ValueError, match=f"holds a training with callbacks {theirs}, but this one has {ours}; use"):
        trainer.fit(split[0])
    assert digest(trainer.engine.network.state) == before and trainer.adam.step_count == 0


@pytest.mark.parametrize("change", [{"dropout": 0.25}, {"loss": Multinomial()}])
def test_another_network_is_refused(split, tmp_path, change):
    Trainer(network(split), callbacks=[Checkpoints(tmp_path)]).fit(split[0])
    differs = (
        "loss 'SigmoidBCE', but this one has 'Multinomial'"
        if "loss" in change
        else "settings .*, but this one has .*0.25"
    )
    with pytest.raises(ValueError, match=f"holds a training with {differs}"):
        Trainer(network(split, **change), callbacks=[Checkpoints(tmp_path)]).fit(split[0])


# A disk that is full, a folder that can't be written to

FULL = """
import resource, signal, sys
sys.path[:0] = [{root!r}]
from tests.helpers import torture
from autoenc.training.checkpoint import Checkpoints
from autoenc.training.callbacks import Callback

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
    code = FULL.format(root=str(ROOT), folder=str(folder), room=room)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"the checkpoint of step 10 can't be written to {folder} (")
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
    with pytest.raises(
        OSError, match=r"the checkpoint of step 9 can't be written to .* \(.*No space left on device\); fix that"
    ):
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
    with pytest.raises(PermissionError, match="new is not writable; name another folder for the checkpoints"):
        train(split, Checkpoints(tmp_path / "new"), KillAt(1))


# Strangers' checkpoints, and damaged ones

HOSTILE = DATA / "hostile" / "checkpoint"
NONE_OF_OURS = "is not a checkpoint that this version of autoenc can read; name another folder, or delete this one"
OF_ANOTHER = (
    "holds a training with network None, but this one has 'AutoEncoderNetwork'; use the same, or name another folder"
)
SENTENCES = {
    **dict.fromkeys(["empty", "no_json", "no_utf8", "pickle", "list", "number", "deep"], NONE_OF_OURS),
    **dict.fromkeys(["foreign", "later_version", "no_checksum"], NONE_OF_OURS),
    "another_checksum": "is damaged: its checksum does not match; delete the folder and train from the beginning",
    **dict.fromkeys(["no_shards", "shards_by_name", "shard_without_a_name", "shard_of_a_number"], OF_ANOTHER),
    **dict.fromkeys(["traversal", "of_no_training"], OF_ANOTHER),
    "of_a_deep_network": (
        r"holds a training with network \[{7}\.\.\.\]{7}, but this one has 'AutoEncoderNetwork'; use"
    ),
}


def content_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_hostile_manifests_are_those_that_the_script_makes():
    made = runpy.run_path(str(DATA / "make_hostile.py"))["checkpoints"]()
    assert made == {file.stem: file.read_bytes() for file in HOSTILE.iterdir()}
    assert set(made) == set(SENTENCES)


@pytest.mark.parametrize("name", SENTENCES)
def test_hostile_manifests_are_refused_and_nothing_is_destroyed(split, name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "state"
    folder.mkdir()
    shutil.copy(HOSTILE / f"{name}.json", folder / MANIFEST)
    for path in (folder / "step-000000003-epoch-000001-0-of-1.safetensors", tmp_path / "outside.safetensors"):
        path.write_text("the user's own")
    before = content_of(tmp_path)
    with pytest.raises(ValueError, match=SENTENCES[name]) as error:
        train(split, Checkpoints(folder), KillAt(1))
    assert str(error.value).startswith(str(folder)) and len(str(error.value)) < 400
    assert content_of(tmp_path) == before

    likes = str(DATA / "formats" / "csv")
    command = ["train", "--data", likes, "--backend", "numpy", "--checkpoint", str(folder), "--out", "model"]
    assert main(command) == 2
    printed, errors = capsys.readouterr()
    assert printed == "" and "Traceback" not in errors
    assert re.match(f"autoenc train: {re.escape(str(folder))}.*{SENTENCES[name]}", errors.splitlines()[-1])
    assert content_of(tmp_path) == before


@pytest.fixture(scope="module", params=["numba", "numpy"])
def sound(split, request, tmp_path_factory):
    """A backend, and the checkpoint of a training that was killed in the middle."""
    folder = tmp_path_factory.mktemp("sound")
    with pytest.raises(Killed):
        train(split, Checkpoints(folder, every_steps=3), KillAt(10), backend=request.param)
    return request.param, folder


@pytest.fixture
def checkpoint(sound, tmp_path):
    """(backend, folder, manifest) of a copy that may be spoilt."""
    folder = Path(shutil.copytree(sound[1], tmp_path / "state"))
    return sound[0], folder, json.loads((folder / MANIFEST).read_text(encoding="utf-8"))


def seal(folder, manifest, arrays=None):
    """Write a manifest with its checksum, and a shard of other arrays or bytes."""
    shard = manifest["shards"][0]
    if arrays is not None:
        raw = arrays if isinstance(arrays, bytes) else safetensors.numpy.save(arrays)
        (folder / shard["file"]).write_bytes(raw)
        shard |= {"bytes": len(raw), "crc32": zlib.crc32(raw)}
    manifest.pop("crc32")
    manifest["crc32"] = zlib.crc32(json.dumps(manifest).encode())
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def refuses(split, backend, folder, sentence):
    trainer = new_trainer(split, backend)
    state = trainer.engine.network.state, trainer.adam.first_moment, trainer.adam.second_moment
    before, files = digest(*state), content_of(folder)
    with pytest.raises(ValueError, match=sentence) as error:
        restore_checkpoint(folder, trainer)
    assert "\n" not in str(error.value) and len(str(error.value)) < 1000
    assert digest(*state) == before and (trainer.adam.step_count, trainer.next_epoch, trainer.next_step) == (0, 0, 0)
    assert content_of(folder) == files


def test_the_sound_checkpoint_is_taken(split, checkpoint):
    backend, folder, manifest = checkpoint
    trainer = new_trainer(split, backend)
    seal(folder, manifest)
    assert restore_checkpoint(folder, trainer)
    assert (trainer.adam.step_count, trainer.next_epoch, trainer.next_step) == (9, 1, 3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("next_epoch", value) for value in (-1, 1.0, "1", True, None, 2**53 + 1)),
        *(("next_step", value) for value in (-1, 7, "3")),
        *(("users_done", value) for value in (-1, 672, 10**400)),
        *(("total_loss", value) for value in ("1.5", float("nan"), float("inf"), [])),
        *(("stop", value) for value in (0, None, "no")),
        *(("step_count", value) for value in (-1, 2**64, 9.0, None)),
        *(("last_lr", value) for value in (-0.1, float("inf"), "0.01")),
        *(("callback_states", value) for value in ([], {}, [1, 2, 3], None)),
        *(("shards", value) for value in ([], {}, [{}, {}], [{"file": "x"}], None)),
        ("shards", [{"file": 7, "bytes": 8, "crc32": 0}]),
    ],
)
def test_a_manifest_that_agrees_in_all_but_one_thing_is_refused(split, checkpoint, key, value):
    backend, folder, manifest = checkpoint
    spoilt = {**manifest, key: value}
    spoilt.pop("crc32")
    (folder / MANIFEST).write_text(json.dumps({**spoilt, "crc32": zlib.crc32(json.dumps(spoilt).encode())}))
    refuses(split, backend, folder, f"{MANIFEST} has {key} .*, which this training cannot have; delete the folder and")
    spoilt.pop(key)
    (folder / MANIFEST).write_text(json.dumps({**spoilt, "crc32": zlib.crc32(json.dumps(spoilt).encode())}))
    refuses(split, backend, folder, "which this training cannot have")


def test_facts_that_no_callback_remembers_are_refused(split, checkpoint):
    backend, folder, manifest = checkpoint
    manifest["callback_states"] = [{} for _ in manifest["callback_states"]]
    seal(folder, manifest)
    refuses(split, backend, folder, "has no state of a Validation; delete the folder and train from the beginning")


def test_each_byte_of_a_manifest_counts(split, checkpoint):
    backend, folder, manifest = checkpoint
    manifest["total_loss"] += 1.0
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    refuses(split, backend, folder, f"{MANIFEST} is damaged: its checksum does not match; delete the folder and train")


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_truncated_shard_is_refused(split, checkpoint, keep):
    backend, folder, manifest = checkpoint
    shard = folder / manifest["shards"][0]["file"]
    shard.write_bytes(shard.read_bytes()[:keep])
    refuses(split, backend, folder, r"\d+ bytes instead of \d+\); delete the folder and train from the beginning")
    shard.unlink()
    refuses(split, backend, folder, "is incomplete or damaged .*No such file")


def test_each_bit_of_a_shard_counts(split, checkpoint):
    backend, folder, manifest = checkpoint
    shard = folder / manifest["shards"][0]["file"]
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    refuses(split, backend, folder, r"is incomplete or damaged \(its checksum is wrong\); delete the folder and train")


def test_strangers_files_are_no_shards(split, checkpoint):
    """Even where the manifest vouches for them."""
    backend, folder, manifest = checkpoint
    for file in sorted((DATA / "hostile" / "model").iterdir()):
        seal(folder, manifest, file.read_bytes())
        refuses(
            split, backend, folder, "is incomplete or damaged|lacks .*; delete the folder and train from the beginning"
        )


def test_a_shard_that_is_named_by_a_path_is_looked_for_in_the_folder_alone(split, checkpoint):
    backend, folder, manifest = checkpoint
    shard = manifest["shards"][0]
    (folder / shard["file"]).rename(folder.parent / shard["file"])
    shard["file"] = f"../{shard['file']}"
    seal(folder, manifest)
    refuses(split, backend, folder, "is incomplete or damaged .*No such file")


@pytest.mark.parametrize("name", ["output.bias", "first_moment/embedding.weight", "second_moment/bottleneck.bias"])
@pytest.mark.parametrize("change", ["gone", "other dtype", "other shape"])
def test_a_shard_of_other_arrays_is_refused(split, checkpoint, name, change):
    backend, folder, manifest = checkpoint
    arrays = safetensors.numpy.load_file(folder / manifest["shards"][0]["file"])
    array = arrays.pop(name)
    arrays |= {"gone": {}, "other dtype": {name: array.astype("f8")}, "other shape": {name: array[1:]}}[change]
    seal(folder, manifest, arrays)
    refuses(split, backend, folder, f"lacks {name}, float32 of shape .*; delete the folder and train")


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("last_step", lambda array: np.where(array == array.max(), 10, array)),
        ("last_step", lambda array: array - 1),
        ("last_step", lambda array: array[1:]),
        ("last_step", lambda array: array.astype("i4")),
        ("drift", lambda array: array[:, :9]),
        ("drift", lambda array: array[1:]),
        ("drift", lambda array: array.ravel()),
        ("drift", lambda array: None),
    ],
)
def test_steps_that_the_kernels_would_look_up_beyond_their_tables_are_refused(split, checkpoint, name, spoil):
    backend, folder, manifest = checkpoint
    if backend == "numpy":
        pytest.skip("has no such arrays")
    arrays = safetensors.numpy.load_file(folder / manifest["shards"][0]["file"])
    spoilt = spoil(arrays.pop(f"training/{name}"))
    arrays |= {} if spoilt is None else {f"training/{name}": np.ascontiguousarray(spoilt)}
    seal(folder, manifest, arrays)
    wrong = rf"(has no training/{name} for 9 steps|\(training/{name} does not have one row per item\))"
    sentence = f"{wrong}; delete the folder and"
    refuses(split, backend, folder, sentence)
