"""The task's own files: its cache of likes, read without running code, and its list of results.

A cache is two files, PREFIX_train.npy and PREFIX_valid.npy, each an object array with one list of
item ids per user. Ids start at 1, since the task pads with 0. NumPy stores such an array as a pickle,
and a pickle is a program: it may call any function by name, tamper with the internals of NumPy's
arrays, or ask for unlimited memory. So it is not simply loaded:

1. Its opcodes are checked first, against the few that lists of integers need. Every length and every
   memo index must lie within the file.
2. It never reaches NumPy's code. The names that NumPy's pickles use for an array, a dtype or a scalar
   are resolved to harmless stand-ins, and any other name is refused.
3. It must contain as many lists as its header says, with nothing but integers, and no more integers than
   the file has bytes (a list may be referred to repeatedly).

Reading needs at most about 100 bytes of memory per byte of the file.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import pickletools
import re
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from scipy import sparse

from autoenc.interactions import MAX_INFERRED_ITEMS, Interactions, UserItemsLike, as_user_items
from autoenc.messages import shown
from autoenc.storage.atomic import replacing
from autoenc.storage.csr import indptr_of
from autoenc.storage.npy import read_header


def read_task_cache(prefix: str | os.PathLike[str]) -> tuple[Interactions, Interactions]:
    """Read the task's cache.

    Parameters
    ----------
    prefix : path
        "data/cache" stands for data/cache_train.npy and data/cache_valid.npy.

    Returns
    -------
    train, held_out : Interactions
        With the same users (0, 1, ... in the order of the cache) and the same items: the ids 1, 2, ... up
        to the largest in either file, including those that no list contains.

    Raises
    ------
    FileNotFoundError
        If one of the files is missing.
    ValueError
        If one is not such a file, asks for code or unlimited memory, or holds an id below 1 or an absurdly
        large one, or if the two have different numbers of users.
    """
    paths = _paths(prefix)
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(
                f"There is no {path}; the cache {str(prefix)!r} stands for {paths[0].name} and {paths[1].name}."
            )
    (train_lengths, train_ids), (valid_lengths, valid_ids) = map(_read_lists, paths)
    if len(train_lengths) != len(valid_lengths):
        raise ValueError(
            f"{paths[0]} has {len(train_lengths):,} users and {paths[1]} has {len(valid_lengths):,}; "
            "pass the two halves of one cache."
        )
    n_items = max(train_ids.max(initial=0), valid_ids.max(initial=0))
    if n_items == 0:
        raise ValueError(f"{paths[0]} and {paths[1]} contain no items; pass a cache with likes in it.")

    def interactions(lengths: np.ndarray, ids: np.ndarray) -> Interactions:
        indptr = indptr_of(lengths)
        ones = np.ones(len(ids), np.float32)
        user_items = sparse.csr_array((ones, ids - 1, indptr), shape=(len(lengths), n_items))
        return Interactions.from_csr(user_items, item_ids=np.arange(1, n_items + 1), name=Path(prefix).name)

    return interactions(train_lengths, train_ids), interactions(valid_lengths, valid_ids)


def write_task_cache(prefix: str | os.PathLike[str], train: UserItemsLike, held_out: UserItemsLike) -> None:
    """Write a split as the task's cache, for the task's own scripts or for `read_task_cache`.

    The task numbers items from 1 without gaps, so each item is written as its column plus one, whatever
    ids `train` has.

    Parameters
    ----------
    prefix : path
        "data/cache" creates data/cache_train.npy and data/cache_valid.npy, and the folder.
    train, held_out : (n_users, n_items), anything that `as_user_items` accepts

    Raises
    ------
    ValueError
        If the two differ in shape.
    """
    train = as_user_items(train)
    held_out = as_user_items(held_out)
    if train.shape != held_out.shape:
        raise ValueError(f"train has shape {train.shape} but held_out {held_out.shape}; pass the halves of one split.")
    for path, user_items in zip(_paths(prefix), (train, held_out)):
        lists = np.empty(user_items.shape[0], object)
        lists[:] = [row.tolist() for row in np.split(user_items.indices + 1, user_items.indptr[1:-1])]
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.save(file, lists, allow_pickle=True)


def write_topk(path: str | os.PathLike[str], top_item_ids: np.ndarray) -> None:
    """Write each user's best items in the form that the task's validate script reads.

    Parameters
    ----------
    path : path
        In the task, results/topk. The folder is created if it doesn't exist.
    top_item_ids : array (n_users, k), integer
        External item ids, best first, one row per user in the cache's order; in the task, k = 10.

    Raises
    ------
    ValueError
        If `top_item_ids` is not such an array.
    """
    top_item_ids = np.asarray(top_item_ids)
    if top_item_ids.ndim != 2 or top_item_ids.dtype.kind not in "iu":
        raise ValueError(
            f"top_item_ids has shape {top_item_ids.shape} and dtype {top_item_ids.dtype}; "
            "pass integers of shape (n_users, k)."
        )
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savetxt(file, top_item_ids, fmt="%d")


def _paths(prefix: str | os.PathLike[str]) -> tuple[Path, Path]:
    return Path(f"{os.fspath(prefix)}_train.npy"), Path(f"{os.fspath(prefix)}_valid.npy")


MOST_BYTES_OF_A_SCALAR = 8


class _Refused(Exception):
    """The reason why a file is not read, as a clause."""


def _read_lists(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The lists' lengths, and their ids concatenated (both int64)."""
    file = io.BytesIO(path.read_bytes())
    try:
        n_lists = _read_header(file)
        data = file.read()
        _check_opcodes(data)
        lists = _Unpickler(io.BufferedReader(io.BytesIO(data)), encoding="latin1").load()
        return _check_lists(lists, n_lists, len(data))
    except _Refused as error:
        reason = str(error)
    except MemoryError:
        raise
    except Exception:  # a broken pickle may raise almost anything
        reason = "its pickle is broken"
    raise ValueError(
        f"{path} can't be read as the task's cache: {reason}; "
        "pass an .npy file of an object array with one list of item ids, starting at 1, for each user."
    )


