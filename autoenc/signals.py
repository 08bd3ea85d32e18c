"""Ctrl-C at the end of what it must not break off."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker


@contextlib.contextmanager
def deferred_interrupt(block: bool = False) -> Iterator[None]:
    """Ctrl-C waits for the end of this block, and comes then, even if the block raises.

    With `block` it never reaches the processes that the block, or a thread of it, starts: a terminal sends
    it to them as well, and each would print where it was. Outside the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    mask = None
    if block and hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # which unblocks SIGINT where it has to start one
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # threads and processes inherit it
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
