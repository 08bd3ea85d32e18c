"""Each layer compared with the kernel that replaces it, on the same arrays at the task's sizes: time, bound, ulp.

    python -m benchmarks.speed.kernels

The layers run on as many threads as NumPy's BLAS chooses, the kernels as in training. "ulp apart" is the
largest difference of any output, in units in the last place (ulp) of the output's largest number. The next
columns have the differences of both from the layer in float64.

The figures are printed and stored in benchmarks/results/speed/, from which `kernels_page.py` generates
docs/kernels.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np

from autoenc.doctor import matmul_rate
from autoenc.machine import compute_threads
from autoenc.training import fused
from benchmarks.speed import likes, pairs
from benchmarks.speed.pairs import PAIRS
from benchmarks.speed.problem import Problem
from benchmarks.speed.results import Results, add_arguments, add_threads
from benchmarks.speed.stopwatch import Stopwatch, copy_rate, timed
from benchmarks.speed.task import BATCH, EMB_DIM, HIDDEN_DIM
from benchmarks.speed.turns import REST, run_again_if_pinned
from benchmarks.tables import as_text


def ulp_apart(a, b) -> float:
    """The largest |a - b|, in units in the last place of float32 at the largest |b|."""
    b = np.asarray(b)
    largest = np.float32(np.abs(b).max())
    return float(np.abs(np.asarray(a, np.float64) - b).max() / np.spacing(largest))


def outputs_of(side) -> dict:
    return {name: value() if callable(value) else value for name, value in side()().items()}


def farthest(a: dict, b: dict) -> tuple[float, str]:
    return max((ulp_apart(a[name], b[name]), name) for name in b)


def milliseconds(layers, kernels, rounds: int) -> tuple[float, float]:
    """Medians of both sides, in turns of three, each after a rest and a run that isn't timed."""
    took: tuple[list[float], list[float]] = ([], [])

    def turn(side, into):
        time.sleep(REST)
        for i in range(4):
            run = side()
            start = time.perf_counter()
            run()
            if i:
                into.append(1e3 * (time.perf_counter() - start))

    for _ in range(rounds):
        turn(layers, took[0])
        with compute_threads():
            turn(kernels, took[1])
    return statistics.median(took[0]), statistics.median(took[1])


def bound_ms(kernels, blas: float, copy: float) -> float:
    """A lower bound for the time of the kernels' flops or bytes, as in profile.py."""
    stopwatch = Stopwatch()
    run = kernels()
    with timed(stopwatch, pairs), timed(stopwatch, fused):
        run()
    calls = [call for calls in stopwatch.read()[1].values() for call in calls]
    return 1e3 * sum(max(call.flops / blas, call.bytes / copy) for call in calls)


def measure(batches, threads: int, rounds: int = 5, emb_dim=EMB_DIM, hidden_dim=HIDDEN_DIM) -> dict:
    """Measure all pairs on the first of two batches of users."""
    blas, copy = matmul_rate(4096, 1.5), copy_rate(threads)
    single, double = (Problem(batches, emb_dim, hidden_dim, dtype) for dtype in ("float32", "float64"))
    rows = []
    for pair in PAIRS:
        layers, kernels = pair.make(single)
        exact = outputs_of(pair.make(double)[0])
        with compute_threads():
            by_layer, by_kernel = outputs_of(layers), outputs_of(kernels)
        apart, where = farthest(by_kernel, by_layer)
        layer_ms, kernel_ms = milliseconds(layers, kernels, rounds)
        rows.append({
            "file": pair.file,
            "title": pair.title,
            "layer_ms": layer_ms,
            "kernel_ms": kernel_ms,
            "bound_ms": bound_ms(kernels, blas, copy),
            "ulp_apart": apart,
            "farthest": where,
            "layer_ulp": farthest(by_layer, exact)[0],
            "kernel_ulp": farthest(by_kernel, exact)[0],
        })  # fmt: skip
    sizes = f"{single.batch} users, {single.n_items:,} items, emb_dim {emb_dim}, hidden_dim {hidden_dim}"
    return {"sizes": sizes, "blas_gflops": blas / 1e9, "copy_gbs": copy / 1e9, "pairs": rows}


def rows_of_table(part: dict) -> list[list[str]]:
    rows = [["", "layer, ms", "kernel, ms", "speedup", "share of bound", "ulp apart", "layer, ulp", "kernel, ulp"]]
    for pair in part["pairs"]:
        rows.append([
            pair["title"],
            f"{pair['layer_ms']:.2f}",
            f"{pair['kernel_ms']:.2f}",
            f"{pair['layer_ms'] / pair['kernel_ms']:.1f}",
            f"{pair['bound_ms'] / pair['kernel_ms']:.0%}",
            f"{pair['ulp_apart']:.1f}",
            f"{pair['layer_ulp']:.1f}",
            f"{pair['kernel_ulp']:.1f}",
        ])  # fmt: skip
    return rows


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.speed.kernels", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_threads(parser)
    add_arguments(parser)
    args = parser.parse_args(argv)
    if (code := run_again_if_pinned("benchmarks.speed.kernels", argv, args.threads)) is not None:
        return code
    user_items = likes.load(likes.train_file(args.cache, *args.shape))
    batch = min(BATCH, user_items.shape[0] // 2)
    part = measure([user_items[:batch], user_items[batch : 2 * batch]], args.threads)
    Results(args.out, args.shape).add("kernels", part, args.threads)
    print(as_text(rows_of_table(part)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