def _read_header(file: BinaryIO) -> int:
    try:
        dtype, shape = read_header(file, math.inf, objects=True)
    except ValueError as error:
        raise _Refused(f"it has no valid .npy header, as {error}") from None
    if not dtype.hasobject or len(shape) != 1:
        raise _Refused(f"it is an array of {dtype} with shape {shown(shape)}")
    return shape[0]


def _sized(opcode: bytes, width: int, lengths: range) -> list[bytes]:
    return [re.escape(opcode + n.to_bytes(width, "little")) + rb".{%d}" % n for n in lengths]


# The opcodes that lists of integers need. Those without an argument or with a short one are a regular
# expression, which matches millions of them in a second, ...
_SHORT_OPCODES = b"|".join(
    [
        rb"[(\])eat\x85-\x87RbN\x88\x89\x93\x94]",  # marks, lists, tuples, calls of allowed names, constants, memo
        rb"\x80[\x02-\x05]|[qh].",  # protocol, memo
        rb"K.|M.{2}|J.{4}|G.{8}",  # numbers
        *_sized(b"\x8a", 1, range(10)),  # large numbers
        *_sized(b"C", 1, range(9)),  # the bytes of a NumPy scalar
        *_sized(b"X", 4, range(17)),  # the same in protocol 2
    ]
)
# ... and those of bytes and strings of any length, with the width of their length.
_WIDTH_OF_LENGTH = {b"C": 1, b"U": 1, b"\x8c": 1, b"X": 4}


