"""A network divided among ranks trains like one on a single rank: the parts alone, and jobs run by mpiexec."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.layers import Multinomial
from autoenc.models import load_model
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.optim import Adam
from autoenc.scale import ranks
from autoenc.scale.merge import merge
from autoenc.scale.ranks import ALONE, Communicator, world
from autoenc.scale.sharded import RowsOfRanks, ShardedEngine, best_of_candidates, initial_shard
from autoenc.scale.sharded_autoencoder import ShardedAutoEncoder
from autoenc.scale.shards import Shard, deal
from autoenc.storage.model_file import read_model_file, write_safetensors
from autoenc.train_job import Settings, main_job
from autoenc.training.checkpoint import MANIFEST
from tests.helpers import ROOT, sharded_job

pytestmark = pytest.mark.optional

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None, reason="no MPI: pip install '.[mpi]'"
)
BACKENDS = ("numba", "numpy")


def mpiexec(n, *arguments, folder=None):
    """A finished job of n ranks."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "NUMBA_NUM_THREADS": "2"}
    command = [MPIEXEC, "-n", str(n), sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=300)


def job(n, what, folder):
    """sharded_job.py on n ranks, or on one without mpiexec, in a folder that is made."""
    Path(folder).mkdir(exist_ok=True)
    if n == 1:
        getattr(sharded_job, what)(ALONE, folder)
        return folder
    done = mpiexec(n, ROOT / "tests" / "helpers" / "sharded_job.py", what, folder)
    assert done.returncode == 0, done.stderr
    return folder


# How items are dealt


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 4, 7, 64])
@pytest.mark.parametrize("exponent", [0.0, 0.8, 1.5])
def test_items_are_dealt_evenly_by_number_and_by_likes(n_ranks, exponent):
    rng = np.random.default_rng(0)
    likes = rng.permutation((1e6 / np.arange(1, 5002) ** exponent).astype(np.int64))
    shards = deal(likes, n_ranks)
    assert (np.sort(np.concatenate(shards)) == np.arange(5001)).all()
    assert all((np.diff(items) > 0).all() for items in shards)
    sizes, sums = [len(items) for items in shards], [likes[items].sum() for items in shards]
    assert max(sizes) - min(sizes) <= 1
    by_likes = np.sort(likes)[::-1]
    rounds = [by_likes[k : k + n_ranks] for k in range(0, 5001, n_ranks)]
    gaps = [(r[0] - r[-1]) if len(r) == n_ranks else r[0] for r in rounds]
    assert max(sums) - min(sums) <= max(gaps) <= likes.max()


def test_more_ranks_than_items_are_refused():
    with pytest.raises(ValueError, match="2 items can't be divided among 3 ranks; start at most one rank per item"):
        deal(np.array([1, 1]), 3)


def test_a_shard_has_its_columns():
    user_items = sparse.csr_array(np.array([[1, 0, 1, 1], [0, 1, 0, 1]], np.float32))
    assert (Shard(np.array([1, 3]), 4).own(user_items).toarray() == [[0, 1], [1, 1]]).all()


def test_a_rank_remembers_its_own_items_alone():
    """8 bytes each, so that what stays does not go by the catalogue."""

    class OfFifty(Communicator):
        size, rank = 50, 49

    likes = np.arange(100_000)
    tracemalloc.start()
    try:
        shard = Shard.dealt(likes, OfFifty())
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(shard.items) == 2000 and shard.n_items == 100_000
    assert kept < 100_000  # those are 16 kB, and all of them 800


def test_training_takes_its_columns_of_a_batch_at_a_time(monkeypatch):
    """Of all likes at once they would be in memory, however the likes are."""
    rows, own = [], Shard.own
    monkeypatch.setattr(Shard, "own", lambda self, likes: rows.append(likes.shape[0]) or own(self, likes))
    trainer = sharded_job.sharded(ALONE, sharded_job.likes(), np.float32, callbacks=[sharded_job.StopAt(12)])
    trainer.fit(sharded_job.likes())
    assert len(rows) == 12 and max(rows) <= sharded_job.BATCH + 1


@pytest.mark.parametrize("n_ranks", [2, 3])
def test_a_rank_starts_at_its_rows_of_the_same_numbers(n_ranks):
    """Across the bounds of what is drawn at a time."""
    all_of_it = initial_state(9001, 6, 4, seed=3)
    for items in deal(np.arange(9001), n_ranks):
        for name, array in initial_shard(Shard(items, 9001), 6, 4, seed=3).items():
            expected = all_of_it[name][items] if len(all_of_it[name]) == 9001 else all_of_it[name]
            assert (array == expected).all(), name


