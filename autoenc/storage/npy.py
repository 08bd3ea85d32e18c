"""Arrays in .npy files and in the members of an .npz, read without trusting their headers.

NumPy's own readers allocate whatever a header asks for, accept any dtype, and may raise nearly any exception
for a header of a few bytes. Here, a header must be a literal of limited length, with one of the dtypes below
and a shape of at most two dimensions (one, if the elements are read), and the array must fit into the file.
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

MOST_HEADER = 1024  # bytes; NumPy writes 118, and more only for structured dtypes
AT_ONCE = 2**20

_DTYPE = re.compile(r"[<>|=]?(\?|b1|[iu][1248]|f[248]|[US][1-9][0-9]{0,6})", re.ASCII)
_OBJECTS = re.compile(r"\|?O8?")
_MAGIC = b"\x93NUMPY"
_WIDTH_OF_LENGTH = {b"\x01\x00": 2, b"\x02\x00": 4}  # by format version


def read_header(file: IO[bytes], n_bytes: float, objects: bool = False) -> tuple[np.dtype, tuple[int, ...]]:
    """The dtype and the shape of an array. Leaves `file` at the beginning of the elements.

    Parameters
    ----------
    file : binary file
    n_bytes : float
        The largest possible number of bytes, including the header.
    objects : bool
        Whether the array may have dtype object, whose elements are a pickle of any size.

    Raises
    ------
    ValueError
        If the header is invalid, or the array would be larger than `n_bytes`.
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
        raise ValueError(f"its header says {size:,} bytes, but there are at most {left:,.0f}")
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
    """Like `read_header`, for at most one dimension; with two, the elements may be in another order."""
    dtype, shape = read_header(file, n_bytes)
    if len(shape) > 1:
        raise ValueError(f"its header says that its shape is {shown(shape)}")
    return dtype, shape


def read_npy(file: IO[bytes], n_bytes: float) -> np.ndarray:
    """Read an array of at most `n_bytes` into memory. Raises ValueError if it is invalid or cut off."""
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
    """An .npy file as a read-only memory-mapped array. Raises ValueError if it is invalid or has a wrong size."""
    n_bytes = Path(path).stat().st_size
    with open(path, "rb") as file:
        dtype, shape = _read_header_of_vector(file, n_bytes)
        start = file.tell()
    if start + math.prod(shape) * dtype.itemsize != n_bytes:
        raise ValueError(f"it has {n_bytes:,} bytes, which is not the size given in its header")
    if start == n_bytes:
        return np.empty(shape, dtype)  # an empty array can't be mapped
    return np.asarray(np.memmap(path, dtype, "r", start, shape))


def check_strings(n: int, longest: int, n_characters: int) -> None:
    """Raise ValueError if an array of n strings would be too large for their total number of characters.

    NumPy gives each string the width of the longest, at 4 bytes per character, so a single long one can make
    an array of short ones a thousand times larger.
    """
    if 4 * n * longest > 2**26 + 256 * n_characters:
        raise ValueError(f"one of {n:,} strings has {longest:,} characters, far more than the rest; shorten it")


def check_text(array: np.ndarray) -> None:
    """Raise ValueError if an array of strings holds code points that don't exist, which make Python fail."""
    if array.dtype.kind == "U" and array.size:
        codes = array.reshape(-1).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if codes.max() > 0x10FFFF:
            raise ValueError(f"it holds {codes.max():#x}, which is not a Unicode character")
