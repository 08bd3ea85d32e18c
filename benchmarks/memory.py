"""The memory of this process."""

from __future__ import annotations

import sys


def resident_megabytes(field: str) -> float:
    """What the process holds now (VmRSS) or held at most (VmHWM); without Linux's /proc at most, for both.

    Not getrusage alone: on Linux its peak begins at that of the process that started this one.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            kilobytes = next(int(line.split()[1]) for line in status if line.startswith(field))
        return kilobytes * 1024 / 1e6
    except OSError:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
