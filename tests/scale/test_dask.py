"""Recommending and evaluating on Dask workers gives the results of one process, whichever workers run or die."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from autoenc import datasets
from autoenc.cli import main
from autoenc.datasets import ReadOptions
from autoenc.evaluation.compare import compare
from autoenc.evaluation.splits import Block, holdout_of_block, holdout_per_user, shares_per_user
from autoenc.interactions import Interactions
from autoenc.models import EASE, AutoEncoder, Popular
from autoenc.models.export import write_recommendations
from tests.helpers import ROOT
from tests.helpers.child import run

dask_distributed = pytest.importorskip("dask.distributed", reason="Dask is not installed")
pytest.importorskip("cryptography", reason="Dask's certificates take it")
pytest.importorskip("duckdb")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
pd = pytest.importorskip("pandas")

from autoenc.datasets import tables  # noqa: E402
from autoenc.scale import dask as distributed  # noqa: E402

pytestmark = pytest.mark.optional

LISTENING = Path("/proc/self/net/tcp")


@pytest.fixture(scope="module")
def place(tmp_path_factory, ratings):
    """A folder with the bundled ratings, prepared, and a small model of most of their items."""
    place = tmp_path_factory.mktemp("dask")
    rows, columns = ratings.user_items.nonzero()
    (place / "rows").mkdir()
    parquet.write_table(
        pa.table({"user": ratings.user_ids[rows], "item": ratings.item_ids[columns]}), place / "rows/a.parquet"
    )
    tables.prepare(place / "rows", place / "likes")
    known = columns % 10 > 0
    few = Interactions.from_pairs(ratings.user_ids[rows[known]], ratings.item_ids[columns[known]])
    AutoEncoder(emb_dim=16, hidden_dim=8, epochs=2).fit(few).save(place / "model.safetensors")
    AutoEncoder(emb_dim=8, hidden_dim=4, epochs=1).fit(few).save(place / "other.safetensors")
    return place


@pytest.fixture(scope="module")
def client():
    with distributed.cluster(workers=2) as client:
        yield client


def read_parts(folder):
    """The rows of all parts in the order of their names."""
    paths = sorted(folder.iterdir())
    assert [path.name for path in paths] == [f"part-{number:06}.parquet" for number in range(len(paths))]
    return pa.concat_tables([parquet.read_table(path) for path in paths])


def recommended_here(place, tmp_path):
    likes = datasets.load(path=place / "likes", times=None)
    model = distributed.load_model(place / "model.safetensors")
    user_items, _, n_dropped = distributed.on_items_of(model, likes)
    write_recommendations(tmp_path / "here.parquet", model, user_items, likes.user_ids, 10)
    return parquet.read_table(tmp_path / "here.parquet"), n_dropped


@pytest.mark.parametrize("users_a_part", [100, 1000])
def test_parts_are_what_one_process_recommends(place, client, tmp_path, users_a_part):
    wanted, n_dropped = recommended_here(place, tmp_path)
    seen = []
    counts = distributed.recommend_parts(
        client,
        place / "model.safetensors",
        place / "likes",
        tmp_path / "out",
        users_a_part=users_a_part,
        progress=lambda *done: seen.append(done),
    )
    assert counts == (671, n_dropped, 0, 0)
    assert read_parts(tmp_path / "out").equals(wanted)
    assert seen[-1] == (671, 671) and len(seen) == -(-671 // users_a_part)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here.parquet", "out"]


@pytest.fixture(scope="module")
def weighted(tmp_path_factory):
    """A folder with likes that have times and weights, prepared, and a model with a half-life."""
    place = tmp_path_factory.mktemp("weighted")
    rng = np.random.default_rng(0)
    columns = {name: rng.integers(most, size=900) for name, most in (("user", 60), ("item", 40), ("plays", 9))}
    columns["plays"] += 1
    columns["time"] = 10**9 + 86_400 * rng.integers(365, size=900)
    parquet.write_table(pa.table(columns), place / "rows.parquet")
    tables.prepare(place / "rows.parquet", place / "likes", times=True, options=ReadOptions(weight="plays"))
    EASE(l2=5.0, half_life=30).fit(datasets.load(path=place / "likes", times=True)).save(place / "model.safetensors")
    return place


def test_times_and_weights_count_as_in_one_process(weighted, client, tmp_path):
    wanted, _ = recommended_here(weighted, tmp_path)
    model_path, folder = weighted / "model.safetensors", weighted / "likes"
    distributed.recommend_parts(client, model_path, folder, tmp_path / "out", users_a_part=25)
    assert read_parts(tmp_path / "out").equals(wanted)
    model, likes = distributed.load_model(model_path), datasets.load(path=folder, times=True)
    assert model.recommend(likes.user_items)[0].tolist() != model.recommend(likes.user_items.copy())[0].tolist()

    train, held_out = holdout_per_user(likes, seed=1)
    here = compare({"model": model, "Popular": Popular().fit(train)}, train, held_out, (5,))
    found = distributed.evaluate_parts(
        client, {"model": model_path}, folder, (5,), seed=1, beside_popular="Popular", users_a_part=25
    )
    for name, report in here.reports.items():
        assert found.reports[name].means == pytest.approx(report.means)


def test_columns_of_times_and_weights_of_a_frame(weighted, client):
    dd = pytest.importorskip("dask.dataframe")
    frame = pd.read_parquet(weighted / "rows.parquet")
    model = distributed.load_model(weighted / "model.safetensors")
    lazy = distributed.recommend_dask(model, dd.from_pandas(frame, npartitions=2), 3, time="time", weight="plays")
    found = lazy.compute().sort_values(["user", "rank"])
    likes = Interactions.from_table(frame, time="time", weight="plays")
    ranking = model.recommend(distributed.on_items_of(model, likes).user_items, 3)
    assert found["item"].tolist() == distributed.ids_of(model)[ranking.items.ravel()].tolist()
    assert found["by_popularity"].tolist() == ranking.by_popularity.ravel().tolist()
    with pytest.raises(ValueError, match="ddf has no column 'when'"):
        distributed.recommend_dask(model, dd.from_pandas(frame, npartitions=2), time="when")


FIRST_PART = """
import sys
from pathlib import Path
from autoenc.scale import dask as distributed

