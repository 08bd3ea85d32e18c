"""Progress of the first compilation, counting the kernels compiled in this and the second process."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from numba.core import event

from autoenc.training.progress import new_bar

SECONDS_IN_SILENCE = 2.0
SECONDS_BETWEEN = 10.0  # between lines, if stderr is not a terminal


class Compiling:
    """Context manager that reports how many kernels are compiled, and how long the others will take.

    Nothing is reported in the first two seconds. On a terminal one line is updated in place; otherwise
    `say` gets a line every ten seconds.

    Parameters
    ----------
    total : int
        Number of kernels to compile, including those called only by other kernels.
    say : callable
        Called with each line.
    """

    def __init__(self, total: int, say: Callable[[str], object]):
        self.total, self.say = total, say
        self.done = 0
        self._counting, self._finished = threading.Lock(), threading.Event()
        self._started = time.monotonic()
        self._listener = _Listener(self.count)
        self._reporter = threading.Thread(target=self._report, daemon=True)

    def count(self) -> None:
        """Count one more compiled kernel."""
        with self._counting:
            self.done = min(self.total, self.done + 1)

    def count_bytes(self, stream: BinaryIO) -> None:
        """Count the bytes of `stream`, one per kernel that another process has compiled, until it ends."""
        while stream.read(1):
            self.count()

    def line(self) -> str:
        """The progress, and after a fifth an estimate: a range, as some kernels take longer than others."""
        line = f"compiling the kernels for this machine, once: {self.done} of {self.total}"
        if not self.total / 5 <= self.done < self.total:
            return line
        left = (time.monotonic() - self._started) / self.done * (self.total - self.done)
        return f"{line}, {left / 2:.0f} to {left * 2:.0f} s left"

    def __enter__(self) -> Compiling:
        event.register("numba:compile", self._listener)
        self._reporter.start()
        return self

    def __exit__(self, *error: object) -> None:
        event.unregister("numba:compile", self._listener)
        self._finished.set()
        self._reporter.join()

    def _report(self) -> None:
        if self._finished.wait(SECONDS_IN_SILENCE):
            return
        if not (sys.stderr and sys.stderr.isatty()):
            self.say(self.line())
            while not self._finished.wait(SECONDS_BETWEEN):
                self.say(self.line())
            return
        with new_bar(bar_format="{desc}", leave=False) as terminal:
            while not self._finished.wait(0.2):
                terminal.set_description_str(self.line())


class _Listener(event.Listener):  # type: ignore[misc]
    """Calls a function after each compilation of a kernel by numba; loading one from disk does not count."""

    def __init__(self, compiled: Callable[[], object]):
        self.compiled = compiled

    def on_start(self, event: Any) -> None:
        """Nothing: a kernel is counted when it is done."""

    def on_end(self, event: Any) -> None:
        if event.data["dispatcher"].py_func.__module__.startswith("autoenc.kernels"):
            self.compiled()


def write_byte_per_kernel(stream: BinaryIO) -> None:
    """Write a byte to `stream` for each kernel that this process compiles from now on; see `Compiling.count_bytes`."""

    def write() -> None:
        stream.write(b".")
        stream.flush()

    event.register("numba:compile", _Listener(write))
