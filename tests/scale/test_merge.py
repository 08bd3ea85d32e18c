"""A checkpoint is merged into a model file, even while training is running."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
import safetensors

from autoenc.scale import merge as merging
from autoenc.scale.merge import merge
from autoenc.storage.shard_files import ShardFiles
from autoenc.training.checkpoint import MANIFEST, Checkpoints, read_manifest
from tests.helpers.killed import KillAt, Killed
from tests.helpers.torture import small_split, train


@pytest.fixture(scope="module")
def split():
    return small_split()


@pytest.fixture
def running(split, tmp_path):
    """A checkpoint, the manifest of the one that it replaced, as a merge may have read it, and the model's bytes."""
    state = tmp_path / "state"
    with pytest.raises(Killed):
        train(split, Checkpoints(state, every_steps=3), KillAt(7), backend="numpy")
    stale = read_manifest(state / MANIFEST)
    with pytest.raises(Killed):
        train(split, Checkpoints(state, every_steps=3), KillAt(10), backend="numpy")
    merge(state, tmp_path / "wanted")
    return state, stale, (tmp_path / "wanted").read_bytes()


def test_a_checkpoint_that_was_replaced_since_its_manifest_was_read(running, tmp_path, monkeypatch):
    state, stale, wanted = running
    manifests = iter([stale])
    monkeypatch.setattr(merging, "read_manifest", lambda path: next(manifests, None) or read_manifest(path))
    merge(state, tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == wanted


def test_checkpoints_that_are_replaced_again_and_again(running, tmp_path, monkeypatch):
    state, stale, _ = running
    n = itertools.count()
    monkeypatch.setattr(merging, "read_manifest", lambda path: stale | {"next_step": next(n)})
    with pytest.raises(OSError, match=r"before it can be opened; merge it when training is done$"):
        merge(state, tmp_path / "model")


@pytest.mark.skipif(os.name != "posix", reason="elsewhere an open file can't be deleted")
def test_shards_that_are_deleted_once_they_are_open(running, tmp_path, monkeypatch):
    state, _, wanted = running
    safe_open = safetensors.safe_open

    def deleting(path, framework):
        file = safe_open(path, framework=framework)
        path.unlink()
        return file

    monkeypatch.setattr(safetensors, "safe_open", deleting)
    merge(state, tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == wanted


def test_a_network_that_is_not_finite(running, tmp_path, monkeypatch):
    """Which no folder's damage explains."""
    state, _, _ = running
    rows = merging._Rows.rows
    monkeypatch.setattr(merging._Rows, "rows", lambda array, items: rows(array, items) * np.inf)
    with pytest.raises(FloatingPointError, match=r"holds a number that is not finite; train again with a lower lr"):
        merge(state, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.skipif(os.name != "posix", reason="elsewhere an open file can't be deleted")
def test_shards_that_are_deleted_while_they_are_read(running, tmp_path, monkeypatch):
    state, _, wanted = running
    enter = ShardFiles.__enter__

    def deleted_once_open(shards):
        opened = enter(shards)
        for path in shards.paths:
            path.unlink()
        return opened

    monkeypatch.setattr(ShardFiles, "__enter__", deleted_once_open)
    merge(state, tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == wanted
