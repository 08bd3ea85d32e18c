"""The memory of this process."""

from __future__ import annotations

import sys


def resident_megabytes(field: str) -> float:
    """The current (VmRSS) or peak (VmHWM) memory of the process; without Linux's /proc, the peak for both.

    getrusage is only used without /proc: on Linux, its peak includes that of the parent process.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            kilobytes = next(int(line.split()[1]) for line in status if line.startswith(field))
        return kilobytes * 1024 / 1e6
    except OSError:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
