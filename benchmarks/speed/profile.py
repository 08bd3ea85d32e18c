"""The time of each phase of a training step, compared with a lower bound.

    python -m benchmarks.speed.profile
    python -m benchmarks.speed.profile --busy 2     also next to two busy processes

The functions that autoenc.training.fused calls are wrapped in a stopwatch during training. A phase's bound is the
time of its flops at the speed of NumPy's BLAS in a large square matmul, or of its bytes at the speed of a large
copy, both measured here on all threads; for each kernel, the longer of the two. Rows that are still in a cache are
read faster than a copy from memory, so a share above 100% is possible. The rest is Python code between the kernels.

The figures are printed and stored in benchmarks/results/speed/.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from unittest import mock

import numpy as np
from scipy import sparse

from autoenc.doctor import matmul_rate
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.optim import Adam
from autoenc.training import fused
from autoenc.training.minibatches import minibatches
from benchmarks.speed import likes
from benchmarks.speed.results import Results, add_arguments, add_threads
from benchmarks.speed.stopwatch import Stopwatch, copy_rate, timed
from benchmarks.speed.targets import parts_of_a_step
from benchmarks.speed.task import BATCH
from benchmarks.speed.turns import run_again_if_pinned
from benchmarks.tables import as_text

# The functions of each phase. The batch's likes are sliced and transposed.
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


def phase_rows(samples: list[tuple], phases: dict, blas: float, copy: float, average=statistics.median) -> list[dict]:
    """Each phase's average milliseconds, its bound in milliseconds and what it is bound by.

    samples has one tuple per step: (total seconds, seconds by function, work by function); phases has the functions
    of each phase.
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
            "ms": 1e3 * average(took),
            "bound_ms": 1e3 * (flops + moved) or None,
            "bound_by": ("flops" if flops >= moved else "bytes") if flops + moved else None,
        })  # fmt: skip
    total = 1e3 * average([whole for whole, _, _ in samples])
    rest = total - sum(row["ms"] for row in rows)
    rows.append({"phase": "the rest, Python", "ms": rest, "bound_ms": None, "bound_by": None})
    bound = sum(row["bound_ms"] or 0 for row in rows)
    rows.append({"phase": "all", "ms": total, "bound_ms": bound, "bound_by": "both"})
    return rows


class Profiled:
    """Training and ranking with timed kernels, ready after `warm_up` steps."""

    def __init__(self, user_items, warm_up: int = 20):
        self.user_items = user_items
        network = AutoEncoderNetwork(initial_state(user_items.shape[1]))
        self.model = fused.FusedEngine(network, Adam(network.params))
        self.batches = list(minibatches(np.arange(user_items.shape[0]), BATCH, 0, 0))
        self.steps = 0
        self.stopwatch = Stopwatch()
        self.rows_of = self.stopwatch.timed("slice", lambda rows: user_items[rows])
        self.training(warm_up)

    def sample(self, function, rows) -> tuple:
        self.stopwatch.read()
        start = time.perf_counter()
        function(self.rows_of(rows))
        return time.perf_counter() - start, *self.stopwatch.read()

    def training(self, steps: int) -> list[tuple]:
        """One sample per step, for `phase_rows`."""
        transpose = self.stopwatch.timed("tocsc", sparse.csr_array.tocsc)
        samples = []
        with (
            timed(self.stopwatch, fused, FUNCTIONS),
            mock.patch.object(sparse.csr_array, "tocsc", lambda matrix: transpose(matrix)),
        ):
            for step in range(self.steps, self.steps + steps):
                rows, key = self.batches[step % len(self.batches)], (0, 0, step)
                samples.append(self.sample(lambda batch: self.model.train_step(batch, key), rows))  # noqa: B023
        self.steps += steps
        return samples

    def ranking(self) -> list[tuple]:
        """One sample per call with `users_at_once` users, after training."""
        self.model.flush()
        users = self.model.users_at_once
        starts = range(0, self.user_items.shape[0], users)
        slices = [slice(first, first + users) for first in starts][:20]
        with timed(self.stopwatch, fused, FUNCTIONS):
            return [self.sample(lambda batch: self.model.top_n(batch, 10), rows) for rows in slices[:1] * 3 + slices][
                3:
            ]


