"""Merge a checkpoint, with any number of shards, into an ordinary model file.

This is done some rows at a time, so that a network that is too large to train on a single machine can
still be merged on one. Embedding rows that lag behind are brought to the checkpoint's step.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from autoenc.messages import shown
from autoenc.networks.autoencoder import shapes_of_state
from autoenc.optim import Adam
from autoenc.storage.model_file import ModelFile, names_from_arrays, write_model_file
from autoenc.storage.reading import reading
from autoenc.storage.shard_files import ROWS_AT_ONCE, START_AGAIN, ShardFiles, is_by_item
from autoenc.training.checkpoint import MANIFEST, read_manifest

ATTEMPTS = 10


def merge(folder: str | os.PathLike[str], path: str | os.PathLike[str]) -> dict[str, Any]:
    """Write the model of the checkpoint in `folder` to `path`, and return its entry `about`.

    If training keeps the best weights, the model has those. Training may still be running.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint in `folder`.
    ValueError
        If it is damaged, or holds another network than AutoEncoder's.
    FloatingPointError
        If a weight is not finite.
    OSError
        If `path` can't be written, or training replaces its checkpoints faster than they can be opened.
    """
    manifest_path = Path(folder) / MANIFEST
    if not manifest_path.is_file():
        raise FileNotFoundError(f"there is no checkpoint in {folder}; `autoenc train --checkpoint {folder}` makes one")
    for _ in range(ATTEMPTS):
        manifest = read_manifest(manifest_path)
        try:
            return _merge(manifest, folder, path)
        except ValueError:
            if read_manifest(manifest_path) == manifest:
                raise
        # Training has written another checkpoint, and deleted the shards of the one that was being opened.
    raise OSError(f"the checkpoint in {folder} is replaced before it can be opened; merge it when training is done")


def _merge(manifest: dict[str, Any], folder: str | os.PathLike[str], path: str | os.PathLike[str]) -> dict[str, Any]:
    if manifest["network"] != "AutoEncoderNetwork":
        raise ValueError(
            f"{folder} holds a checkpoint of {shown(manifest['network'])}; only the task's network can be merged"
        )
    with contextlib.ExitStack() as stack:
        with reading(folder):
            shards = stack.enter_context(ShardFiles(folder, manifest))
            kept = [f"callback/{number}/" for number, _ in enumerate(manifest["callback_states"])]
            kept = [prefix for prefix in kept if f"{prefix}embedding.weight" in shards.names[0]]
            arrays = _weights(shards, kept[0] if kept else "")
            content = _model_file(manifest, shards)
        content.arrays = arrays
        write_model_file(path, content)
    return content.about


def _weights(shards: ShardFiles, prefix: str) -> dict[str, Any]:
    """The network's arrays; those with one row per item are read later."""
    manifest = shards.manifest
    if "embedding.weight" not in shards.names[0]:
        raise ValueError(f"{shards.paths[0]} lacks embedding.weight; {START_AGAIN}")
    dtype = shards.read("embedding.weight", np.arange(0)).dtype
    shapes = shapes_of_state(*manifest["shape"])
    every_item = np.arange(shards.n_items)
    shards.check(every_item, {prefix + name: np.broadcast_to(dtype.type(0), shape) for name, shape in shapes.items()})
    arrays: dict[str, Any] = {}
    for name, shape in shapes.items():
        if not is_by_item(name):
            arrays[name] = shards.read(prefix + name, every_item)
        elif name == "embedding.weight" and not prefix and "training/last_step" in shards.names[0]:
            arrays[name] = _CaughtUp(shards, name, dtype, shape)
        else:
            arrays[name] = _Rows(shards, prefix + name, dtype, shape)
    return arrays


class _Rows:
    """An array with one row per item, in the order of the items, in the form `model_file.write_safetensors` takes."""

    def __init__(self, shards: ShardFiles, name: str, dtype: np.dtype, shape: tuple[int, ...]):
        self.shards, self.name, self.dtype, self.shape = shards, name, dtype, shape
        self.nbytes = dtype.itemsize * int(np.prod(shape))

    def blocks(self) -> Iterator[np.ndarray]:
        for first in range(0, self.shape[0], ROWS_AT_ONCE):
            yield self.rows(np.arange(first, min(self.shape[0], first + ROWS_AT_ONCE)))

    def rows(self, items: np.ndarray) -> np.ndarray:
        return self.shards.read(self.name, items)


class _CaughtUp(_Rows):
    """The embedding, whose rows are at the steps given by last_step."""

    def __init__(self, shards: ShardFiles, name: str, dtype: np.dtype, shape: tuple[int, ...]):
        from autoenc.training.fused import DriftTable

        super().__init__(shards, name, dtype, shape)
        rows = np.broadcast_to(dtype.type(0), shape)
        wanted = {f"{which}_moment/{name}": rows for which in ("first", "second")}
        last_steps = {"training/last_step": np.broadcast_to(np.int64(0), shape[:1])}
        shards.check(np.arange(shards.n_items), wanted | last_steps)  # kernels don't check anything
        manifest = shards.manifest
        adam = Adam({}, manifest["lr"], manifest["betas"], manifest["eps"])
        drift = DriftTable(adam)
        adam.step_count = manifest["step_count"]
        drift.tables = shards.read("training/drift", np.arange(0))
        last_step = shards.read("training/last_step", np.arange(shards.n_items))
        tables = drift.tables
        in_table = tables.ndim == 2 and len(tables) == 4 and tables.shape[1] > adam.step_count
        if tables.dtype != np.float64 or not (in_table and last_step.min() >= 0 and last_step.max() <= adam.step_count):
            raise ValueError(f"{shards.paths[0]} lacks the tables of {adam.step_count} steps; {START_AGAIN}")
        self.last_step, self.history = last_step, drift.history()

    def rows(self, items: np.ndarray) -> np.ndarray:
        from autoenc.kernels.adam import Trained
        from autoenc.kernels.scatter_add import catch_up

        weight = super().rows(items)
        moments = (self.shards.read(f"{which}_moment/{self.name}", items) for which in ("first", "second"))
        catch_up(np.arange(len(items)), Trained(weight, *moments), self.last_step[items], self.history, weight)
        return weight


def _model_file(manifest: dict[str, Any], shards: ShardFiles) -> ModelFile:
    """The model's name, its params and the items' names, without arrays."""
    told = manifest.get("model")
    if told is None:
        _, emb_dim, hidden_dim = manifest["shape"]
        loss = "multinomial" if manifest.get("loss") == "Multinomial" else "bce"
        params = {"emb_dim": emb_dim, "hidden_dim": hidden_dim, "loss": loss, **manifest["settings"]}
        told = {"model": "AutoEncoder", "params": params, "about": {}}
    arrays = shards.read_below("model/", np.arange(0))
    ids, titles = names_from_arrays(shards.paths[0], arrays)
    about = {**told["about"], "epochs": manifest["next_epoch"]}
    return ModelFile(told["model"], told["params"], {}, ids, titles, about, arrays.get("item_counts"))
