"""Scores that do not depend on the batch: a user gets the same bits whoever else is scored.

BLAS may round a row of a product differently with the number of rows, and with the row's place among
them. OpenBLAS does both on processors without AVX-512: its inner loop there takes 12 rows at a time
and sums for the last six of them in another order than for the first. So scoring calls BLAS with a
number of rows among SIZES, puts users only at the places that round as the first does, and zeros at
the others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse
from scipy.linalg import blas

from autoenc.machine import compute_threads

SIZES = (4, 16, 48, 192)  # rows in a call, the more the faster a row
ALWAYS = 48  # the one size for products so small that BLAS may take another kernel by their size
LARGE = 1_000_000  # multiplications above which OpenBLAS takes none of its kernels for small matrices


def by_fixed_rows(
    score: Callable[..., np.ndarray], *users: np.ndarray | sparse.csr_array, weights: Sequence[np.ndarray]
) -> np.ndarray:
    """`score(*users)`, called with a fixed number of users at a time, with BLAS on one thread.

    Parameters
    ----------
    score : callable
        Gives each user a row that depends on that user alone.
    users : arrays or CSR arrays (n_users, ...)
        One row per user each.
    weights : sequence of arrays, floating, of one dtype
        The matrices of the dense products in `score`: what BLAS does depends on their sizes.

    Returns
    -------
    array (n_users, ...)
    """
    n_users, dtype = users[0].shape[0], weights[0].dtype
    smallest = min(weight.size for weight in weights)
    sizes = [size for size in SIZES if size == ALWAYS or size * smallest > LARGE]
    blocks: list[np.ndarray] = []
    start = 0
    with compute_threads():
        usable = [size for size in sizes if len(places_alike(size, dtype))]
        while start < n_users or not blocks:
            filled = [size for size in usable if len(places_alike(size, dtype)) <= n_users - start]
            size = max(filled, default=usable[0])
            taken = places_alike(size, dtype)[: n_users - start]
            stop = start + len(taken)
            blocks.append(score(*(_at(taken, rows[start:stop], size) for rows in users))[taken])
            start = stop
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


@functools.cache
def places_alike(size: int, dtype: np.dtype) -> np.ndarray:
    """The places among `size` rows at which NumPy's BLAS rounds as at the first of ALWAYS: ascending, int64."""
    rng = np.random.default_rng(0)
    # 1023 columns leave some for each of BLAS's narrower loops: 8, 4, 2 and 1.
    row, weight = rng.standard_normal(512).astype(dtype), rng.standard_normal((1023, 512)).astype(dtype)
    with compute_threads():
        expected = (np.tile(row, (ALWAYS, 1)) @ weight.T)[0]
        return np.flatnonzero((np.tile(row, (size, 1)) @ weight.T == expected).all(axis=1))


@functools.cache
def blas_is_batch_invariant(numbers_of_rows: tuple[int, ...], depth: int, width: int, dtype: np.dtype) -> bool:
    """Whether SciPy's BLAS, which numba calls, rounds a row alike at every place of so many rows.

    Parameters
    ----------
    numbers_of_rows : tuple of int
        Of the left matrices (rows, depth), all of which must give a row the same bits.
    depth, width : int
        The right matrix is the transpose of (width, depth).
    dtype : float32 or float64
    """
    rng = np.random.default_rng(0)
    row, weight = rng.standard_normal(depth).astype(dtype), rng.standard_normal((width, depth)).astype(dtype)
    gemm = blas.get_blas_funcs("gemm", (row, weight))
    with compute_threads():
        products = [gemm(1.0, weight.T, np.tile(row, (n, 1)).T, trans_a=True).T for n in numbers_of_rows]
    return all((product == products[0][0]).all() for product in products)


def _at(places: np.ndarray, rows: np.ndarray | sparse.csr_array, size: int) -> np.ndarray | sparse.csr_array:
    """`size` rows: these, each at its place, and zeros between."""
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
