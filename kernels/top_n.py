"""The best N items of each user, those already liked struck, without ever holding all scores.

Definition: autoenc.evaluation.ranking.top_n_of_scores of autoenc.layers.Linear.forward.

A block of users meets the items a tile at a time: scores = h2 @ weight[tile].T in the cache, then
one comparison an item with the worst of the user's best N so far, which few pass. Bound by
arithmetic: 8.5 MFLOP a user at the task's sizes. Users don't touch each other, so the bits don't
depend on the number of threads. Ties go to the lower item.

Nor do a user's bits depend on who else is in the call: each product has as many rows as one of
BLOCKS says, the last padded with zeros. The product is BLAS's where BLAS rounds all rows alike (as OpenBLAS does
with AVX-512: there its packing pays for hundreds of users by a thousand items), else our own
matmul, which always does.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from autoenc.batch_invariant import blas_is_batch_invariant
from autoenc.kernels.jit import kernel
from autoenc.kernels.matmul import matmul, transposed

BLOCKS = (16, 96, 384)  # users in a block, the larger the faster: multiples of what BLAS takes at a time, with no rest
MANY = BLOCKS[-1]
TILE = 1024  # items at most; tiles are of about equal size, so that none is small
CHUNK = 64  # scores that are passed over together if none is good enough


def top_n(h2, weight, bias, liked_indptr, liked_items, n):
    """Return the items (users, n) int32, best first, and their scores (users, n).

    h2 is (users, hidden_dim), weight (n_items, hidden_dim), bias (n_items,); liked_indptr and
    liked_items are the CSR of what to strike, each row ascending. Where fewer than n items are
    left the rest is item -1 with the lowest score there is. A score of NaN is passed over.
    """
    n_items, hidden_dim = weight.shape
    widths = {n_items // n_tiles(n_items), -(-n_items // n_tiles(n_items))}
    by_blas = all(blas_is_batch_invariant(BLOCKS, hidden_dim, width, h2.dtype) for width in widths)
    return top_n_of_blocks(h2, weight, bias, liked_indptr, liked_items, n, by_blas)


@kernel(parallel=True)
def top_n_of_blocks(h2, weight, bias, liked_indptr, liked_items, n, by_blas):
    users = len(h2)
    items = np.full((users, n), -1, np.int32)
    scores = np.full((users, n), np.finfo(h2.dtype).min, h2.dtype)
    size = BLOCKS[0] if users <= 2 * BLOCKS[0] else BLOCKS[1] if users <= 8 * BLOCKS[1] else MANY
    for block in prange((users + size - 1) // size):
        first, last = block * size, min(users, (block + 1) * size)
        padded = np.zeros((size, h2.shape[1]), h2.dtype)  # (size, hidden_dim)
        padded[: last - first] = h2[first:last]
        liked = liked_indptr[first : last + 1]
        top_n_block(padded, weight, bias, liked, liked_items, items[first:last], scores[first:last], by_blas)
    return items, scores


@kernel
def top_n_block(h2, weight, bias, liked_indptr, liked_items, items, scores, by_blas):
    """The best items of the first len(items) rows of h2 (size, hidden_dim); the others are padding."""
    users, n_items = len(items), len(weight)
    tiles = n_tiles(n_items)
    buffer = np.empty(len(h2) * TILE, h2.dtype)
    next_liked, found = liked_indptr[:-1].copy(), np.zeros(users, np.int64)
    for t in range(tiles):
        first, last = t * n_items // tiles, (t + 1) * n_items // tiles
        tile = buffer[: len(h2) * (last - first)].reshape(len(h2), last - first)  # (size, tile)
        if by_blas:
            np.dot(h2, weight[first:last].T, tile)
        else:
            matmul(h2, transposed(weight[first:last]), tile, False)
        for u in range(users):
            row = tile[u]
            for j in range(len(row)):
                row[j] += bias[first + j]
            while next_liked[u] < liked_indptr[u + 1] and liked_items[next_liked[u]] < last:
                tile[u, liked_items[next_liked[u]] - first] = np.nan
                next_liked[u] += 1
            found[u] = keep_best(tile[u], first, items[u], scores[u], found[u])


@kernel
def n_tiles(n_items):
    return max(1, (n_items + TILE - 1) // TILE)


@kernel
def keep_best(row, first_item, items, scores, found):
    """Insert what is among the best len(items) so far; return how many are held."""
    n = len(items)
    for start in range(0, len(row), CHUNK):
        chunk = row[start : start + CHUNK]
        if found == n and count_above(chunk, scores[n - 1]) == 0:
            continue
        for j in range(len(chunk)):
            score = chunk[j]
            if (found == n and score > scores[n - 1]) or (found < n and score == score):
                at = min(found, n - 1)
                while at > 0 and score > scores[at - 1]:
                    items[at], scores[at] = items[at - 1], scores[at - 1]
                    at -= 1
                items[at], scores[at] = first_item + start + j, score
                found = min(n, found + 1)
    return found


@kernel
def count_above(row, bound):
    """How many are above the bound: without a branch, so that many are compared at once."""
    n = 0
    for j in range(len(row)):
        n += row[j] > bound
    return n
