"""Small files that ask for large resources: each is read, or refused with a sentence, within the limit for its size."""

from __future__ import annotations

import builtins
import io
import json
import runpy
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from autoenc import (
    ELSA,
    IALS,
    AutoEncoder,
    DeepRecommender,
    DenoisingAutoEncoder,
    MultVAE,
    datasets,
    load_model,
    machine,
)
from autoenc.datasets import prepared, read, sources, streams, task_cache
from autoenc.interactions import Interactions
from autoenc.models.rating_predictor import RatingPredictor
from tests.helpers import DATA
from tests.helpers.bounds import limited_memory, max_memory, ran_out

MAKE = runpy.run_path(str(DATA / "make_hostile.py"))
SOUND = runpy.run_path(str(DATA / "make.py"))


def npy(descr: object, shape: object, data: bytes = b"", header: bytes | None = None, version: int = 1) -> bytes:
    """A frame as np.save writes it, around a header that says anything."""
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() if header is None else header
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + data


def npz_with(**members: bytes) -> bytes:
    """A sound matrix, but for these members."""
    with zipfile.ZipFile(io.BytesIO(SOUND["matrix"]("csr"))) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    return SOUND["zipped"]({**found, **{f"{name}.npy": content for name, content in members.items()}})


def refused(path: Path, reader, match: str) -> None:
    """In one sentence that begins with the file, before the memory is taken."""
    size = path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.iterdir())
    with pytest.raises(ValueError, match=match) as error, limited_memory(max_memory(size)):
        reader()
    told = str(error.value)
    assert told.startswith(str(path)) and "\n" not in told and len(told) < 1_200 and told.isprintable()
    assert not ran_out(error.value)


HEADERS = {
    "strings of no width": (npy("<U0", (10**9,)), "its header says that it holds '<U0'"),
    "many of them": (npy("<U1", (10**15,)), "its header says 4,000,000,000,000,000 bytes, but there are"),
    "of no end": (npy("<i8", (10**30,)), "its header says .* bytes, but there are"),
    "a wide one": (npy("<U9999999", (1,)), "its header says 39,999,996 bytes, but there are"),
    "an unknown width": (npy("<U99999999999", (1,)), "its header says that it holds '<U99999999999'"),
    "nothing, wide": (npy("V0", (10**9,)), "its header says that it holds 'V0'"),
    "fields": (npy([("a", "<i8")] * 3, (3,)), "its header says that it holds "),
    "objects": (npy("|O", (3,), b"cos\nsystem\n"), "Object arrays cannot be loaded"),
    "negative": (npy("<i8", (-1,)), r"its header says that its shape is \(-1,\)"),
    "truth": (npy("<i8", (True,)), r"its header says that its shape is \(True,\)"),
    "many dimensions": (npy("<i8", (0,) * 40), r"its header says that its shape is \(0, 0,"),
    "a table": (npy("<i8", (3, 1), bytes(24)), r"its header says that its shape is \(3, 1\)"),
    "complex numbers": (npy("<c16", (3,), bytes(48)), "its header says that it holds '<c16'"),
    "deep": (npy(0, 0, header=b"(" * 500 + b")" * 500), "its header is "),
    "deeper": (npy(0, 0, header=b"-" * 1000 + b"1"), "its header is "),
    "open": (npy(0, 0, header=b"{'descr': '''"), "its header is "),
    "long": (npy(0, 0, header=b" " * 60_000), "its header has 60,000 bytes; at most 1,024 are allowed"),
    "longer": (npy(0, 0, header=b" " * 70_000, version=2), "its header has 70,000 bytes; at most 1,024 are allowed"),
    "a call": (npy(0, 0, header=b"print('it ran')"), "its header is "),
    "null": (npy(0, 0, header=b"{'descr': '<i8\0'}"), "its header "),
    "escapes": (npy("\x1b[2J\x07", (3,)), r"its header says that it holds '\\x1b\[2J\\x07'"),
    "cut off": (npy("<i8", (3,), bytes(23)), "its header says 24 bytes, but there are at most 23"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_in_an_npz(name, tmp_path):
    content, match = HEADERS[name]
    path = tmp_path / "m.npz"
    path.write_bytes(npz_with(item_ids=content, user_ids=content))
    refused(path, lambda: read(path), match)


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_in_a_prepared_folder(name, tmp_path):
    """Where the manifest vouches for it."""
    content, match = HEADERS[name]
    folder = prepared_with(tmp_path / "p", item_ids=content)
    refused(folder, lambda: datasets.load(path=folder), f"{match}|which is not the size given in its header")


def prepared_with(folder: Path, changes: dict | None = None, **arrays: bytes) -> Path:
    """A prepared folder of three users and items whose manifest is right about these arrays, but for the changes."""
    folder.mkdir()
    likes = Interactions.from_pairs([1, 2, 3], [5, 6, 7])
    for name, array in {
        "indptr": likes.user_items.indptr,
        "indices": likes.user_items.indices,
        "data": likes.user_items.data,
        "user_ids": likes.user_ids,
        "item_ids": likes.item_ids,
    }.items():
        np.save(folder / f"{name}.npy", array)
    for name, content in arrays.items():
        (folder / f"{name}.npy").write_bytes(content)
    prepared.write_manifest(folder, 3, 3, 3)
    if changes is not None:
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        *[{"users": value} for value in (10**12, -1, 2.5, None, True, [], 10**400)],
        *[{"items": 10**12}, {"likes": 4}, {"likes": 2**31}, {"arrays": {}}, {"arrays": {"indptr": 3}}],
        *[{"version": "\x1b[2J" * 99}, {"version": [[[]]]}],
    ],
)
def test_a_manifest_that_says_anything(changes, tmp_path):
    folder = prepared_with(tmp_path / "p", changes)
    refused(folder, lambda: datasets.load(path=folder), "damaged|missing or invalid counts|has version")


