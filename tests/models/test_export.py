"""Likes on a model's items, and recommendations for many users in each format."""

from __future__ import annotations

import builtins
import collections
import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from autoenc import datasets, load_model
from autoenc.datasets.npz import save_likes
from autoenc.interactions import Interactions
from autoenc.models import EASE, Popular
from autoenc.models.export import check_ending, ids_of, on_items_of, write_recommendations
from tests.helpers.child import run

ENDINGS = ("csv", "npz", "parquet")


def popular(item_ids, liked=None):
    """A model whose items have these ids, and that ranks the first one best."""
    counts = np.arange(len(item_ids), 0, -1)
    users = [list(item_ids[: sum(counts > user)]) for user in range(len(item_ids))] if liked is None else liked
    return Popular().fit(Interactions.from_lists(users, item_ids=item_ids))


def read_back(path, n):
    """The content of a file of recommendations: {user: [(item, score), ...]}."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            assert arrays["item_ids"].shape == arrays["scores"].shape == (len(arrays["user_ids"]), n)
            assert arrays["by_popularity"].shape == (len(arrays["user_ids"]), n)
            assert arrays["scores"].dtype == np.float32
            nothing = -1 if arrays["item_ids"].dtype.kind == "i" else ""
            return {
                user: [(item, score) for item, score in zip(items, scores) if item != nothing]
                for user, items, scores in zip(*(arrays[name].tolist() for name in ("user_ids", "item_ids", "scores")))
            }
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        rows = parquet.read_table(path).to_pylist()
        assert parquet.read_schema(path).names == ["user", "rank", "item", "score", "by_popularity"]
    else:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    found: dict = {}
    for row in rows:
        of_user = found.setdefault(row["user"], [])
        of_user.append((row["item"], float(row["score"])))
        assert int(row["rank"]) == len(of_user)
    return found


def test_likes_of_the_models_own_items_stay_as_they_are():
    model = popular([10, 20, 30])
    likes = Interactions.from_lists([[20], [10, 30]], item_ids=[10, 20, 30])
    mapped = on_items_of(model, likes)
    assert mapped.user_items is likes.user_items
    assert (mapped.n_unknown_items, mapped.n_dropped) == (0, 0)


@pytest.mark.parametrize(("known", "strange"), [([10, 20, 30, 40], 25), (["a", "b", "c", "e"], "d")])
def test_likes_of_other_items_move_to_the_models_columns(known, strange):
    first, second, _, last = known
    lists = [[strange, last, second], [strange], [], [first, last]]
    mapped = on_items_of(popular(known), Interactions.from_lists(lists))
    assert mapped.user_items.toarray().tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]
    assert (mapped.n_unknown_items, mapped.n_dropped) == (1, 2)
    assert mapped.user_items.has_canonical_format and mapped.user_items.indices.dtype == np.int32


def test_a_model_of_a_matrix_knows_its_columns():
    model = Popular().fit(sparse.csr_array(np.eye(3, 4)))
    assert ids_of(model).tolist() == [0, 1, 2, 3]
    mapped = on_items_of(model, Interactions.from_pairs([1, 1], [2, 7]))
    assert mapped.user_items.toarray().tolist() == [[0, 0, 1, 0]]


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        ([1, 2], r"none of the 2 items in the likes \(such as '1'\) is in the model, whose item ids look like '10'"),
        (
            ["010", "x"],
            r"none of the 2 items in the likes \(such as '010'\) is in the model, whose item ids look like '10'",
        ),
    ],
)
def test_likes_of_strange_items_alone_are_refused(ids, sentence):
    with pytest.raises(ValueError, match=sentence):
        on_items_of(popular([10, 20, 30]), Interactions.from_lists([ids]))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("text", [False, True])
def test_what_is_written_is_what_the_model_recommends(tmp_path, ending, text):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    item_ids = ['a,"b"', "gg", "h\r\ni", "üb"] if text else [10, 20, 30, 40]
    user_ids = ["ann", "b,ob", "cé"] if text else [3, 5, 2**40]
    model = popular(item_ids)
    user_items = sparse.csr_array(np.array([[0, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]], np.float32))
    path = tmp_path / f"recs.{ending}"
    seen = []
    write_recommendations(path, model, user_items, np.array(user_ids), 3, lambda *done: seen.append(done))
    kind = str if ending == "csv" else lambda value: value
    first, third, last = (kind(item_ids[i]) for i in (0, 2, 3))
    expected = {user_ids[0]: [(first, 4.0), (third, 2.0), (last, 1.0)], user_ids[1]: [(last, 1.0)]}
    if ending == "npz":
        expected[user_ids[2]] = []  # has liked them all: the padding alone
    assert read_back(path, 3) == {kind(user): best for user, best in expected.items()}
    assert seen == [(3, 3)]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_batches_follow_each_other(tmp_path, ending, ratings):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    model = Popular().fit(ratings)
    path = tmp_path / f"recs.{ending}"
    write_recommendations(path, model, ratings.user_items, ratings.user_ids, 4)
    items, scores = model.recommend(ratings.user_items, N=4)
    found = read_back(path, 4)
    assert [int(user) for user in found] == ratings.user_ids.tolist()
    assert [[int(item) for item, _ in best] for best in found.values()] == ratings.item_ids[items].tolist()
    np.testing.assert_allclose([[score for _, score in best] for best in found.values()], scores)


def test_users_with_nothing_left_are_not_among_those_by_popularity(tmp_path):
    model = EASE(l2=1.0).fit(Interactions.from_lists([[1, 2], [1, 2], [3, 4], [3]]))
    user_items = sparse.csr_array(np.array([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], np.float32))
    only = sparse.csr_array(np.array([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], np.float32))
    found = write_recommendations(tmp_path / "recs.csv", model, user_items, np.array([7, 8, 9]), 3, items=only)
    assert found == (1, 1)
    assert [row.split(",")[0] for row in (tmp_path / "recs.csv").read_text().splitlines()] == ["user", "7", "8"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_came_by_popularity_alone_is_marked(tmp_path, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    model = EASE(l2=1.0).fit(Interactions.from_lists([[1, 2], [1, 2], [3, 4], [3]]))
    user_items = sparse.csr_array(np.array([[1, 0, 0, 0], [0, 0, 0, 0]], np.float32))
    path = tmp_path / f"recs.{ending}"
    assert write_recommendations(path, model, user_items, np.array([7, 9]), 3) == (1, 0)
    if ending == "npz":
        with np.load(path) as arrays:
            marks = arrays["by_popularity"].ravel().tolist()
    elif ending == "csv":
        marks = [{"true": True, "false": False}[line.split(",")[-1]] for line in path.read_text().splitlines()[1:]]
    else:
        marks = pytest.importorskip("pyarrow.parquet").read_table(path)["by_popularity"].to_pylist()
    assert marks == [False, True, True, True, True, True]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("stood", [b"what stood there", None])
def test_a_failure_in_mid_write_leaves_what_stood_there(tmp_path, ending, stood):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"recs.{ending}"
    if stood is not None:
        path.write_bytes(stood)

    def fail(done, total):
        raise OSError("no space left on the device")

    with pytest.raises(OSError, match="no space left"):
        write_recommendations(
            path, popular([10, 20]), sparse.csr_array((1, 2), dtype=np.float32), np.array([7]), 1, fail
        )
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == ({path.name: stood} if stood else {})


@pytest.mark.parametrize("name", ["recs", "recs.txt", "recs.csv.gz"])
def test_another_ending_is_refused_before_anything_is_written(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(ValueError, match=r"must end in one of \.parquet, \.csv, \.npz; call it recs\.csv, for example"):
        write_recommendations(path, popular([10]), sparse.csr_array((1, 1), dtype=np.float32), np.array([7]))
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow_is_refused(monkeypatch):
    real = builtins.__import__

    def without_pyarrow(name, *arguments):
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(ValueError, match=r"needs pyarrow: pip install '\.\[parquet\]', or write a \.csv"):
        check_ending("recs.parquet")


@pytest.mark.parametrize("titles", [None, {10: "Heat (1995)", 30: "Léon"}])
@pytest.mark.parametrize("text", [False, True])
def test_saved_likes_load_as_they_were(tmp_path, titles, text):
    items = np.array([10, 30, 30])
    if text:
        items, titles = items.astype(str), titles and {str(item): title for item, title in titles.items()}
    likes = Interactions.from_pairs(["bob", "ann", "bob"], items, titles=titles)
    path = tmp_path / "new" / "likes.npz"
    save_likes(likes, path)
    after = datasets.load(path=path)
    for name in ("user_ids", "item_ids", "titles"):
        np.testing.assert_array_equal(getattr(after, name), getattr(likes, name))
    assert (after.user_items != likes.user_items).nnz == 0
    assert (sparse.load_npz(path) != likes.user_items).nnz == 0
    assert [entry.name for entry in path.parent.iterdir()] == ["likes.npz"]


def test_likes_keep_their_times_and_weights(tmp_path):
    path = tmp_path / "likes.npz"
    likes = Interactions.from_pairs([3, 1, 3], [8, 7, 7], times=[30, 10, 20], weights=[2, 4, 0.5])
    save_likes(likes, path)
    for times in (True, False):
        after = datasets.load(path=path, times=times)
        assert after.weights.tolist() == likes.weights.tolist() == [4, 0.5, 2]
        assert after.times is None if not times else after.times.tolist() == likes.times.tolist() == [10, 20, 30]
    assert (sparse.load_npz(path) != likes.user_items).nnz == 0
    save_likes(Interactions.from_pairs([1, 2], [1, 1]), path)
    assert datasets.load(path=path).weights is None
    with pytest.raises(ValueError, match="has no known column of times; pass time="):
        datasets.load(path=path, times=True)


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (np.ones(2), r"has weights of float64 and shape \(2,\) for 3 values; save it again"),
        (np.array(["a", "b", "c"]), r"has weights of <U1 and shape \(3,\) for 3 values; save it again"),
        (np.array([1, 2, 0]), "weights holds 0; weights must be numbers above 0"),
    ],
)
def test_weights_that_do_not_fit_the_matrix_are_refused(tmp_path, weights, sentence):
    likes = Interactions.from_pairs([3, 1, 3], [8, 7, 7])
    object.__setattr__(likes, "weights", weights)
    save_likes(likes, tmp_path / "likes.npz")
    with pytest.raises(ValueError, match=sentence):
        datasets.load(path=tmp_path / "likes.npz")


N_ITEMS, LIKES_OF_A_USER = 2_000, 16

MAKE = f"""
import sys
import numpy as np
from scipy import sparse
from autoenc.interactions import Interactions
from autoenc.models import AutoEncoder
from autoenc.datasets.npz import save_likes