def measure(user_items, threads: int, steps: int = 60, warm_up: int = 20) -> dict:
    """The profile of `steps` training steps, after a warm-up, and of ranking `users_at_once` users."""
    blas, copy = matmul_rate(4096, 1.5), copy_rate(threads)
    profiled = Profiled(user_items, warm_up)
    return {
        "blas_gflops": blas / 1e9,
        "copy_gbs": copy / 1e9,
        "users_ranked": min(profiled.model.users_at_once, user_items.shape[0]),
        "training": phase_rows(profiled.training(steps), TRAINING, blas, copy),
        "evaluation": phase_rows(profiled.ranking(), EVALUATION, blas, copy),
    }


def measure_busy(user_items, threads: int, busy: int, steps: int = 60, warm_up: int = 20) -> dict:
    """Training steps alone and next to `busy` busy processes, in two turns each.

    The mean of each phase is used here, as a phase that waits for a preempted thread waits in few steps, but
    for a long time.
    """
    blas, copy = matmul_rate(4096, 1.5), copy_rate(threads)
    profiled = Profiled(user_items, warm_up)
    idle, beside = [], []
    for _ in range(2):
        idle += profiled.training(steps)
        with busy_processes(busy):
            beside += profiled.training(steps)
    rows = {
        name: phase_rows(samples, TRAINING, blas, copy, statistics.fmean)
        for name, samples in (("idle", idle), ("beside", beside))
    }
    return {"busy": busy, "blas_gflops": blas / 1e9, "copy_gbs": copy / 1e9} | rows


@contextlib.contextmanager
def busy_processes(number: int) -> Iterator[list[subprocess.Popen]]:
    """A number of busy processes, until the block ends."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield loops
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def table(title: str, rows: list[dict]) -> str:
    text = [[title, "ms", "of the whole", "bound, ms", "by", "share of bound"]]
    whole = rows[-1]["ms"]
    for row in rows:
        bound = row["bound_ms"]
        bounds = [f"{bound:.2f}", row["bound_by"], f"{bound / row['ms']:.0%}"] if bound else ["", "", ""]
        text.append([row["phase"], f"{row['ms']:.2f}", f"{row['ms'] / whole:.0%}", *bounds])
    return as_text(text)


def busy_table(part: dict) -> str:
    text = [["a training step", "ms", "of the whole", f"next to {part['busy']} busy, ms", "of the whole", "ratio"]]
    idle, beside = parts_of_a_step(part["idle"]), parts_of_a_step(part["beside"])
    for row, other in zip(part["idle"], part["beside"]):
        phase = row["phase"]
        shares = [f"{share.get(phase, 1):.1%}" for share in (idle, beside)]
        times = f"{beside[phase] / idle[phase]:.2f}" if phase in idle else ""
        text.append([phase, f"{row['ms']:.2f}", shares[0], f"{other['ms']:.2f}", shares[1], times])
    return as_text(text)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.speed.profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=60, help="number of steps (default: %(default)s)")
    parser.add_argument("--busy", type=int, metavar="N", help="compare with steps next to N busy processes")
    add_threads(parser)
    add_arguments(parser)
    args = parser.parse_args(argv)
    if (code := run_again_if_pinned("benchmarks.speed.profile", argv, args.threads)) is not None:
        return code
    user_items = likes.load(likes.train_file(args.cache, *args.shape))
    results = Results(args.out, args.shape)
    if args.busy:
        part = measure_busy(user_items, args.threads, args.busy, args.steps)
        results.add("busy", part, args.threads)
        print(busy_table(part))
        return 0
    part = measure(user_items, args.threads, args.steps)
    results.add("profile", part, args.threads)
    print(f"NumPy's BLAS: {part['blas_gflops']:.0f} GFLOP/s, copying: {part['copy_gbs']:.0f} GB/s\n")
    print(table("a training step", part["training"]), end="\n\n")
    print(table(f"ranking {part['users_ranked']:,} users", part["evaluation"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
