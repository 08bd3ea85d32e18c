"""The model's file: the same bits back, whole or not at all, and no trust in a stranger's."""

from __future__ import annotations

import json
import pickle
import struct

import numpy as np
import pytest
import safetensors.numpy

from autoenc.model_file import Model, load_model, save_model
from autoenc.network import Network, initial_state, shapes_of_state

N_ITEMS, EMB_DIM, HIDDEN_DIM = 5, 3, 2
TITLES = np.array(["Amélie (2001)", "", "七人の侍", "🎬 'quoted' \\ \n", "Heat (1995)"])


def make_model(dtype=np.float32, item_ids=None, titles=None) -> Model:
    network = Network(initial_state(N_ITEMS, EMB_DIM, HIDDEN_DIM, seed=4, dtype=dtype), dropout=0.3)
    network.state["output.bias"][:] = [-0.0, 1e-45, 1 / 3, -1e30, 7]  # a negative zero and a subnormal among them
    item_ids = np.array([2, 3, 5, 7, 2**62]) if item_ids is None else item_ids
    return Model(network, item_ids, titles, {"epochs": 3, "dataset": "七", "lr": 0.1})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("titles", [None, TITLES], ids=["no titles", "titles"])
@pytest.mark.parametrize("item_ids", [None, np.array(["a", "b c", "é", "日本", "🎬"])], ids=["int ids", "text ids"])
def test_what_was_saved_comes_back_to_the_same_bits(path, dtype, item_ids, titles):
    model = make_model(dtype, item_ids, titles)
    model.network.batchnorm1.eps, model.network.batchnorm1.momentum = 1e-3, 0.25
    save_model(path, model)
    back = load_model(path)
    assert list(back.network.state) == list(model.network.state)
    for name, array in model.network.state.items():
        assert back.network.state[name].dtype == array.dtype
        assert back.network.state[name].tobytes() == array.tobytes()
    for name, array in (("item_ids", model.item_ids), ("titles", model.titles)):
        ours = getattr(back, name)
        if array is None:
            assert ours is None
        else:
            assert ours.dtype.kind == array.dtype.kind
            np.testing.assert_array_equal(ours, array)
    assert back.network.dropout == 0.3
    for batchnorm in (back.network.batchnorm1, back.network.batchnorm2):
        assert (batchnorm.eps, batchnorm.momentum) == (1e-3, 0.25)
    assert back.config == {**model.config, "dropout": 0.3, "eps": 1e-3, "momentum": 0.25}


def test_a_loaded_model_scores_the_same_and_can_train(path):
    from autoenc.trainer import Trainer

    model = make_model()
    save_model(path, model)
    network = load_model(path).network
    user_items = [[0, 1], [2], [3, 4]]
    Trainer(network, backend="numpy").fit(user_items)
    Trainer(model.network, backend="numpy").fit(user_items)
    for name, array in model.network.state.items():
        np.testing.assert_array_equal(network.state[name], array)


def test_the_keys_are_the_networks_in_pytorchs_layout(path):
    save_model(path, make_model(titles=TITLES))
    arrays = safetensors.numpy.load_file(path)
    shapes = shapes_of_state(N_ITEMS, EMB_DIM, HIDDEN_DIM)
    assert set(arrays) == {*shapes, "item_ids", "titles.text", "titles.ends"}
    for name, shape in shapes.items():
        assert arrays[name].shape == shape


def test_arrays_that_are_not_contiguous_are_saved_as_they_read(path):
    model = make_model()
    model.network.state["bottleneck.weight"] = np.asfortranarray(model.network.state["bottleneck.weight"])
    save_model(path, model)
    np.testing.assert_array_equal(
        load_model(path).network.state["bottleneck.weight"], model.network.state["bottleneck.weight"]
    )


def test_an_error_in_the_middle_leaves_the_old_file(path, monkeypatch):
    save_model(path, make_model())
    before = path.read_bytes()

    def fails_half_way(arrays, file, metadata):
        file.write_bytes(before[:100])
        raise OSError("no space left on the disk")

    monkeypatch.setattr(safetensors.numpy, "save_file", fails_half_way)
    with pytest.raises(OSError, match="no space left"):
        save_model(path, make_model(titles=TITLES))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_missing_file_is_named_with_its_mend(path):
    for missing in (path, path.parent):
        with pytest.raises(FileNotFoundError, match=r"there is no model file .*; `autoenc train --out .*` makes one"):
            load_model(missing)


# Strangers' files


def whole_file() -> tuple[dict, dict]:
    """The arrays and the metadata of a sound file."""
    model = make_model()
    numbers = {"dropout": 0.5, "eps": 1e-5, "momentum": 0.1}
    metadata = {"format": "autoenc", "version": "1", "model": "autoencoder", "config": json.dumps(numbers)}
    return {**model.network.state, "item_ids": model.item_ids}, metadata


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
    safetensors.numpy.save_file({**arrays, **text(TITLES)}, path, metadata)
    np.testing.assert_array_equal(load_model(path).titles, TITLES)


@pytest.mark.parametrize("n_bytes", [0, 1, 7, 8, 100, -1])
def test_a_truncated_file_is_refused(path, n_bytes):
    save_model(path, make_model())
    path.write_bytes(path.read_bytes()[:n_bytes])
    refuses(path, "is no whole safetensors file .*; write it again")


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
    refuses(path, "is no whole safetensors file")


def test_a_foreign_safetensors_file_is_refused(path):
    arrays, _ = whole_file()
    for metadata in (None, {"format": "pt"}):
        safetensors.numpy.save_file(arrays, path, metadata)
        refuses(path, "is a safetensors file, but not a model of autoenc's")