@pytest.mark.parametrize("content", [b"[" * 10**5, b"9" * 10**5, b"\xff", b"{}", b"null", b'{"format": 1e400}'])
def test_a_manifest_that_is_none(content, tmp_path):
    folder = prepared_with(tmp_path / "p")
    (folder / "manifest.json").write_bytes(content)
    refused(folder, lambda: datasets.load(path=folder), "is not the manifest of a prepared folder")


NO_CHARACTER = np.full(3, 0x110000, "<u4").tobytes()


def test_numbers_that_are_no_characters(tmp_path):
    """Python's strings end at 0x10FFFF, and NumPy's do not."""
    content = npy("<U1", (3,), NO_CHARACTER)
    folder = prepared_with(tmp_path / "p", titles=content)
    refused(folder, lambda: datasets.load(path=folder), "it holds 0x110000, which is not a Unicode character")
    path = tmp_path / "m.npz"
    path.write_bytes(npz_with(**dict.fromkeys(("user_ids", "item_ids"), npy("<U1", (301,), NO_CHARACTER[:4] * 301))))
    refused(path, lambda: read(path), "it holds 0x110000, which is not a Unicode character")


@pytest.mark.parametrize("width", [0, 1])
def test_a_model_of_items_without_numbers(width, tmp_path):
    """Which takes no bytes, and all memory once a batch is scored."""
    path = tmp_path / "m"
    arrays = {"item_embeddings": ("F32", [10**12, 0], b"")}
    if width:
        arrays = {"weights": ("F64", [1], bytes(8)), "elsa.item_embeddings": ("F32", [10**12, 0], b"")}
    metadata = {"version": 1, "model": "Blend" if width else "ELSA", "params": {"models": "ELSA"} if width else {}}
    path.write_bytes(framed(arrays, {**metadata, "about": {}}))
    refused(path, lambda: load_model(path), r"item_embeddings has shape \(1000000000000, 0\), which is empty")


def framed(arrays: dict, metadata: dict) -> bytes:
    """A safetensors file, around anything."""
    header, data = {"__metadata__": {"autoenc": json.dumps(metadata)}}, b""
    for name, (dtype, shape, content) in arrays.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    return MAKE["with_header"](header, data)


def test_a_model_with_one_long_title(tmp_path):
    """410 KB, which become 1.1 GB where each title takes the room of the longest."""
    n, long = 3_000, 80_000
    lengths = np.array([long] + [1] * (n - 1), np.int64)
    text = np.frombuffer(b"x" * int(lengths.sum()), np.uint8)
    arrays = {
        "item_counts": ("I64", [n], bytes(8 * n)),
        "item_ids": ("I64", [n], np.arange(n).tobytes()),
        "titles.text": ("U8", [len(text)], text.tobytes()),
        "titles.ends": ("I64", [n], np.cumsum(lengths).tobytes()),
    }
    path = tmp_path / "m"
    path.write_bytes(framed(arrays, {"version": 1, "model": "Popular", "params": {}, "about": {}}))
    refused(path, lambda: load_model(path), "titles is missing, .* or has one far longer than the rest")


def test_a_title_far_longer_than_the_rest(tmp_path):
    """The same of a movies.csv beside ratings."""
    (tmp_path / "ratings.csv").write_text("userId,movieId\n" + "".join(f"1,{i}\n" for i in range(9_000)))
    (tmp_path / "movies.csv").write_text("movieId,title\n1," + "x" * 100_000 + "\n")
    with pytest.raises(ValueError, match="has 100,000 characters, far more than the rest"), limited_memory(2**28):
        datasets.load(path=tmp_path)


def test_a_blend_of_more_models_than_anybody_blends(tmp_path):
    """Whose names would be counted for each of them."""
    path = tmp_path / "m"
    params = {"models": ", ".join(["EASE"] * 100_000)}
    path.write_bytes(framed({}, {"version": 1, "model": "Blend", "params": params, "about": {}}))
    refused(path, lambda: load_model(path), "its models are 'EASE, EASE.*, and not all of these are known")


