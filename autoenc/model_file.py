"""The model as one safetensors file: arrays by name, and a few lines of JSON about them.

Format, version 1
    arrays      `Network.state`, by its names, in PyTorch's layout: `output.weight` (n_items, hidden_dim)
    item_ids    (n_items,) int64; or, where ids are text, item_ids.text
    titles.text where there are titles
    NAME.text   (bytes,) uint8: UTF-8 strings end to end; with NAME.ends (n,) int64, where each ends
    metadata    format: "autoenc", version: "1", model: "autoencoder", config: a JSON object with
                dropout, eps and momentum, and what else the trainer knows (dataset, epochs, seed, lr ...)

The file is replaced atomically. Reading it runs no code and trusts no number: every array that a
network of these sizes needs must be there, of the right shape and dtype, and finite.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autoenc.files import replacing
from autoenc.network import Network, shapes_of_state

FORMAT, VERSION = "autoenc", "1"
DTYPES = ("F32", "F64", "I64", "U8")


@dataclass
class Model:
    """A trained network with the catalogue that it was trained on.

    Attributes
    ----------
    network : Network
    item_ids : array (n_items,), int64 or str
    titles : array (n_items,) of str, or None
    config : dict
        What JSON holds: how the network was trained.
    """

    network: Network
    item_ids: np.ndarray
    titles: np.ndarray | None = None
    config: dict = field(default_factory=dict)


def save_model(path, model: Model) -> None:
    """Write `model` to `path` as one safetensors file, atomically.

    Raises OSError where that cannot be written.
    """
    from safetensors.numpy import save_file

    network = model.network
    arrays = dict(network.state)
    if model.item_ids.dtype.kind == "i":
        arrays["item_ids"] = model.item_ids
    else:
        arrays.update(_pack_text("item_ids", model.item_ids))
    if model.titles is not None:
        arrays.update(_pack_text("titles", model.titles))
    numbers = {"dropout": network.dropout, "eps": network.batchnorm1.eps, "momentum": network.batchnorm1.momentum}
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "model": "autoencoder",
        "config": json.dumps({**model.config, **numbers}),
    }
    with replacing(path) as temporary:
        save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, temporary, metadata)


def load_model(path) -> Model:
    """Read what `save_model` wrote, to the same bits.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such a file: truncated, foreign, of a later version, or with an array missing,
        of another shape, or not finite.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}; `autoenc train --out {path}` makes one")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(f"{path} is a safetensors file, but not a model of autoenc's: its metadata names none")
            if metadata.get("version") != VERSION:
                raise ValueError(
                    f"{path} has format version {metadata.get('version')!r}, and this autoenc reads {VERSION!r}: "
                    "use the autoenc that wrote it, or train again"
                )
            names = file.keys()
            for name in names:
                if (dtype := file.get_slice(name).get_dtype()) not in DTYPES:
                    raise ValueError(f"{path}: the array {name} is {dtype}, not {', '.join(DTYPES)}; write it again")
            arrays = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file ({error}); write it again") from None
    try:
        config = json.loads(metadata["config"])
        dropout, eps, momentum = (float(config[key]) for key in ("dropout", "eps", "momentum"))
        sound = 0 <= dropout < 1 and 0 <= eps < math.inf and 0 <= momentum <= 1
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        sound = False
    if not sound:
        raise ValueError(f"{path}: its metadata lacks a config with dropout, eps and momentum; write it again")

    state = _checked_state(path, arrays)
    network = Network(state, dropout)
    for batchnorm in (network.batchnorm1, network.batchnorm2):
        batchnorm.eps, batchnorm.momentum = eps, momentum
    item_ids = arrays["item_ids"] if "item_ids" in arrays else _unpack_text(path, "item_ids", arrays)
    titles = _unpack_text(path, "titles", arrays) if "titles.text" in arrays else None
    for name, values in (("item_ids", item_ids), ("titles", titles)):
        if values is not None and values.shape != (network.n_items,):
            raise ValueError(f"{path}: {name} has shape {values.shape} for {network.n_items:,} items; write it again")
    if item_ids.dtype.kind not in "iU" or not (item_ids[1:] > item_ids[:-1]).all():
        raise ValueError(f"{path}: item_ids is no ascending list of ids; write it again")
    return Model(network, item_ids, titles, config)


def _checked_state(path, arrays):
    for name in ("embedding.weight", "output.weight"):
        if name not in arrays or arrays[name].ndim != 2 or arrays[name].size == 0:
            raise ValueError(f"{path}: the array {name} is missing or not a matrix; write it again")
    shapes = shapes_of_state(*arrays["embedding.weight"].shape, arrays["output.weight"].shape[1])
    dtype = arrays["embedding.weight"].dtype
    for name, shape in shapes.items():
        array = arrays.get(name)
        if array is None or array.shape != shape or array.dtype != dtype or dtype.kind != "f":
            found = "is missing" if array is None else f"is {array.dtype} of shape {array.shape}"
            raise ValueError(f"{path}: the array {name} {found}, and should be float of shape {shape}; write it again")
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: the array {name} holds a number that is not finite; train again with a lower lr")
    return {name: arrays[name] for name in shapes}


def _pack_text(name, values):
    encoded = [str(value).encode() for value in values]
    text = np.frombuffer(b"".join(encoded), np.uint8)
    return {f"{name}.text": text, f"{name}.ends": np.cumsum([len(e) for e in encoded], dtype=np.int64)}


def _unpack_text(path, name, arrays):
    text, ends = arrays.get(f"{name}.text"), arrays.get(f"{name}.ends")
    try:
        raw = text.astype(np.uint8, casting="no", copy=False).tobytes()
        starts = np.concatenate(([0], ends[:-1]))
        wrong = ends.dtype != np.int64 or (ends < starts).any() or (len(ends) and ends[-1] != len(raw))
        # In NumPy's array each string takes the room of the longest.
        if wrong or len(ends) * int((ends - starts).max(initial=0)) > 64 * len(raw) + 2**28:
            raise ValueError
        return np.array([raw[start:end].decode() for start, end in zip(starts, ends, strict=True)], dtype=str)
    except (AttributeError, TypeError, ValueError, IndexError):
        mend = "or has one far longer than the rest; write it again"
        raise ValueError(f"{path}: {name} is missing, is no list of UTF-8 strings, {mend}") from None
