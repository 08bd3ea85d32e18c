"""A prepared folder: likes as memory-mapped arrays, to train on without reading them into memory.

    manifest.json    the format's version, the counts, and each array's size and checksum
    indptr.npy       int32 (n_users + 1,): user u's likes are indices[indptr[u]:indptr[u + 1]]
    indices.npy      int32 (n_likes,): items, ascending for each user
    data.npy         float32 (n_likes,): ones, the values of the CSR matrix
    user_ids.npy     int64 or str (n_users,), ascending
    item_ids.npy     int64 or str (n_items,), ascending
    titles.npy       str (n_items,), if there are titles
    times.npy        int64 (n_likes,), seconds since 1970, if --times was passed
    weights.npy      float32 (n_likes,), how much each like counts, if there is a column of weights

The arrays are .npy files in NumPy's format 1.0, without pickles. The manifest is written last, and the
folder gets its name only when it is complete.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from autoenc.interactions import Interactions
from autoenc.messages import shown
from autoenc.storage.atomic import replacing_folder
from autoenc.storage.csr import check_compressed
from autoenc.storage.npy import check_text, map_npy
from autoenc.storage.reading import FAULTS, reading

FORMAT, VERSION = "autoenc prepared likes", 1
MANIFEST = "manifest.json"
NEEDED = ("indptr", "indices", "data", "user_ids", "item_ids")
OPTIONAL = ("titles", "times", "weights")
MADE_BY_FILE_MANAGERS = {".DS_Store", "Thumbs.db", "desktop.ini"}


def is_prepared(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a prepared folder, finished or not."""
    return any((Path(path) / name).is_file() for name in (MANIFEST, "indices.npy"))


def read_prepared(
    folder: str | os.PathLike[str], *, times: bool | None = False, check: bool = True, name: str = ""
) -> Interactions:
    """The likes of a prepared folder, as memory maps of its files, with their weights if it has any.

    Parameters
    ----------
    folder : str or Path
    times : bool, optional
        Whether to read the times too. If None, they are read if the folder has any.
    check : bool
        Whether to compare the checksums, which takes about a second per gigabyte.
    name : str
        The name of the likes.

    Raises
    ------
    ValueError
        If the folder is incomplete or damaged, or has no times.
    """
    folder = Path(folder)
    with reading(folder):
        manifest = _read_manifest(folder)
        names = [*NEEDED, *(name for name in OPTIONAL if name in manifest["arrays"])]
        arrays = {name: _checked(folder, name, manifest["arrays"][name], check) for name in names}
    if times and "times" not in arrays:
        raise ValueError(f"{folder} was prepared without times; prepare it again with --times.")
    shape = manifest["users"], manifest["items"]
    try:
        if manifest["likes"] != len(arrays["indices"]):
            raise ValueError(f"{manifest['likes']:,} likes in the manifest, but {len(arrays['indices']):,} in indices")
        check_compressed(arrays["indptr"], arrays["indices"], shape)
        user_items = sparse.csr_array((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
        return Interactions(
            user_items,
            arrays["user_ids"],
            arrays["item_ids"],
            arrays.get("titles"),
            name,
            None if times is False else arrays.get("times"),
            arrays.get("weights"),
        )
    except FAULTS as error:
        raise ValueError(f"{folder} is damaged ({str(error).rstrip('.')}); prepare it again.") from None


def read_rows(folder: str | os.PathLike[str], users: slice) -> Interactions:
    """Some users of a prepared folder, in memory, with all its items.

    Only the part that is read is checked. The likes have the times and weights of the folder, if it has any.
    """
    folder = Path(folder)
    with reading(folder):
        indptr, indices, _, user_ids, item_ids = (map_npy(folder / f"{name}.npy") for name in NEEDED)
        first, last = indptr[users.start], indptr[users.stop]
        own = (
            np.ones(last - first, np.float32),
            indices[first:last].copy(),
            indptr[users.start : users.stop + 1] - first,
        )
        shape = users.stop - users.start, len(item_ids)
        check_compressed(own[2], own[1], shape)
        carried: dict[str, Any] = {
            name: map_npy(folder / f"{name}.npy")[first:last].copy()
            for name in ("times", "weights")
            if (folder / f"{name}.npy").is_file()
        }
        return Interactions(sparse.csr_array(own, shape=shape), user_ids[users].copy(), item_ids, **carried)


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"{folder} has arrays but no {MANIFEST}: `autoenc prepare` did not finish, or the copy is incomplete; "
            "prepare it again."
        ) from None
    except (ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"{folder / MANIFEST} is not the manifest of a prepared folder; prepare it again.")
    if manifest.get("version") != VERSION:
        raise ValueError(
            f"{folder} has version {shown(manifest.get('version'))} of the format, but this autoenc reads {VERSION}; "
            "prepare it again."
        )
    arrays = manifest.get("arrays")
    counts = [manifest.get(count) for count in ("users", "items", "likes")]
    if not all(type(count) is int and 0 <= count < 2**31 for count in counts) or not (
        isinstance(arrays, dict) and set(NEEDED) <= set(arrays) and all(isinstance(a, dict) for a in arrays.values())
    ):
        raise ValueError(f"{folder / MANIFEST} has missing or invalid counts or arrays; prepare it again.")
    return manifest


def _checked(folder: Path, name: str, facts: dict[str, Any], check: bool) -> np.ndarray:
    path = folder / f"{name}.npy"
    try:
        n_bytes = path.stat().st_size
        if n_bytes != facts.get("bytes"):
            raise ValueError(f"it has {n_bytes:,} bytes, but the manifest says {shown(facts.get('bytes'))}")
        if check and checksum(path) != facts.get("crc32"):
            raise ValueError("its checksum differs from the manifest's")
        array = map_npy(path)
        check_text(array)
        return array
    except (ValueError, OSError) as error:
        problem = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path} can't be read ({problem}); prepare the folder again.") from None


