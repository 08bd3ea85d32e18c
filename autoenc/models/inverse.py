"""In-place inverse of a symmetric positive definite matrix, by blocks and multithreaded.

Method
    The sweep operator, for one block K of rows and columns after another:
    D        = inverse of A[K, K]
    A[i, j] -= A[i, K] @ D @ A[K, j]      for i, j outside K
    A[i, K]  = A[i, K] @ D
    A[K, K]  = -D
    When all blocks have been swept, A is -P. It stays symmetric throughout, so the upper triangle is
    enough.

Cost
    n**3 flops, nearly all in products of blocks, each on one thread. The blocks depend on n alone, so
    the number of threads doesn't change the bits. LAPACK's potrf and potri have as many flops, but
    would run on one thread, to which BLAS is limited for reproducible bits.

Source
    Goodnight 1979, A Tutorial on the SWEEP Operator (The American Statistician 33:149); here by blocks.

Example
    >>> square = np.array([[4.0, 2.0], [9.0, 3.0]])       # the upper triangle of [[4, 2], [2, 3]]
    >>> invert(square)
    >>> square.round(3)
    array([[ 0.375, -0.25 ],
           [ 9.   ,  0.5  ]])
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.linalg import get_lapack_funcs

from autoenc.machine import compute_threads, threads_to_use

BLOCK = 512  # rows and columns swept at a time, enough for products to take longer than memory access


def invert(square: np.ndarray) -> None:
    """Replace the upper triangle of `square` (n, n), float32 or float64, by that of its inverse.

    The lower triangle is neither read nor changed. Raises LinAlgError, a ValueError, if the matrix is
    singular within rounding.
    """
    blocks = [slice(start, start + BLOCK) for start in range(0, len(square), BLOCK)]
    lower = [np.tril(square[block, block], -1) for block in blocks]
    for block in blocks:
        square[block, block] = _both_triangles(square[block, block])
    with compute_threads(), ThreadPoolExecutor(threads_to_use()) as pool:
        for swept in blocks:
            _sweep(square, swept, blocks, pool)
    for block, before in zip(blocks, lower):
        np.negative(square[block, block.start :], out=square[block, block.start :])
        square[block, block] = np.triu(square[block, block]) + before


def _sweep(square: np.ndarray, swept: slice, blocks: list[slice], pool: ThreadPoolExecutor) -> None:
    inverse = _inverse_of_block(square[swept, swept])  # D
    columns = np.empty((len(square), len(inverse)), square.dtype)  # A[:, K]
    others = [block for block in blocks if block != swept]

    def of_block(block: slice) -> np.ndarray:
        """The part of A[:, K] in these rows: a view of the upper triangle."""
        return square[block, swept] if block.start < swept.start else square[swept, block].T

    def copy(block: slice) -> None:
        columns[block] = of_block(block)

    def update(block: slice) -> None:
        with compute_threads():
            scaled = columns[block] @ inverse
            for other in others:
                if other.start >= block.start:
                    square[block, other] -= scaled @ columns[other].T
            of_block(block)[:] = scaled

    list(pool.map(copy, others))
    list(pool.map(update, others))
    square[swept, swept] = -inverse


def _inverse_of_block(block: np.ndarray) -> np.ndarray:
    factorize, invert_factor = get_lapack_funcs(("potrf", "potri"), (block,))
    factor, failed = factorize(block, lower=False)
    if failed:
        raise np.linalg.LinAlgError("the matrix is singular within rounding; pass a larger penalty.")
    return _both_triangles(invert_factor(factor, lower=False)[0])


def _both_triangles(square: np.ndarray) -> np.ndarray:
    upper = np.triu(square, 1)
    both: np.ndarray = upper + upper.T + np.diag(np.diagonal(square))
    return both
