"""The best N items of each user, those already liked struck, without ever holding all scores.

Definition: autoenc.ranking.top_n_of_scores of autoenc.layers.Linear.forward.

A block of users meets the items a tile at a time: scores = h2 @ weight[tile].T in the cache, then
one comparison an item with the worst of the user's best N so far, which few pass. Bound by
arithmetic: 8.5 MFLOP a user at the task's sizes. The one kernel that calls BLAS: for a thousand
users by a thousand items its packing pays, and it is faster than our own matmul. Users don't
touch each other, so the bits don't depend on the number of threads. Ties go to the lower item.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from autoenc.kernels.jit import kernel

USERS_PER_BLOCK = 1024  # at most, and else a quarter of all: BLAS packs a tile anew for each block
TILE = 1024
CHUNK = 64  # scores that are passed over together if none is good enough


@kernel(parallel=True)
def top_n(h2, weight, bias, liked_indptr, liked_items, n):
    """Return the items (users, n) int32, best first, and their scores (users, n).

    h2 is (users, hidden_dim), weight (n_items, hidden_dim), bias (n_items,); liked_indptr and
    liked_items are the CSR of what to strike, each row ascending. Where fewer than n items are
    left the rest is item -1 with the lowest score there is. A score of NaN is passed over.
    """
    users = len(h2)
    items = np.full((users, n), -1, np.int32)
    scores = np.full((users, n), np.finfo(h2.dtype).min, h2.dtype)
    size = min(USERS_PER_BLOCK, max(128, (users + 3) // 4))
    for block in prange((users + size - 1) // size):
        first, last = block * size, min(users, (block + 1) * size)
        top_n_block(
            h2[first:last],
            weight,
            bias,
            liked_indptr[first : last + 1],
            liked_items,
            items[first:last],
            scores[first:last],
        )
    return items, scores


@kernel
def top_n_block(h2, weight, bias, liked_indptr, liked_items, items, scores):
    users, n_items = len(h2), len(weight)
    buffer = np.empty(users * TILE, h2.dtype)
    next_liked, found = liked_indptr[:-1].copy(), np.zeros(users, np.int64)
    for first in range(0, n_items, TILE):
        last = min(n_items, first + TILE)
        tile = buffer[: users * (last - first)].reshape(users, last - first)  # (users, tile)
        np.dot(h2, weight[first:last].T, tile)
        for u in range(users):
            row = tile[u]
            for j in range(len(row)):
                row[j] += bias[first + j]
            while next_liked[u] < liked_indptr[u + 1] and liked_items[next_liked[u]] < last:
                tile[u, liked_items[next_liked[u]] - first] = np.nan
                next_liked[u] += 1
            found[u] = keep_best(tile[u], first, items[u], scores[u], found[u])


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
