"""Deferring Ctrl-C to the end of a block that must not be interrupted."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker


@contextlib.contextmanager
def deferred_interrupt(block: bool = False) -> Iterator[None]:
    """Defer Ctrl-C to the end of this block, even if the block raises.

    With `block` it never reaches processes started in the block: a terminal sends it to them as well, and
    each would print a traceback. Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    mask = None
    if block and hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # before blocking, as it unblocks SIGINT when it starts
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # threads and processes inherit it
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