def threads(*_):
    import numba
    print(numba.get_num_threads())
    return 0, 0

assert "numba" not in sys.modules
distributed.write_recommendations = threads
model, likes = map(Path, sys.argv[1:])
distributed._recommend_part(model, likes, slice(0, 9), Path("part.parquet"), 3)
"""


def test_a_worker_s_first_part_has_one_thread_too(place, monkeypatch):
    """How many users are ranked at a time goes by the threads, and a file's bytes by that."""
    monkeypatch.setenv("NUMBA_NUM_THREADS", "2")
    assert run(FIRST_PART, place / "model.safetensors", place / "likes") == "1\n"


def test_measurements_are_those_of_one_process(place, client):
    likes = datasets.load(path=place / "likes")
    paths = {name: place / f"{name}.safetensors" for name in ("model", "other")}
    models = {name: distributed.load_model(path) for name, path in paths.items()}
    train, held_out = (
        distributed.on_items_of(models["model"], likes.with_user_items(half)).user_items
        for half in holdout_per_user(likes, seed=3)
    )
    wanted = compare({**models, "Popular": Popular().fit(train)}, train, held_out, (5, 20))
    found = distributed.evaluate_parts(
        client, paths, place / "likes", (20, 5), seed=3, beside_popular="Popular", users_a_part=200
    )
    assert str(found) == str(wanted)
    for name, report in wanted.reports.items():
        assert found.reports[name].means == pytest.approx(report.means, rel=1e-12)
        np.testing.assert_array_equal(found.reports[name].users, report.users)
    assert sorted(path.name for path in place.iterdir()) == ["likes", "model.safetensors", "other.safetensors", "rows"]


