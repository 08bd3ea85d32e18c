"""Scores that do not depend on the batch: a user gets the same bits whoever else is scored.

BLAS may round a row of a product differently with the number of rows, and with the row's place among
them. OpenBLAS does both on processors without AVX-512: its inner loop there takes 12 rows at a time
and sums for the last six of them in another order than for the first. So scoring calls BLAS with ROWS
rows each time, with users at the places alone that round as the first does, and zeros elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.linalg import blas

from autoenc.machine import compute_threads

# A multiple of the 4, 8, 12 or 16 rows of an inner loop, so that none is left over for another loop; and few, as a
# single user costs as much as all of them.
ROWS = 48


def by_fixed_rows(score: Callable[..., np.ndarray], *users: np.ndarray | sparse.csr_array) -> np.ndarray:
    """`score(*users)`, called with ROWS users at a time, with BLAS on one thread.

    Parameters
    ----------
    score : callable
        Gives each user a row that depends on that user alone.
    users : arrays or CSR arrays (n_users, ...)
        One row per user each.

    Returns
    -------
    array (n_users, ...)
    """
    n_users = users[0].shape[0]
    blocks = []
    with compute_threads():
        places = places_alike()
        for start in range(0, max(1, n_users), len(places)):
            stop = min(n_users, start + len(places))
            taken = places[: stop - start]
            blocks.append(score(*(_at(taken, rows[start:stop]) for rows in users))[taken])
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


@functools.cache
def places_alike() -> np.ndarray:
    """The places among ROWS at which NumPy's BLAS rounds as at the first: ascending, int64."""
    rng = np.random.default_rng(0)
    alike = np.ones(ROWS, bool)
    for dtype in (np.float32, np.float64):
        row, weight = rng.standard_normal(512).astype(dtype), rng.standard_normal((1024, 512)).astype(dtype)
        product = np.tile(row, (ROWS, 1)) @ weight.T
        alike &= (product == product[0]).all(axis=1)
    return np.flatnonzero(alike)


@functools.cache
def blas_is_batch_invariant(numbers_of_rows: tuple[int, ...], depth: int, width: int, dtype: np.dtype) -> bool:
    """Whether SciPy's BLAS, which numba calls, rounds a row alike at every place of so many rows.

    Of the product of (rows, depth) by the transpose of (width, depth), for each of the numbers of rows.
    """
    rng = np.random.default_rng(0)
    row, weight = rng.standard_normal(depth).astype(dtype), rng.standard_normal((width, depth)).astype(dtype)
    gemm = blas.get_blas_funcs("gemm", (row, weight))
    with compute_threads():
        products = [gemm(1.0, weight.T, np.tile(row, (n, 1)).T, trans_a=True).T for n in numbers_of_rows]
    return all((product == products[0][0]).all() for product in products)


def _at(places: np.ndarray, rows: np.ndarray | sparse.csr_array) -> np.ndarray | sparse.csr_array:
    """ROWS rows: these, each at its place, and zeros between."""
    if len(places) == ROWS:
        return rows
    if isinstance(rows, np.ndarray):
        padded = np.zeros((ROWS, *rows.shape[1:]), rows.dtype)
        padded[places] = rows
        return padded
    lengths = np.zeros(ROWS, rows.indptr.dtype)
    lengths[places] = np.diff(rows.indptr)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(rows.indptr.dtype)
    return sparse.csr_array((rows.data, rows.indices, indptr), shape=(ROWS, rows.shape[1]))
