"""A stopwatch for kernels, and the least work that each call needs."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import NamedTuple
from unittest import mock

import numpy as np


class Work(NamedTuple):
    """The least work that a call needs."""

    flops: int = 0
    bytes: int = 0


def rows_with_likes(indptr) -> int:
    return int(np.count_nonzero(np.diff(indptr)))


# For each kernel, from its arguments; bytes count float32 numbers read and written.
WORK: dict[str, Callable[..., Work]] = {
    "gather_sum": lambda indptr, indices, weight, *_: Work(
        bytes=4 * (len(indices) + len(indptr) - 1) * weight.shape[1]
    ),
    "catch_up": lambda items, embedding, *_: Work(bytes=16 * len(items) * embedding.weight.shape[1]),
    "normalize": lambda x, *_: Work(bytes=13 * x.size),
    "linear": lambda x, weight, *_: Work(2 * len(x) * weight.size),
    "log_normalizer": lambda weight, bias, h2: Work(2 * len(h2) * weight.size),
    "output_tile": lambda weight, bias, h2, *_: Work(6 * len(h2) * weight.weight.size, 24 * weight.weight.size),
    "normalize_backward": lambda grad, kept, *_: Work(bytes=17 * kept.x.size),
    "bottleneck": lambda x, weight, *_: Work(2 * len(x) * weight.size),
    "bottleneck_backward": lambda grad_z, weight, *_: Work(4 * len(grad_z) * weight.weight.size),
    "scatter_add": lambda indptr, users, grad_output, *_: Work(
        bytes=4 * (len(users) + 6 * rows_with_likes(indptr)) * grad_output.shape[1]
    ),
    "normalize_eval": lambda x, *_: Work(bytes=8 * x.size),
    "top_n": lambda h2, weight, *_: Work(2 * len(h2) * weight.size),
    "ranks_of_sum": lambda scores, *_: Work(bytes=scores.nbytes),
    "adam_rows": lambda weight, *_: Work(bytes=28 * weight.weight.size),
    "exp_of_all": lambda x, *_: Work(bytes=8 * x.size),
}


class Stopwatch:
    """Seconds and work of every function called through it, by name, until it is read."""

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
def timed(stopwatch: Stopwatch, module: ModuleType, more: Iterable[str] = ()) -> Iterator[None]:
    """Time the kernels wherever `module` calls them, and `more` of its functions."""
    with contextlib.ExitStack() as stack:
        for name in {*WORK, *more} & vars(module).keys():
            stack.enter_context(mock.patch.object(module, name, stopwatch.timed(name, getattr(module, name))))
        yield


def copy_rate(threads: int, size: int = 2**29) -> float:
    """Bytes per second, read and written, when copying `size` bytes from one array to another."""
    a, b = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    pieces = list(zip(np.array_split(a, threads), np.array_split(b, threads)))
    took = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            start = time.perf_counter()
            list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pieces))
            took.append(time.perf_counter() - start)
    return 2 * size / statistics.median(took)
