"""Arrays in .npy files and in the members of an .npz, read without trusting their headers.

NumPy's own readers make room for whatever a header says, take dtypes of any kind, and let a header of a
few bytes raise nearly anything. Here a header is of a bounded length and a literal, its dtype is one
of those below, its shape has two dimensions at most, or one where the elements are read, and the array
fits into what is there.
"""

from __future__ import annotations

import ast
import math
import os
import re
from pathlib import Path
from typing import IO, Any

import numpy as np

from autoenc.messages import shown

MOST_HEADER = 1024  # bytes; NumPy writes 118, and more for structured dtypes alone
AT_ONCE = 2**20

_DTYPE = re.compile(r"[<>|=]?(\?|b1|[iu][1248]|f[248]|[US][1-9][0-9]{0,6})", re.ASCII)
_OBJECTS = re.compile(r"\|?O8?")
_MAGIC = b"\x93NUMPY"
_WIDTH_OF_LENGTH = {b"\x01\x00": 2, b"\x02\x00": 4}  # by the format's version


def read_header(file: IO[bytes], n_bytes: float, objects: bool = False) -> tuple[np.dtype, tuple[int, ...]]:
    """The dtype and the shape of an array, with `file` left where its elements begin.

    Parameters
    ----------
    file : binary file
    n_bytes : float
        How many bytes there can be at most, the header's among them.
    objects : bool
        Whether the array may be one of objects, whose elements are a pickle of any size.

    Raises
    ------
    ValueError
        Where it is not such a header, or says more than `n_bytes`.
    """
    start = file.read(8)
    width = _WIDTH_OF_LENGTH.get(start[6:])
    if start[:6] != _MAGIC:
        raise ValueError("it is not an .npy file")
    if width is None:
        raise ValueError("its .npy format is neither 1.0 nor 2.0")
    length = int.from_bytes(file.read(width), "little")
    if length > MOST_HEADER:
        raise ValueError(f"its header has {length:,} bytes; at most {MOST_HEADER:,} are allowed")
    header = _literal(file.read(length).decode("latin-1"))
    descr, shape = header.get("descr"), header.get("shape")
    of_objects = isinstance(descr, str) and _OBJECTS.fullmatch(descr) is not None
    if of_objects and not objects:
        raise ValueError("Object arrays cannot be loaded: they are pickles, which may run code")
    if not (of_objects or (isinstance(descr, str) and _DTYPE.fullmatch(descr))):
        raise ValueError(f"its header says that it holds {shown(descr)}")
    if not (isinstance(shape, tuple) and len(shape) <= 2 and all(type(n) is int and n >= 0 for n in shape)):
        raise ValueError(f"its header says that its shape is {shown(shape)}")
    dtype = np.dtype(descr)
    size = math.prod(shape) * dtype.itemsize
    left = n_bytes - len(start) - width - length
    if not of_objects and size > left:
        raise ValueError(f"its header says {size:,} bytes, and there are {left:,.0f} at most")
    return dtype, shape


def _literal(text: str) -> dict[str, Any]:
    try:
        header = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise ValueError(f"its header is {shown(text)}")
    return header


def _read_header_of_vector(file: IO[bytes], n_bytes: float) -> tuple[np.dtype, tuple[int, ...]]:
    """The same of an array of at most one dimension: of two, the elements may be in another order."""
    dtype, shape = read_header(file, n_bytes)
    if len(shape) > 1:
        raise ValueError(f"its header says that its shape is {shown(shape)}")
    return dtype, shape


def read_npy(file: IO[bytes], n_bytes: float) -> np.ndarray:
    """An array of `n_bytes` at most, in memory. Raises ValueError where it is none, or is cut off."""
    dtype, shape = _read_header_of_vector(file, n_bytes)
    array = np.empty(shape, dtype)
    raw = array.reshape(-1).view(np.uint8)
    for start in range(0, len(raw), AT_ONCE):
        part = raw[start : start + AT_ONCE]
        if file.readinto(part) != len(part):  # type: ignore[attr-defined]
            raise ValueError("it ends early")
    check_text(array)
    return array


def map_npy(path: str | os.PathLike[str]) -> np.ndarray:
    """An .npy file as a read-only array that stays on disk. Raises ValueError where it is none or has another size."""
    n_bytes = Path(path).stat().st_size
    with open(path, "rb") as file:
        dtype, shape = _read_header_of_vector(file, n_bytes)
        start = file.tell()
    if start + math.prod(shape) * dtype.itemsize != n_bytes:
        raise ValueError(f"it has {n_bytes:,} bytes, which is not what its header says")
    if start == n_bytes:
        return np.empty(shape, dtype)  # what is empty can't be mapped
    return np.asarray(np.memmap(path, dtype, "r", start, shape))


def check_strings(n: int, longest: int, n_characters: int) -> None:
    """Raise ValueError where an array of n strings is out of proportion to the characters that they have in all.

    NumPy gives each string the room of the longest, 4 bytes a character, so that a single one makes an
    array of short ones a thousand times as large.
    """
    if 4 * n * longest > 2**26 + 256 * n_characters:
        raise ValueError(f"one of {n:,} strings has {longest:,} characters, far more than the rest; shorten it")


def check_text(array: np.ndarray) -> None:
    """Raise ValueError where an array of strings holds numbers that are not characters, on which Python fails."""
    if array.dtype.kind == "U" and array.size:
        codes = array.reshape(-1).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if codes.max() > 0x10FFFF:
            raise ValueError(f"it holds {codes.max():#x}, which is not a Unicode character")