def checksum(path: Path) -> int:
    """The CRC-32 of a file."""
    crc = 0
    with open(path, "rb") as file:
        while block := file.read(2**20):
            crc = zlib.crc32(block, crc)
    return crc


class Column:
    """A one-dimensional .npy file that can be appended to.

    NumPy pads the header, so that its length doesn't change as the array grows.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike):
        self.dtype, self.n = np.dtype(dtype), 0
        self.file = open(path, "wb")  # noqa: SIM115  closed by `close`
        self._write_header()

    def append(self, values: np.ndarray) -> None:
        self.file.write(np.ascontiguousarray(values, self.dtype).tobytes())
        self.n += len(values)

    def close(self) -> None:
        end = self.file.tell()
        self.file.seek(0)
        self._write_header()
        self.file.seek(end)
        self.file.close()

    def __enter__(self) -> Column:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _write_header(self) -> None:
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (self.n,)}
        np.lib.format.write_array_header_1_0(self.file, header)


def new_folder(folder: str | os.PathLike[str]) -> contextlib.AbstractContextManager[Path]:
    """A context that yields a temporary folder next to `folder`, and renames it to `folder` if the block succeeds.

    Raises FileExistsError as `check_replaceable` does.
    """
    return replacing_folder(folder, check_replaceable)


def check_replaceable(folder: Path) -> None:
    """Raise FileExistsError unless a path doesn't exist, or is an empty folder or one that `prepare` wrote."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; name a folder for --out.")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        ours = {MANIFEST, *(f"{name}.npy" for name in manifest["arrays"])} if manifest["format"] == FORMAT else set()
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        ours = set()
    others = sorted(path.name for path in folder.iterdir() if path.name not in ours or not path.is_file())
    if others and not ours:
        raise FileExistsError(f"{folder} exists and is not a prepared folder; name another for --out.")
    others = [name for name in others if name not in MADE_BY_FILE_MANAGERS]
    if others:
        raise FileExistsError(
            f"{folder} holds {others[0]}, which `autoenc prepare` did not write; move it, or name another for --out."
        )


def write_manifest(folder: Path, users: int, items: int, likes: int) -> None:
    """Write the manifest of the arrays in a folder, as the last step of preparing it."""
    arrays = {}
    for path in sorted(folder.glob("*.npy")):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        arrays[path.stem] = {"bytes": path.stat().st_size, "crc32": checksum(path)}
    counts = {"users": users, "items": items, "likes": likes}
    manifest = {"format": FORMAT, "version": VERSION, **counts, "arrays": arrays}
    with open(folder / MANIFEST, "w", encoding="utf-8") as file:
        file.write(json.dumps(manifest, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
