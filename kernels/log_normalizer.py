"""The log of each user's sum of exp(logits) over all items, without storing all logits.

Definition: log_z of log_p = logits - log_z in autoenc.layers.Multinomial.forward, of
autoenc.layers.Linear.forward.

The softmax of an item needs the logits of all others first, so with the multinomial loss there are two
passes over the tiles of the output layer: one here, and one in `output_tile`, which computes the same
logits again from the same tiles. A user's sum is kept relative to the largest logit so far:

    top'  = max(top, largest logit of the tile)
    total = total * exp(top - top') + sum of exp(logits - top') over the tile
    log_z = top + log(total)

Bound by arithmetic: a matrix product of 2.2 GFLOP at the task's sizes. Each part of the items has its own
top and total, and the parts are added in order, so the bits don't depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from autoenc.kernels.exp import exp_of_negative
from autoenc.kernels.jit import kernel
from autoenc.kernels.output_tile import parts_of, tile_size


@kernel(parallel=True)
def log_normalizer(weight, bias, h2):
    """log_z (batch,), in h2's dtype, from h2 (batch, hidden_dim), weight (n_items, hidden_dim), bias (n_items,)."""
    n_items, batch = len(weight), len(h2)
    n_parts = parts_of(n_items)
    tops = np.full((n_parts, batch), -np.inf, h2.dtype)
    totals = np.zeros((n_parts, batch))  # float64
    for part in prange(n_parts):
        first, last = part * n_items // n_parts, (part + 1) * n_items // n_parts
        sum_part(weight, bias, h2, first, last, tops[part], totals[part])
    return total_of_parts(tops, totals)


@kernel
def sum_part(weight, bias, h2, part_first, part_last, top, total):
    """Add the items part_first .. part_last to top and total (batch,), one tile at a time."""
    size = tile_size(part_last - part_first)
    buffer = np.empty(size * len(h2), h2.dtype)
    tile_top, tile_total = np.empty_like(top), np.empty_like(top)  # (batch,)
    for first in range(part_first, part_last, size):
        last = min(part_last, first + size)
        n = last - first
        logits = buffer[: n * len(h2)].reshape(n, len(h2))  # (tile, batch)
        np.dot(weight[first:last], h2.T, logits)
        tile_top[:], tile_total[:] = -np.inf, 0
        for i in range(n):
            largest_so_far(logits[i], bias[first + i], tile_top)
        for i in range(n):
            add_exp(logits[i], tile_top, tile_total)
        add_total(top, total, tile_top, tile_total)


@kernel
def largest_so_far(z, bias, top):
    """z += bias; top = max(top, z)."""
    for u in range(len(z)):
        z[u] += bias
        top[u] = max(top[u], z[u])


@kernel
def add_exp(z, top, total):
    """total += exp(z - top)."""
    for u in range(len(z)):
        total[u] += exp_of_negative(z[u] - top[u])


@kernel
def total_of_parts(tops, totals):
    """top + log(total) over all parts: (batch,)."""
    for part in range(1, len(tops)):
        add_total(tops[0], totals[0], tops[part], totals[part])
    return (tops[0] + np.log(totals[0])).astype(tops.dtype)


@kernel
def add_total(top, total, more_top, more_total):
    """Add more_total, which is relative to more_top, to total, which is relative to top, in place."""
    for u in range(len(top)):
        new_top = max(top[u], more_top[u])
        total[u] = total[u] * exp_of_negative(top[u] - new_top) + more_total[u] * exp_of_negative(more_top[u] - new_top)
        top[u] = new_top
