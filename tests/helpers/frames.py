"""Valid frames around invalid content, for fuzzing: lengths, sizes and checksums are right, the content is not."""

from __future__ import annotations

import functools
import io
import json
import runpy
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

import autoenc
from autoenc.interactions import Interactions
from tests.helpers import DATA

MAKE = runpy.run_path(str(DATA / "make_hostile.py"))
MATRIX = runpy.run_path(str(DATA / "make.py"))["matrix"]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["..", 9, 10])
anything = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=3), scalars, max_size=3)
places = st.integers(0, 2**20)

# .npy files, in a matrix and in a prepared folder

DTYPES = ["<i8", "<i4", ">i8", "<f4", "<f2", "<u8", "|b1", "<U0", "<U1", "<U300", ">U2", "<c8", "|O", "|S3", "|V8"]
DTYPES += ["<M8[s]", "\x1b[2J", "<i8,<i8", "f16", "?"]
MEMBERS = ["format", "shape", "indices", "indptr", "data", "user_ids", "item_ids", "titles"]

sizes = st.integers(-2, 5) | st.sampled_from([2**31 - 1, 2**31, 2**40, 2**63, 10**30])
headers = st.builds(
    lambda descr, shape, rest: repr({"descr": descr, "fortran_order": False, "shape": shape, **rest}).encode(),
    st.sampled_from(DTYPES) | anything,
    st.lists(sizes, max_size=3).map(tuple) | anything,
    st.dictionaries(st.sampled_from(["fortran_order", "descr", "x"]), anything, max_size=1),
) | st.sampled_from([b"(" * 400, b"-" * 900 + b"1", b"'''", b"{" * 300, b"\xff" * 9, b"lambda: 1", b" " * 2000, b""])


def npy(header: bytes, data: bytes, version: int) -> bytes:
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


hostile_npy = st.builds(
    npy,
    headers,
    st.binary(max_size=200) | st.sampled_from([bytes(24), b"\xff" * 24, b"\x01\0\0\0" * 6]),
    st.sampled_from([1, 1, 2, 3]),
)


def npz(changes: dict[str, bytes]) -> bytes:
    """A matrix with other members in place of some."""
    with zipfile.ZipFile(io.BytesIO(MATRIX("csr"))) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in (found | {f"{name}.npy": content for name, content in changes.items()}).items():
            archive.writestr(name, content)
    return file.getvalue()


def saved(array: np.ndarray, form: int) -> bytes:
    """As an .npy file, in one of some shapes."""
    forms = [array, array.reshape(-1, 1), array.reshape(1, -1), array[:0], array[:1].squeeze()]
    file = io.BytesIO()
    np.save(file, forms[form])
    return file.getvalue()


odd_arrays = st.builds(
    lambda values, dtype, form: saved(np.array(values, np.int64).astype(dtype), form),
    st.lists(st.sampled_from([0, 1, 2, 3, -1, 2**31 - 1, -(2**31)]), max_size=5),
    st.sampled_from(["<i4", "<i8", "<u8", "<f4", "<f8", "|b1", "<U2", ">i4"]),
    st.integers(0, 4),
)
matrices = st.dictionaries(st.sampled_from(MEMBERS), hostile_npy | odd_arrays, min_size=1, max_size=2).map(npz)
arrays_of_folders = st.dictionaries(st.sampled_from([*MEMBERS[2:], "times"]), odd_arrays | hostile_npy, max_size=2)
fields_of_folders = st.dictionaries(
    st.sampled_from(["users", "items", "likes", "version", "arrays"]), anything, max_size=1
)

# safetensors, in models and in the shards of checkpoints

WIDTHS = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "U8": 1, "I8": 1, "BOOL": 1}


def tensor(kind: str, shape: list[int], fill: bytes) -> tuple[str, list[int], bytes]:
    n_bytes = int(np.prod(shape, dtype=object)) * WIDTHS[kind]
    return kind, shape, (fill * n_bytes)[:n_bytes] if n_bytes < 10_000 else b""


odd_tensors = st.builds(
    tensor,
    st.sampled_from(list(WIDTHS)),
    st.lists(st.sampled_from([0, 1, 2, 3, 4, 7, 10**12]), max_size=3),
    st.sampled_from([b"\0", b"\1\0\0\0\0\0\0\0", b"\0\0\x80\x3f", b"\xff"]),
)
changed_tensors = st.dictionaries(places, odd_tensors | st.none(), max_size=2)


def framed(tensors: dict, metadata: dict) -> bytes:
    header, body = {"__metadata__": metadata} if metadata else {}, b""
    for name, (kind, shape, data) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    return MAKE["with_header"](header, body)


def with_tensors(content: bytes, changes: dict, params: dict | None = None, about: object = None) -> bytes:
    """A safetensors file with other tensors in place of some, and a model's with other hyperparameters."""
    length = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    metadata = header.pop("__metadata__", {})
    found = {name: (of["dtype"], of["shape"], body[slice(*of["data_offsets"])]) for name, of in header.items()}
    names = sorted(found)
    found |= {names[which % len(names)]: change for which, change in changes.items()}
    if params or about is not None:
        told = json.loads(metadata["autoenc"])
        known = sorted(told["params"])
        told["params"] |= {known[which % len(known)]: value for which, value in (params or {}).items() if known}
        metadata["autoenc"] = json.dumps(told if about is None else {**told, "about": about})
    return framed({name: change for name, change in found.items() if change is not None}, metadata)


