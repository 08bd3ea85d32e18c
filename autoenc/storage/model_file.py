"""A model as one safetensors file: named arrays, and a few lines of JSON about them.

Format, version 2
    arrays      what the model has learned, by the model's own names; the network's are
                PyTorch's, in its layout: `output.weight` (n_items, hidden_dim)
    item_ids    (n_items,) int64; or item_ids.text, if ids are strings; neither if the model was
                fitted on a matrix, whose items have no ids but their columns
    titles.text if there are titles
    item_counts (n_items,), optional: the number of users who like each item in the training data, int64,
                or float64 if likes don't all count 1
    NAME.text   (bytes,) uint8: concatenated UTF-8 strings; with NAME.ends (n,) int64, the end of each
    metadata    one entry, autoenc: a JSON object with version: 2; model: the class's name, such as
                "AutoEncoder"; params: an object, the constructor's arguments, each null, a
                boolean, a number or a string; about: an object, information about the training
                (dataset, seed, epochs ...)

Version 1 lacks item_counts, except for the model Popular, which consists of them. It can be read as well.

Equal models have equal files, byte for byte. The file is replaced atomically. Reading it runs no code
and trusts no values: arrays must have one of the dtypes below and be finite, and the model checks their
names and shapes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from autoenc.checks import is_finite
from autoenc.messages import shown
from autoenc.storage.atomic import replacing
from autoenc.storage.npy import check_strings
from autoenc.storage.reading import FAULTS, reading

FORMAT, VERSION = "autoenc", 2
READ = (1, 2)  # versions
DTYPES = ("F32", "F64", "I32", "I64", "U8")


@dataclass
class ModelFile:
    """The content of a model file.

    Attributes
    ----------
    model : str
        The class's name.
    params : dict
        Its hyperparameters.
    arrays : dict of str to array
    item_ids : array (n_items,), int64 or str, or None
    titles : array (n_items,) of str, or None
    about : dict
        Information about the training, which must be representable in JSON.
    item_counts : array (n_items,), int64, or None
        The number of users who like each item in the training data.
    """

    model: str
    params: dict[str, Any]
    arrays: dict[str, np.ndarray]
    item_ids: np.ndarray | None = None
    titles: np.ndarray | None = None
    about: dict[str, Any] = field(default_factory=dict)
    item_counts: np.ndarray | None = None


def write_model_file(path: str | os.PathLike[str], content: ModelFile) -> None:
    """Write `content` to `path` as one safetensors file, atomically.

    Raises OSError if the file can't be written, FloatingPointError if an array holds a number that isn't
    finite.
    """
    metadata = {"version": VERSION, "model": content.model, "params": content.params, "about": content.about}
    try:
        write_safetensors(path, content.arrays | names_as_arrays(content), {FORMAT: json.dumps(metadata)}, finite=True)
    except OSError as error:
        if error.filename is not None:  # then it names the path and the problem
            raise
        raise OSError(f"{path} can't be written ({error}); free some space, or choose another path") from None


def names_as_arrays(content: ModelFile) -> dict[str, np.ndarray]:
    """The items' ids, titles and counts as arrays, by their names in a file."""
    arrays = {} if content.item_counts is None else {"item_counts": content.item_counts}
    for name, values in (("item_ids", content.item_ids), ("titles", content.titles)):
        if values is not None:
            arrays |= {name: values} if values.dtype.kind == "i" else _pack_text(name, values)
    return arrays


def names_from_arrays(
    path: str | os.PathLike[str], arrays: dict[str, np.ndarray]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The items' ids and titles, removed from `arrays`. Raises ValueError, about `path`, if they are invalid."""
    item_ids = _unpack_text(path, "item_ids", arrays) if "item_ids.text" in arrays else arrays.pop("item_ids", None)
    titles = _unpack_text(path, "titles", arrays) if "titles.text" in arrays else None
    if item_ids is not None and not (
        item_ids.ndim == 1 and item_ids.dtype.kind in "iU" and (item_ids[1:] > item_ids[:-1]).all()
    ):
        raise ValueError(f"{path}: item_ids is not an ascending list of ids; write it again")
    return item_ids, titles


def write_safetensors(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Any],
    metadata: dict[str, str] | None = None,
    *,
    finite: bool = False,
) -> None:
    """Write `arrays` to `path` as a safetensors file, atomically and one at a time; with `finite`, check their values.

    An array may be any object with dtype, shape and nbytes, and `blocks()`, which yields its rows in order.

    safetensors' own save_file copies all arrays, writes metadata in a random order, and leaves a file
    next to `path` if it is killed. The layout is the same: a JSON header, whose length is in the first 8
    bytes, then the arrays' bytes, those with the widest elements first so that all are aligned.
    """
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    names = in_file_order(arrays)
    end = 0
    for name in names:
        array = arrays[name]
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{path} must hold numbers, but {name} has dtype {array.dtype}; convert it to numbers")
        dtype = f"{array.dtype.kind.upper()}{8 * array.dtype.itemsize}"
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name in names:
            array = arrays[name]
            for block in array.blocks() if hasattr(array, "blocks") else [array]:
                if finite and not is_finite(block):
                    raise FloatingPointError(f"{name} holds a number that is not finite; train again with a lower lr")
                file.write(np.ascontiguousarray(block, array.dtype.newbyteorder("<")).data)


