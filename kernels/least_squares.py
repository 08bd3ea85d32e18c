"""One half of alternating least squares, for all rows at once.

Definition: autoenc.models.least_squares, whose docstring has the equations.

Bound by arithmetic: BLAS products, on one thread each, and the factorization of a likes x likes matrix or
of a block of factors. Rows are distributed in blocks of about equal work. Each row is solved by one thread
from its own likes, and the Gram matrix is summed over fixed parts in order, so the bits depend neither on
the number of threads nor on the other rows.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from autoenc.kernels.jit import kernel

PARTS = 16  # of the vectors, whose Gram matrices are summed
BLOCKS = 128  # of rows, distributed to the threads
CHUNK = 512  # likes gathered at a time
TILE = 64  # rows of a likes x likes matrix computed at a time
PANEL = 32  # columns factorized at a time


def gram(vectors):
    """vectors.T @ vectors in float64: (dim, dim), for vectors (n, dim)."""
    return grams_of_parts(vectors, bounds_of(len(vectors), PARTS)).sum(axis=0, dtype=np.float64)


def rotate(vectors, axes):
    """Replace vectors (n, dim) by vectors @ axes; axes is (dim, dim) of any floating dtype."""
    rotate_parts(vectors, axes.astype(vectors.dtype), bounds_of(len(vectors), BLOCKS))


def solve_rows(likes, others, spectrum, ridge, vectors, block):
    """Replace vectors (n_users, dim) by the solutions given `others` (n_items, dim), as in the definition."""
    dim = others.shape[1]
    n = np.diff(likes.indptr).astype(np.float64)  # (n_users,)
    work = np.where(n <= dim, n * n * dim + n**3, n * dim * block + dim * block**2) + dim
    blocks = np.searchsorted(np.cumsum(work), np.linspace(0, work.sum(), BLOCKS + 1))
    blocks[-1] = len(n)
    weights = likes.data.astype(others.dtype)  # a copy, as numba would compile again for read-only arrays
    solve_blocks((likes.indptr, likes.indices, weights), others, spectrum, ridge, vectors, block, np.unique(blocks))


def bounds_of(n, parts):
    """Bounds of parts of n rows of about equal size: ascending, from 0 to n."""
    return np.arange(parts + 1) * n // parts


@kernel(parallel=True)
def grams_of_parts(vectors, bounds):
    n_parts, dim = len(bounds) - 1, vectors.shape[1]
    grams = np.zeros((n_parts, dim, dim), vectors.dtype)
    for part in prange(n_parts):
        rows = vectors[bounds[part] : bounds[part + 1]]
        if len(rows) > 0:
            np.dot(rows.T, rows, grams[part])
    return grams


@kernel(parallel=True)
def rotate_parts(vectors, axes, bounds):
    for part in prange(len(bounds) - 1):
        rows = vectors[bounds[part] : bounds[part + 1]]
        if len(rows) > 0:
            rotated = np.dot(rows, axes)
            for i in range(len(rows)):
                copy(rotated[i], rows[i])


@kernel(parallel=True)
def solve_blocks(likes, others, spectrum, ridge, vectors, block, blocks):
    """Solve for each row of vectors by its likes (indptr, indices, weights); `blocks` are bounds of blocks of rows."""
    indptr, indices, weights = likes
    for job in prange(len(blocks) - 1):
        for u in range(blocks[job], blocks[job + 1]):
            ids, of_row = indices[indptr[u] : indptr[u + 1]], weights[indptr[u] : indptr[u + 1]]
            if len(ids) <= others.shape[1]:
                solve_by_likes(others, ids, of_row, spectrum, ridge[u], vectors[u])
            else:
                solve_by_factors(others, ids, of_row, spectrum, ridge[u], vectors[u], block)


@kernel
def solve_by_likes(others, ids, weights, spectrum, ridge, x):
    """Solve for x (dim,) exactly, with a likes x likes matrix: ids and weights (n,), spectrum (dim,) float64."""
    scale = np.empty(len(x), others.dtype)
    for k in range(len(x)):
        scale[k] = 1 / np.sqrt(spectrum[k] + ridge)
    liked = np.empty((len(ids), len(x)), others.dtype)  # Z
    for j in range(len(ids)):
        row = others[ids[j]]
        for k in range(len(x)):
            liked[j, k] = row[k] * scale[k]
    square = np.empty((len(ids), len(ids)), others.dtype)  # only its upper triangle is used
    for start in range(0, len(ids), TILE):
        stop = min(len(ids), start + TILE)
        tile = np.dot(liked[start:stop], liked[start:].T)
        for i in range(start, stop):
            copy(tile[i - start], square[i, start:])
    y = np.ones(len(ids), others.dtype)
    for j in range(len(ids)):
        square[j, j] += 1 / weights[j]
    solve(square, y)
    for k in range(len(x)):
        x[k] = 0
    for j in range(len(ids)):
        subtract(x, -y[j], liked[j])
    for k in range(len(x)):
        x[k] *= scale[k]


@kernel
def solve_by_factors(others, ids, weights, spectrum, ridge, x, block):
    """Update x (dim,) in one pass over blocks of factors: ids and weights (n,), spectrum (dim,) float64."""
    n, dim = len(ids), len(x)
    missing = np.empty(n, others.dtype)  # 1 - score
    for j in range(n):
        missing[j] = 1 - np.dot(others[ids[j]], x)
    for start in range(0, dim, block):
        stop = min(dim, start + block)
        square = np.zeros((stop - start, stop - start), others.dtype)
        step = np.zeros(stop - start, others.dtype)
        for k in range(stop - start):
            square[k, k] = spectrum[start + k] + ridge
            step[k] = -square[k, k] * x[start + k]
        for first in range(0, n, CHUNK):
            last = min(n, first + CHUNK)
            liked = gathered(others, ids[first:last], start, stop)  # (chunk, block)
            weighted = np.empty_like(liked)
            for j in range(last - first):
                row, into = liked[j], weighted[j]
                for k in range(len(row)):
                    into[k] = weights[first + j] * row[k]
                subtract(step, -missing[first + j], into)
            product = np.dot(liked.T, weighted)
            for k in range(stop - start):
                add(square[k], product[k])
        solve(square, step)
        add(x[start:stop], step)
        if stop < dim:
            for first in range(0, n, CHUNK):
                last = min(n, first + CHUNK)
                scores = np.dot(gathered(others, ids[first:last], start, stop), step)
                subtract(missing[first:last], 1, scores)


@kernel
def gathered(rows, ids, start, stop):
    """The columns start .. stop of the rows with these ids: (n, stop - start)."""
    output = np.empty((len(ids), stop - start), rows.dtype)
    for j in range(len(ids)):
        row, into = rows[ids[j]], output[j]
        for k in range(len(into)):
            into[k] = row[start + k]
    return output


@kernel
def solve(square, x):
    """Replace x (n,) by the solution of square @ solution = x, and positive definite square (n, n) by its factor."""
    n = len(x)
    factorize(square)
    for i in range(n):
        x[i] /= square[i, i]
        subtract(x[i + 1 :], x[i], square[i, i + 1 :])
    for i in range(n - 1, -1, -1):
        total = x[i]
        for j in range(i + 1, n):
            total -= square[i, j] * x[j]
        x[i] = total / square[i, i]


@kernel
def factorize(square):
    """In-place Cholesky factorization: the upper triangle becomes R, with R.T @ R = square; NaN if there is none.

    One panel of rows is factorized at a time, and its contribution to the rows below is subtracted as a product.
    """
    n = len(square)
    for first in range(0, n, PANEL):
        last = min(n, first + PANEL)
        for i in range(first, last):
            row = square[i, i:]
            for k in range(first, i):
                subtract(row, square[k, i], square[k, i:])
            root = np.sqrt(row[0])
            for j in range(len(row)):
                row[j] /= root
        if last < n:
            panel = square[first:last, last:].copy()  # (panel, n - last)
            for start in range(last, n, PANEL):
                stop = min(n, start + PANEL)
                product = np.dot(panel[:, start - last : stop - last].copy().T, panel[:, start - last :].copy())
                for i in range(start, stop):
                    subtract(square[i, start:], 1, product[i - start])


@kernel
def copy(values, into):
    """into[:] = values, both (n,): a slice that is assigned takes ten times as long to compile."""
    for j in range(len(into)):
        into[j] = values[j]


@kernel
def add(x, y):
    """x += y, both (n,)."""
    for j in range(len(x)):
        x[j] += y[j]


@kernel
def subtract(x, factor, y):
    """x -= factor * y, both (n,)."""
    for j in range(len(x)):
        x[j] -= factor * y[j]