@pytest.mark.parametrize("version", ["2", "", None])
def test_another_version_is_refused(path, version):
    arrays, metadata = whole_file()
    del metadata["version"]
    safetensors.numpy.save_file(arrays, path, metadata if version is None else {**metadata, "version": version})
    refuses(path, f"has format version {version!r}, and this autoenc reads '1': use the autoenc that wrote it")


@pytest.mark.parametrize(
    "config",
    [
        None,
        "",
        "{",
        "[]",
        "3",
        '{"dropout": 0.5, "eps": 1e-5}',
        '{"dropout": "half", "eps": 1e-5, "momentum": 0.1}',
        '{"dropout": null, "eps": 1e-5, "momentum": 0.1}',
        '{"dropout": 0.5, "eps": 1' + 400 * "0" + ', "momentum": 0.1}',
        '{"dropout": 1.5, "eps": 1e-5, "momentum": 0.1}',
        '{"dropout": NaN, "eps": 1e-5, "momentum": 0.1}',
        '{"dropout": 0.5, "eps": -1, "momentum": 0.1}',
        '{"dropout": 0.5, "eps": Infinity, "momentum": 0.1}',
        '{"dropout": 0.5, "eps": 1e-5, "momentum": NaN}',
        "[" * 100_000,
    ],
)
def test_a_config_without_its_numbers_is_refused(path, config):
    arrays, metadata = whole_file()
    del metadata["config"]
    safetensors.numpy.save_file(arrays, path, metadata if config is None else {**metadata, "config": config})
    refuses(path, "its metadata lacks a config with dropout, eps and momentum; write it again")


@pytest.mark.parametrize("name", shapes_of_state(1, 1, 1))
def test_each_array_is_needed_in_its_shape_and_finite(path, name):
    arrays, metadata = whole_file()

    def refuses_with(array, sentence):
        changed = {**arrays, name: array}
        safetensors.numpy.save_file({n: a for n, a in changed.items() if a is not None}, path, metadata)
        refuses(path, sentence)

    refuses_with(None, f"the array {name} is missing")
    shape = rf"the array {name} (is float32 of shape .*, and should be float of shape|is missing or not a matrix)"
    refuses_with(np.zeros((1, 1, 1), np.float32), shape)
    refuses_with(np.zeros(0, np.float32), shape)
    if name not in ("embedding.weight", "output.weight"):  # the two that tell the sizes
        refuses_with(np.append(arrays[name], arrays[name][-1:], axis=0), shape)
    for number in (np.nan, np.inf):
        broken = arrays[name].copy()
        broken.flat[-1] = number
        refuses_with(broken, f"the array {name} holds a number that is not finite; train again with a lower lr")


@pytest.mark.parametrize(("dtype", "name"), [(np.int32, "I32"), (np.float16, "F16"), (np.complex64, "C64")])
def test_arrays_of_another_dtype_are_refused(path, dtype, name):
    arrays, metadata = whole_file()
    arrays = {n: np.zeros(a.shape, dtype) if a.dtype == np.float32 else a for n, a in arrays.items()}
    safetensors.numpy.save_file(arrays, path, metadata)
    refuses(path, f"the array .* is {name}, not F32, F64, I64, U8; write it again")


def test_whole_numbers_for_weights_are_refused(path):
    arrays, metadata = whole_file()
    arrays = {n: np.zeros(a.shape, np.int64) for n, a in arrays.items()}
    safetensors.numpy.save_file(arrays, path, metadata)
    refuses(path, r"the array embedding.weight is int64 of shape \(5, 3\), and should be float of shape \(5, 3\)")


def test_a_mixture_of_dtypes_is_refused(path):
    arrays, metadata = whole_file()
    arrays["output.bias"] = arrays["output.bias"].astype(np.float64)
    safetensors.numpy.save_file(arrays, path, metadata)
    refuses(path, "the array output.bias is float64 of shape")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_arrays_of_a_dtype_that_numpy_lacks_are_refused(path, dtype):
    _, metadata = whole_file()
    size = {"BF16": 2, "F8_E4M3": 1}[dtype]
    header = {"embedding.weight": {"dtype": dtype, "shape": [1, 1], "data_offsets": [0, size]}}
    header = json.dumps({"__metadata__": metadata, **header}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
    refuses(path, f"the array embedding.weight is {dtype}, not F32, F64, I64, U8; write it again")


def test_a_catalogue_without_items_is_refused(path):
    arrays, metadata = whole_file()
    shapes = shapes_of_state(0, EMB_DIM, HIDDEN_DIM)
    arrays = {name: np.resize(arrays[name], shape) for name, shape in shapes.items()}
    safetensors.numpy.save_file({**arrays, "item_ids": np.zeros(0, np.int64)}, path, metadata)
    refuses(path, "the array embedding.weight is missing or not a matrix")


def ends(*numbers):
    return np.array(numbers, np.int64)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"item_ids": None}, "item_ids"),
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
    safetensors.numpy.save_file(arrays, path, metadata)
    refuses(path, f"{name} (is|has|holds) .*; write it again")


def test_text_that_would_blow_up_in_memory_is_refused(path):
    """NumPy gives each string the room of the longest: a file of 1 MB would ask for 2 GB."""
    n_items = 500
    state = initial_state(n_items, 1, 1)
    titles = ["x" * 1_000_000, *[""] * (n_items - 1)]
    safetensors.numpy.save_file({**state, "item_ids": np.arange(n_items), **text(titles)}, path, whole_file()[1])
    refuses(path, "titles .* has one far longer than the rest; write it again")