@pytest.mark.parametrize("bounds", [(0, 671), (0, 1), (333, 671), (5, 5)])
@pytest.mark.parametrize("seed", [0, 7])
def test_a_block_is_split_as_it_is_among_all(ratings, bounds, seed):
    users, indptr = slice(*bounds), ratings.user_items.indptr
    shares = shares_per_user(np.diff(indptr), seed=seed)
    block = Block(ratings.n_users, indptr[users.start], shares[users])
    halves = holdout_of_block(ratings.user_items[users], block, seed)
    for half, whole in zip(halves, holdout_per_user(ratings, seed=seed)):
        np.testing.assert_array_equal(half.indices, whole[users].indices)
        np.testing.assert_array_equal(half.indptr, whole[users].indptr)


@pytest.mark.parametrize("text", [False, True])
def test_a_lazy_frame_becomes_a_lazy_frame(place, client, tmp_path, text):
    dd = pytest.importorskip("dask.dataframe")
    table = parquet.read_table(place / "rows/a.parquet").to_pandas()
    model = distributed.load_model(place / "model.safetensors")
    if text:
        table = table.astype(str)
        model = Popular().fit(Interactions.from_table(table[table["item"] != "31"]))
    shuffled = table.sample(frac=1, random_state=0)
    lazy = distributed.recommend_dask(model, dd.from_pandas(shuffled, npartitions=3, sort=False), 4)
    assert isinstance(lazy, dd.DataFrame) and lazy.npartitions == 3
    found = lazy.compute().reset_index(drop=True)
    assert found.dtypes.to_dict() == lazy.dtypes.to_dict()
    likes = Interactions.from_table(table)
    items, scores = model.recommend(distributed.on_items_of(model, likes).user_items, 4)
    found = found.set_index("user").loc[likes.user_ids]
    assert found["rank"].tolist() == [1, 2, 3, 4] * 671
    np.testing.assert_array_equal(
        found["item"].to_numpy().astype(likes.item_ids.dtype), distributed.ids_of(model)[items.ravel()]
    )
    np.testing.assert_allclose(found["score"], scores.ravel(), rtol=1e-6)


def test_partitions_that_hold_whole_users_need_no_shuffle(place, client):
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.from_pandas(pd.DataFrame({"who": [1, 1, 2], "what": [1, 2, -1 % 2**40]}).set_index("who"), npartitions=2)
    model = distributed.load_model(place / "model.safetensors")
    lazy = distributed.recommend_dask(model, frame.reset_index(), 2, user="who", item="what", shuffle=False)
    assert lazy.compute()["user"].tolist() == [1, 1, 2, 2]  # the second likes nothing that is known


def test_bad_frames(place):
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.from_pandas(pd.DataFrame({"user": [1], "what": [1]}), npartitions=1)
    model = distributed.load_model(place / "model.safetensors")
    with pytest.raises(ValueError, match="ddf has no column 'item', but 'user', 'what'; name yours"):
        distributed.recommend_dask(model, frame)
    with pytest.raises(ValueError, match="n is 0; pass the number of items to recommend, 1 or more"):
        distributed.recommend_dask(model, frame, 0, item="what")


@pytest.fixture(scope="module")
def scheduler():
    """The address of one that others started, open to whoever reaches it."""
    with dask_distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        yield cluster.scheduler_address


def test_commands_by_a_scheduler(place, scheduler, tmp_path, capsys):
    model, likes, out = str(place / "model.safetensors"), str(place / "likes"), str(tmp_path / "out")
    by_dask = ["--engine", "dask", "--scheduler", scheduler]
    assert main(["recommend", model, "--users", likes, "--out", out, *by_dask, "--json"]) == 0
    said = capsys.readouterr()
    wanted, n_dropped = recommended_here(place, tmp_path)
    counts = {"users": 671, "likes_left_out": n_dropped, "users_by_popularity": 0, "users_without_items": 0}
    assert json.loads(said.out) == {"out": out, **counts}
    assert "dashboard" in said.err and f"left out {n_dropped:,} likes" in said.err
    assert read_parts(tmp_path / "out").equals(wanted)

    assert main(["evaluate", model, "--data", likes, *by_dask]) == 0
    of_dask = capsys.readouterr().out
    assert main(["evaluate", model, "--data", likes]) == 0
    assert of_dask == capsys.readouterr().out


