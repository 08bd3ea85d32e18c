"""The model file: the same bits are read back, writes are atomic, and foreign files are not trusted."""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
import runpy
import struct
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from autoenc import AutoEncoder, load_model
from autoenc.cli import main
from autoenc.interactions import Interactions
from autoenc.models import MODELS
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state, shapes_of_state
from autoenc.storage.model_file import ModelFile, read_model_file, write_model_file, write_safetensors
from tests.helpers import DATA, ROOT

N_ITEMS, EMB_DIM, HIDDEN_DIM = 5, 3, 2
TITLES = np.array(["Amélie (2001)", "", "七人の侍", "🎬 'quoted' \\ \n", "Heat (1995)"])


def make_content(dtype=np.float32, item_ids=None, titles=None) -> ModelFile:
    state = initial_state(N_ITEMS, EMB_DIM, HIDDEN_DIM, seed=4, dtype=dtype)
    state["output.bias"][:] = [-0.0, 1e-45, 1 / 3, -1e30, 7]  # a negative zero and a subnormal among them
    item_ids = np.array([2, 3, 5, 7, 2**62]) if item_ids is None else item_ids
    params = {"emb_dim": EMB_DIM, "hidden_dim": HIDDEN_DIM, "dropout": 0.3, "lr": 0.1, "epochs": None}
    return ModelFile("AutoEncoder", params, state, item_ids, titles, {"dataset": "七"})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("titles", [None, TITLES], ids=["no titles", "titles"])
@pytest.mark.parametrize("item_ids", [None, np.array(["a", "b c", "é", "日本", "🎬"])], ids=["int ids", "text ids"])
def test_what_was_written_comes_back_to_the_same_bits(path, dtype, item_ids, titles):
    content = make_content(dtype, item_ids, titles)
    write_model_file(path, content)
    back = read_model_file(path)
    assert set(back.arrays) == set(content.arrays)
    for name, array in content.arrays.items():
        assert back.arrays[name].dtype == array.dtype
        assert back.arrays[name].tobytes() == array.tobytes()
    for name, array in (("item_ids", content.item_ids), ("titles", content.titles)):
        ours = getattr(back, name)
        if array is None:
            assert ours is None
        else:
            assert ours.dtype.kind == array.dtype.kind
            np.testing.assert_array_equal(ours, array)
    assert (back.model, back.params, back.about) == (content.model, content.params, content.about)
    network = load_model(path).network_
    assert network.settings["dropout"] == 0.3
    assert {name: array.tobytes() for name, array in network.state.items()} == {
        name: array.tobytes() for name, array in content.arrays.items()
    }


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("by_name", [True, False], ids=["with names", "of a matrix"])
def test_every_model_comes_back_as_it_was(path, name, by_name):
    lists = [[0, 1], [0, 1, 2], [1, 2], [3, 4], [3, 4, 5], [4, 5]]
    likes = Interactions.from_lists(lists, titles={i: f"title {i}" for i in range(6)}, name="six") if by_name else lists
    params = {
        "AutoEncoder": {"emb_dim": 4, "hidden_dim": 3, "epochs": 2, "backend": "numpy", "threads": 1},
        "Blend": {"models": [MODELS["Popular"](), MODELS["EASE"]()], "weights": [1, 20]},
    }
    model = MODELS[name](**params.get(name, {})).fit(likes)
    model.save(path)
    back = load_model(path)
    assert type(back) is type(model)
    np.testing.assert_array_equal(back.score(lists), model.score(lists))
    assert back.n_items_ == 6
    assert {**back.get_params(), "threads": 0} == {**model.get_params(), "threads": 0} or name != "AutoEncoder"
    if by_name:
        assert back.about_ == {"dataset": "six"}
        assert list(back.recommend(liked=["title 0"], N=2)[0]) == list(model.recommend(liked=["title 0"], N=2)[0])
    else:
        assert back.catalogue_ is None


def test_a_class_loads_its_own_models(path):
    MODELS["EASE"](l2=3.0).fit([[0, 1], [1, 2]]).save(path)
    assert repr(MODELS["EASE"].load(path)) == repr(load_model(path)) == "EASE(l2=3.0)"
    with pytest.raises(ValueError, match="holds a model of the class EASE, not Popular; load it with"):
        MODELS["Popular"].load(path)


