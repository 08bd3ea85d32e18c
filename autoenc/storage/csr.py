"""The arrays of a CSR or CSC matrix: checked where they come from a file, and within the 32 bits that kernels take."""

from __future__ import annotations

import numpy as np

MOST_ENTRIES = 2**31 - 1


def check_compressed(indptr: np.ndarray, indices: np.ndarray, shape: tuple[int, int]) -> None:
    """Raise ValueError where compiled code would read beyond the arrays.

    SciPy's own full check looks at nothing where the last of indptr is 0 or less, and takes differences
    in 32 bits, which wrap around.

    Parameters
    ----------
    indptr : array (shape[0] + 1,), integer
        Where each row's entries begin, and after the last where they end.
    indices : array (n,), integer
        The column of each entry.
    shape : (n_rows, n_columns)
        Of a CSC matrix (n_columns, n_rows).
    """
    n_rows, n_columns = shape
    if indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu":
        raise ValueError(f"indptr is of {indptr.dtype} and indices of {indices.dtype}, where both must be integers")
    if indptr.ndim != 1 or indices.ndim != 1 or len(indptr) != n_rows + 1:
        raise ValueError(f"indptr has shape {indptr.shape} and indices {indices.shape} for {n_rows:,} rows")
    if indptr[0] != 0 or indptr[-1] != len(indices):
        raise ValueError(f"indptr goes from {indptr[0]} to {indptr[-1]}, where there are {len(indices):,} entries")
    if (indptr[1:] < indptr[:-1]).any():
        raise ValueError("indptr is not ascending")
    if len(indices) and not (indices.min() >= 0 and indices.max() < n_columns):
        raise ValueError(f"indices go from {indices.min()} to {indices.max()}, where there are {n_columns:,} columns")


def check_number(n_entries: int) -> None:
    """Raise ValueError where indptr of 32 bits could not count so many entries."""
    if n_entries > MOST_ENTRIES:
        raise ValueError(f"there are {n_entries:,} likes, and at most {MOST_ENTRIES:,} fit; use fewer users.")


def indptr_of(lengths: np.ndarray) -> np.ndarray:
    """Where rows of so many entries begin, and after the last where they end: (n_rows + 1,) int32.

    Raises ValueError as `check_number` does.
    """
    indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    check_number(int(indptr[-1]))
    return indptr.astype(np.int32)