class TestTaskCache:
    """Pickles may refer to a thing again and again, in two bytes each time."""

    @pytest.fixture
    def reader(self, tmp_path):
        task_cache.write_task_cache(tmp_path / "c", [[0], [1]], [[1], [0]])

        def read_cache(content: bytes):
            (tmp_path / "c_train.npy").write_bytes(content)
            with limited_memory(max_memory(len(content))):
                return task_cache.read_task_cache(tmp_path / "c")

        return read_cache

    def test_a_list_again_and_again_is_not_walked_over(self, reader, monkeypatch):
        walks = []
        monkeypatch.setattr(task_cache, "set", lambda items: walks.append(1) or builtins.set(items), raising=False)
        n = 3_000
        rows = MAKE["built_list"](MAKE["numbers"](*range(1, n)) + b"\x94", *[b"h\x00"] * (n - 1))
        with pytest.raises(ValueError, match=r"its .* bytes expand to 8,997,000 likes"):
            reader(MAKE["npy"](MAKE["array"](rows, n=n), f"({n},)"))
        assert walks == []

    @pytest.mark.parametrize("kind", ["text", "number", "array"])
    def test_a_long_thing_again_and_again_is_not_copied(self, reader, kind):
        long, n = b"X" + struct.pack("<I", 60_000) + b"x" * 60_000, 12_000
        pickled = {
            "text": (b"c_codecs\nencode\n\x94" + long + MAKE["text"]("latin1") + b"\x86\x94", b"h\x00h\x01R"),
            "number": (
                b"cnumpy.core.multiarray\nscalar\n\x94cnumpy\ndtype\n"
                + MAKE["text"]("i8")
                + b"\x89\x88\x87R"
                + long
                + b"\x86\x94",
                b"h\x00h\x01R",
            ),
            "array": (b"cnumpy\nndarray\n)R\x94(" + b"N" * 60_000 + b"t\x94", b"h\x00h\x01b"),
        }[kind]
        row = MAKE["built_list"](pickled[0], *[pickled[1]] * n)
        with pytest.raises(ValueError, match=r"NumPy scalars that are not integers|NumPy didn't write|don't need"):
            reader(MAKE["with_row"](row))

    def test_a_network_for_an_item_of_a_large_number_is_not_begun(self, reader, monkeypatch):
        """200 bytes that name the item 10,000,000 are read; what they would take to train on is looked at first."""
        train, _ = reader(MAKE["npy"](MAKE["array"](MAKE["built_list"](MAKE["numbers"](1, 10**7), MAKE["numbers"](2)))))
        assert train.n_items == 10**7
        monkeypatch.setattr(machine, "free_memory", lambda: 2**30)
        message = r"a network for 10,000,000 items needs .* has 1,073,741,824 free"
        with limited_memory(2**28), pytest.raises(ValueError, match=message):
            AutoEncoder().fit(train)


LIKES = [[0, 1], [1, 2], [0, 2]]
NETWORKS = {
    "autoencoder": lambda: AutoEncoder(emb_dim=10**6, hidden_dim=8).fit(LIKES),
    "denoising": lambda: DenoisingAutoEncoder(hidden_dim=10**9).fit(LIKES),
    "mult_vae": lambda: MultVAE(latent_dim=10**9).fit(LIKES),
    "deep": lambda: DeepRecommender([10**6, 10**6]).fit(LIKES),
    "elsa": lambda: ELSA(emb_dim=10**9).fit(LIKES),
    "ials": lambda: IALS(emb_dim=10**9).fit(LIKES),
    "ratings": lambda: RatingPredictor([10**6, 10**6]).fit(sparse.csr_array(np.eye(3))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_look_at_the_memory_first(name, monkeypatch):
    monkeypatch.setattr(machine, "free_memory", lambda: 10**7)
    with limited_memory(2**28), pytest.raises(ValueError, match=r" items needs .* bytes, but the machine has"):
        NETWORKS[name]()


def test_where_the_system_does_not_say_how_much_there_is(monkeypatch):
    monkeypatch.setattr(machine, "free_memory", lambda: None)
    machine.check_free("this", 2**62, "take less")
    with pytest.raises(ValueError, match=r"this needs 9,\S+ bytes, but no machine has that much; take less\."):
        machine.check_free("this", 2**63, "take less")


@pytest.mark.parametrize("line", ["\n", " \n", '""\n', "\r\n", "1\n", "\t\n"])
@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_lines_that_say_nothing_and_compress_to_nothing(line, kind, tmp_path, monkeypatch):
    """64 MB of them in 64 KB would take 10 s."""
    content = b"1,2\n" + line.encode() * (20_000_000 // len(line))
    path = tmp_path / "x"
    if kind == "zip":
        path.write_bytes(SOUND["zipped"]({"ratings.csv": b"userId,movieId\n" + content}))
    else:
        compress = zlib.compressobj(9, wbits=31)
        path.write_bytes(compress.compress(content) + compress.flush())
    n_read = []
    readinto = streams.Bounded.readinto
    monkeypatch.setattr(
        streams.Bounded, "readinto", lambda self, buffer: n_read.append(readinto(self, buffer)) or n_read[-1]
    )
    refused(path, lambda: read(path), "grows to more than 8,388,608 bytes|line [23]: |has lines of different lengths")
    assert sum(n_read) < 4 * sources.SMALL
