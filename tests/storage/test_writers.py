"""Whatever a writer asks of the system and doesn't get is an error, and what stood there stands there still."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from autoenc.datasets.npz import save_likes
from autoenc.datasets.prepared import Column, new_folder, write_manifest
from autoenc.datasets.task_cache import write_task_cache, write_topk
from autoenc.evaluation import plots
from autoenc.interactions import Interactions
from autoenc.models import Popular
from autoenc.models.export import write_recommendations

LIKES = Interactions.from_csr(
    sparse.csr_array(np.ones((40, 50), np.float32)), titles=[f"a title of its own, {n}" for n in range(50)]
)
FEW = LIKES.with_user_items(LIKES.user_items * (np.arange(50) < 20))
MODEL = Popular().fit(FEW)


def write_plot(path):
    plots.save(plots.draw_history([{"epoch": 1, "loss": 1.0}]), path)


def write_folder(path):
    with new_folder(path) as folder:
        for name in ("indptr", "indices", "data", "user_ids", "item_ids"):
            with Column(folder / f"{name}.npy", "<i4") as column:
                column.append(np.arange(40))
        write_manifest(folder, 1, 40, 40)


def write_parquet(path):
    pytest.importorskip("pyarrow")
    write_recommendations(path, MODEL, FEW.user_items, FEW.user_ids)


WRITERS = {
    "likes.npz": functools.partial(save_likes, LIKES),
    "topk": lambda path: write_topk(path, np.ones((40, 10), int)),
    "cache_train.npy": lambda path: write_task_cache(str(path).removesuffix("_train.npy"), LIKES, LIKES),
    "training.png": write_plot,
    "model.safetensors": MODEL.save,
    "recs.csv": lambda path: write_recommendations(path, MODEL, FEW.user_items, FEW.user_ids),
    "recs.npz": lambda path: write_recommendations(path, MODEL, FEW.user_items, FEW.user_ids),
    "recs.parquet": write_parquet,
    "prepared": write_folder,
}
every_writer = pytest.mark.parametrize("name", WRITERS)


def content(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@every_writer
def test_it_writes(tmp_path, name):
    WRITERS[name](tmp_path / name)
    assert (tmp_path / name).exists() and not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@every_writer
@pytest.mark.parametrize("call", ["fsync", "rename"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_call_of_the_system_that_fails(tmp_path, monkeypatch, name, call, number):
    write, path = WRITERS[name], tmp_path / name
    write(path)
    before = content(tmp_path)

    def fails(*arguments):
        raise OSError(number, os.strerror(number))

    calls = {"fsync": [(os, "fsync")], "rename": [(os, "replace"), (os, "rename"), (Path, "rename")]}[call]
    for place, function in calls:
        monkeypatch.setattr(place, function, fails)
    monkeypatch.setattr("autoenc.storage.atomic._exchanged_in_one_step", lambda new, old: False)
    with pytest.raises(OSError, match=os.strerror(number)):
        write(path)
    assert content(tmp_path) == before


@contextlib.contextmanager
def files_of_at_most(n_bytes):
    """Writing beyond fails as it does on a full disk; Python ignores the signal that comes with it."""
    resource = pytest.importorskip("resource", reason="Windows has no limit on a file's size")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@every_writer
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_full_disk(tmp_path, name, share):
    """At the beginning, in the middle, and at the last bytes that are written."""
    write, path = WRITERS[name], tmp_path / name
    write(path)
    n_bytes = max(file.stat().st_size for file in ([*path.iterdir()] if path.is_dir() else [path]))
    before = content(tmp_path)
    with files_of_at_most(int(share * n_bytes)), pytest.raises(OSError, match="File too large"):
        write(path)
    assert content(tmp_path) == before
