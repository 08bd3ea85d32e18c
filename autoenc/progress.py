"""A bar on stderr that shows how far something is."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
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


Progress = Callable[[str, int, int], object]
"""Told what is being done, in words, and how many steps of how many of it are done."""


def no_progress(doing: str, done: int, total: int) -> None:
    """A `Progress` that tells nobody."""


@contextlib.contextmanager
def told_by_bar(wanted: bool) -> Iterator[Progress]:
    """Yield a `Progress` that a bar on stderr shows; one that tells nobody where none is wanted."""
    if not wanted:
        yield no_progress
        return
    with new_bar(bar_format="{desc} {n_fmt}/{total_fmt} [{elapsed}]", leave=False) as bar:

        def progress(doing: str, done: int, total: int) -> None:
            bar.set_description_str(doing, refresh=False)
            bar.total = total
            bar.update(done - bar.n)
            bar.refresh()

        yield progress
