"""Likes on disk: a CSR matrix over memory-mapped files, and matrices derived from it, which are on disk as well.

A mapped array is read through the page cache, whose pages the system reclaims when it needs them: a
process only needs memory for what it copies, a batch of users at a time. For the same reason, whatever is
derived from a mapped matrix and has a similar size, such as the halves of a split, is written to temporary
files next to it. They are unlinked, so they disappear with the process.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from scipy import sparse

from autoenc.storage.csr import indptr_of

LIKES_AT_ONCE = 2**20


def is_mapped(array: np.ndarray) -> bool:
    """Whether an array, or the array it is a view of, is memory-mapped."""
    return _file_of(array) is not None


def empty_rows(like: sparse.csr_array, lengths: np.ndarray) -> sparse.csr_array:
    """A CSR matrix of rows with these lengths, to be filled; on disk if `like` is.

    Parameters
    ----------
    like : csr_array (any number of rows, n_items)
        The matrix that it will be derived from, which determines its width and the dtype of its data.
    lengths : array (n_rows,), int
        The number of entries of each row.

    Returns
    -------
    csr_array (n_rows, n_items)
        With int32 indices and indptr; `indices` and `data` are uninitialized.

    Raises
    ------
    ValueError
        If there are more entries than 32 bits can count.
    OSError
        If the disk is full.
    """
    indptr = indptr_of(lengths)
    if is_mapped(like.indices):
        arrays = [_like_on_disk(indptr[-1], dtype, like.indices) for dtype in (like.data.dtype, np.int32)]
    else:
        arrays = [np.empty(indptr[-1], dtype) for dtype in (like.data.dtype, np.int32)]
    return sparse.csr_array((*arrays, indptr), shape=(len(lengths), like.shape[1]))


def take_rows(user_items: sparse.csr_array, rows: np.ndarray) -> sparse.csr_array:
    """`user_items[rows]`, on disk if `user_items` is."""
    if not is_mapped(user_items.indices):
        return user_items[rows]
    taken = empty_rows(user_items, np.diff(user_items.indptr)[rows])
    for block in blocks_of_rows(taken.indptr):
        part = user_items[rows[block]]
        entries = slice(taken.indptr[block.start], taken.indptr[block.stop])
        taken.indices[entries], taken.data[entries] = part.indices, part.data
    return taken


def blocks_of_rows(indptr: np.ndarray) -> Iterator[slice]:
    """Slices of at least one row, with about LIKES_AT_ONCE entries each."""
    n_rows, start = len(indptr) - 1, 0
    while start < n_rows:
        most = np.int64(indptr[start]) + LIKES_AT_ONCE
        stop = max(start + 1, int(np.searchsorted(indptr, most, side="right")) - 1)
        stop = min(stop, start + LIKES_AT_ONCE)  # rows without entries need memory as well
        yield slice(start, stop)
        start = stop


def _like_on_disk(n: int, dtype: npt.DTypeLike, beside: np.ndarray) -> np.ndarray:
    """An array (n,) in a temporary file, in the folder of the file behind `beside`, or else in the system's."""
    if not n:
        return np.empty(0, dtype)
    file_of_other = _file_of(beside)
    folder = Path(tempfile.gettempdir())
    if file_of_other is not None and file_of_other.filename is not None:
        folder = Path(file_of_other.filename).parent
    with tempfile.NamedTemporaryFile(prefix=".autoenc-", dir=folder if os.access(folder, os.W_OK) else None) as file:
        _reserve(file, int(n) * np.dtype(dtype).itemsize)
        return np.asarray(np.memmap(file, dtype, "r+", shape=(int(n),)))


def _reserve(file: IO[bytes], n_bytes: int) -> None:
    """Reserve disk space: writing to a mapped file on a full disk kills the process."""
    try:
        try:
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        except (AttributeError, OSError) as error:
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise
            _fill(file, n_bytes)  # the system, or the file system, can't reserve space
    except OSError as error:
        folder = Path(file.name).parent
        raise OSError(
            f"{folder} has no space for {n_bytes:,} bytes of likes ({error.strerror}); free some space"
        ) from None


def _fill(file: IO[bytes], n_bytes: int) -> None:
    zeros = bytes(2**20)
    for start in range(0, n_bytes, len(zeros)):
        file.write(zeros[: n_bytes - start])
    file.flush()


def _file_of(array: np.ndarray) -> np.memmap | None:
    base: object = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return base
        base = base.base
    return None
