"""Calls parallel kernels safely from several threads and in forked processes.

numba's "workqueue" layer (where there is no OpenMP: slim images, wheels on macOS) aborts the process if
two Python threads run parallel kernels at once, so there the second waits for the first.

GNU's OpenMP loses its threads in a fork and does not notice: numba then ends the process by SIGTERM, and
where that is handled returns whatever was in memory. A parallel region of one thread needs none of the lost
ones. So in a forked process a kernel runs on one thread, with the same bits, once numba has been told that
OpenMP belongs to this process.
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
    """A compiled kernel with a prange, called like the function it was made of."""

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
    """Whether numba's threading layer takes parallel kernels from several Python threads at once."""
    try:
        return numba.threading_layer() != "workqueue"
    except ValueError:  # no parallel kernel has run yet, so it isn't known
        return False


def run_on_one_thread():
    """In a process forked after OpenMP's threads had started, hold this Python thread's kernels to one."""
    if lost_threads(os.getpid()):
        set_kernel_threads(1)


@functools.cache
def lost_threads(process) -> bool:
    """Whether a fork cost this process OpenMP's threads. The first call tells numba and warns the user."""
    from numba.np.ufunc import omppool

    if omppool.openmp_vendor != "GNU":  # others start theirs again
        return False
    ctypes.CFUNCTYPE(None, ctypes.c_int)(omppool.launch_threads)(1)  # notes the process, starts nothing
    if numba.config.NUMBA_NUM_THREADS > 1:
        warnings.warn(
            "this process was forked after numba's OpenMP threads had started, so its kernels run on one thread: "
            'start it by multiprocessing\'s "spawn" or "forkserver", or fork before the first kernel, or set '
            f"NUMBA_THREADING_LAYER=workqueue, for {numba.config.NUMBA_NUM_THREADS}",
            RuntimeWarning,
            stacklevel=4,
        )
    return True


def _reset_after_fork():
    """In a child nobody is left to release the lock, and the thread that forked releases the old one."""
    global _one_at_a_time
    _one_at_a_time = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
