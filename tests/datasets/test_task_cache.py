"""The task's own files: those written by any version of NumPy are read, anything else is refused."""

from __future__ import annotations

import os
import pickle
import runpy
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from autoenc.cli import main
from autoenc.datasets.task_cache import read_task_cache, write_task_cache, write_topk
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.ranking import rank
from tests.helpers import DATA

HOSTILE = DATA / "hostile" / "task_cache"

BROKEN = "its pickle is broken;"
NOT_THE_ARRAY = "its pickle is not the array that its header describes"
NO_HEADER = "it has no valid .npy header"


def asks_for(name):
    return f"it asks for {name!r}, which lists of integers don't need"


def uses(opcode):
    return f"its pickle uses the opcode {opcode}, which lists of integers don't need"


def cut_off(at, size):
    return f"its pickle is broken or cut off at byte {at} of {size};"


def no_list(kind):
    return f"its entry for user 1 is of type {kind}, not a list;"


def no_id(kind):
    return f"the list of user 1 holds a value of type {kind}, not an item id;"


SENTENCES = {
    "opens_a_file": asks_for("io.open"),
    "system": asks_for("posix.system"),
    "system_windows": asks_for("nt.system"),
    "system_protocol_0": uses("STRING"),
    "system_inst": uses("INST"),
    "subprocess": asks_for("subprocess.Popen"),
    "eval": asks_for("builtins.eval"),
    "eval_python_2": asks_for("__builtin__.eval"),
    "getattr": asks_for("builtins.getattr"),
    "numpy_runstring": asks_for("numpy.testing._private.utils.runstring"),
    "numpy_load": asks_for("numpy.load"),
    "numpy_dotted": asks_for("numpy.ndarray.tofile"),
    "numpy_fromfile": asks_for("numpy.core.multiarray.fromfile"),
    "codecs_lookup": asks_for("_codecs.lookup"),
    "new_line_in_a_name": asks_for("posix\n.sys\ntem"),
    "new_object": uses("NEWOBJ"),
    "extension": uses("EXT1"),
    "persistent_id": uses("BINPERSID"),
    "pointers": NOT_THE_ARRAY,
    "state_of_a_list": BROKEN,
    "raw_array": "it holds an array whose dtype is not object",
    "huge_array": BROKEN,
    "memo_bomb": cut_off(138, 147),
    "shared_list": "its 1,803 bytes expand to 51,200 likes",
    "doubled_list": no_id("list"),
    "long_string": cut_off(130, 139),
    "long_frame": "its pickle is broken or cut off at byte 2 of 13",
    "bytearray": uses("BYTEARRAY8"),
    "huge_integer": uses("LONG4"),
    "long_header": NO_HEADER,
    "huge_header_shape": NOT_THE_ARRAY,
    "empty": NO_HEADER,
    "text": NO_HEADER,
    "only_magic": NO_HEADER,
    "header_code": NO_HEADER,
    "version_9": NO_HEADER,
    "padded": "it is an array of int64 with shape (2, 3);",
    "two_dimensional": "it is an array of object with shape (2, 2);",
    "structured": "it has no valid .npy header, as its header says that it holds '|V16';",
    "no_pickle": cut_off(0, 0),
    "cut_off": cut_off(97, 130),
    "cut_off_in_a_number": cut_off(132, 135),
    "bare_list": NOT_THE_ARRAY,
    "underflow": BROKEN,
    "unknown_opcode": r"its pickle uses the byte b'\xfe' as an opcode",
    "dictionary": uses("EMPTY_DICT"),
    "one_user_missing": "it has 1 users, but its header says 2",
    "one_user_more": "it has 2 users, but its header says 3",
    "tuple": no_list("tuple"),
    "number": no_list("int"),
    "none": no_list("NoneType"),
    "string": no_list("str"),
    "list_in_a_list": no_id("list"),
    "float": no_id("float"),
    "nan": no_id("float"),
    "boolean": no_id("bool"),
    "string_id": no_id("str"),
    "numpy_float": "it holds NumPy scalars that are not integers",
    "numpy_negative": "it holds the item id -7, but 0 is padding and ids start at 1",
    "zero": "it holds the item id 0, but 0 is padding and ids start at 1",
    "negative": "it holds the item id -1, but 0 is padding and ids start at 1",
    "billion_wide": "it holds the item id 1000000000, but a cache may have at most 10,000,000 items",
    "beyond_64_bits": "it holds an item id beyond 64 bits",
}