def test_it_says_where_a_model_lacks_times(place, weighted, scheduler, tmp_path, capsys):
    EASE(half_life=30).fit(datasets.load(path=weighted / "likes", times=True)).save(tmp_path / "ease")
    tables.prepare(weighted / "rows.parquet", tmp_path / "likes")
    likes, by_dask = str(tmp_path / "likes"), ["--engine", "dask", "--scheduler", scheduler]
    sentence = f"{likes} has no times, so all likes of a user count equally"
    assert main(["recommend", str(tmp_path / "ease"), "--users", likes, "--out", str(tmp_path / "out"), *by_dask]) == 0
    assert sentence in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "ease"), "--data", likes, *by_dask]) == 0
    assert sentence in capsys.readouterr().err


def test_bad_arguments(place, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(distributed, "SECONDS_TO_CONNECT", 1)
    model, likes, out = str(place / "model.safetensors"), str(place / "likes"), str(tmp_path / "out")
    everybody = ["recommend", model, "--users", likes, "--out"]
    by_dask = ["--engine", "dask"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("x")
    for arguments, sentence in [
        ([*everybody, out, "--workers", "2"], "--scheduler and --workers need --engine dask"),
        ([*everybody, out, *by_dask, "--workers", "0"], "--workers must be 1 or more, got 0"),
        ([*everybody, out, *by_dask, "--workers", "2", "--scheduler", "x"], "--workers is for a cluster on this"),
        ([*everybody, out, *by_dask, "--scheduler", "tcp://127.0.0.1:9"], "there is no Dask scheduler at tcp://127.0.0"),
        ([*everybody, str(tmp_path / "full"), *by_dask], "full already exists; name a new folder for the parts"),
        (["recommend", model, "--liked", "1", *by_dask], "--engine dask recommends to all users in a folder; pass --u"),
        (["recommend", model, "--users", str(place / "rows"), "--out", out, *by_dask], "is not a prepared folder"),
        (["recommend", model, "--users", "none", "--out", out, *by_dask], "There is no file or folder none"),
        (["evaluate", model, *by_dask], "--engine dask reads a prepared folder; pass only --data"),
        ([*everybody, out, *by_dask, "--weight-column", "3"], "leave out weight= (--weight-column)"),
        (["evaluate", model, *by_dask, "--min-likes-per-user", "2"], "dask reads them in parts; leave them out"),
        (["evaluate", model, "--data", likes, "--protocol", "strong", *by_dask], "supports --protocol weak, --beside"),
    ]:  # fmt: skip
        assert main(arguments) == 2
        assert sentence in capsys.readouterr().err
    assert not Path(out).exists()


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with (
        pytest.raises(ValueError, match=r"--engine dask needs Dask: pip install '\.\[dask\]'"),
        distributed.cluster(),
    ):
        pass


def test_parts_that_are_not_there_are_missed(place, tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "_run", lambda *arguments: [(0, 0, 0)])
    with pytest.raises(OSError, match=r"has 0 parts instead of 1; is the disk shared\?"):
        distributed.recommend_parts(None, place / "model.safetensors", place / "likes", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="about POSIX permissions")
def test_the_folder_of_parts_follows_the_umask(place, tmp_path, monkeypatch):
    def run(client, function, tasks, parts, progress):
        return [function(*task) for task in tasks]

    monkeypatch.setattr(distributed, "_run", run)
    before = os.umask(0o027)
    try:
        for there in (False, True):
            out = tmp_path / f"out-{there}"
            if there:
                out.mkdir(0o700)
            distributed.recommend_parts(None, place / "model.safetensors", place / "likes", out, users_a_part=400)
            modes = [path.stat().st_mode & 0o777 for path in (out, *out.iterdir())]
            assert modes == [0o700 if there else 0o750, 0o640, 0o640]
    finally:
        os.umask(before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-False", "out-True"]


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="kills by SIGKILL")
def test_a_worker_that_is_killed_costs_no_row(place, tmp_path):
    """Killed in mid-part, as soon as the first part is there, and again."""
    wanted, _ = recommended_here(place, tmp_path)
    with distributed.cluster(workers=2) as client:
        pids = list(client.run(os.getpid).values())
        doomed = pids.copy()

        def kill(done, total):
            if doomed and done > 300 * (2 - len(doomed)):
                os.kill(doomed.pop(), signal.SIGKILL)

        distributed.recommend_parts(
            client,
            place / "model.safetensors",
            place / "likes",
            tmp_path / "out",
            users_a_part=20,
            progress=kill,
        )
        assert doomed == []
        client.wait_for_workers(2)
        assert not set(pids) & set(client.run(os.getpid, on_error="ignore").values())
    assert read_parts(tmp_path / "out").equals(wanted)


def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="kills by SIGKILL")
def test_a_part_that_kills_every_worker_ends_the_job(place, tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "_recommend_part", die)
    with (
        distributed.cluster(workers=2) as client,
        pytest.raises(OSError, match="a part of the users killed 4 workers, one after another; do they have enough"),
    ):
        distributed.recommend_parts(client, place / "model.safetensors", place / "likes", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_the_commands_on_a_cluster_of_their_own(place, tmp_path):
    """As a user starts them, with one worker and with two: the same files."""
    written = []
    for workers in ("1", "2"):
        out = tmp_path / f"out{workers}"
        command = ["recommend", place / "model.safetensors", "--users", place / "likes", "--out", out]
        done = subprocess.run(
            [sys.executable, "-m", "autoenc", *map(str, command), "--engine", "dask", "--workers", workers],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"wrote the 10 best of 671 users to {out}\n"
        written.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert written[0] == written[1]


def test_a_cluster_here_is_closed_to_others(client):
    address = client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    assert all(worker.startswith("tls://127.0.0.1:") for worker in client.scheduler_info()["workers"])
    with pytest.raises((OSError, TypeError)):  # without a certificate, and with another
        dask_distributed.Client(address, timeout=2)
    other = dask_distributed.Security.temporary()
    with pytest.raises(OSError):
        dask_distributed.Client(address, timeout=2, security=other)
    gc.collect()  # clients that failed close when collected, which hangs if another cluster is just being started


def test_a_cluster_without_cryptography_is_refused_in_a_sentence(monkeypatch):
    def missing():
        raise ImportError("Using `Security.temporary` requires `cryptography`")

    monkeypatch.setattr(dask_distributed.Security, "temporary", missing)
    with (
        pytest.raises(ValueError, match=r"needs the package cryptography, .* pip install '\.\[dask\]'"),
        distributed.cluster(workers=1),
    ):
        pass


@pytest.mark.skipif(not LISTENING.exists(), reason="reads Linux' /proc")
def test_the_dashboard_is_where_the_log_says_on_this_machine_alone():
    said = []
    with distributed.cluster(workers=1, say=said.append):
        name, address = said[0].split(": ", 1)
        assert name == "Dask's dashboard" and address.startswith("http://127.0.0.1:")
        assert urllib.request.urlopen(address).status == 200
        port = f"{int(address.split(':')[2].split('/')[0]):04X}"
        assert [line.split()[1] for line in LISTENING.read_text().splitlines() if f":{port} 00000000" in line] == [
            f"0100007F:{port}"
        ]


INTERRUPTED = """
import os, signal, sys, time
import dask.distributed as distributed
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from autoenc.scale import dask

def interrupt(*_):
    os.killpg(0, signal.SIGINT)  # as a terminal does it: the workers, too
    time.sleep(60)

if sys.argv.pop(1) == "while it starts":
    started = distributed.LocalCluster

    def cluster(**named):
        here = started(**named)
        os.killpg(0, signal.SIGINT)
        return here

    distributed.LocalCluster = cluster
else:
    dask._run = interrupt
from autoenc.cli import main
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no groups of processes to send it to")
@pytest.mark.parametrize("when", ["while it starts", "while it works"])
def test_ctrl_c_is_one_sentence(place, tmp_path, when):
    command = ["recommend", place / "model.safetensors", "--users", place / "likes", "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, when, *map(str, command), "--engine", "dask", "--workers", "2"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("Dask's dashboard: ")]
    assert (done.returncode, said) == (130, ["autoenc recommend: interrupted"])
    assert list(tmp_path.iterdir()) == []
