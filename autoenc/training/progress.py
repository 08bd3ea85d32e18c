"""Progress bars on stderr."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any


def new_bar(**settings: Any) -> Any:
    """A tqdm bar on stderr, if there is one, with a lock between the threads of this process only.

    tqdm's default lock also works between processes: it is a semaphore, which starts an extra process to
    track it where processes are not forked (Python 3.14, macOS, Windows), and warns after Ctrl-C.
    """
    from tqdm import tqdm

    if not hasattr(tqdm, "_lock"):
        tqdm.set_lock(threading.RLock())
    return tqdm(dynamic_ncols=True, disable=sys.stderr is None, **settings)  # None under pythonw


Progress = Callable[[str, int, int], object]
"""Called with a description of the current task, and the number of its steps done and in total."""


def no_progress(doing: str, done: int, total: int) -> None:
    """A `Progress` that does nothing."""


@contextlib.contextmanager
def show_progress(wanted: bool) -> Iterator[Progress]:
    """Yield a `Progress` that updates a bar on stderr, or does nothing if none is wanted."""
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
