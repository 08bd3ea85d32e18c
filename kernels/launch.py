"""Calling a parallel kernel, as far as numba's threads allow it.

Its "workqueue" layer (where there is no OpenMP: slim images, wheels on macOS) aborts the process where
two Python threads run parallel kernels at once, so that the second waits for the first.

GNU's OpenMP has no threads in a process that was forked after they had started, and doesn't know it:
numba ends such a process by SIGTERM, and where that is handled returns what memory held. A parallel
region of one thread needs none of the lost ones. So there a kernel runs on one, with the same bits,
once numba has been told that OpenMP is this process's.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import warnings

import numba

from autoenc.machine import numba_layer_at_fork, set_kernel_threads

_turn = threading.RLock()


class ParallelKernel:
    """A compiled kernel with a prange, called like the function it was made of."""

    def __init__(self, dispatcher):
        self.dispatcher = dispatcher
        functools.update_wrapper(self, dispatcher.py_func)

    def __call__(self, *args):
        if numba_layer_at_fork() == "omp":
            run_on_one_thread()
        if several_may_run():
            return self.dispatcher(*args)
        with _turn:
            return self.dispatcher(*args)

    @property
    def stats(self):
        return self.dispatcher.stats


def several_may_run() -> bool:
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
    """Whether this process has none of OpenMP's threads; tell numba the first time, and the user once."""
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


def _new_turn():
    """In a child nobody is left to give the turn back, and the thread that forked gives back the old one."""
    global _turn
    _turn = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_turn)
