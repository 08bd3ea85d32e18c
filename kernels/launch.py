"""Safe calls of parallel kernels from several threads and in forked processes.

numba's "workqueue" layer (used without OpenMP: in slim images, and with wheels on macOS) aborts the
process if two Python threads run parallel kernels at once, so the second has to wait for the first.

GNU's OpenMP loses its threads in a fork without noticing: numba then ends the process with SIGTERM or, if
that is handled, returns uninitialized memory. A parallel region with one thread needs none of the lost
threads. So in a forked process kernels run on one thread, with the same bits, after numba has registered
OpenMP for this process.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import warnings

import numba

from autoenc.machine import numba_layer_at_fork, set_kernel_threads

_one_at_a_time = threading.RLock()


class ParallelKernel:
    """A compiled kernel with a prange, called like the original function."""

    def __init__(self, dispatcher):
        self.dispatcher = dispatcher
        functools.update_wrapper(self, dispatcher.py_func)

    def __call__(self, *args):
        if numba_layer_at_fork() == "omp":
            run_on_one_thread()
        if allows_concurrent_calls():
            return self.dispatcher(*args)
        with _one_at_a_time:
            return self.dispatcher(*args)

    @property
    def stats(self):
        return self.dispatcher.stats


def allows_concurrent_calls() -> bool:
    """Whether numba's threading layer supports parallel kernels in several Python threads at once."""
    try:
        return numba.threading_layer() != "workqueue"
    except ValueError:  # unknown, as no parallel kernel has run yet
        return False


def run_on_one_thread():
    """In a process forked after OpenMP's threads had started, run this Python thread's kernels on one thread."""
    if lost_threads(os.getpid()):
        set_kernel_threads(1)


@functools.cache
def lost_threads(process) -> bool:
    """Whether this process lost OpenMP's threads in a fork. The first call registers this in numba and warns."""
    from numba.np.ufunc import omppool

    if omppool.openmp_vendor != "GNU":  # others restart their threads
        return False
    ctypes.CFUNCTYPE(None, ctypes.c_int)(omppool.launch_threads)(1)  # registers the process, starts no threads
    if numba.config.NUMBA_NUM_THREADS > 1:
        warnings.warn(
            "this process was forked after numba's OpenMP threads had started, so its kernels run on one thread: "
            'start it with multiprocessing\'s "spawn" or "forkserver", or fork before the first kernel, or set '
            f"NUMBA_THREADING_LAYER=workqueue, for {numba.config.NUMBA_NUM_THREADS}",
            RuntimeWarning,
            stacklevel=4,
        )
    return True


def _reset_after_fork():
    """Replace the lock in a child: no thread is left to release it, and the forking thread releases the old one."""
    global _one_at_a_time
    _one_at_a_time = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