folder, n_items, n_likes = sys.argv[1], {N_ITEMS}, {LIKES_OF_A_USER}
rng = np.random.default_rng(0)
for n_users in map(int, sys.argv[2:]):
    width = n_items // n_likes
    items = np.arange(n_likes) * width + rng.integers(width, size=(n_users, n_likes))  # ascending, none twice
    indptr = np.arange(n_users + 1) * n_likes
    matrix = sparse.csr_array((np.ones(items.size, np.float32), items.ravel(), indptr), shape=(n_users, n_items))
    likes = Interactions.from_csr(matrix, item_ids=np.arange(n_items) + 1)
    save_likes(likes, f"{{folder}}/{{n_users}}.npz")
few = Interactions.from_csr(likes.user_items[:2_000], item_ids=likes.item_ids)
AutoEncoder(emb_dim=32, hidden_dim=16, epochs=2).fit(few).save(f"{{folder}}/model.safetensors")
"""

MEASURE = """
import json
import sys
from autoenc.cli import main

assert main(sys.argv[1:]) == 0
from autoenc.machine import peak_memory_mb

# Less the pages of libraries' files: how many are mapped depends on what the system has cached of them.
with open("/proc/self/status", encoding="utf-8") as status:
    [of_files] = [int(line.split()[1]) for line in status if line.startswith("RssFile")]
