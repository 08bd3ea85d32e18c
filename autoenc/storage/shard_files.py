"""The shards of a checkpoint, read as one set of arrays, some items' rows at a time.

A shard with an array `items` (n_own,), ascending, has the rows of those items from each array with one
row per item; a shard without has all rows. The other arrays are in the first shard.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

ROWS_AT_ONCE = 4096
START_AGAIN = "delete the folder and train from the beginning"

# Arrays with one row per item, in a network's state, in Adam's moments and in the callbacks' state.
BY_ITEM = ("embedding.weight", "output.weight", "output.bias", "last_step")


def is_by_item(name: str) -> bool:
    """Whether an array with this name, or with this name after a prefix and a slash, has one row per item."""
    return name.rpartition("/")[2] in BY_ITEM


class ShardFiles:
    """The open files of the shards in a manifest. Arrays are read on request.

    A context manager. Entering it raises ValueError if a file doesn't have the size given in the manifest
    or is not a safetensors file, or if the shards don't contain each item once.
    """

    def __init__(self, folder: str | os.PathLike[str], manifest: dict[str, Any]):
        self.manifest = manifest
        self.n_items = manifest["shape"][0]
        self.paths = [Path(folder) / Path(shard["file"]).name for shard in manifest["shards"]]

    def __enter__(self) -> ShardFiles:
        from safetensors import safe_open

        with contextlib.ExitStack() as stack:
            self.files, self.raw = [], []
            for path, shard in zip(self.paths, self.manifest["shards"]):
                with self._whole(path):
                    # Once it is open, a running training job may delete it.
                    self.raw.append(stack.enter_context(open(path, "rb")))
                    if (n_bytes := os.fstat(self.raw[-1].fileno()).st_size) != shard["bytes"]:
                        raise ValueError(f"{n_bytes} bytes instead of {shard['bytes']}")
                    self.files.append(stack.enter_context(safe_open(path, framework="numpy")))
            self.names = [set(file.keys()) for file in self.files]
            if self.n_items > (n_bytes := sum(os.fstat(file.fileno()).st_size for file in self.raw)):
                what = (
                    f"{self.paths[0]} is incomplete or damaged: {self.n_items:,} items don't fit into {n_bytes:,} bytes"
                )
                raise ValueError(f"{what}; {START_AGAIN}")
            self.items = [
                file.get_tensor("items") if "items" in names else np.arange(self.n_items)
                for file, names in zip(self.files, self.names)
            ]
            n_held = sum(len(items) for items in self.items)
            if n_held != self.n_items or (np.sort(np.concatenate(self.items)) != np.arange(self.n_items)).any():
                raise ValueError(f"{self.paths[0]} and the other shards do not hold each item once; {START_AGAIN}")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def check(self, own: np.ndarray, wanted: dict[str, np.ndarray]) -> None:
        """Check the checksums of the shards that hold some of the items `own`, and their arrays.

        Raises ValueError if one is damaged, or lacks an array with the dtype in `wanted` and, apart from the
        number of rows, the shape.
        """
        for k, (path, shard) in enumerate(zip(self.paths, self.manifest["shards"])):
            if k > 0 and not np.isin(self.items[k], own).any():
                continue
            with self._whole(path):
                if _crc32(self.raw[k]) != shard["crc32"]:
                    raise ValueError("its checksum is wrong")
            for name, array in wanted.items():
                if k > 0 and not is_by_item(name):
                    continue
                shape = (len(self.items[k]), *array.shape[1:]) if is_by_item(name) else array.shape
                if not self._has(k, name, array.dtype, shape):
                    raise ValueError(f"{path} lacks {name}, {array.dtype} of shape {shape}; {START_AGAIN}")

    def below(self, prefix: str) -> list[str]:
        """The names of all arrays that begin with a prefix, without it."""
        return sorted(name.removeprefix(prefix) for name in self.names[0] if name.startswith(prefix))

    def read_below(self, prefix: str, own: np.ndarray) -> dict[str, np.ndarray]:
        """All arrays whose names begin with a prefix, by their names without it; of those by item, the rows `own`."""
        return {name: self.read(prefix + name, own) for name in self.below(prefix)}

    def read(self, name: str, own: np.ndarray) -> np.ndarray:
        """An array; of one with a row per item, the rows `own`, ascending."""
        with self._whole(self.paths[0]):
            if not is_by_item(name):
                array: np.ndarray = self.files[0].get_tensor(name)
                return array
            a_row = self.files[0].get_slice(name)[:1]
        rows = np.empty((len(own), *a_row.shape[1:]), a_row.dtype)
        self.read_into(rows, name, own)
        return rows

    def read_into(self, array: np.ndarray, name: str, own: np.ndarray) -> None:
        """Like `read`, into an existing array."""
        if not is_by_item(name):
            array[:] = self.files[0].get_tensor(name)
            return
        for path, items, file in zip(self.paths, self.items, self.files):
            with self._whole(path):
                rows = file.get_slice(name)
                if rows.get_shape()[:1] != [len(items)]:
                    raise ValueError(f"{name} does not have one row per item")
                start, stop = np.searchsorted(items, (own[0], own[-1] + 1)) if len(own) else (0, 0)
                for first in range(start, stop, ROWS_AT_ONCE):
                    block = items[first : min(stop, first + ROWS_AT_ONCE)]
                    _, at, taken = np.intersect1d(own, block, assume_unique=True, return_indices=True)
                    if len(at):
                        array[at] = rows[first : first + len(block)][taken]

    def _has(self, k: int, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> bool:
        if name not in self.names[k]:
            return False
        rows = self.files[k].get_slice(name)
        same_dtype = rows.get_dtype() == f"{dtype.kind.upper()}{8 * dtype.itemsize}"
        return bool(same_dtype and rows.get_shape() == list(shape))

    @contextlib.contextmanager
    def _whole(self, path: Path) -> Iterator[None]:
        from safetensors import SafetensorError

        try:
            yield
        except (OSError, ValueError, TypeError, SafetensorError) as error:  # TypeError: a dtype that NumPy lacks
            raise ValueError(f"{path} is incomplete or damaged ({error}); {START_AGAIN}") from None


def crc32_of(path: str | os.PathLike[str]) -> int:
    """The CRC-32 of a file."""
    with open(path, "rb") as file:
        return _crc32(file)


def _crc32(file: BinaryIO) -> int:
    crc32 = 0
    file.seek(0)
    while chunk := file.read(2**20):
        crc32 = zlib.crc32(chunk, crc32)
    return crc32
