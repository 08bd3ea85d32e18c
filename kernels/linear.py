"""A linear layer in evaluation, for any number of users.

Definition: autoenc.layers.Linear.forward.

Bound by arithmetic. A block of users is multiplied with one tile of outputs at a time. A user's bits
depend neither on the other users nor on the number of threads: each product is computed by BLAS on one
thread with a fixed number of rows, and users are at positions where BLAS rounds all rows alike (see
`autoenc.batch_invariant.user_block`).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from autoenc.batch_invariant import user_block
from autoenc.kernels.jit import kernel
from autoenc.machine import kernel_threads

TILE = 256  # outputs at most; tiles have about equal sizes


def linear(x, weight, bias):
    """x @ weight.T + bias: x (users, in_features), weight (out_features, in_features), bias (out_features,)."""
    tiles = n_tiles(len(weight), TILE)
    users = min(len(x), -(-len(x) * tiles // kernel_threads()))  # in a block, for about one job per thread
    return linear_of_blocks(
        x, weight, bias, user_block(users, weight.shape[1], tile_widths(len(weight), tiles), x.dtype)
    )


def tile_widths(n, tiles):
    """The sizes of the tiles if n outputs are divided into this many."""
    return {n // tiles, -(-n // tiles)}


@kernel
def n_tiles(n, tile):
    return max(1, (n + tile - 1) // tile)


@kernel(parallel=True)
def linear_of_blocks(x, weight, bias, block):
    users, out_features = len(x), len(weight)
    output = np.empty((users, out_features), x.dtype)
    held, tiles = block.last - block.first, n_tiles(out_features, TILE)
    for job in prange((users + held - 1) // held * tiles):
        start, t = job // tiles * held, job % tiles
        stop, first, last = min(users, start + held), t * out_features // tiles, (t + 1) * out_features // tiles
        linear_tile(padded(x[start:stop], block), weight, bias, block.first, first, last, output[start:stop])
    return output


@kernel
def padded(x, block):
    """x from row block.first on among block.size rows, zero elsewhere; x itself if it has as many rows."""
    if len(x) == block.size:
        return x
    rows = np.zeros((block.size, x.shape[1]), x.dtype)
    for u in range(len(x)):
        for j in range(x.shape[1]):
            rows[block.first + u, j] = x[u, j]
    return rows


@kernel
def linear_tile(x, weight, bias, start, first, last, output):
    """Fill the columns first .. last of output (users, out_features); the users begin at row `start` of x."""
    product = np.empty((last - first, len(x)), x.dtype)  # (tile, users): BLAS's rows are the users
    np.dot(weight[first:last], x.T, product)
    for u in range(len(output)):
        for j in range(len(product)):
            output[u, first + j] = product[j, start + u] + bias[first + j]