@functools.cache
def fitted_models() -> list[bytes]:
    """A file of each model."""
    likes = Interactions.from_pairs([1, 1, 2, 2, 3, 3, 4], [10, 25, 25, 300, 10, 300, 25], titles={10: "Heat"})
    quick = {"epochs": 1, "batch_size": 2}
    models = [
        autoenc.AutoEncoder(emb_dim=2, hidden_dim=2, backend="numpy", **quick),
        autoenc.DenoisingAutoEncoder(hidden_dim=2, backend="numpy", **quick),
        autoenc.MultVAE(hidden_dim=2, latent_dim=2, backend="numpy", **quick),
        autoenc.DeepRecommender([2, 2], backend="numpy", **quick),
        autoenc.ELSA(emb_dim=2, **quick),
        autoenc.IALS(emb_dim=2, epochs=1, backend="numpy"),
        *(autoenc.EASE(), autoenc.EDLAE(), autoenc.ItemKNN(), autoenc.Popular()),
        autoenc.Blend([autoenc.EASE(), autoenc.ItemKNN()], weights=[1.0, 2.0]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for number, model in enumerate(models):
            model.fit(likes).save(Path(folder) / str(number))
        return [(Path(folder) / str(number)).read_bytes() for number in range(len(models))]


model_files = st.builds(
    lambda which, *changes: with_tensors(fitted_models()[which], *changes),
    st.integers(0, 10),
    changed_tensors,
    st.dictionaries(places, scalars | st.sampled_from([1e400, 10**400, "1, 2", "EASE"]), max_size=2),
    st.none() | anything,
)

# parquet


def parquet(columns: list, names: list[str]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    n_rows = min(map(len, columns))
    file = io.BytesIO()
    table = pyarrow.table([column[:n_rows] for column in columns], names=names[: len(columns)])
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def parquet_files() -> st.SearchStrategy[bytes]:
    """Tables of columns of all types, with infinities, and what else no ids are."""
    import pyarrow as pa

    odd, whole = [0.0, 1.0, 2.5, np.nan, np.inf, -np.inf, 1e308, -0.0], [0, 1, 2, -1, 2**53, 2**63 - 1]
    columns = [pa.array(odd), pa.array(np.array(odd[:6], np.float32)), pa.array(whole), pa.array([1, 2, 3])]
    columns += [pa.array([1.0, 2.0, 3.0]), pa.array([1.0, np.inf, 2.0]), pa.array([np.inf, np.inf, np.inf])]
    columns += [pa.array([1, 2, 2**64 - 1], pa.uint64()), pa.array([True, False, True]), pa.array([None, 1, 2])]
    columns += [pa.array(["a", "", "\0", "\x1b[2J", "\u2003b"]), pa.array([b"\xff", b"a", b"b"]), pa.nulls(3)]
    columns += [pa.array([[1], [2], [3]]), pa.array([{"a": 1}] * 3), pa.array(["1", "02", "3.0"]).dictionary_encode()]
    columns += [pa.array([1, 2, 3], kind) for kind in (pa.timestamp("ns"), pa.date32(), pa.duration("s"))]
    columns += [pa.array([1, 2, 3]).cast(pa.decimal128(30, 2)), pa.array([1.5, np.inf, 2]).dictionary_encode()]
    columns += [pa.array([0, 5, 6], pa.time64("us")), pa.array(["x" * 300, "y", "z"], pa.large_string())]
    columns += [pa.array(np.array([0, 1, 2], np.float16)), pa.array(["a", "b", "c"])]
    names = st.permutations(["user", "item", "rating", "timestamp"]) | st.just(["user", "item", "user", "\x1b[2J"])
    return st.builds(parquet, st.lists(st.sampled_from(columns), min_size=2, max_size=4), names)


# Pickles of the opcodes that are admitted, with arguments that fit, in no order that NumPy writes

PIECES = [b"(", b"]", b")", b"e", b"a", b"t", b"\x85", b"\x86", b"\x87", b"R", b"b", b"N", b"\x88", b"\x93", b"\x94"]
PIECES += [b"h\0", b"h\1", b"q\0", b"K\1", b"M\1\1", MAKE["number"](-5), b"G" + bytes(8), b"\x8a\x02\xff\x7f"]
PIECES += [b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\nscalar\n", b"c_codecs\nencode\n"]
PIECES += [MAKE["text"](text) for text in ("i8", "O8", "latin1")] + [b"C\x08" + bytes(8), MAKE["numbers"](1, 2)]

pickles = st.builds(
    lambda row, whole, shape: MAKE["npy"](row + b"." if whole else MAKE["array"](MAKE["built_list"](row)), shape),
    st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join),
    st.booleans(),
    st.sampled_from(["(2,)", "(1,)", "(0,)", "(1000000000,)", "()"]),
)
