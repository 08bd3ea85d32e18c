"""Tables of any size are prepared, with the same result as reading the rows in memory."""

from __future__ import annotations

import builtins
import bz2
import gzip
import json
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from autoenc import datasets
from autoenc.cli import main
from autoenc.evaluation.splits import holdout_per_user, holdout_users
from autoenc.interactions import Interactions
from autoenc.storage import mapped
from autoenc.storage.mapped import is_mapped, take_rows
from tests.helpers import ROOT
from tests.helpers.child import run

pytest.importorskip("duckdb")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

from autoenc.datasets import tables  # noqa: E402
from autoenc.datasets.prepared import Column, checksum, new_folder, read_prepared, write_manifest  # noqa: E402

pytestmark = pytest.mark.optional


def write_parts(folder: Path, columns: dict, n_parts: int = 3) -> Path:
    """A folder of parquet, a file a part in a folder of its own."""
    table = pa.table(columns)
    size = -(-table.num_rows // n_parts)
    for part in range(n_parts):
        place = folder / f"day={part}"
        place.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table.slice(part * size, size), place / "part.parquet")
    return folder


def write_csv_parts(folder: Path, columns: dict, n_parts: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(zip(*columns.values()))
    size = -(-len(rows) // n_parts)
    for part in range(n_parts):
        lines = [",".join(columns), *(",".join(map(str, row)) for row in rows[part * size : (part + 1) * size])]
        (folder / f"part-{part}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def assert_same(found: Interactions, wanted: Interactions) -> None:
    for name in ("indptr", "indices", "data"):
        array, other = getattr(found.user_items, name), getattr(wanted.user_items, name)
        assert array.dtype == other.dtype
        np.testing.assert_array_equal(array, other)
    for name in ("user_ids", "item_ids", "titles", "times"):
        array, other = getattr(found, name), getattr(wanted, name)
        assert (array is None) == (other is None)
        if array is not None:
            assert array.dtype.kind == other.dtype.kind
            np.testing.assert_array_equal(array, other)


NUMBERS = st.one_of(st.integers(0, 9), st.integers(0, 2**63 - 1))
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=4).filter(
    lambda text: text.lower() not in ("nan", "null", "none") and not text.lstrip("-").isdecimal()
)


@given(
    st.sampled_from([NUMBERS, TEXTS]).flatmap(lambda ids: st.lists(st.tuples(ids, ids), min_size=1, max_size=30)),
    st.randoms(use_true_random=False),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parquet_becomes_what_from_pairs_makes(tmp_path, pairs, random):
    pairs = pairs + random.sample(pairs, len(pairs) // 2)
    users, items = zip(*pairs)
    times = [random.randrange(-9, 99) for _ in pairs]
    shutil.rmtree(tmp_path / "in", ignore_errors=True)
    write_parts(tmp_path / "in", {"item": items, "user": users, "time": times})
    counts = tables.prepare(tmp_path / "in", tmp_path / "out", times=True)
    found = read_prepared(tmp_path / "out", times=True)
    assert_same(found, Interactions.from_pairs(list(users), list(items), times=times))
    assert counts[:4] == (found.n_users, found.n_items, found.n_likes, len(pairs))
    assert is_mapped(found.user_items.indices) and is_mapped(found.user_ids)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_real_ratings_in_each_form(tmp_path, ratings):
    users, items = (ids.tolist() for ids in ids_of_pairs(ratings))
    order = np.random.default_rng(0).permutation(len(users)).tolist()
    columns = {"userId": [users[i] for i in order], "movieId": [items[i] for i in order]}
    for number, write in enumerate((write_parts, write_csv_parts)):
        out = tmp_path / f"out{number}"
        assert main(["prepare", str(write(tmp_path / f"in{number}", columns)), "--out", str(out)]) == 0
        assert_same(datasets.load(path=out), Interactions.from_pairs(users, items))
        assert datasets.load(path=out).name == f"out{number}"


def ids_of_pairs(likes):
    rows, columns = likes.user_items.nonzero()
    return likes.user_ids[rows], likes.item_ids[columns]


@pytest.mark.parametrize(
    "text",
    [
        "user;item\n007;3\n7;3.0\n 12;4\n7;4\n",  # numbers, however they are written
        'item_id,junk,user_id\n"a,b",1,ann\nb,2," ann"\n"a,b",3,bob\n',
        "user\titem\n9\tx\n10\ty\n9\tx\n",
    ],
)
def test_a_csv_becomes_what_its_reader_makes(tmp_path, text):
    (tmp_path / "likes.csv").write_text(text, encoding="utf-8")
    assert main(["prepare", str(tmp_path / "likes.csv"), "--out", str(tmp_path / "out"), "--memory", "500MB"]) == 0
    assert_same(datasets.load(path=tmp_path / "out"), datasets.load(path=tmp_path / "likes.csv"))


def test_titles_and_times_of_movielens_come_along(tmp_path):
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml/ratings.csv").write_text("userId,movieId,rating,timestamp\n2,7,1,50\n1,7,3,20\n1,9,4,30\n")
    (tmp_path / "ml/movies.csv").write_text('movieId,title,genres\n7,"Heat, The",x\n')
    command = ["prepare", str(tmp_path / "ml"), "--out", str(tmp_path / "out"), "--memory", "1GB", "--times", "--json"]
    assert main(command) == 0
    assert_same(datasets.load(path=tmp_path / "out", times=True), datasets.load(path=tmp_path / "ml", times=True))


@pytest.mark.parametrize("type_", [pa.int32(), pa.uint64(), pa.float64(), pa.dictionary(pa.int32(), pa.string())])
def test_types_of_ids(tmp_path, type_):
    users = pa.array([3, 1, 3], pa.int64())
    users = users.cast(pa.string()).dictionary_encode() if isinstance(type_, pa.DictionaryType) else users.cast(type_)
    write_parts(tmp_path / "in", {"user": users, "item": ["b", "a", "a"]})
    tables.prepare(tmp_path / "in", tmp_path / "out")
    assert_same(read_prepared(tmp_path / "out"), Interactions.from_pairs([3, 1, 3], ["b", "a", "a"]))


@pytest.mark.parametrize("unit", ["s", "us"])
def test_times_may_be_timestamps(tmp_path, unit):
    times = np.array(["2020-01-02T00:00:01.9", "1969-12-31T23:59:59"], f"datetime64[{unit}]")
    write_parts(tmp_path / "in", {"user": [1, 2], "item": [1, 1], "timestamp": times})
    tables.prepare(tmp_path / "in", tmp_path / "out", times=True)
    assert read_prepared(tmp_path / "out", times=True).times.tolist() == [1_577_923_201, -1]


BAD = [
    (
        {"who": [1], "item": [1]},
        "has the columns 'who', 'item', but no known column of users; pass user=",
    ),
    (
        {"user": [1], "what": [1]},
        "has the columns 'user', 'what', but no known column of items; pass item=",
    ),
    ({"user": [1, None], "item": [1, 2]}, r"the column of users \(user\) has 1 missing values of 2; drop those rows"),
    ({"user": ["a", " None "], "item": [1, 2]}, "a user id, ' None ', is missing; fix or drop its rows"),
    ({"user": [1, -2], "item": [1, 2]}, "the column of users holds -2 to 1, but ids must be at least 0"),
    ({"user": ["a", "-2"], "item": [1, 2]}, "a user id, '-2', is negative, but ids must be 0 or greater"),
    ({"user": ["a" * 257], "item": [1]}, r"a user id, 'a+\.\.\.a+', is longer than 256 characters"),
    ({"user": [1.5], "item": [1]}, "the column of users holds a number that is not an integer"),
    ({"user": [float("nan")], "item": [1]}, "the column of users holds nan to nan"),
    ({"user": [True], "item": [1]}, "the column of users has type BOOLEAN; convert it to integers or strings"),
    ({"user": pa.array([], pa.int64()), "item": pa.array([], pa.int64())}, "holds no likes; pass a table with at"),
]


@pytest.mark.parametrize(("columns", "sentence"), BAD)
def test_bad_tables_are_refused_and_leave_nothing(tmp_path, columns, sentence):
    write_parts(tmp_path / "in", columns, n_parts=1)
    with pytest.raises(ValueError, match=sentence):
        tables.prepare(tmp_path / "in", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            {"a.csv": "user,item\n1,\n2,3\n", "b.csv": "user,item\n"},
            r"the column of items \(item\) has 1 missing values of 2",
        ),
        (
            {"a.csv": "user,item\n1,2\n", "b.csv": "item,user\n"},
            "b.csv has the header 'item,user', but .*give all files the same header",
        ),
        (
            {"a.csv": "ann,heat\n", "b.csv": "bob,ronin\n"},
            "a.csv begins with 'ann,heat', which is neither a known header nor a row",
        ),
        ({"a.csv": "", "b.csv": "user,item\n"}, "a.csv is empty; pass a file with ratings in it"),
        ({"a.csv": "user,item\n1,2,3,4\n", "b.csv": "user,item\n"}, "can't be read: "),
        ({"a.csv": "user,item\n1,2\n", "b.parquet": "PAR1"}, "holds both parquet and text"),
        ({"b.parquet": "PAR1"}, "can't be read: "),
    ],
)
def test_bad_files_are_refused(tmp_path, files, sentence):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=sentence):
        tables.prepare(tmp_path, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


def test_bad_arguments(tmp_path, capsys):
    write_parts(tmp_path / "in", {"user": [1], "item": [1], "time": ["noon"]})
    source, out = str(tmp_path / "in"), str(tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    (tmp_path / "one.csv").write_text("user,item\n1,1\n")
    for arguments, sentence in [
        ([source, "--out", f"{out}.npz"], "name a folder, as tables of any size"),
        ([source, "--out", out, "--memory", "lots"], "--memory is lots; pass a size such as 2GB or 800MB"),
        ([source, "--out", out, "--memory", "1MB"], "memory is 1,000,000 bytes; give at least 500,000,000"),
        ([source, "--out", out, "--threads", "0"], "--threads must be 1 or more, got 0"),
        (
            [source, "--out", out, "--times"],
            "the time 'noon' is neither a number of seconds nor a time like 2024-01-31 10:00:00",
        ),
        ([source, "--out", str(tmp_path / "full")], "full exists and is not a prepared folder; name another for --out"),
        ([str(tmp_path / "one.csv"), "--out", f"{out}.npz", "--threads", "2"], "--threads is only used with --memory"),
        (
            [str(tmp_path / "one.csv"), "--out", f"{out}.npz", "--times"],
            "has no known column of times; pass time=",
        ),
        (
            [str(tmp_path / "one.csv"), "--out", out, "--memory", "1GB", "--times"],
            "has no known column of times; pass time=",
        ),
        ([str(tmp_path / "none"), "--out", out, "--memory", "1GB"], "There is no file or folder"),
    ]:
        assert main(["prepare", *arguments]) == 2
        assert sentence in capsys.readouterr().err
    assert not Path(out).exists()
    assert (tmp_path / "full" / "mine").read_text() == "x"


def test_an_archive_is_read_with_its_titles(tmp_path):
    bundled = Path(datasets.__file__).parent / "bundled/ml-latest-small.zip"
    counts = tables.prepare(bundled, tmp_path / "out", times=True)
    found, wanted = read_prepared(tmp_path / "out", times=True), datasets.load(path=bundled, times=True)
    assert counts.source == wanted.source
    assert_same(found, wanted)
    np.testing.assert_array_equal(found.times, wanted.times)


def test_files_that_are_compressed_differently_are_one_table(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_bytes(b"user,item\n7,10\n7,25\n")
    (tmp_path / "in/b.csv.gz").write_bytes(gzip.compress(b"user,item\n3,10\n"))
    (tmp_path / "in/c.csv.bz2").write_bytes(bz2.compress(b"user,item\n3,300\n"))
    (tmp_path / "in/d.csv.xz").write_bytes(lzma.compress(b"user,item\n11,300\n"))
    assert tables.prepare(tmp_path / "in", tmp_path / "out")[:4] == (3, 3, 5, 5)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["manifest.json", *(f"{name}.npy" for name in ("indptr", "indices", "data", "user_ids", "item_ids"))]
    )


def test_the_parts_of_a_data_set_of_lists_are_one(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/train.txt").write_text("0 5 7\n1 5\n")
    (tmp_path / "in/test.txt").write_text("0 9\n1 7 9 11\n")
    tables.prepare(tmp_path / "in", tmp_path / "out")
    wanted = datasets.load(path=tmp_path / "in")
    assert wanted.item_ids.tolist() == [5, 7, 9, 11] and wanted.n_likes == 7
    assert_same(read_prepared(tmp_path / "out"), wanted)


def test_files_of_lists_that_number_their_users_are_not_read_as_one(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.csv", "b.csv"):
        (tmp_path / "in" / name).write_text("2 5 7\n1 5\n2 7 9\n")
    assert tables.prepare(tmp_path / "in/a.csv", tmp_path / "out").users == 3
    with pytest.raises(ValueError, match="holds 2 files of lists without users, who would be numbered from 0 in each"):
        tables.prepare(tmp_path / "in", tmp_path / "out")


def test_a_matrix_is_not_read_in_parts(tmp_path):
    sparse.save_npz(tmp_path / "likes.npz", sparse.csr_array(np.eye(3)))
    with pytest.raises(ValueError, match=r"is an \.npz file, which can't be read in parts; leave out --mem"):
        tables.prepare(tmp_path / "likes.npz", tmp_path / "out")


def test_without_duckdb(monkeypatch, tmp_path):
    write_parts(tmp_path / "in", {"user": [1], "item": [1]})
    real = builtins.__import__

    def without(name, *arguments):
        if name == "duckdb":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"needs DuckDB: pip install '\.\[scale\]'"):
        tables.prepare(tmp_path / "in", tmp_path / "out")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, ratings):
    """The bundled ratings, prepared. Shared: don't change it."""
    place = tmp_path_factory.mktemp("prepared")
    users, items = ids_of_pairs(ratings)
    write_parts(place / "in", {"user": users, "item": items})
    tables.prepare(place / "in", place / "ratings")
    return place / "ratings"


def test_what_stands_there_is_replaced_when_the_new_is_whole(tmp_path, folder):
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    with pytest.raises(ValueError, match="holds no likes"):
        tables.prepare(write_parts(tmp_path / "none", BAD[-1][0]), out)
    assert datasets.load(path=out).n_users == 671
    tables.prepare(write_parts(tmp_path / "few", {"user": [1], "item": [2]}), out)
    assert datasets.load(path=out).n_users == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few", "none", "out"]


def test_what_a_file_manager_leaves_in_it_is_no_reason_not_to_replace_it(tmp_path, folder):
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (out / name).write_text("icons")
    tables.prepare(write_parts(tmp_path / "few", {"user": [1], "item": [2]}), out)
    assert datasets.load(path=out).n_users == 1
    assert not (out / "Thumbs.db").exists()


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def with_a_manifest(folder: Path, manifest: str) -> None:
    folder.mkdir()
    (folder / "manifest.json").write_text(manifest)
    (folder / "thesis.tex").write_text("the work of three years")


def with_the_source_in_it(folder: Path, prepared: Path) -> None:
    shutil.copytree(prepared, folder)
    write_parts(folder / "source", {"user": [1], "item": [1]})


def with_notes_in_it(folder: Path, prepared: Path) -> None:
    shutil.copytree(prepared, folder)
    (folder / "notes.txt").write_text("mine")


def with_a_folder_for_an_array(folder: Path, prepared: Path) -> None:
    shutil.copytree(prepared, folder)
    (folder / "data.npy").unlink()
    (folder / "data.npy").mkdir()
    (folder / "data.npy/notes.txt").write_text("mine")


NOT_PREPARED = "exists and is not a prepared folder; name another for --out"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        *(
            (lambda out, prepared, manifest=manifest: with_a_manifest(out, manifest), NOT_PREPARED)
            for manifest in (
                "",
                "[]",
                "{}",
                '{"format": "autoenc checkpoint", "arrays": {}}',
                '{"name": "an extension of a browser"}',
                '{"format": "autoenc prepared likes"}',
                '{"format": "autoenc prepared likes", "arrays": 1}',
                "[" * 100_000,
            )
        ),
        (lambda out, prepared: with_a_manifest(out, '{"format": "autoenc prepared likes", "arrays": {}}'), "thesis"),
        (with_the_source_in_it, "out holds source, which `autoenc prepare` did not write; move it, or name another"),
        (with_notes_in_it, "out holds notes.txt, which `autoenc prepare` did not write"),
        (with_a_folder_for_an_array, "out holds data.npy, which `autoenc prepare` did not write"),
    ],
)
def test_a_folder_of_somebody_s_work_is_not_replaced(tmp_path, folder, capsys, make, sentence):
    out = tmp_path / "out"
    make(out, folder)
    source = out / "source" if (out / "source").exists() else write_parts(tmp_path / "in", {"user": [1], "item": [1]})
    before = files_below(tmp_path)
    assert main(["prepare", str(source), "--out", str(out)]) == 2
    assert sentence in capsys.readouterr().err
    assert files_below(tmp_path) == before


def test_the_folder_that_is_read_is_not_replaced(tmp_path, capsys):
    source = write_parts(tmp_path / "in", {"user": [1], "item": [1]})
    before = files_below(tmp_path)
    assert main(["prepare", str(source), "--out", str(source)]) == 2
    assert NOT_PREPARED in capsys.readouterr().err
    assert files_below(tmp_path) == before


def test_the_likes_that_are_read_are_not_replaced(tmp_path, capsys):
    (tmp_path / "likes.npz").write_bytes(b"ratings")
    assert main(["prepare", str(tmp_path / "likes.npz"), "--out", str(tmp_path / "likes.npz")]) == 2
    assert "likes.npz is also an input and would be overwritten; choose another output" in capsys.readouterr().err


def test_a_process_that_dies_leaves_no_folder(tmp_path):
    code = f"""
import os
from autoenc.datasets.prepared import new_folder
with new_folder({str(tmp_path / "out")!r}) as folder:
    (folder / "indices.npy").write_bytes(b"half")
    os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 9
    assert not (tmp_path / "out").exists()
    with new_folder(tmp_path / "out") as temporary:
        (temporary / "indices.npy").write_bytes(b"")
    assert (tmp_path / "out").is_dir()


def damaged(folder: Path, name: str, change) -> None:
    (folder / name).write_bytes(change((folder / name).read_bytes()))


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("indices.npy", lambda data: data[:-4], "indices.npy can't be read .it has .* bytes, but the manifest says"),
        ("indices.npy", lambda data: data[:-1] + b"\1", "indices.npy can't be read .its checksum differs from"),
        ("manifest.json", lambda data: b"{", "is not the manifest of a prepared folder; prepare it again"),
        ("manifest.json", lambda data: data.replace(b'"version": 1', b'"version": 2'), "has version 2 of the format"),
        ("manifest.json", lambda data: data.replace(b'"users": 671', b'"users": 1.5'), "has missing or invalid counts"),
        (
            "manifest.json",
            lambda data: data.replace(b'"users": 671', b'"users": 672'),
            "is damaged .* prepare it again",
        ),
        (
            "manifest.json",
            lambda data: data.replace(b'"data"', b'"dada"'),
            "invalid counts or arrays; prepare it again",
        ),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path, folder, name, change, sentence):
    shutil.copytree(folder, tmp_path / "out")
    damaged(tmp_path / "out", name, change)
    with pytest.raises(ValueError, match=sentence):
        datasets.load(path=tmp_path / "out")


def test_a_folder_that_was_not_finished_is_refused(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "out")
    (tmp_path / "out/manifest.json").unlink()
    with pytest.raises(ValueError, match=r"has arrays but no manifest.json: `autoenc prepare` did not finish"):
        datasets.load(path=tmp_path / "out")
    shutil.copy(folder / "manifest.json", tmp_path / "out")
    (tmp_path / "out/user_ids.npy").unlink()
    with pytest.raises(ValueError, match=r"user_ids.npy can't be read .No such file or directory.*prepare"):
        datasets.load(path=tmp_path / "out")


def test_no_pickle_is_read(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "out")
    path = tmp_path / "out/user_ids.npy"
    np.save(path, np.array([{}] * 671, object))
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    manifest["arrays"]["user_ids"] = {"bytes": path.stat().st_size, "crc32": checksum(path)}
    (tmp_path / "out/manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"user_ids\.npy can't be read"):
        datasets.load(path=tmp_path / "out")


def test_times_that_were_not_kept(folder):
    with pytest.raises(ValueError, match="was prepared without times; prepare it again with --times"):
        datasets.load(path=folder, times=True)


def test_weights_in_a_prepared_folder_are_the_likes_own(tmp_path, folder, ratings):
    out = shutil.copytree(folder, tmp_path / "out")
    weights = np.arange(1, ratings.n_likes + 1, dtype=np.float32)
    np.save(out / "weights.npy", weights)
    write_manifest(out, ratings.n_users, ratings.n_items, ratings.n_likes)
    np.testing.assert_array_equal(datasets.load(path=out).weights, weights)
    assert datasets.load(path=folder).weights is None
    np.save(out / "weights.npy", weights[1:])
    write_manifest(out, ratings.n_users, ratings.n_items, ratings.n_likes)
    with pytest.raises(
        ValueError, match=r"is damaged .weights has shape .* pass one weight for each.; prepare it again"
    ):
        datasets.load(path=out)


def test_a_column_that_grows_is_an_npy(tmp_path):
    with Column(tmp_path / "a.npy", "<i4") as column:
        for start in range(0, 1000, 10):
            column.append(np.arange(start, start + 10))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.arange(1000, dtype=np.int32))


# Splitting by blocks.


@pytest.mark.parametrize("at_once", [1, 1000, 2**20])
def test_a_mapped_split_has_the_bits_of_one_in_memory(folder, ratings, split, monkeypatch, at_once):
    likes = datasets.load(path=folder)
    monkeypatch.setattr(mapped, "LIKES_AT_ONCE", at_once)
    for half, wanted in zip(holdout_per_user(likes, seed=0), split):
        assert is_mapped(half.indices) and is_mapped(half.data)
        for name in ("indptr", "indices", "data"):
            np.testing.assert_array_equal(getattr(half, name), getattr(wanted, name))
    for half, wanted in zip(holdout_users(likes, seed=3)[:3], holdout_users(ratings, seed=3)):
        assert is_mapped(half.indices)
        np.testing.assert_array_equal(half.indices, wanted.indices)
        np.testing.assert_array_equal(half.indptr, wanted.indptr)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["manifest.json", "data.npy", "indices.npy", "indptr.npy", "item_ids.npy", "user_ids.npy"]
    )


def test_rows_of_a_mapped_matrix_may_be_none(folder):
    likes = datasets.load(path=folder).user_items
    assert take_rows(likes, np.array([], np.int64)).shape == (0, likes.shape[1])


def test_training_on_a_folder_is_training_on_its_likes(folder, ratings):
    from autoenc.models import AutoEncoder

    small = {"emb_dim": 8, "hidden_dim": 4, "epochs": 2, "early_stopping": "ndcg@10"}
    one, other = (AutoEncoder(**small).fit(likes) for likes in (datasets.load(path=folder), ratings))
    for name, array in one.network_.state.items():
        np.testing.assert_array_equal(array, other.network_.state[name])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to one process")
def test_ctrl_c_in_a_query_is_ctrl_c():
    """DuckDB makes a RuntimeError of it."""
    code = """
import os, signal, threading, time
import duckdb
from autoenc.datasets import tables
signal.signal(signal.SIGINT, signal.default_int_handler)
db = duckdb.connect()
db.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")

def interrupt():
    while not 0 < db.query_progress() < 100:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
try:
    with tables._in_sentences(duckdb, "likes", 1):
        db.execute("SELECT max(hash(range)) FROM range(10000000000)")
except KeyboardInterrupt:
    print("interrupted")
"""
    assert run(code) == "interrupted\n"
