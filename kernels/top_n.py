"""The best N items of each user, without liked ones and without storing all scores.

Definition: autoenc.evaluation.ranking.top_n_of_scores of autoenc.layers.Linear.forward.

For a block of users and one tile of items at a time: scores = weight[tile] @ h2.T in the cache, then one
comparison per item and user with the worst of the user's best N so far, which few pass. Bound by
arithmetic: 8.5 MFLOP per user at the task's sizes. With fewer blocks than threads, the tiles are divided
into shares too, and the best of each share are merged. The result does not depend on how the work is
divided: each product is computed by BLAS on one thread with a fixed number of users and items (see
`autoenc.batch_invariant.user_block`), so neither the number of threads nor the other users change a
user's bits. Ties go to the lower item.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from autoenc.batch_invariant import user_block
from autoenc.kernels.jit import kernel
from autoenc.kernels.linear import n_tiles, padded, tile_widths
from autoenc.machine import kernel_threads

TILE = 1024  # items at most; tiles have about equal sizes, so that none is small
EVENLY = 16  # threads among which the tiles of a single block of users can be divided evenly
CHUNK = 32  # users that are skipped together if none has a good enough score for an item


def top_n(h2, weight, bias, liked_indptr, liked_items, n):
    """Return the items (users, n) int32, best first, and their scores (users, n).

    h2 is (users, hidden_dim), weight (n_items, hidden_dim), bias (n_items,); liked_indptr and
    liked_items are the CSR of the items to exclude, each row ascending. Rows with fewer than n items are
    padded with item -1 and the lowest possible score. Scores of NaN or -inf are skipped.
    """
    tiles = tiles_of(len(weight))
    block = user_block(len(h2), weight.shape[1], tile_widths(len(weight), tiles), h2.dtype)
    n_shares = shares(-(-len(h2) // (block.last - block.first)), tiles, n)
    return top_n_of_shares(h2, weight, bias, liked_indptr, liked_items, n, block, n_shares)


@kernel
def tiles_of(n_items):
    """Number of tiles: a power of two up to EVENLY, or a multiple of it, so that threads can share them evenly."""
    tiles, multiple = n_tiles(n_items, TILE), 1
    while multiple < min(tiles, EVENLY):
        multiple *= 2
    return (tiles + multiple - 1) // multiple * multiple


def shares(blocks, tiles, n):
    """The number of shares of the tiles for which the slowest thread finishes first.

    Each share begins without any best items, which takes about as long as n / 64 of a tile's scores.
    """
    threads = kernel_threads()

    def time(n_shares):
        return -(-blocks * n_shares // threads) * (-(-tiles // n_shares) + n / 64)

    return min(range(1, tiles + 1), key=time)


@kernel(parallel=True)
def top_n_of_shares(h2, weight, bias, liked_indptr, liked_items, n, block, n_shares):
    users, tiles = len(h2), tiles_of(len(weight))
    items = np.full((n_shares, users, n), -1, np.int32)
    scores = np.full((n_shares, users, n), np.finfo(h2.dtype).min, h2.dtype)
    held = block.last - block.first
    for job in prange((users + held - 1) // held * n_shares):
        start, share = job // n_shares * held, job % n_shares
        stop = min(users, start + held)
        top_n_of_tiles(
            padded(h2[start:stop], block),
            weight,
            bias,
            (liked_indptr[start : stop + 1], liked_items),
            (share * tiles // n_shares, (share + 1) * tiles // n_shares, block.first),
            items[share, start:stop],
            scores[share, start:stop],
        )
    for start in prange((users + held - 1) // held if n_shares > 1 else 0):
        merge_shares(items[:, start * held : (start + 1) * held], scores[:, start * held : (start + 1) * held])
    return items[0], scores[0]


@kernel
def top_n_of_tiles(h2, weight, bias, liked, where, items, scores):
    """Fill items and scores (users, n) from some of the tiles.

    where is (first tile, one past the last, the row of the first user in h2).
    """
    liked_indptr, liked_items = liked
    first_tile, last_tile, row = where
    users, n_items, n = len(items), len(weight), items.shape[1]
    tiles = tiles_of(n_items)
    next_liked, found = liked_indptr[:-1].copy(), np.zeros(users, np.int64)
    begin = first_tile * n_items // tiles
    for u in range(users):
        while next_liked[u] < liked_indptr[u + 1] and liked_items[next_liked[u]] < begin:
            next_liked[u] += 1
    worst = np.full(users, -np.inf, h2.dtype)  # the worst of the best n so far; -inf while there are fewer
    buffer = np.empty(TILE * len(h2), h2.dtype)
    for t in range(first_tile, last_tile):
        first, last = t * n_items // tiles, (t + 1) * n_items // tiles
        tile = buffer[: (last - first) * len(h2)].reshape(last - first, len(h2))  # (tile, size)
        np.dot(weight[first:last], h2.T, tile)
        for u in range(users):
            while next_liked[u] < liked_indptr[u + 1] and liked_items[next_liked[u]] < last:
                tile[liked_items[next_liked[u]] - first, row + u] = np.nan
                next_liked[u] += 1
        for i in range(last - first):
            of_item, of_bias = tile[i, row : row + users], bias[first + i]
            for start in range(0, users, CHUNK):
                stop = min(users, start + CHUNK)
                if count_above(of_item[start:stop], of_bias, worst[start:stop]) > 0:
                    for u in range(start, stop):
                        score = of_item[u] + of_bias
                        if score > worst[u]:
                            found[u] = insert(first + i, score, items[u], scores[u], found[u])
                            worst[u] = scores[u, n - 1] if found[u] == n else -np.inf


@kernel
def count_above(scores, bias, bounds):
    """The number of scores that, with bias, exceed their bound; branch-free, for vectorizing."""
    n = 0
    for u in range(len(scores)):
        n += scores[u] + bias > bounds[u]
    return n


@kernel
def insert(item, score, items, scores, found):
    """Insert an item if it is one of the best len(items) so far; return the number found."""
    n = len(items)
    if (found == n and score > scores[n - 1]) or (found < n and score > -np.inf):
        at = min(found, n - 1)
        while at > 0 and score > scores[at - 1]:
            items[at], scores[at] = items[at - 1], scores[at - 1]
            at -= 1
        items[at], scores[at] = item, score
        return min(n, found + 1)
    return found


@kernel
def merge_shares(items, scores):
    """Merge each user's best items of all shares, items and scores (shares, users, n), into the first share."""
    n_shares, users, n = items.shape
    for u in range(users):
        found = np.int64(0)
        while found < n and items[0, u, found] >= 0:
            found += 1
        for share in range(1, n_shares):
            for i in range(n):
                if items[share, u, i] < 0:
                    break
                found = insert(items[share, u, i], scores[share, u, i], items[0, u], scores[0, u], found)