LISTS = [[1, 300, 70_000], [], [2], [1, 2]]
OTHERS = [[2], [4], [], [70_001]]


def save(path, lists, protocol=4):
    """As np.save does it, with the pickle protocol that NumPy had at some time (2 before 1.17, 3, and 4)."""
    array = np.empty(len(lists), object)
    array[:] = lists
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": array.shape})
        pickle.dump(array, file, protocol=protocol)


def lists_of(likes):
    return [likes.item_ids[row].tolist() for row in np.split(likes.user_items.indices, likes.user_items.indptr[1:-1])]


@pytest.fixture
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("in_a_folder")
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", [int, np.int64, np.int32, np.uint16, np.int8])
def test_lists_of_integers_as_numpy_writes_them(protocol, kind):
    lists = {np.int8: [[1, 99], [], [2], [100]], np.uint16: [[60_000], [], [2], [300]]}.get(kind, LISTS)
    save("c_train.npy", [[kind(i) for i in row] for row in lists], protocol)
    save("c_valid.npy", OTHERS, protocol)
    train, held_out = read_task_cache("c")
    assert lists_of(train) == lists
    assert lists_of(held_out) == OTHERS


@pytest.mark.usefixtures("in_a_folder")
def test_the_rules_of_ids():
    save("c_train.npy", LISTS)
    save("c_valid.npy", OTHERS)
    train, held_out = read_task_cache("c")
    for likes in train, held_out:
        assert likes.user_ids.tolist() == [0, 1, 2, 3]
        np.testing.assert_array_equal(likes.item_ids, np.arange(1, 70_002))
        assert likes.name == "c"
    assert train.user_items.shape == held_out.user_items.shape == (4, 70_001)


@pytest.mark.usefixtures("in_a_folder")
def test_unsorted_and_repeated_ids():
    save("c_train.npy", [[5, 2, 5]])
    save("c_valid.npy", [[3]])
    assert lists_of(read_task_cache("c")[0]) == [[2, 5]]


@pytest.mark.usefixtures("in_a_folder")
@pytest.mark.parametrize("made_of", [np.array, lambda lists: lists])
def test_what_np_save_itself_writes(made_of, ratings, split):
    for name, half in zip(("train", "valid"), split):
        lists = np.empty(ratings.n_users, object)
        lists[:] = [list(made_of((row + 1).tolist())) for row in np.split(half.indices, half.indptr[1:-1])]
        np.save(f"real_{name}.npy", lists, allow_pickle=True)
    train, held_out = read_task_cache(Path("real"))
    for likes, half in ((train, split[0]), (held_out, split[1])):
        assert (likes.user_items != half[:, : likes.n_items]).nnz == 0


@pytest.mark.usefixtures("in_a_folder")
def test_python_2_wrote_strings_for_bytes():
    save("c_train.npy", [[200]])
    save("c_valid.npy", [[np.int64(200)]], protocol=2)
    assert b"c_codecs\nencode\n" in Path("c_valid.npy").read_bytes(), "what Python 3 wrote for the bytes of a scalar"
    written = Path("c_train.npy").read_bytes()
    Path("c_train.npy").write_bytes(
        written[: written.index(b"\n") + 1]
        + b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x01\x85"
        + b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x89]]"
        + b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x02i8K\x00K\x01\x87R(K\x03U\x01<NNN"
        + b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbU\x08\xc8\x00\x00\x00\x00\x00\x00\x00\x86Raatb."
    )
    train, held_out = read_task_cache("c")
    assert lists_of(train) == lists_of(held_out) == [[200]]


@pytest.mark.usefixtures("in_a_folder")
def test_the_scalars_of_a_big_endian_machine():
    make = runpy.run_path(str(DATA / "make_hostile.py"))
    described = make["text"]("i4") + b"\x89\x88\x87R(K\x03" + make["text"](">") + b"NNNJ\xff\xff\xff\xffK\x00K\x00tb"
    scalar = b"cnumpy._core.multiarray\nscalar\ncnumpy\ndtype\n" + described + b"C\x04\x00\x00\x01\x02\x86R"
    Path("c_train.npy").write_bytes(make["with_item"](scalar))
    save("c_valid.npy", [[1], [2]])
    assert lists_of(read_task_cache("c")[0]) == [[1, 2], [258]]