def test_a_generator_is_saved_as_the_seed_that_it_gave(path):
    model = AutoEncoder(emb_dim=2, hidden_dim=2, epochs=1, backend="numpy", random_state=np.random.default_rng(3)).fit(
        [[0, 1], [1]]
    )
    model.save(path)
    assert load_model(path).random_state == model.seed_


def test_a_model_that_is_not_fitted_is_not_saved(path):
    with pytest.raises(ValueError, match="this AutoEncoder is not fitted yet"):
        AutoEncoder().save(path)
    assert not path.exists()


def test_a_loaded_model_can_train(path):
    from autoenc.training.trainer import Trainer

    content = make_content()
    write_model_file(path, content)
    network, ours = load_model(path).network_, AutoEncoderNetwork(content.arrays, 0.3)
    for each in (network, ours):
        Trainer(each, backend="numpy").fit([[0, 1], [2], [3, 4]])
    for name, array in ours.state.items():
        np.testing.assert_array_equal(network.state[name], array)


def test_the_keys_are_the_networks_in_pytorchs_layout(path):
    write_model_file(path, make_content(titles=TITLES))
    arrays = safetensors.numpy.load_file(path)
    shapes = shapes_of_state(N_ITEMS, EMB_DIM, HIDDEN_DIM)
    assert set(arrays) == {*shapes, "item_ids", "titles.text", "titles.ends"}
    for name, shape in shapes.items():
        assert arrays[name].shape == shape


def test_arrays_that_are_not_contiguous_are_saved_as_they_read(path):
    content = make_content()
    weight = content.arrays["bottleneck.weight"]
    content.arrays["bottleneck.weight"] = np.asfortranarray(weight)
    write_model_file(path, content)
    np.testing.assert_array_equal(read_model_file(path).arrays["bottleneck.weight"], weight)


def test_an_error_in_the_middle_leaves_the_old_file(path, monkeypatch):
    write_model_file(path, make_content())
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    sentence = (
        r"model.safetensors can't be written \(.*No space left on device\); free some space, or choose another path"
    )
    with pytest.raises(OSError, match=sentence):
        write_model_file(path, make_content(titles=TITLES))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_could_not_be_read_again_is_not_written(path, number):
    path.write_text("old")
    arrays = {"item_counts": np.ones(3), "weight": np.array([1, number], np.float32)}
    with pytest.raises(FloatingPointError, match="weight holds a number that is not finite; train again with a lower"):
        write_model_file(path, ModelFile("Popular", {}, arrays))
    assert path.read_text() == "old"


def test_a_missing_file_is_named_with_its_fix(path):
    for missing in (path, path.parent):
        with pytest.raises(FileNotFoundError, match=r"there is no model file .*; `autoenc train --out .*` makes one"):
            load_model(missing)


EQUAL = """
import sys
import numpy as np
from autoenc import AutoEncoder
from autoenc.interactions import Interactions
likes = Interactions.from_lists([[0, 1], [0, 2], [1, 2]], titles={i: f"title {i}" for i in range(3)}, name="three")
AutoEncoder(emb_dim=4, hidden_dim=3, epochs=2, backend="numpy", random_state=5).fit(likes).save(sys.argv[1])
"""


