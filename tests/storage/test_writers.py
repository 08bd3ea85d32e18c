"""If a system call of a writer fails, it raises an error, and the previous file is kept."""

from __future__ import annotations

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
from tests.helpers.child import run

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
    monkeypatch.setattr("autoenc.storage.atomic.exchanged_in_one_step", lambda new, old: False)
    with pytest.raises(OSError, match=os.strerror(number)):
        write(path)
    assert content(tmp_path) == before


WITH_FILES_OF_AT_MOST = """
import resource, sys
from pathlib import Path
from tests.storage.test_writers import WRITERS

name, path, *limits = sys.argv[1:]
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
for limit in limits:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), most))
    try:
        WRITERS[name](Path(path))
    except OSError as error:
        print(error)
    else:
        print("written")
"""


@every_writer
def test_a_full_disk(tmp_path, name):
    """At the beginning, in the middle, and at the last bytes that are written: each fails as it does on a full disk.

    In a process of its own, whose limit is no other's. Python ignores the signal that comes with it.
    """
    pytest.importorskip("resource", reason="Windows has no limit on a file's size")
    write, path = WRITERS[name], tmp_path / name
    write(path)
    n_bytes = max(file.stat().st_size for file in ([*path.iterdir()] if path.is_dir() else [path]))
    before = content(tmp_path)
    told = run(WITH_FILES_OF_AT_MOST, name, path, *(int(share * n_bytes) for share in (0, 0.01, 0.5, 0.99)))
    assert [("File too large" in line) for line in told.splitlines()] == [True] * 4, told
    assert content(tmp_path) == before