def _check_opcodes(data: bytes) -> None:
    # The unpickler allocates memory in proportion to a memo index or frame, so it may be at most about the file's size.
    n_low = min((max(len(data), 1).bit_length() - 1) // 8, 3)
    number = rb".{%d}[\x00-\x%02x]\x00{%d}"
    memo = rb"|[rj]" + number % (n_low, min(len(data) >> 8 * n_low, 255), 3 - n_low)
    frame = rb"|\x95" + number % (n_low, min(len(data) >> 8 * n_low, 255), 7 - n_low)
    short = re.compile(rb"(?:%b){1,4096}" % (_SHORT_OPCODES + memo + frame), re.DOTALL)
    at = 0
    while True:
        opcode = data[at : at + 1]
        if opcode == b".":
            return
        if run := short.match(data, at):
            end = run.end()
        elif opcode == b"c":  # two lines, a module and a name
            end = data.find(b"\n", data.find(b"\n", at) + 1) + 1
        elif opcode in _WIDTH_OF_LENGTH:
            start = at + 1 + _WIDTH_OF_LENGTH[opcode]
            end = start + int.from_bytes(data[at + 1 : start], "little")
        elif opcode in b"KMJG\x8aqhrj\x80\x95":
            end = 0  # its argument is cut off or too long
        else:
            raise _Refused(f"its pickle uses {_name_of(opcode)}, which lists of integers don't need")
        if not at < end < len(data):
            raise _Refused(f"its pickle is broken or cut off at byte {at:,} of {len(data):,}")
        at = end


def _name_of(opcode: bytes) -> str:
    names = [known.name for known in pickletools.opcodes if known.code == opcode.decode("latin1")]
    return f"the opcode {names[0]}" if names else f"the byte {opcode!r} as an opcode"


class _Array:
    """Stands in for numpy.ndarray: stores the content given by the pickle."""

    __slots__ = ("elements", "shape")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if len(state) != 5:
            raise _Refused("it holds an array that NumPy didn't write")
        _, self.shape, dtype, _, self.elements = state
        if not (isinstance(dtype, _Dtype) and dtype.code in ("O", "O8", "O4")):
            raise _Refused("it holds an array whose dtype is not object")


class _Dtype:
    """Stands in for numpy.dtype."""

    __slots__ = ("byteorder", "code")

    def __init__(self, code: str, align: bool = False, copy: bool = True):
        self.code = code
        self.byteorder: Literal["little", "big"] = "little"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.byteorder = "big" if state[1] == ">" else "little"


def _reconstruct(subtype: object, shape: object, typecode: object) -> _Array:
    return _Array()


def _scalar(dtype: object, data: str | bytes) -> int:
    if not (isinstance(dtype, _Dtype) and dtype.code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")):
        raise _Refused("it holds NumPy scalars that are not integers")
    if isinstance(data, str):
        data = data.encode("latin1")
    if len(data) > MOST_BYTES_OF_A_SCALAR:  # it may be referred to repeatedly
        raise _Refused("it holds NumPy scalars that are not integers")
    return int.from_bytes(data, dtype.byteorder, signed=dtype.code[0] == "i")


def _encode(text: str, encoding: str) -> bytes:
    if len(text) > MOST_BYTES_OF_A_SCALAR:
        raise _Refused("it holds NumPy scalars that are not integers")
    return text.encode("latin1")


_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,  # the form of bytes in pickle's protocol 2, which NumPy wrote before 1.17
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise _Refused(f"it asks for {shown(f'{module}.{name}')}, which lists of integers don't need")
        return _ADMITTED[module, name]


def _check_lists(array: object, n_lists: int, n_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    if not (isinstance(array, _Array) and array.shape == (n_lists,) and type(array.elements) is list):
        raise _Refused("its pickle is not the array that its header describes")
    lists = array.elements
    if len(lists) != n_lists:
        raise _Refused(f"it has {len(lists):,} users, but its header says {n_lists:,}")
    for user, items in enumerate(lists):
        if type(items) is not list:
            raise _Refused(f"its entry for user {user:,} is of type {type(items).__name__}, not a list")
    lengths = np.fromiter(map(len, lists), np.int64, n_lists)
    if lengths.sum() > n_bytes:  # before the same list is read again and again
        raise _Refused(f"its {n_bytes:,} bytes expand to {lengths.sum():,} likes")
    for user, items in enumerate(lists):
        if not set(map(type, items)) <= {int}:
            unknown = next(item for item in items if type(item) is not int)
            raise _Refused(f"the list of user {user:,} holds a value of type {type(unknown).__name__}, not an item id")
    try:
        ids = np.fromiter(chain.from_iterable(lists), np.int64, lengths.sum())
    except OverflowError:
        raise _Refused("it holds an item id beyond 64 bits") from None
    if len(ids) and ids.min() < 1:
        raise _Refused(f"it holds the item id {ids.min()}, but 0 is padding and ids start at 1")
    if len(ids) and ids.max() > MAX_INFERRED_ITEMS:
        raise _Refused(f"it holds the item id {ids.max()}, but a cache may have at most {MAX_INFERRED_ITEMS:,} items")
    return lengths, ids