def test_merging_is_ranking_all_at_once():
    """With ties within and between ranks, and users who have liked nearly all."""
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, (40, 30)).astype(np.float32)
    liked = sparse.csr_array((rng.random((40, 30)) < rng.random((40, 1))).astype(np.float32))
    shards = deal(rng.integers(1, 99, 30), 4)
    found = []
    for items in shards:
        top, of_top = top_n_of_scores(scores[:, items], liked[:, items], 5)
        found.append((np.where(top >= 0, items[top], -1), of_top))
    merged = best_of_candidates(*(np.concatenate(arrays, axis=1) for arrays in zip(*found)), 5)
    for got, expected in zip(merged, top_n_of_scores(scores, liked, 5)):
        assert (got == expected).all()


def test_rows_of_ranks_come_back_in_the_order_of_the_items():
    """Ranks that take turns in one process: each gather gives what all of them give."""
    rows = np.arange(22.0).reshape(11, 2)
    shards = deal(np.arange(11), 3)

    class Played(Communicator):
        size, asked = 3, 0

        def gather_rows(self, own, counts):
            first = 4 * (self.asked // 2)  # of each block the items, then their rows
            self.asked += 1
            items = np.concatenate([i[(i >= first) & (i < first + 4)] for i in shards])
            return items if own.ndim == 1 else rows[items]

    blocks = RowsOfRanks(rows[shards[0]], Shard.dealt(np.arange(11), Played()), rows_at_once=4).blocks()
    assert (np.concatenate(list(blocks)) == rows).all()


# What is alone, and what is refused


def test_alone_it_is_the_network_to_the_bit():
    user_items = sharded_job.likes()
    for backend in BACKENDS:
        one, whole = sharded_job.sharded(ALONE, user_items, np.float32, backend=backend), None
        one.callbacks = [sharded_job.StopAt(12)]
        one.fit(user_items)
        network = AutoEncoderNetwork(initial_state(user_items.shape[1], sharded_job.EMB_DIM, sharded_job.HIDDEN_DIM))
        whole = sharded_job.Trainer(
            network, batch_size=sharded_job.BATCH, epochs=20, backend=backend, callbacks=[sharded_job.StopAt(12)]
        ).fit(user_items)
        for name, array in whole.engine.network.state.items():
            assert (array == one.engine.network.state[name]).all(), name
        assert (one.engine.score(user_items[:9]) == whole.engine.score(user_items[:9])).all()
        assert (one.engine.encode(user_items[:9]) == whole.engine.encode(user_items[:9])).all()


@pytest.mark.parametrize("kind", ["multinomial", "another network"])
def test_networks_with_more_sums_over_items_are_refused(kind):
    network = AutoEncoderNetwork(initial_state(4, 3, 2), loss=Multinomial())
    if kind == "another network":
        network = type("Other", (AutoEncoderNetwork,), {})(initial_state(4, 3, 2))
    with pytest.raises(ValueError, match="only AutoEncoder with loss='bce' can be trained on several ranks"):
        ShardedEngine(network, Adam(network.params), Shard(np.arange(4), 4))


def test_a_seed_that_ranks_could_not_share_is_refused():
    with pytest.raises(ValueError, match="random_state must be a whole number, the same on all ranks, got None"):
        ShardedAutoEncoder(random_state=None).fit([[0, 1], [1, 2]])


def test_a_preset_is_for_one_process(monkeypatch):
    class Two(Communicator):
        size = 2

    monkeypatch.setattr("autoenc.train_job.world", Two)
    with pytest.raises(ValueError, match="--preset fast trains in one process; leave mpiexec out, or use --preset"):
        main_job(Settings(preset="fast"))


def test_a_launcher_without_mpi4py_is_one_sentence(monkeypatch):
    ranks._ranks.cache_clear()
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ValueError, match=r"mpi4py can't be imported: pip install '\.\[mpi\]', or start it with"):
        world()
    monkeypatch.setenv("AUTOENC_MPI", "0")
    assert world() is ALONE


def test_alone_each_call_gives_back_what_it_got():
    x = np.arange(3.0)
    assert ALONE.all_reduce(x) is x and ALONE.all_reduce_number(2) == 2
    assert ALONE.all_gather(x) == [x] and ALONE.gather_rows(x, [3]) is x
    assert ALONE.is_root and world() is ALONE
    with ALONE.root_first(), ALONE.together("a job"):
        pass


def test_alone_the_sharded_model_is_saved_as_an_autoencoder(tmp_path):
    lists = [[0, 1], [0, 1, 2], [1, 2], [3, 4], [3, 4, 5], [4, 5]] * 8
    model = ShardedAutoEncoder(emb_dim=8, hidden_dim=4, epochs=2, batch_size=16).fit(lists)
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert type(loaded).__name__ == "AutoEncoder" and (loaded.score(lists[:4]) == model.score(lists[:4])).all()


