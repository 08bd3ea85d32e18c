"""Where a training step's time goes, phase by phase, and how near each phase is to its own bound.

    python -m benchmarks.speed.profile

The functions that autoenc.training.fused calls are wrapped in a stopwatch, and a training runs through
them. A phase's bound is the time that its flops take at the rate of NumPy's BLAS in a large square
matmul, or its bytes at the rate of a large copy, both measured here on all threads: of each kernel
the longer of the two. Rows that still lie in a cache come faster than a copy from memory, so a
share above 100% is possible. The rest is Python between the kernels.

The figures are printed, and kept in benchmarks/results/speed.json.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from unittest import mock

import numpy as np
from scipy import sparse

from autoenc.doctor import matmul_rate
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.optim import Adam
from autoenc.training import fused
from autoenc.training.minibatches import minibatches
from benchmarks.speed import likes
from benchmarks.speed.results import Results, add_arguments
from benchmarks.speed.stopwatch import Stopwatch, copy_rate, timed
from benchmarks.speed.task import BATCH
from benchmarks.speed.turns import run_again_if_pinned
from benchmarks.tables import as_text

# The functions of each phase. What is sliced and transposed are the batch's likes.
TRAINING = {
    "batch: slice": ["slice"],
    "batch: transpose": ["tocsc"],
    "dropout masks": ["draw_mask"],
    "embedding: catch up": ["catch_up"],
    "embedding: gather": ["balanced_blocks", "gather_sum"],
    "middle, forward": ["normalize", "bottleneck"],
    "output tiles": ["log_normalizer", "output_tile"],
    "middle, backward": ["normalize_backward", "bottleneck_backward"],
    "embedding: update": ["scatter_add"],
}
EVALUATION = {
    "batch: slice": ["slice"],
    "embedding: gather": ["balanced_blocks", "gather_sum"],
    "middle": ["normalize_eval", "linear"],
    "scores and top 10": ["top_n"],
}
FUNCTIONS = {name for functions in (*TRAINING.values(), *EVALUATION.values()) for name in functions}


def phase_rows(samples: list[tuple], phases: dict[str, list[str]], blas: float, copy: float) -> list[dict]:
    """Each phase's median milliseconds, its bound in milliseconds and what it is bound by.

    samples are (whole seconds, seconds by function, work by function), one a step.
    """
    rows = []
    for phase, functions in phases.items():
        took = [sum(seconds.get(name, 0) for name in functions) for _, seconds, _ in samples]
        by_flops, by_bytes = [], []
        for _, _, work in samples:
            calls = [call for name in functions for call in work.get(name, ())]
            bounds = [(call.flops / blas, call.bytes / copy) for call in calls]
            by_flops.append(sum(f for f, b in bounds if f >= b))
            by_bytes.append(sum(b for f, b in bounds if f < b))
        flops, moved = statistics.median(by_flops), statistics.median(by_bytes)
        rows.append({
            "phase": phase,
            "ms": 1e3 * statistics.median(took),
            "bound_ms": 1e3 * (flops + moved) or None,
            "bound_by": ("flops" if flops >= moved else "bytes") if flops + moved else None,
        })  # fmt: skip
    total = 1e3 * statistics.median(whole for whole, _, _ in samples)
    rest = total - sum(row["ms"] for row in rows)
    rows.append({"phase": "the rest, Python", "ms": rest, "bound_ms": None, "bound_by": None})
    bound = sum(row["bound_ms"] or 0 for row in rows)
    rows.append({"phase": "all", "ms": total, "bound_ms": bound, "bound_by": "both"})
    return rows


def measure(user_items, threads: int, steps: int = 60, warm_up: int = 20) -> dict:
    """The profile of `steps` training steps, after others to warm up, and of ranking `users_at_once` users."""
    blas, copy = matmul_rate(4096, 1.5), copy_rate(threads)
    network = AutoEncoderNetwork(initial_state(user_items.shape[1]))
    model = fused.FusedEngine(network, Adam(network.params))
    batches = list(minibatches(np.arange(user_items.shape[0]), BATCH, 0, 0))
    stopwatch = Stopwatch()
    rows_of = stopwatch.timed("slice", lambda rows: user_items[rows])

    def sample(function, rows):
        stopwatch.read()
        start = time.perf_counter()
        function(rows_of(rows))
        return time.perf_counter() - start, *stopwatch.read()

    transpose = stopwatch.timed("tocsc", sparse.csr_array.tocsc)
    with timed(stopwatch, fused, FUNCTIONS), mock.patch.object(sparse.csr_array, "tocsc", lambda self: transpose(self)):
        training = [
            sample(lambda batch: model.train_step(batch, (0, 0, step)), batches[step % len(batches)])  # noqa: B023
            for step in range(warm_up + steps)
        ][warm_up:]
        model.flush()
        users = model.users_at_once
        starts = range(0, user_items.shape[0], users)
        slices = [slice(first, first + users) for first in starts][:20]
        ranking = [sample(lambda batch: model.top_n(batch, 10), rows) for rows in (*slices[:1] * 3, *slices)][3:]
    return {
        "blas_gflops": blas / 1e9,
        "copy_gbs": copy / 1e9,
        "users_ranked": min(users, user_items.shape[0]),
        "training": phase_rows(training, TRAINING, blas, copy),
        "evaluation": phase_rows(ranking, EVALUATION, blas, copy),
    }


def table(title: str, rows: list[dict]) -> str:
    text = [[title, "ms", "of the whole", "bound, ms", "by", "share of bound"]]
    whole = rows[-1]["ms"]
    for row in rows:
        bound = row["bound_ms"]
        bounds = [f"{bound:.2f}", row["bound_by"], f"{bound / row['ms']:.0%}"] if bound else ["", "", ""]
        text.append([row["phase"], f"{row['ms']:.2f}", f"{row['ms'] / whole:.0%}", *bounds])
    return as_text(text)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.speed.profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=60, help="to measure (default: %(default)s)")
    add_arguments(parser)
    args = parser.parse_args(argv)
    if (code := run_again_if_pinned("benchmarks.speed.profile", argv, args.threads)) is not None:
        return code
    user_items = likes.load(likes.train_file(args.cache, *args.shape))
    part = measure(user_items, args.threads, args.steps)
    Results(args.out, args.shape, args.threads).add("profile", part)
    print(f"NumPy's BLAS: {part['blas_gflops']:.0f} GFLOP/s, copying: {part['copy_gbs']:.0f} GB/s\n")
    print(table("a training step", part["training"]), end="\n\n")
    print(table(f"ranking {part['users_ranked']:,} users", part["evaluation"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