def test_a_split_goes_there_and_back(tmp_path, ratings, split):
    prefix = tmp_path / "data" / "cache"
    write_task_cache(prefix, ratings.with_user_items(split[0]), split[1])
    assert sorted(p.name for p in prefix.parent.iterdir()) == ["cache_train.npy", "cache_valid.npy"]
    train, held_out = read_task_cache(prefix)
    assert (train.user_items != split[0]).nnz == (held_out.user_items != split[1]).nnz == 0
    assert train.name == "cache" and train.n_items == ratings.n_items

    # NumPy itself reads the same lists from it.
    lists = np.load(f"{prefix}_train.npy", allow_pickle=True)
    assert lists.shape == (ratings.n_users,)
    assert {type(row) for row in lists} == {list} and type(lists[0][0]) is int
    assert lists.tolist() == lists_of(train)


def test_equally_long_lists_are_written_as_lists(tmp_path):
    write_task_cache(tmp_path / "c", [[0, 1], [1, 2]], sparse.csr_array(np.eye(2, 3)))
    assert lists_of(read_task_cache(tmp_path / "c")[0]) == [[1, 2], [2, 3]]


def test_halves_of_two_splits_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"train has shape \(2, 2\) but held_out \(1, 1\); pass the halves of one"):
        write_task_cache(tmp_path / "c", [[0], [1]], [[0]])
    assert not list(tmp_path.iterdir())


# What must be refused


def test_the_hostile_files_are_those_that_the_script_makes():
    made = runpy.run_path(str(DATA / "make_hostile.py"))["hostile"]()
    assert made == {path.stem: path.read_bytes() for path in HOSTILE.iterdir()}
    assert set(made) == set(SENTENCES)


@pytest.mark.usefixtures("in_a_folder")
@pytest.mark.parametrize("half", ["train", "valid"])
@pytest.mark.parametrize("name", SENTENCES)
def test_hostile_files_are_refused(name, half):
    save("c_train.npy", [[1], [2]])
    save("c_valid.npy", [[3], [4]])
    shutil.copyfile(HOSTILE / f"{name}.npy", f"c_{half}.npy")
    tracemalloc.start()
    with pytest.raises(ValueError) as caught:
        read_task_cache("c")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sentence = str(caught.value)
    assert sentence.startswith(f"c_{half}.npy can't be read as the task's cache: {SENTENCES[name]}")
    assert sentence.endswith(
        "; pass an .npy file of an object array with one list of item ids, starting at 1, for each user."
    )
    assert "\n" not in sentence
    assert sorted(os.listdir()) == ["c_train.npy", "c_valid.npy"], "its code has run"
    assert peak < 2**20  # bytes


@pytest.mark.usefixtures("in_a_folder")
@pytest.mark.parametrize("name", SENTENCES)
def test_the_command_line_refuses_them_with_the_same_sentence(name, capsys):
    shutil.copyfile(HOSTILE / f"{name}.npy", "c_train.npy")
    save("c_valid.npy", [[3], [4]])
    assert main(["train", "--cache-path", "c", "--out", "model.safetensors"]) == 2
    printed, sentence = capsys.readouterr()
    assert printed == "" and sentence.count("\n") == 1
    assert sentence.startswith(f"autoenc train: c_train.npy can't be read as the task's cache: {SENTENCES[name]}")
    assert sorted(os.listdir()) == ["c_train.npy", "c_valid.npy"]


@pytest.mark.usefixtures("in_a_folder")
def test_the_hostile_files_would_run_code():
    np.load(HOSTILE / "opens_a_file.npy", allow_pickle=True)
    assert Path("code-has-run").exists()


