"""How many threads compute: numba's pool gets what was asked for, BLAS's pool gets one.

Most kernels have a matmul of their own, but top_n and what runs between the kernels (a middle made
of layers) call BLAS. With a pool of its own awake BLAS would fight numba's threads for the cores (four times the
time on two cores) and sum in an order that depends on its threads. Both limits hold inside the
`with` and are put back after.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from numbers import Integral
from typing import Any


@functools.cache
def _blas():
    import scipy.linalg.blas  # noqa: F401  must be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextlib.contextmanager
def compute_threads(threads: int | None = None):
    """Run the block with BLAS on one thread and numba on `threads` (None: as many as it has now).

    May be nested; an inner block without `threads` changes nothing. May be entered by several Python
    threads at once: BLAS keeps to one thread until the last has left. But threadpoolctl obeys only
    the Python thread that first set a limit: a program that computes in others should be inside
    this in that one all the while.

    Raises TypeError if `threads` is no whole number, ValueError if it is below 1 or more than
    numba's pool has.
    """
    with contextlib.ExitStack() as stack:
        if threads is not None:
            stack.enter_context(_numba_threads(threads))
        stack.enter_context(_blas_on_one_thread)
        yield


class _BlasOnOneThread:
    """Holds BLAS, whose limit is the process's, while anybody is inside."""

    def __init__(self):
        self.lock = threading.Lock()
        self.inside = 0
        self.limit: Any = None

    def __enter__(self):
        with self.lock:
            if self.inside == 0:
                self.limit = _blas().limit(limits=1, user_api="blas")
            self.inside += 1

    def __exit__(self, *error):
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.limit.restore_original_limits()


_blas_on_one_thread = _BlasOnOneThread()


@contextlib.contextmanager
def _numba_threads(threads: int):
    if "numba" not in sys.modules and threads == 1:
        yield
        return
    import numba

    most = numba.config.NUMBA_NUM_THREADS
    if not isinstance(threads, Integral):
        raise TypeError(f"threads must be a whole number, got {threads!r}")
    if not 1 <= threads <= most:
        raise ValueError(
            f"threads must be from 1 to {most}, got {threads}; more needs NUMBA_NUM_THREADS={threads} set before the "
            f"start (this machine has {os.cpu_count()} processors)"
        )
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        yield
    finally:
        numba.set_num_threads(before)