# Jobs of mpiexec


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return job(1, "train", tmp_path_factory.mktemp("jobs") / "alone")


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    return job(2, "train", tmp_path_factory.mktemp("jobs") / "two")


@needs_mpi
@pytest.mark.parametrize("n", [2, pytest.param(3, marks=pytest.mark.long), pytest.param(4, marks=pytest.mark.long)])
def test_ranks_train_what_one_trains(alone, of_two, tmp_path, n):
    """Twenty steps in float64 to 1e-9, in float32 one step's gradients to rounding, and the ranking."""
    together = of_two if n == 2 else job(n, "train", tmp_path / "ranks")
    for backend in BACKENDS:
        one, many = (np.load(folder / f"{backend}-float64.npz") for folder in (alone, together))
        for name in set(one.files) - {"middles"}:
            assert np.abs(one[name] - many[name]).max() <= 1e-9, (backend, name)
        assert len(many["middles"]) == n and len(set(many["middles"])) == 1
    assert len(set(np.load(together / "numba-float32.npz")["middles"])) == 1
    one, many = (np.load(folder / "gradients.npz") for folder in (alone, together))
    for name in one.files:
        assert np.abs(one[name] - many[name]).max() <= 2e-5 * np.abs(one[name]).max(), name


@needs_mpi
def test_the_same_ranks_twice_give_the_same_bits(of_two, tmp_path):
    second = job(2, "train", tmp_path / "again")
    for path in sorted(of_two.iterdir()):
        one, other = np.load(path), np.load(second / path.name)
        assert all((one[name] == other[name]).all() for name in one.files), path.name