@pytest.mark.usefixtures("in_a_folder")
@pytest.mark.parametrize(
    "opcodes", [b"]", b"]\x94", b"(", b"N", b"K\x01\x85", b"X\x01\x00\x00\x00\xe9", b"G" + b"?" * 8]
)
def test_memory_is_bounded_by_the_size_of_the_file(opcodes):
    save("c_train.npy", [])
    head = Path("c_train.npy").read_bytes()[:128] + b"\x80\x04"
    bomb = head + opcodes * (300_000 // len(opcodes)) + b"."
    Path("c_train.npy").write_bytes(bomb)
    save("c_valid.npy", [])
    tracemalloc.start()
    with pytest.raises(ValueError, match="can't be read as the task's cache"):
        read_task_cache("c")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * len(bomb)


@given(data=st.data())
def test_a_changed_file_is_read_or_refused(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    kind = data.draw(st.sampled_from([int, np.int64]))
    save(folder / "c_train.npy", [[kind(i) for i in row] for row in LISTS], data.draw(st.sampled_from([2, 3, 4])))
    save(folder / "c_valid.npy", OTHERS)
    content = bytearray((folder / "c_train.npy").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    (folder / "c_train.npy").write_bytes(content)
    tracemalloc.start()
    try:
        train, _ = read_task_cache(folder / "c")
        assert train.user_items.indices.max(initial=0) < train.n_items
    except ValueError as error:
        assert str(folder) in str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**28  # ten million items' ids take 80 MB, twice


@pytest.mark.usefixtures("in_a_folder")
def test_a_missing_half():
    with pytest.raises(
        FileNotFoundError, match=r"There is no c_train.npy; the cache 'c' stands for c_train.npy and c_"
    ):
        read_task_cache("c")
    save("c_train.npy", LISTS)
    with pytest.raises(FileNotFoundError, match=r"There is no c_valid.npy"):
        read_task_cache("c")


@pytest.mark.usefixtures("in_a_folder")
def test_halves_that_do_not_belong_together():
    save("c_train.npy", [[1], [2]])
    save("c_valid.npy", [[1]])
    with pytest.raises(ValueError, match=r"c_train.npy has 2 users and c_valid.npy has 1; pass the two halves of one"):
        read_task_cache("c")


@pytest.mark.usefixtures("in_a_folder")
@pytest.mark.parametrize("lists", [[], [[], []]])
def test_a_cache_without_likes(lists):
    save("c_train.npy", lists)
    save("c_valid.npy", lists)
    with pytest.raises(
        ValueError, match=r"c_train.npy and c_valid.npy contain no items; pass a cache with likes in it"
    ):
        read_task_cache("c")


# The list of results


class Popular:
    def __init__(self, train):
        self.n_items = train.shape[1]
        self.popularity = np.asarray(train.sum(axis=0))

    def score(self, user_items):
        return np.tile(self.popularity, (user_items.shape[0], 1))


def test_the_tasks_validate_script_finds_our_figures(tmp_path, split):
    write_task_cache(tmp_path / "cache", *split)
    train, held_out = read_task_cache(tmp_path / "cache")
    scorer = Popular(train.user_items)
    top = np.concatenate([items for _, items, _ in rank(scorer, train.user_items, 10)])
    write_topk(tmp_path / "results" / "topk", train.item_ids[top])

    # As the task has it: both files as they are, |valid items in the first k| / k, averaged over users.
    valid = np.load(tmp_path / "cache_valid.npy", allow_pickle=True)
    topk = np.loadtxt(tmp_path / "results" / "topk")
    assert topk.shape == (train.n_users, 10)
    precision = {
        k: np.mean([len(set(items) & set(best[:k])) / k for items, best in zip(valid, topk)]) for k in (1, 5, 10)
    }

    report = evaluate(scorer, train.user_items, held_out.user_items)
    assert 0.2 < precision[1] < 0.3  # popularity on these ratings
    for k in (1, 5, 10):
        assert report[f"precision@{k}"] == pytest.approx(precision[k], abs=1e-12)


def test_topk_is_plain_text(tmp_path):
    write_topk(tmp_path / "topk", np.array([[3, 1], [70_000, -1]], np.int32))
    assert (tmp_path / "topk").read_bytes() == b"3 1\n70000 -1\n"


@pytest.mark.parametrize(("top", "found"), [(np.ones((2, 2)), "dtype float64"), ([1, 2], r"shape \(2,\)")])
def test_bad_topk(tmp_path, top, found):
    with pytest.raises(ValueError, match=rf"top_item_ids has .*{found}.*; pass integers of shape \(n_users, k\)"):
        write_topk(tmp_path / "topk", top)
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    write_topk(tmp_path / "topk", np.array([[1]]))
    write_task_cache(tmp_path / "c", [[0]], [[0]])

    def fails(file, *args, **kwargs):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savetxt", fails)
    monkeypatch.setattr(np, "save", fails)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OSError, match="disk full"):
        write_topk(tmp_path / "topk", np.array([[2]]))
    with pytest.raises(OSError, match="disk full"):
        write_task_cache(tmp_path / "c", [[0]], [[0]])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
