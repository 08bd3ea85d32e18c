"""The memory that reading a file may need, and a limit that enforces it."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path


def max_memory(n_bytes: int) -> int:
    """What `autoenc.datasets.formats` states for a file that grows to so many bytes."""
    return 2**28 + 200 * n_bytes


def ran_out(error) -> bool:
    """Whether memory did: readers make a sentence of it, but Python remembers of what they made it."""
    while error is not None and not isinstance(error, MemoryError):
        error = error.__context__
    return error is not None


@contextlib.contextmanager
def limited_memory(max_bytes):
    """Whoever asks for more than that gets a MemoryError. Without effect but on Linux."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + max_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