def test_equal_models_are_equal_files(tmp_path):
    for name, hashes in (("one", "1"), ("other", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": hashes}
        subprocess.run([sys.executable, "-c", EQUAL, str(tmp_path / name)], check=True, cwd=ROOT, env=environment)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_the_layout_is_safetensors(path):
    """What safetensors reads back, in native order, from a file whose arrays are aligned."""
    arrays = {
        "a": np.arange(3, dtype=np.uint8),
        "b": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "c": np.arange(2, dtype=np.int64),
        "none": np.zeros((0, 4), np.float32),
        "big": np.arange(3, dtype=">f4"),
    }
    write_safetensors(path, arrays, {"autoenc": "{}"})
    back = safetensors.numpy.load_file(path)
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(back[name], array)
    start = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    assert start % 8 == 0
    with pytest.raises(TypeError, match=r"must hold numbers, but x has dtype <U1; convert it to numbers"):
        write_safetensors(path, {"x": np.array(["a"])})


FULL = """
import resource, signal, sys
from autoenc.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
sys.exit(main({command!r}))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on a file's size")
@pytest.mark.parametrize("room", [1, 300])
def test_a_full_disk_is_one_sentence_and_the_old_file_stands(tmp_path, room):
    """By a limit on the size of files, which fails as a full disk does: in the middle of a write."""
    out = tmp_path / "model"
    out.write_bytes(b"what was there")
    small = ["--backend", "numpy", "--epochs", "1", "--emb-dim", "2", "--hidden-dim", "2"]
    command = ["train", "--data", str(DATA / "formats" / "csv"), *small, "--out", str(out)]
    code = FULL.format(room=room, command=command)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2, done.stderr
    *_, last = done.stderr.splitlines()
    assert last.startswith(f"autoenc train: {out} can't be written (") and "File too large" in last
    assert last.endswith("; free some space, or choose another path")
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model"] and out.read_bytes() == b"what was there"


# Strangers' files


def whole_file() -> tuple[dict, dict]:
    """The arrays and the metadata of a sound file."""
    content = make_content()
    metadata = {"version": 1, "model": "AutoEncoder", "params": {"dropout": 0.5}, "about": {}}
    return {**content.arrays, "item_ids": content.item_ids}, metadata


def save(arrays, path, metadata) -> None:
    safetensors.numpy.save_file(arrays, path, {"autoenc": json.dumps(metadata)})


def text(values) -> dict:
    encoded = [value.encode() for value in values]
    return {
        "titles.text": np.frombuffer(b"".join(encoded), np.uint8),
        "titles.ends": np.cumsum([len(value) for value in encoded], dtype=np.int64),
    }


def refuses(path, sentence):
    """The file is refused in one sentence that names it; whatever else is raised fails the test."""
    with pytest.raises(ValueError, match=sentence) as error:
        load_model(path)
    assert path.name in str(error.value)
    assert "\n" not in str(error.value)


def test_the_sound_file_is_taken(path):
    arrays, metadata = whole_file()
    save({**arrays, **text(TITLES)}, path, metadata)
    np.testing.assert_array_equal(load_model(path).catalogue_.titles, TITLES)


NOT_WHOLE = r"is not a complete safetensors file \(.*\); write it again"
NO_METADATA = "is a safetensors file, but not a model of autoenc: its metadata names none"
NO_MATRICES = "embedding.weight and output.weight must both be matrices of floats; write it again"
NO_TITLES = "titles is missing, is not a list of UTF-8 strings, or has one far longer than the rest; write it again"
SENTENCES = {
    **dict.fromkeys(
        ["empty", "text", "pickle", "pickle_in_its_place", "npy", "trailing", "no_utf8", "deep"], NOT_WHOLE
    ),
    **dict.fromkeys(["cut_off_in_the_length", "cut_off_in_the_header", "cut_off_in_the_arrays"], NOT_WHOLE),
    **dict.fromkeys(["header_of_50_gb", "header_of_2_to_the_63", "header_beyond_the_file"], NOT_WHOLE),
    **dict.fromkeys(
        ["header_of_nothing", "header_of_a_list", "offsets_beyond_the_file", "offsets_backwards"], NOT_WHOLE
    ),
    **dict.fromkeys(["offsets_negative", "offsets_overlapping", "shape_too_long", "shape_overflowing"], NOT_WHOLE),
    **dict.fromkeys(["shape_negative", "dtype_unknown"], NOT_WHOLE),
    "foreign": NO_METADATA,
    "no_metadata": NO_METADATA,
    "later_version": "has format version 3, but this autoenc reads 1 and 2: use the autoenc that wrote",
    **dict.fromkeys(
        ["metadata_of_a_list", "metadata_of_no_json", "deep_metadata", "deep_params"],
        "its metadata is not a JSON object; write it again",
    ),
    "model_of_a_number": "model in its metadata is missing or not a string; write it again",
    "no_params": "params in its metadata is missing or not a JSON object; write it again",
    "params_that_nest": "its params are not all numbers and strings; write it again",
    "params_that_are_not_known": "unexpected keyword argument 'callback'; write it again",
    "model_that_is_a_module": "holds a model 'os.system', and this autoenc has AutoEncoder, .*; use the autoenc that",
    "half_floats": "the array output.weight is F16, not F32, F64, I32, I64, U8; write it again",
    "brain_floats": "the array output.weight is BF16, not F32, F64, I32, I64, U8; write it again",
    "whole_weights": NO_MATRICES,
    "lacks_the_embedding": NO_MATRICES,
    "lacks_a_bias": r"output.bias must be float32 of shape \(3,\), but is missing; write it again",
    "wrong_shape": r"bottleneck.bias must be float32 of shape \(1,\), but is float32 of shape \(2,\); write it again",
    "nan": "the array output.bias holds a number that is not finite; train again with a lower lr",
    "infinite": "the array embedding.weight holds a number that is not finite; train again with a lower lr",
    "no_items": r"the array embedding.weight has shape \(0, 1\), which is empty; write it again",
    "ids_too_few": "item_ids has 2 entries for 3 items; write it again",
    "ids_descending": "item_ids is not an ascending list of ids; write it again",
    "ids_negative": "item_ids .*-10.*; write it again",
    "ids_not_whole": "item_ids is not an ascending list of ids; write it again",
    "titles_without_ends": NO_TITLES,
    "titles_beyond_their_text": NO_TITLES,
    "titles_backwards": NO_TITLES,
    "titles_no_utf8": NO_TITLES,
}
MAKE = runpy.run_path(str(DATA / "make_hostile.py"))
HOSTILE = DATA / "hostile" / "model"


def test_the_hostile_files_are_those_that_the_script_makes(path):
    made = MAKE["models"]()
    assert made == {file.stem: file.read_bytes() for file in HOSTILE.iterdir()}
    assert set(made) == set(SENTENCES)
    path.write_bytes(MAKE["safetensors"]())  # what they are before each is spoilt
    assert load_model(path).catalogue_.item_ids.tolist() == [10, 25, 300]


@pytest.mark.parametrize("name", SENTENCES)
def test_hostile_files_are_refused(name, tmp_path, monkeypatch, capsys):
    """Alike by `load_model` and by the commands that take a model; no code of theirs is run."""
    monkeypatch.chdir(tmp_path)
    file = HOSTILE / f"{name}.safetensors"
    refuses(file, f"^{re.escape(str(file))}:? (.* )?{SENTENCES[name]}")
    for command in (["recommend", str(file), "--liked", "x"], ["similar", str(file), "x"], ["evaluate", str(file)]):
        assert main(command) == 2
        printed, sentence = capsys.readouterr()
        assert printed == "" and sentence.count("\n") == 1
        assert sentence.startswith(f"autoenc {command[0]}: {file}") and re.search(SENTENCES[name], sentence)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_bytes", [0, 1, 7, 8, 100, -1])
def test_a_truncated_file_is_refused(path, n_bytes):
    write_model_file(path, make_content())
    path.write_bytes(path.read_bytes()[:n_bytes])
    refuses(path, "is not a complete safetensors file .*; write it again")


HUGE = {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
OVERFLOWING = {"w": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 4]}}
OVERLAPPING = {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "ab"}


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"output.weight": [1.0]}),
        b"PK\x03\x04" + bytes(100),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 50_000_000_000) + b"{}",
        struct.pack("<Q", 4) + b"\xff\xfe\xfd\xfc",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        *(
            struct.pack("<Q", len(header)) + header + bytes(4)
            for header in (json.dumps(h).encode() for h in (HUGE, OVERFLOWING, OVERLAPPING))
        ),
    ],
    ids=[
        "pickle",
        "zip",
        "header of 2**63",
        "header of 50 GB",
        "no UTF-8",
        "deep",
        "huge",
        "overflowing",
        "overlapping",
    ],
)
def test_what_is_no_safetensors_file_is_refused(path, content):
    path.write_bytes(content)
    refuses(path, "is not a complete safetensors file")


def test_a_foreign_safetensors_file_is_refused(path):
    arrays, _ = whole_file()
    for metadata in (None, {"format": "pt"}):
        safetensors.numpy.save_file(arrays, path, metadata)
        refuses(path, "is a safetensors file, but not a model of autoenc")


@pytest.mark.parametrize("version", [3, 0, "1", "", None])
def test_another_version_is_refused(path, version):
    arrays, metadata = whole_file()
    save(arrays, path, {**metadata, "version": version})
    refuses(path, f"has format version {version!r}, but this autoenc reads 1 and 2: use the autoenc that wrote it")


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_each_version_loads(version):
    """The same network, trained on the same likes, as autoenc wrote it at the time."""
    model = load_model(DATA / "models" / f"version_{version}.safetensors")
    np.testing.assert_allclose(model.score([[0]]), [[-1.0261, -1.4577, -1.4108, -1.7988, -1.7681, -1.1079]], atol=1e-4)
    assert model.recommend(liked=["Heat (1995)"], N=2).items.tolist() == ["Alien (1979)", "Casino (1995)"]
    if version == 1:
        with pytest.warns(UserWarning, match="the model was read from a file of format version 1"):
            model.recommend([[]], N=2)
        return
    assert model.item_counts_.tolist() == [4, 2, 2, 2, 3, 2]
    assert model.recommend([[]], N=2).items.tolist() == [[0, 4]]


def test_an_older_file_is_saved_again_as_it_is(path):
    old = load_model(DATA / "models" / "version_1.safetensors")
    old.save(path)
    again = load_model(path)
    assert again.item_counts_ is None
    np.testing.assert_array_equal(again.score([[0]]), old.score([[0]]))


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        (np.ones(N_ITEMS + 1, np.int64), "item_counts has 6 entries for 5 items; write it again"),
        (-np.ones(N_ITEMS, np.int64), "item_counts is not a number of likes for each item; write it again"),
        (np.ones((N_ITEMS, 1), np.int64), "item_counts is not a number of likes"),
        (np.ones(N_ITEMS, np.float32), "item_counts is not a number of likes"),
    ],
)
def test_counts_that_are_none_are_refused(path, counts, sentence):
    arrays, metadata = whole_file()
    save({**arrays, "item_counts": counts}, path, {**metadata, "version": 2})
    refuses(path, sentence)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, '{"version": 1, "params": ' + "[" * 100_000])
def test_metadata_that_is_no_json_object_is_refused(path, text):
    arrays, _ = whole_file()
    safetensors.numpy.save_file(arrays, path, {"autoenc": text})
    refuses(path, "its metadata is not a JSON object; write it again")


@pytest.mark.parametrize("key", ["model", "params", "about"])
@pytest.mark.parametrize("value", [None, [], 3])
def test_metadata_that_lacks_something_is_refused(path, key, value):
    arrays, metadata = whole_file()
    save(arrays, path, {**metadata, key: value})
    refuses(path, f"{key} in its metadata is missing or not (a string|a JSON object); write it again")
    del metadata[key]
    save(arrays, path, metadata)
    refuses(path, f"{key} in its metadata is missing or not (a string|a JSON object); write it again")


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"dropout": [0.5]}, "its params are not all numbers and strings; write it again"),
        ({"colour": 1}, "unexpected keyword argument 'colour'; write it again"),
        ({"dropout": "half"}, "dropout|not supported"),
        ({"dropout": 1.5}, "dropout must be at least 0 and below 1, got 1.5; write it again"),
        ({"dropout": float("nan")}, "dropout must be at least 0 and below 1, got nan; write it again"),
        ({"loss": "hinge"}, "loss must be one of .*; write it again"),
        ({"backend": "cuda"}, "backend must be one of .*; write it again"),
    ],
)
def test_params_that_the_model_does_not_take_are_refused(path, params, sentence):
    arrays, metadata = whole_file()
    save(arrays, path, {**metadata, "params": params})
    refuses(path, sentence)


@pytest.mark.parametrize("name", ["Recommender", "autoencoder", "os.system", ""])
def test_a_model_that_is_not_known_is_refused(path, name):
    arrays, metadata = whole_file()
    save(arrays, path, {**metadata, "model": name})
    refuses(path, f"holds a model '{name}', and this autoenc has {', '.join(MODELS)}; use the autoenc that wrote it")


@pytest.mark.parametrize("name", shapes_of_state(1, 1, 1))
def test_each_array_is_needed_in_its_shape_and_finite(path, name):
    arrays, metadata = whole_file()

    def refuses_with(array, sentence):
        changed = {**arrays, name: array}
        save({n: a for n, a in changed.items() if a is not None}, path, metadata)
        refuses(path, sentence)

    two = "embedding.weight and output.weight must both be matrices of floats; write it again"
    refuses_with(None, rf"{two}|{name} must be float32 of shape .*, but is missing; write it again")
    shape = rf"({name} must be float32 of shape .*, but is float32 of shape|{two})"
    refuses_with(np.zeros((1, 1, 1), np.float32), shape)
    refuses_with(np.zeros(0, np.float32), shape)
    if name not in ("embedding.weight", "output.weight"):  # the two that tell the sizes
        refuses_with(np.append(arrays[name], arrays[name][-1:], axis=0), shape)
    for number in (np.nan, np.inf):
        broken = arrays[name].copy()
        broken.flat[-1] = number
        refuses_with(broken, f"the array {name} holds a number that is not finite; train again with a lower lr")


@pytest.mark.parametrize(("dtype", "name"), [(np.int16, "I16"), (np.float16, "F16"), (np.complex64, "C64")])
def test_arrays_of_another_dtype_are_refused(path, dtype, name):
    arrays, metadata = whole_file()
    arrays = {n: np.zeros(a.shape, dtype) if a.dtype == np.float32 else a for n, a in arrays.items()}
    save(arrays, path, metadata)
    refuses(path, f"the array .* is {name}, not F32, F64, I32, I64, U8; write it again")


def test_whole_numbers_for_weights_are_refused(path):
    arrays, metadata = whole_file()
    arrays = {n: a if n == "item_ids" else np.zeros(a.shape, np.int64) for n, a in arrays.items()}
    save(arrays, path, metadata)
    refuses(path, "embedding.weight and output.weight must both be matrices of floats")


def test_a_mixture_of_dtypes_is_refused(path):
    arrays, metadata = whole_file()
    arrays["output.bias"] = arrays["output.bias"].astype(np.float64)
    save(arrays, path, metadata)
    refuses(path, "output.bias must be float32 of shape .*, but is float64 of shape")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_arrays_of_a_dtype_that_numpy_lacks_are_refused(path, dtype):
    _, metadata = whole_file()
    size = {"BF16": 2, "F8_E4M3": 1}[dtype]
    header = {"embedding.weight": {"dtype": dtype, "shape": [1, 1], "data_offsets": [0, size]}}
    header = json.dumps({"__metadata__": {"autoenc": json.dumps(metadata)}, **header}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
    refuses(path, f"the array embedding.weight is {dtype}, not F32, F64, I32, I64, U8; write it again")


def test_a_catalogue_without_items_is_refused(path):
    arrays, metadata = whole_file()
    shapes = shapes_of_state(0, EMB_DIM, HIDDEN_DIM)
    arrays = {name: np.resize(arrays[name], shape) for name, shape in shapes.items()}
    save({**arrays, "item_ids": np.zeros(0, np.int64)}, path, metadata)
    refuses(path, r"the array \S+ has shape \(0, \d+\), which is empty")


def ends(*numbers):
    return np.array(numbers, np.int64)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"item_ids": np.arange(N_ITEMS + 1)}, "item_ids"),
        ({"item_ids": np.arange(N_ITEMS)[:, None]}, "item_ids"),
        ({"item_ids": np.arange(N_ITEMS, dtype=np.float32)}, "item_ids"),
        ({"item_ids": np.arange(N_ITEMS)[::-1].copy()}, "item_ids"),
        ({"item_ids": np.zeros(N_ITEMS, np.int64)}, "item_ids"),
        (text(["too", "few"]), "titles"),
        ({**text(TITLES), "titles.ends": None}, "titles"),
        ({**text("abcde"), "titles.ends": ends(1, 2, 3, 4, 6)}, "titles"),
        ({**text("abcde"), "titles.ends": ends(1, 2, 3, 4, 4)}, "titles"),
        ({**text("abcde"), "titles.ends": ends(-1, 2, 3, 4, 5)}, "titles"),
        ({**text("abcde"), "titles.ends": ends(1, 3, 2, 4, 5)}, "titles"),
        ({**text("abcde"), "titles.ends": ends(1, 2, 3, 4, 5).astype(np.float64)}, "titles"),
        ({**text("abcde"), "titles.ends": ends(1, 2, 3, 4, 5)[None]}, "titles"),
        ({**text("abcde"), "titles.ends": np.array(5)}, "titles"),
        ({**text("abcde"), "titles.text": np.full(5, 0xFF, np.uint8)}, "titles"),
        ({**text("abcde"), "titles.text": np.zeros(5, np.int64)}, "titles"),
    ],
)
def test_a_catalogue_that_does_not_hold_together_is_refused(path, changes, name):
    arrays, metadata = whole_file()
    arrays = {n: a for n, a in {**arrays, **changes}.items() if a is not None}
    save(arrays, path, metadata)
    refuses(path, f"{name} (is|has|holds) .*; write it again")


def test_text_that_would_blow_up_in_memory_is_refused(path):
    """NumPy gives each string the room of the longest: a file of 1 MB would ask for 2 GB."""
    n_items = 500
    state = initial_state(n_items, 1, 1)
    titles = ["x" * 1_000_000, *[""] * (n_items - 1)]
    save({**state, "item_ids": np.arange(n_items), **text(titles)}, path, whole_file()[1])
    refuses(path, "titles .* has one far longer than the rest; write it again")
