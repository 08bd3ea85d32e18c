"""What this machine has and how much of it is used: processors, memory, and the threads that compute.

Nothing else reads /proc or cgroups, or asks threadpoolctl.

Threads: numba's pool gets what was asked for, BLAS's pool gets one. The kernels, and the layers between
them, call BLAS from each of numba's threads. With a pool of its own awake BLAS would fight numba's
threads for the cores (four times the time on two cores) and sum in an order that depends on its
threads. Both limits hold inside the `with` and are put back after.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import platform
import sys
import threading
from collections.abc import Iterator
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple


def processors() -> dict[str, Any]:
    """The processor's name, how many are there, how many this process may use, and a container's quota of them."""
    there = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    return {"model": cpu_model(), "there": there, "usable": usable, "quota": cpu_quota()}


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def cpu_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """How many processors' time a container may use; None where there is no such limit."""
    try:
        if (root / "cpu.max").exists():
            quota, period = (root / "cpu.max").read_text().split()
        else:
            quota, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if quota != "max" and float(quota) > 0 else None
    except (OSError, ValueError):
        return None


def free_memory() -> int | None:
    """How many bytes this machine could give without swapping; None where the system doesn't say."""
    return _bytes_in("/proc/meminfo", "MemAvailable")


def usable_memory(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """How many bytes this process may use: what is installed, or a container's limit. None where nobody says.

    Unlike `free_memory` it doesn't change from one moment to the next.
    """
    limits = []
    with contextlib.suppress(AttributeError, OSError, ValueError):  # Windows has no sysconf
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # "max": no limit
            limits.append(int((root / name).read_text()))
    return min(limits, default=None)


def check_free(what: str, n_bytes: int, way_out: str) -> None:
    """Raise ValueError where `what` needs more bytes than this machine could give, before it asks for them."""
    free = free_memory()
    if n_bytes > (sys.maxsize if free is None else free):
        there = "no machine has them" if free is None else f"the machine has {free:,} free"
        raise ValueError(f"{what} needs {n_bytes:,} bytes, but {there}; {way_out}.")


def peak_memory_mb() -> int | None:
    """The most memory that this process has held so far, in 10**6 bytes; None where the system doesn't say."""
    peak = _bytes_in("/proc/self/status", "VmHWM")  # Linux' getrusage counts what the process that started it held, too
    if peak is None:
        try:
            import resource
        except ImportError:
            return None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return round(peak / 1e6)


def _bytes_in(path: str, name: str) -> int | None:
    """The number that a file of Linux' /proc gives in kB on the line of that name, as bytes."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


def blas_pools() -> list[dict[str, Any]]:
    """NumPy's BLAS and SciPy's, which the kernels call: often two copies of one library, each with its own threads."""
    import scipy.linalg.blas  # noqa: F401  a library must be loaded to be found
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    keys = {"name": "internal_api", "version": "version", "kernel": "architecture", "threads": "num_threads"}
    return [
        {"used_by": users_of(pool["filepath"])} | {key: pool.get(theirs) for key, theirs in keys.items()}
        for pool in pools
    ]


def users_of(library: str) -> list[str]:
    """Whose copy a shared library is: a wheel's lies in a folder of the wheel's name; others serve both."""
    folders = {part.removesuffix(".libs") for part in Path(library).parts}
    return [name for name in ("numpy", "scipy") if name in folders] or ["numpy", "scipy"]


# Held while thread counts change and during a fork: a child inherits neither a half-made change nor a held lock.
_setting = threading.RLock()


@contextlib.contextmanager
def compute_threads(threads: int | None = None) -> Iterator[None]:
    """Run the block with BLAS on one thread and numba on `threads`.

    None: on as many as it has now, or as a container's quota of processor time keeps busy.

    Where numba isn't loaded yet, this doesn't load it: the number holds from the first block inside
    that is entered with numba loaded, as the kernels' callers do.

    May be nested; an inner block without `threads` changes nothing. May be entered by several Python
    threads at once: BLAS keeps to one thread until the last has left. A process forked inside keeps
    the limits until the thread that forked it has left.

    Raises TypeError if `threads` is not a whole number, ValueError if it is below 1 or more than
    numba's pool has.
    """
    if threads is not None:
        _check_threads(threads)
    with _numba_threads(threads), _blas_on_one_thread:
        yield


class _BlasOnOneThread:
    """Holds BLAS to one thread while anybody is inside.

    A pool is the process's, or, where BLAS is built on OpenMP, each Python thread's own.
    """

    def __init__(self) -> None:
        self.inside = 0  # Python threads
        self.here = threading.local()  # depth, and `own`: what this thread's own pools had
        self.shared: list[int] = []  # what the process's pools had

    def __enter__(self) -> None:
        depth = getattr(self.here, "depth", 0)
        if depth == 0:
            with _setting:
                pools = _blas()
                self.here.own = [pool.num_threads for pool in pools.own]
                _set_threads(pools.own, [1] * len(pools.own))
                if self.inside == 0:
                    self.shared = [pool.num_threads for pool in pools.shared]
                    _set_threads(pools.shared, [1] * len(pools.shared))
                self.inside += 1
        self.here.depth = depth + 1

    def __exit__(self, *error: object) -> None:
        self.here.depth -= 1
        if self.here.depth == 0:
            with _setting:
                _set_threads(_blas().own, self.here.own)
                self.inside -= 1
                if self.inside == 0:
                    self._restore()

    def _restore(self) -> None:
        _set_threads(_blas().shared, self.shared)
        for pool in _blas().shared:
            _clear_controlling_thread(pool)

    def keep_the_thread_that_forked(self) -> None:
        """In a child: only the thread that forked is left."""
        before, self.inside = self.inside, int(getattr(self.here, "depth", 0) > 0)
        if before and not self.inside:
            self._restore()


class _Pools(NamedTuple):
    """The pools of the BLAS libraries, as threadpoolctl controls them."""

    shared: list[Any]
    own: list[Any]  # where each Python thread has one


@functools.cache
def _blas() -> _Pools:
    import scipy.linalg.blas  # noqa: F401  must be loaded to be found
    from threadpoolctl import ThreadpoolController

    pools = [pool for pool in ThreadpoolController().lib_controllers if pool.user_api == "blas"]
    own = [pool for pool in pools if getattr(pool, "threading_layer", None) == "openmp"]
    return _Pools([pool for pool in pools if pool not in own], own)


def _set_threads(pools: list[Any], threads: list[int]) -> None:
    for pool, number in zip(pools, threads):
        _clear_controlling_thread(pool)
        pool.set_num_threads(number)


def _clear_controlling_thread(pool: Any) -> None:
    """Let this Python thread set the number of threads: threadpoolctl 3.8 ignores all but the first that did so."""
    if hasattr(pool, "clear_controlling_thread"):
        pool.clear_controlling_thread(force=True)


_blas_on_one_thread = _BlasOnOneThread()

_layer_at_fork: str | None = None


def _after_fork_in_child() -> None:
    global _setting, _layer_at_fork
    _setting = threading.RLock()
    _blas_on_one_thread.keep_the_thread_that_forked()
    with contextlib.suppress(KeyError, AttributeError, ValueError):  # numba is not loaded, or not wholly, or has none
        _layer_at_fork = sys.modules["numba"].threading_layer()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _setting.acquire(),
        after_in_parent=lambda: _setting.release(),
        after_in_child=_after_fork_in_child,
    )


def numba_layer_at_fork() -> str | None:
    """numba's threading layer ("omp", "tbb", "workqueue"), where this process was forked after its threads started."""
    return _layer_at_fork


_asked_for = threading.local()  # threads: what an outer block wants of numba as soon as it is loaded


@contextlib.contextmanager
def _numba_threads(threads: int | None) -> Iterator[None]:
    before = getattr(_asked_for, "threads", None)
    threads = before if threads is None else threads
    # To ask numba for its number starts its threads, which a fork then loses.
    if threads is None and threads_by_quota() < math.inf and "numba" in sys.modules:
        threads = int(min(kernel_threads(), threads_by_quota()))
    if threads is None:
        yield
    elif "numba" not in sys.modules:
        _asked_for.threads = threads
        try:
            yield
        finally:
            _asked_for.threads = before
    else:
        there = kernel_threads()
        set_kernel_threads(threads)
        _asked_for.threads = None
        try:
            yield
        finally:
            _asked_for.threads = before
            set_kernel_threads(there)


def threads_to_use() -> int:
    """How many threads of Python to compute with: as many as numba has or is asked to have.

    Neither loads numba nor starts its threads, which a fork would lose.
    """
    with contextlib.suppress(KeyError, AttributeError, ValueError):  # numba is not loaded, or not wholly, or has none
        sys.modules["numba"].threading_layer()
        return kernel_threads()
    asked_for = getattr(_asked_for, "threads", None)
    return asked_for or int(min(numba_threads(), threads_by_quota()))


@functools.cache
def threads_by_quota() -> float:
    """How many threads a container's quota keeps busy; no limit where there is none, or NUMBA_NUM_THREADS is set."""
    quota = cpu_quota()
    return math.inf if quota is None or "NUMBA_NUM_THREADS" in os.environ else max(1, math.floor(quota))


def kernel_threads() -> int:
    """How many threads of numba's pool the kernels of this Python thread may use; loads numba."""
    import numba

    with _setting:
        return int(numba.get_num_threads())


def set_kernel_threads(threads: int) -> None:
    import numba

    with _setting:
        numba.set_num_threads(threads)


def _check_threads(threads: int) -> None:
    if not isinstance(threads, Integral):
        raise TypeError(f"threads must be a whole number, got {threads!r}")
    most = numba_threads()
    if not 1 <= threads <= most:
        raise ValueError(
            f"threads must be from 1 to {most}, got {threads}; more needs NUMBA_NUM_THREADS={threads} set before the "
            f"start (this machine has {os.cpu_count()} processors)"
        )


def numba_threads() -> int:
    """How many threads numba's pool has; where it isn't loaded, how many it would have."""
    if "numba" in sys.modules:
        import numba

        return int(numba.config.NUMBA_NUM_THREADS)
    return int(os.environ.get("NUMBA_NUM_THREADS") or processors()["usable"])