def in_file_order(arrays: Mapping[str, Any]) -> list[str]:
    """The names in the order in which `write_safetensors` asks for the arrays."""
    return sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))


def read_model_file(path: str | os.PathLike[str]) -> ModelFile:
    """Read a file written by `write_model_file`, bit for bit.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such a file: truncated, in another format, of a later version, or with metadata, ids or
        numbers that no model can have.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}; `autoenc train --out {path}` makes one")
    with reading(path):
        return _read_model_file(path)


def _read_model_file(path: Path) -> ModelFile:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = _read_metadata(path, file.metadata() or {})
            names = file.keys()
            for name in names:
                if (dtype := file.get_slice(name).get_dtype()) not in DTYPES:
                    raise ValueError(f"{path}: the array {name} is {dtype}, not {', '.join(DTYPES)}; write it again")
            arrays = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a complete safetensors file ({error}); write it again") from None
    for name, array in arrays.items():
        if not array.size and array.shape != (0,):
            raise ValueError(f"{path}: the array {name} has shape {array.shape}, which is empty; write it again")
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: the array {name} holds a number that is not finite; train again with a lower lr")

    item_ids, titles = names_from_arrays(path, arrays)
    counts = arrays.get("item_counts")
    if counts is not None and (
        counts.ndim != 1 or counts.dtype not in (np.int64, np.float64) or counts.min(initial=0) < 0
    ):
        raise ValueError(f"{path}: item_counts is not a number of likes for each item; write it again")
    return ModelFile(metadata["model"], metadata["params"], arrays, item_ids, titles, metadata["about"], counts)


def _read_metadata(path: Path, entries: dict[str, str]) -> dict[str, Any]:
    if FORMAT not in entries:
        raise ValueError(f"{path} is a safetensors file, but not a model of autoenc: its metadata names none")
    try:
        metadata = json.loads(entries[FORMAT])
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise ValueError(f"{path}: its metadata is not a JSON object; write it again")
    if metadata.get("version") not in READ:
        raise ValueError(
            f"{path} has format version {shown(metadata.get('version'))}, but this autoenc reads "
            f"{' and '.join(map(str, READ))}: "
            "use the autoenc that wrote it, or train again"
        )
    for key, kind in (("model", str), ("params", dict), ("about", dict)):
        if not isinstance(metadata.get(key), kind):
            what = "a string" if kind is str else "a JSON object"
            raise ValueError(f"{path}: {key} in its metadata is missing or not {what}; write it again")
    if not all(value is None or isinstance(value, (bool, int, float, str)) for value in metadata["params"].values()):
        raise ValueError(f"{path}: its params are not all numbers and strings; write it again")
    return metadata


def _pack_text(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    encoded = [str(value).encode() for value in values]
    text = np.frombuffer(b"".join(encoded), np.uint8)
    return {f"{name}.text": text, f"{name}.ends": np.cumsum([len(e) for e in encoded], dtype=np.int64)}


def _unpack_text(path: str | os.PathLike[str], name: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    text, ends = arrays.pop(f"{name}.text"), arrays.pop(f"{name}.ends", np.empty(0))
    try:
        raw = text.astype(np.uint8, casting="no", copy=False).tobytes()
        starts = np.concatenate(([0], ends[:-1]))
        wrong = ends.dtype != np.int64 or (ends < starts).any() or (len(ends) and ends[-1] != len(raw))
        if wrong:
            raise ValueError
        check_strings(len(ends), int((ends - starts).max(initial=0)), len(raw))
        return np.array([raw[start:end].decode() for start, end in zip(starts, ends, strict=True)], dtype=str)
    except FAULTS:
        way_out = "or has one far longer than the rest; write it again"
        raise ValueError(f"{path}: {name} is missing, is not a list of UTF-8 strings, {way_out}") from None