print(json.dumps(peak_memory_mb() - round(of_files * 1024 / 1e6)))
"""


@pytest.fixture(scope="module")
def crowds(tmp_path_factory):
    """A folder with a model, and the likes of 250,000 and of 1,000,000 users."""
    folder = tmp_path_factory.mktemp("crowds")
    run(MAKE, folder, 250_000, 1_000_000)
    return folder


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux' /proc")
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_million_users_need_the_memory_that_the_help_states(crowds, ending):
    """200 MB with so small a model, 145 of them for libraries, and 50 bytes per like; more users add only likes."""
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    model, peaks = crowds / "model.safetensors", {}
    for n_users in (250_000, 1_000_000):
        started = time.perf_counter()
        out = crowds / f"{n_users}.recs.{ending}"
        said = run(MEASURE, "recommend", model, "--users", crowds / f"{n_users}.npz", "--out", out)
        peaks[n_users] = json.loads(said.splitlines()[-1])
        print(f"{n_users:,} users to .{ending}: {peaks[n_users]} MB, {time.perf_counter() - started:.0f} s")
    mb_of_likes = {n_users: 50 * LIKES_OF_A_USER * n_users / 1e6 for n_users in peaks}
    for n_users, peak in peaks.items():
        assert peak < 200 - 145 + mb_of_likes[n_users]
    assert peaks[1_000_000] - peaks[250_000] < mb_of_likes[1_000_000] - mb_of_likes[250_000]

    # `out` is the million's
    last = datasets.load(path=crowds / "1000000.npz").user_items[[-1]]
    [items], _ = load_model(model).recommend(last)
    if ending == "npz":
        with np.load(out) as arrays:
            found = arrays["item_ids"][-1]
            assert arrays["user_ids"].tolist() == list(range(1_000_000))
    elif ending == "parquet":
        table = pytest.importorskip("pyarrow.parquet").read_table(out)
        assert table.num_rows == 10_000_000
        found = table.column("item")[-10:].to_numpy()
    else:
        with open(out, encoding="utf-8") as file:
            rows = collections.deque(file, maxlen=10)
        assert [row.split(",")[0] for row in rows] == ["999999"] * 10
        found = np.array([int(row.split(",")[2]) for row in rows])
    np.testing.assert_array_equal(found, items + 1)
    out.unlink()
