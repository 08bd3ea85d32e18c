"""A model of the seconds per step, by the numbers of items and ranks and the network between the machines.

Its first two parameters are fitted to one rank at two catalogue sizes:

    step = replicated + an_item * n_items / ranks + sums
    sums = for each of them   2 (ranks - 1) / ranks * bytes / bandwidth + 2 log2(ranks) * latency

The sums are Allreduce operations by recursive halving and doubling (Rabenseifner), in which all ranks communicate
at the same time. A machine with several cores computes faster but sends as much: the number of cores divides the
first two terms.
"""

from __future__ import annotations

import math

BATCH, EMB_DIM, HIDDEN_DIM = 256, 800, 400
SIZES = (10_677, 42_708)  # numbers of items that the model is fitted to
LINKS = {"10 Gbit/s, 30 us": (10e9 / 8, 30e-6), "100 Gbit/s, 5 us": (100e9 / 8, 5e-6)}
MACHINES = (1, 2, 4, 8, 16, 32, 64)
SUMS = (4 * BATCH * EMB_DIM, 4 * BATCH * HIDDEN_DIM, 8)  # bytes: item_sum, grad_hidden, the loss


def fit(measured):
    """The line through one rank's two sizes."""
    few, many = [next(r["seconds"] for r in measured if r["items"] == n and r["ranks"] == 1) for n in SIZES]
    an_item = (many - few) / (SIZES[1] - SIZES[0])
    return {"replicated": few - an_item * SIZES[0], "an_item": an_item}


def predicted(model, n_items, ranks, bandwidth, latency, cores=1):
    """Seconds per step."""
    computing = (model["replicated"] + model["an_item"] * n_items / ranks) / cores
    return computing + sum(allreduce(n_bytes, ranks, bandwidth, latency) for n_bytes in SUMS)


def allreduce(n_bytes, ranks, bandwidth, latency):
    return 2 * (ranks - 1) / ranks * n_bytes / bandwidth + 2 * math.log2(ranks) * latency
