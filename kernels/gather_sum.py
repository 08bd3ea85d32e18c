"""The embedding's forward: for each user, the sum of the liked items' rows.

Definition: autoenc.layers.SparseEmbedding.forward.

Bound by memory: 29,000 rows of 3.2 kB per step at the task's sizes, 94 MB, most of it from the
last-level cache. Rows are added four at a time, so that the sum is read and written once for four rows.
Blocks of users have about equal numbers of likes. A user's sum is computed by one thread in the order
of the list, so the bits don't depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from autoenc.kernels.jit import kernel


@kernel(parallel=True)
def gather_sum(indptr, indices, weight, blocks):
    """Return the (batch, emb_dim) sums of `weight`'s rows.

    indptr (batch + 1,) and indices (n_likes,) are the batch's CSR, weight is (n_items, emb_dim),
    and blocks, ascending from 0 to batch, are the bounds of blocks of rows (see `balanced_blocks`).
    """
    output = np.empty((len(indptr) - 1, weight.shape[1]), weight.dtype)  # (batch, emb_dim)
    for block in prange(len(blocks) - 1):
        for u in range(blocks[block], blocks[block + 1]):
            sum_rows(weight, indices[indptr[u] : indptr[u + 1]], output[u])
    return output


@kernel
def sum_rows(rows, ids, total):
    """total[:] = the sum of rows[i] over ids; rows (n, dim), ids (k,), total (dim,)."""
    total[:] = 0
    whole = len(ids) // 4 * 4
    for k in range(0, whole, 4):
        a, b, c, d = rows[ids[k]], rows[ids[k + 1]], rows[ids[k + 2]], rows[ids[k + 3]]
        for j in range(len(total)):
            total[j] += (a[j] + b[j]) + (c[j] + d[j])
    for k in range(whole, len(ids)):
        a = rows[ids[k]]
        for j in range(len(total)):
            total[j] += a[j]


def balanced_blocks(indptr, n_blocks=64, row_cost=8):
    """Divide the rows of a CSR (or the columns of a CSC) into blocks of about equal work.

    A row costs as much as its number of entries, plus `row_cost` if it has any. Returns ascending bounds
    (at most n_blocks + 1,) from 0 to the number of rows.
    """
    return cut_rows(indptr, n_blocks, row_cost)  # filling in defaults of a kernel would take 40 us


@kernel
def cut_rows(indptr, n_blocks, row_cost):
    n_rows = len(indptr) - 1
    work = np.zeros(n_rows + 1, np.int64)
    for row in range(n_rows):
        entries = indptr[row + 1] - indptr[row]
        work[row + 1] = work[row] + entries + (row_cost if entries > 0 else 0)
    blocks = np.zeros(n_blocks + 1, np.int64)
    n = 0
    for row in range(1, n_rows + 1):
        if row == n_rows or (n < n_blocks - 1 and work[row] * n_blocks >= work[n_rows] * (n + 1)):
            n += 1
            blocks[n] = row
    return blocks[: n + 1]