@needs_mpi
@pytest.mark.parametrize(
    ("before", "after"),
    [(2, 1), (1, 2), (2, 2), pytest.param(2, 3, marks=pytest.mark.long), pytest.param(4, 2, marks=pytest.mark.long)],
)
def test_a_checkpoint_goes_on_with_another_number_of_ranks(tmp_path, before, after):
    """From its eighth step to the twentieth, in float64 as one that was never stopped."""
    folder = job(before, "checkpoint", tmp_path / "resumed")
    manifest = json.loads((folder / "state" / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["step_count"] == 8 and len(manifest["shards"]) == before
    assert len(list((folder / "state").iterdir())) == before + 1
    resumed = np.load(job(after, "checkpoint", folder) / "arrays.npz")
    whole = tmp_path / "whole"
    (whole / "state").mkdir(parents=True)
    never_stopped = np.load(job(1, "checkpoint", whole) / "arrays.npz")
    assert resumed["steps"] == never_stopped["steps"] == 20
    for name in never_stopped.files:
        assert np.abs(resumed[name] - never_stopped[name]).max() <= 1e-9, name


@pytest.fixture(scope="module")
def main_job_of_two(tmp_path_factory):
    """The main job on two ranks: the finished process, and the folder with model and checkpoint."""
    folder = tmp_path_factory.mktemp("main")
    small = ["--emb-dim", "24", "--hidden-dim", "12", "--epochs", "3"]
    outputs = ["--out", "model", "--topk", "topk", "--checkpoint", "state"]
    return mpiexec(2, ROOT / "run_train.py", *small, *outputs, folder=folder), folder, small


@needs_mpi
def test_of_the_main_job_one_talks(main_job_of_two, tmp_path):
    done, folder, small = main_job_of_two
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1 and done.stderr.count("training on") == 1
    report = json.loads(done.stdout)
    assert report["ranks"] == 2 and report["status"] == "DONE"
    command = [sys.executable, str(ROOT / "run_train.py"), *small, "--out", "model"]
    one = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    alone = json.loads(one.stdout)
    for k in ("01", "05", "10"):
        assert abs(report[f"p_at_{k}"] - alone[f"p_at_{k}"]) < 0.01
        assert report[f"popular_p_at_{k}"] == alone[f"popular_p_at_{k}"]
    content, other = read_model_file(folder / "model"), read_model_file(tmp_path / "model")
    assert content.model == "AutoEncoder" and content.params == other.params and content.about == other.about
    assert (content.item_ids == other.item_ids).all() and (content.titles == other.titles).all()
    assert {name: a.shape for name, a in content.arrays.items()} == {n: a.shape for n, a in other.arrays.items()}
    assert np.loadtxt(folder / "topk").shape == (671, 10)
    assert load_model(folder / "model").recommend(liked=["Heat (1995)"], N=3)[0].shape == (3,)


@needs_mpi
def test_merge_makes_the_model_file_that_the_job_wrote(main_job_of_two, tmp_path):
    _, folder, _ = main_job_of_two
    about = merge(folder / "state", tmp_path / "merged")
    merged, written = read_model_file(tmp_path / "merged"), read_model_file(folder / "model")
    del written.about["beside_popularity"]  # which the job found after its training
    assert about == merged.about == written.about and about["epochs"] == 3
    assert merged.params == written.params and merged.arrays.keys() == written.arrays.keys()
    for name, array in written.arrays.items():
        np.testing.assert_array_equal(merged.arrays[name], array)
    for name in ("item_ids", "titles", "item_counts"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(written, name))


@needs_mpi
def test_arguments_that_no_rank_takes_are_one_sentence(tmp_path):
    done = mpiexec(2, ROOT / "run_train.py", "--lr", "-1", folder=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("lr must be a finite number above 0, got -1.0") == 1 and "Traceback" not in done.stderr


@needs_mpi
def test_a_rank_that_fails_ends_the_job_with_a_sentence(tmp_path):
    done = mpiexec(2, ROOT / "tests" / "helpers" / "sharded_job.py", "fail", tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("the job: rank 1 of 2 ended the job: the disk of this rank is gone") == 1
    assert "was killed" not in done.stderr


@needs_mpi
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_rank_that_is_killed_ends_the_job(tmp_path):
    done = mpiexec(2, ROOT / "tests" / "helpers" / "sharded_job.py", "die", tmp_path)
    assert done.returncode != 0


# Shards that are not whole


@pytest.fixture
def two_shards(tmp_path):
    """A checkpoint of one shard dealt out as two ranks would have written it."""
    from safetensors.numpy import load_file

    folder = job(1, "checkpoint", tmp_path / "job")
    state = folder / "state"
    manifest = json.loads((state / MANIFEST).read_text(encoding="utf-8"))
    [shard] = manifest["shards"]
    arrays = load_file(state / shard["file"])
    halves = deal(np.arange(2000), 2)
    files = []
    for rank, items in enumerate(halves):
        by_item = {name: a[items] for name, a in arrays.items() if sharded_job.is_by_item(name)}
        rest = {name: a for name, a in arrays.items() if not sharded_job.is_by_item(name)} if rank == 0 else {}
        files.append(by_item | rest | {"items": items})
    return folder, state, manifest, files


def seal(state, manifest, files):
    manifest["shards"] = []
    for rank, arrays in enumerate(files):
        path = state / f"step-{rank}.safetensors"
        write_safetensors(path, arrays)
        raw = path.read_bytes()
        manifest["shards"].append({"file": path.name, "bytes": len(raw), "crc32": zlib.crc32(raw)})
    manifest.pop("crc32", None)
    manifest["crc32"] = zlib.crc32(json.dumps(manifest).encode())
    (state / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def test_two_shards_are_read_as_one(two_shards):
    folder, state, manifest, files = two_shards
    seal(state, manifest, files)
    assert np.load(job(1, "checkpoint", folder) / "arrays.npz")["steps"] == 20


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda files: files[1].update(items=files[0]["items"]), "do not hold each item once; delete the folder and"),
        (lambda files: files.pop(), "do not hold each item once; delete the folder and train from the beginning"),
        (lambda files: files[1].pop("output.weight"), r"step-1.* lacks output.weight, float64 of shape \(1000, 12\)"),
        (lambda files: files[1].pop("training/last_step"), "step-1.* is incomplete or damaged"),
        (lambda files: files[0].pop("training/drift"), "has no training/drift for 8 steps; delete the folder"),
    ],
)
def test_shards_that_are_no_checkpoint_are_refused(two_shards, spoil, sentence):
    folder, state, manifest, files = two_shards
    spoil(files)
    seal(state, manifest, files)
    with pytest.raises(ValueError, match=sentence):
        job(1, "checkpoint", folder)


def test_merging_refuses_what_is_no_checkpoint_of_the_task_s_network(two_shards, tmp_path):
    _, state, manifest, files = two_shards
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint in .*; `autoenc train --checkpoint"):
        merge(tmp_path / "nothing", tmp_path / "model")
    spoilt = [files[0] | {"training/last_step": files[0]["training/last_step"] + 99}, files[1]]
    seal(state, manifest, spoilt)
    with pytest.raises(ValueError, match="lacks the tables of 8 steps; delete the folder and train from the beginning"):
        merge(state, tmp_path / "model")
    seal(state, manifest | {"network": "DeepNetwork"}, files)
    with pytest.raises(ValueError, match="holds a checkpoint of 'DeepNetwork'; only the task's network can be merged"):
        merge(state, tmp_path / "model")
    assert not (tmp_path / "model").exists()
