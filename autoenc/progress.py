"""A bar on stderr that shows how far something is."""

from __future__ import annotations

import sys
import threading
from typing import Any


def new_bar(**settings: Any) -> Any:
    """A tqdm bar on stderr, where there is one, whose lock is between the threads of this process.

    tqdm's own lock is between processes too: a semaphore, which where processes are not forked (Python
    3.14, macOS, Windows) takes a process more to watch it, and a warning when Ctrl-C ends this one.
    """
    from tqdm import tqdm

    if not hasattr(tqdm, "_lock"):
        tqdm.set_lock(threading.RLock())
    return tqdm(dynamic_ncols=True, disable=sys.stderr is None, **settings)  # None under pythonw
