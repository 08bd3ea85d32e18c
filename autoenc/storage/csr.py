"""Checks of the arrays of a CSR or CSC matrix that come from a file, and that they fit into the kernels' 32 bits."""

from __future__ import annotations

import numpy as np

MOST_ENTRIES = 2**31 - 1


def check_compressed(indptr: np.ndarray, indices: np.ndarray, shape: tuple[int, int]) -> None:
    """Raise ValueError if compiled code would read beyond the arrays.

    SciPy's own full check does nothing if the last element of indptr is 0 or less, and computes differences
    in 32 bits, which wrap around.

    Parameters
    ----------
    indptr : array (shape[0] + 1,), integer
        Row i has the entries indptr[i] to indptr[i + 1].
    indices : array (n,), integer
        The column of each entry.
    shape : (n_rows, n_columns)
        For a CSC matrix, (n_columns, n_rows).
    """
    n_rows, n_columns = shape
    if indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu":
        raise ValueError(f"indptr has dtype {indptr.dtype} and indices {indices.dtype}, but both must be integers")
    if indptr.ndim != 1 or indices.ndim != 1 or len(indptr) != n_rows + 1:
        raise ValueError(f"indptr has shape {indptr.shape} and indices {indices.shape} for {n_rows:,} rows")
    if indptr[0] != 0 or indptr[-1] != len(indices):
        raise ValueError(f"indptr goes from {indptr[0]} to {indptr[-1]}, but there are {len(indices):,} entries")
    if (indptr[1:] < indptr[:-1]).any():
        raise ValueError("indptr is not ascending")
    if len(indices) and not (indices.min() >= 0 and indices.max() < n_columns):
        raise ValueError(f"indices go from {indices.min()} to {indices.max()}, but there are {n_columns:,} columns")


def check_number(n_entries: int) -> None:
    """Raise ValueError if there are more entries than a 32-bit indptr can count."""
    if n_entries > MOST_ENTRIES:
        raise ValueError(f"there are {n_entries:,} likes, but at most {MOST_ENTRIES:,} are supported; use fewer users.")


def indptr_of(lengths: np.ndarray) -> np.ndarray:
    """The indptr, (n_rows + 1,) int32, of rows with these numbers of entries.

    Raises ValueError as `check_number` does.
    """
    indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    check_number(int(indptr[-1]))
    return indptr.astype(np.int32)
