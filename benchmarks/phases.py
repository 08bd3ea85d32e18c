"""The measuring of profile.py: a stopwatch on every function that autoenc.training.fused calls."""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from unittest import mock

import arrays
import figures
import numpy as np
from results import Results, add_arguments
from scipy import sparse
from turns import run_again_if_pinned

from autoenc.doctor import matmul_rate
from autoenc.networks.autoencoder import Network, initial_state
from autoenc.optim import Adam
from autoenc.training import fused
from autoenc.training.minibatches import minibatches


class Work(NamedTuple):
    """What a call cannot do without."""

    flops: int = 0
    bytes: int = 0


def rows_with_likes(indptr) -> int:
    return int(np.count_nonzero(np.diff(indptr)))


# Of each kernel, from its arguments; of numbers in float32 what is read and what is written.
WORK: dict[str, Callable[..., Work]] = {
    "gather_sum": lambda indptr, indices, weight, *_: Work(
        bytes=4 * (len(indices) + len(indptr) - 1) * weight.shape[1]
    ),
    "catch_up": lambda items, embedding, *_: Work(bytes=16 * len(items) * embedding.weight.shape[1]),
    "normalize": lambda x, *_: Work(bytes=13 * x.size),
    "linear": lambda x, weight, *_: Work(2 * len(x) * weight.size),
    "log_normalizer": lambda weight, bias, h2: Work(2 * len(h2) * weight.size),
    "output_tile": lambda weight, bias, h2, *_: Work(6 * len(h2) * weight.weight.size, 24 * weight.weight.size),
    "normalize_backward": lambda grad_parts, kept, *_: Work(bytes=4 * grad_parts.size + 13 * kept.x.size),
    "linear_backward_input": lambda grad_output, weight: Work(2 * len(grad_output) * weight.size),
    "linear_backward_weight": lambda grad_output, x, weight, *_: Work(2 * len(x) * weight.weight.size),
    "scatter_add": lambda indptr, users, grad_output, *_: Work(
        bytes=4 * (len(users) + 6 * rows_with_likes(indptr)) * grad_output.shape[1]
    ),
    "normalize_eval": lambda x, *_: Work(bytes=8 * x.size),
    "top_n": lambda h2, weight, *_: Work(2 * len(h2) * weight.size),
    "top_n_of_sum": lambda scores, *_: Work(bytes=scores.nbytes),
    "adam_rows": lambda weight, *_: Work(bytes=28 * weight.weight.size),
    "exp_of_all": lambda x, *_: Work(bytes=8 * x.size),
}

# The functions of each phase. What is sliced and transposed are the batch's likes.
TRAINING = {
    "batch: slice": ["slice"],
    "batch: transpose": ["tocsc"],
    "dropout masks": ["draw_mask"],
    "embedding: catch up": ["catch_up"],
    "embedding: gather": ["balanced_blocks", "gather_sum"],
    "middle, forward": ["normalize", "linear"],
    "output tiles": ["log_normalizer", "output_tile"],
    "middle, backward": ["normalize_backward", "linear_backward_input", "linear_backward_weight"],
    "embedding: update": ["scatter_add"],
}
EVALUATION = {
    "batch: slice": ["slice"],
    "embedding: gather": ["balanced_blocks", "gather_sum"],
    "middle": ["normalize_eval", "linear"],
    "scores and top 10": ["top_n"],
}


class Stopwatch:
    """Seconds and work of every function that is called through it, by name, until it is read."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)
        self.work: dict[str, list[Work]] = defaultdict(list)

    def timed(self, name: str, function: Callable) -> Callable:
        def call(*args):
            start = time.perf_counter()
            result = function(*args)
            self.seconds[name] += time.perf_counter() - start
            if name in WORK:
                self.work[name].append(WORK[name](*args))
            return result

        return call

    def read(self) -> tuple[dict[str, float], dict[str, list[Work]]]:
        found = dict(self.seconds), dict(self.work)
        self.__init__()
        return found


@contextlib.contextmanager
def on_kernels(stopwatch: Stopwatch, module=fused):
    """All functions of the phases timed, wherever `module` calls them."""
    names = {name for functions in (*TRAINING.values(), *EVALUATION.values()) for name in functions} | WORK.keys()
    with contextlib.ExitStack() as stack:
        for name in names & vars(module).keys():
            stack.enter_context(mock.patch.object(module, name, stopwatch.timed(name, getattr(module, name))))
        transpose = stopwatch.timed("tocsc", sparse.csr_array.tocsc)
        stack.enter_context(mock.patch.object(sparse.csr_array, "tocsc", lambda self: transpose(self)))
        yield


def copy_rate(threads: int, size: int = 2**29) -> float:
    """Bytes a second, read and written, of copying `size` bytes from one array to another."""
    a, b = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    pieces = list(zip(np.array_split(a, threads), np.array_split(b, threads)))
    took = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            start = time.perf_counter()
            list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pieces))
            took.append(time.perf_counter() - start)
    return 2 * size / statistics.median(took)


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
    network = Network(initial_state(user_items.shape[1]))
    model = fused.FusedNetwork(network, Adam(network.params))
    batches = list(minibatches(np.arange(user_items.shape[0]), figures.BATCH, 0, 0))
    stopwatch = Stopwatch()
    rows_of = stopwatch.timed("slice", lambda rows: user_items[rows])

    def sample(function, rows):
        stopwatch.read()
        start = time.perf_counter()
        function(rows_of(rows))
        return time.perf_counter() - start, *stopwatch.read()

    with on_kernels(stopwatch):
        training = [
            sample(lambda batch: model.train_step(batch, (0, 0, step)), batches[step % len(batches)])  # noqa: B023
            for step in range(warm_up + steps)
        ][warm_up:]
        model.settle()
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
    return figures.as_text(text)


def main(doc: str, argv=None) -> int:
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="to measure (default: %(default)s)")
    add_arguments(parser)
    args = parser.parse_args(argv)
    if (code := run_again_if_pinned("profile.py", argv, args.threads)) is not None:
        return code
    user_items = arrays.load(arrays.prepared(args.cache, *args.shape))
    part = measure(user_items, args.threads, args.steps)
    Results(args.out, args.shape, args.threads).add("profile", part)
    print(f"NumPy's BLAS: {part['blas_gflops']:.0f} GFLOP/s, copying: {part['copy_gbs']:.0f} GB/s\n")
    print(table("a training step", part["training"]), end="\n\n")
    print(table(f"ranking {part['users_ranked']:,} users", part["evaluation"]))
    return 0
