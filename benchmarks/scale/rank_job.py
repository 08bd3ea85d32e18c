"""One rank of a training job: the time of its steps, printed as one line of JSON by the root.

    mpiexec -n 2 python -m benchmarks.scale.rank_job ITEMS STEPS

Each rank computes on one thread. The users are synthetic and the same on every rank.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
from scipy import sparse

from autoenc.machine import compute_threads
from autoenc.networks.autoencoder import AutoEncoderNetwork
from autoenc.optim import Adam
from autoenc.scale.ranks import world
from autoenc.scale.sharded import ShardedEngine, initial_shard
from autoenc.scale.shards import Shard
from autoenc.train_job import peak_memory_mb
from autoenc.training.warm_up import warm_up
from benchmarks.scale.model import BATCH, EMB_DIM, HIDDEN_DIM

LIKES = 115  # per user


def popularity(n_items):
    """Zipf-like."""
    return np.arange(1, n_items + 1) ** -0.8


def batches(n_items, n):
    """Batches of users who like items according to their popularity, the same on every rank."""
    rng = np.random.default_rng(0)
    bounds = np.cumsum(popularity(n_items))
    bounds /= bounds[-1]
    for _ in range(n):
        items = np.searchsorted(bounds, rng.random(BATCH * LIKES))
        users = np.repeat(np.arange(BATCH), LIKES)
        likes = sparse.coo_array((np.ones(len(items), np.float32), (users, items)), (BATCH, n_items)).tocsr()
        likes.data[:] = 1
        likes.indices = likes.indices.astype(np.int32)
        likes.indptr = likes.indptr.astype(np.int32)
        yield likes


def rank_job(n_items, n_steps):
    """Train some steps on one rank, and print their time on the root."""
    ranks = world()
    warm_up()
    before = peak_memory_mb()
    users = list(batches(n_items, 4))
    shard = Shard.dealt((popularity(n_items) * 1e7).astype(np.int64), ranks)
    network = AutoEncoderNetwork(initial_shard(shard, EMB_DIM, HIDDEN_DIM))
    adam = Adam(network.params)
    model = ShardedEngine(network, adam, shard)
    seconds, waits = [], []
    with compute_threads(1):
        for step in range(n_steps):
            ranks.all_reduce_number(0)  # so that all begin at the same time
            ranks.waited, ranks.sent = 0.0, 0
            started = time.perf_counter()
            model.train_step(users[step % len(users)], (0, 0, step))
            seconds.append(time.perf_counter() - started)
            waits.append(ranks.waited)
    state = sum(a.nbytes for d in (network.state, adam.first_moment, adam.second_moment) for a in d.values())
    facts = {
        "seconds": statistics.median(seconds[2:]),
        "waited": statistics.median(waits[2:]),
        "bytes": ranks.sent,
        "state_mb": round(state / 1e6),
        "peak_mb": peak_memory_mb(),
        "before_mb": before,
    }
    of_ranks = ranks.all_gather(facts)
    if ranks.is_root:
        print(json.dumps(of_ranks))


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.scale.rank_job", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("n_items", type=int, metavar="ITEMS")
    parser.add_argument("n_steps", type=int, metavar="STEPS")
    args = parser.parse_args(argv)
    rank_job(args.n_items, args.n_steps)


if __name__ == "__main__":
    main()
