"""Batch-invariant scores: a user's scores do not depend on the rest of the batch, to the bit.

BLAS may round a row of a product differently depending on the number of rows and on the row's position.
OpenBLAS does both on processors without AVX-512: its inner loop there takes 12 rows at a time and sums
the last six in a different order than the first. So scoring calls BLAS only with the numbers of rows in
SIZES, and puts users only at positions that round like the first, and zeros at the others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import blas

from autoenc.machine import compute_threads

SIZES = (4, 16, 48, 192)  # rows per call; more rows are faster per row
ALWAYS = 48  # the only size for products so small that BLAS may choose another kernel by their size
LARGE = 1_000_000  # multiplications above which OpenBLAS does not use its kernels for small matrices
MANY = 3  # the largest sizes, which are equally fast per row
NUMBERS = 512  # numbers of a row to compare
BLOCK_SIZES = (32, 80, 144, 208, 256, 272, 320)  # rows per call of a kernel; OpenBLAS divides more than 320 of them


def by_fixed_rows(
    score: Callable[..., np.ndarray], *users: np.ndarray | sparse.csr_array, weights: Sequence[np.ndarray]
) -> np.ndarray:
    """Compute `score(*users)` in calls with fixed numbers of users, with BLAS on one thread.

    Parameters
    ----------
    score : callable
        Returns one row per user, which depends on that user only.
    users : arrays or CSR arrays (n_users, ...)
        Each has one row per user.
    weights : sequence of arrays, floating, of one dtype
        The matrices of the dense products in `score`, as BLAS's choices depend on their sizes.

    Returns
    -------
    array (n_users, ...)
    """
    n_users, dtype = users[0].shape[0], weights[0].dtype
    smallest = min(weight.size for weight in weights)
    sizes = [size for size in SIZES if size * smallest > LARGE]
    if ALWAYS not in sizes:
        sizes = [ALWAYS]
    # NumPy and numba treat a matrix with one row or column as a vector and call another BLAS function.
    at_most = 1 if any(1 in weight.shape for weight in weights) else SIZES[-1]
    blocks: list[np.ndarray] = []
    start = 0
    with compute_threads():
        places = {size: places_alike(size, dtype)[:at_most] for size in sizes}
        usable = [size for size in sizes if len(places[size])]
        while start < n_users or not blocks:
            filled = [size for size in usable if len(places[size]) <= n_users - start]
            size = max(filled, default=usable[0])
            taken = places[size][: n_users - start]
            stop = start + len(taken)
            blocks.append(score(*(_at(taken, rows[start:stop], size) for rows in users))[taken])
            start = stop
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


@functools.cache
def places_alike(size: int, dtype: np.dtype) -> np.ndarray:
    """The positions among `size` rows at which NumPy's BLAS rounds as at the first of ALWAYS rows: ascending, int64."""
    rng = np.random.default_rng(0)
    # 1023 columns leave a remainder for each of BLAS's narrower loops: 8, 4, 2 and 1.
    row, weight = rng.standard_normal(512).astype(dtype), rng.standard_normal((1023, 512)).astype(dtype)
    with compute_threads():
        expected = (np.tile(row, (ALWAYS, 1)) @ weight.T)[0]
        return np.flatnonzero((np.tile(row, (size, 1)) @ weight.T == expected).all(axis=1))


class UserBlock(NamedTuple):
    """The number of rows in a kernel's BLAS call, the first row that holds a user, and one past the last."""

    size: int
    first: int
    last: int

    @property
    def n_users(self) -> int:
        return self.last - self.first


def user_block(n_users: int, depth: int, widths: Collection[int], dtype: np.dtype) -> UserBlock:
    """The smallest block for all users, or, if none is large enough, the large one that leaves the fewest rows empty.

    Parameters
    ----------
    n_users : int
    depth : int
        The product is (size, depth) @ (depth, width). numba calls SciPy's BLAS, which computes it as a
        column-major product with the users as rows.
    widths : collection of int
        Widths of the products that a user takes part in.
    dtype : float32 or float64
    """
    if 1 in (depth, *widths):  # not a matrix product for BLAS
        return UserBlock(BLOCK_SIZES[0], 0, 1)
    blocks: list[UserBlock] = []
    for size in BLOCK_SIZES:
        blocks.append(_usable_rows(size, depth, widths, dtype))
        if blocks[-1].n_users >= max(1, n_users):
            return blocks[-1]
    return min(blocks[-MANY:], key=lambda block: -(-n_users // max(1, block.n_users)) * block.size)


def _usable_rows(size: int, depth: int, widths: Collection[int], dtype: np.dtype) -> UserBlock:
    runs = [_rows_alike(size, depth, width, dtype) for width in widths]
    return UserBlock(size, max(first for first, _ in runs), min(last for _, last in runs))


@functools.cache
def _rows_alike(size: int, depth: int, width: int, dtype: np.dtype) -> tuple[int, int]:
    """The first, and one past the last, of the rows that SciPy's BLAS rounds as in the middle of the largest block.

    OpenBLAS rounds the first and last eight rows differently on processors without AVX-512.
    """
    other = np.flatnonzero((_products(size, depth, width, dtype) != _reference(depth, width, dtype)).any(axis=1))
    middle = size // 2
    first, last = int(other[other <= middle].max(initial=-1)) + 1, int(other[other >= middle].min(initial=size))
    return (first, last) if first < last else (0, 0)


@functools.cache
def _reference(depth: int, width: int, dtype: np.dtype) -> np.ndarray:
    """The row in the middle of the largest block."""
    row: np.ndarray = _products(BLOCK_SIZES[-1], depth, width, dtype)[BLOCK_SIZES[-1] // 2].copy()
    return row


def _products(size: int, depth: int, width: int, dtype: np.dtype) -> np.ndarray:
    """Products (size, depth) @ (depth, width) of equal rows, concatenated to at least NUMBERS numbers per row.

    Rows that are summed in another order differ in about 5% of their numbers.
    """
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((width, depth)).astype(dtype)
    gemm = blas.sgemm if np.dtype(dtype) == np.float32 else blas.dgemm
    rows = rng.standard_normal((-(-NUMBERS // width), depth)).astype(dtype)
    with compute_threads():
        return np.hstack([gemm(1.0, np.tile(row, (size, 1)).T, weight.T, trans_a=True) for row in rows])


def _at(places: np.ndarray, rows: np.ndarray | sparse.csr_array, size: int) -> np.ndarray | sparse.csr_array:
    """`size` rows: the given ones at their positions, and zeros elsewhere."""
    if len(places) == size:
        return rows
    if isinstance(rows, np.ndarray):
        padded = np.zeros((size, *rows.shape[1:]), rows.dtype)
        padded[places] = rows
        return padded
    lengths = np.zeros(size, rows.indptr.dtype)
    lengths[places] = np.diff(rows.indptr)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(rows.indptr.dtype)
    return sparse.csr_array((rows.data, rows.indices, indptr), shape=(size, rows.shape[1]))
