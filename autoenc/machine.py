"""The machine's resources and their use: processors, memory, and threads.

No other module reads /proc or cgroups, or uses threadpoolctl.

Threads: numba's pool gets the requested number, BLAS's pool gets one. The kernels, and the layers between
them, call BLAS from each of numba's threads. If BLAS used several threads itself, they would compete with
numba's for the cores (four times the time on two cores) and sum in an order that depends on their number.
Both limits hold inside the `with` block and are restored afterwards.
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
    """The processor's name, the number installed, the number this process may use, and a container's quota."""
    installed = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else installed
    return {"model": cpu_model(), "installed": installed, "usable": usable, "quota": cpu_quota()}


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def cpu_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """A container's quota of processor time, as a number of processors; None if there is none."""
    try:
        if (root / "cpu.max").exists():
            quota, period = (root / "cpu.max").read_text().split()
        else:
            quota, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if quota != "max" and float(quota) > 0 else None
    except (OSError, ValueError):
        return None


def free_memory() -> int | None:
    """Number of bytes available without swapping; None if the system doesn't report it."""
    return _bytes_in("/proc/meminfo", "MemAvailable")


def usable_memory(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Number of bytes that this process may use: the installed memory, or a container's limit; None if unknown.

    Unlike `free_memory` it doesn't change over time.
    """
    limits = []
    with contextlib.suppress(AttributeError, OSError, ValueError):  # Windows has no sysconf
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # "max": no limit
            limits.append(int((root / name).read_text()))
    return min(limits, default=None)


def check_free(what: str, n_bytes: int, way_out: str) -> None:
    """Raise ValueError if `what` needs more bytes than are free, before they are allocated."""
    free = free_memory()
    if n_bytes > (sys.maxsize if free is None else free):
        found = "no machine has that much" if free is None else f"the machine has {free:,} free"
        raise ValueError(f"{what} needs {n_bytes:,} bytes, but {found}; {way_out}.")


def peak_memory_mb() -> int | None:
    """The peak memory of this process so far, in 10**6 bytes; None if the system doesn't report it."""
    peak = _bytes_in("/proc/self/status", "VmHWM")  # on Linux, getrusage includes the memory of the parent process
    if peak is None:
        try:
            import resource
        except ImportError:
            return None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return round(peak / 1e6)


def _bytes_in(path: str, name: str) -> int | None:
    """The value in kB on the line `name` of a file in Linux's /proc, in bytes."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


def blas_pools() -> list[dict[str, Any]]:
    """NumPy's BLAS and SciPy's, which the kernels call: often two copies of one library with separate threads."""
    import scipy.linalg.blas  # noqa: F401  a library must be loaded to be found
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    keys = {"name": "internal_api", "version": "version", "kernel": "architecture", "threads": "num_threads"}
    return [
        {"used_by": users_of(pool["filepath"])} | {key: pool.get(theirs) for key, theirs in keys.items()}
        for pool in pools
    ]


def users_of(library: str) -> list[str]:
    """The package that a shared library belongs to, by the folder of its wheel; other libraries belong to both."""
    folders = {part.removesuffix(".libs") for part in Path(library).parts}
    return [name for name in ("numpy", "scipy") if name in folders] or ["numpy", "scipy"]


# Held while thread counts change and during a fork, so that a child inherits neither a partial change nor a held lock.
_setting = threading.RLock()


@contextlib.contextmanager
def compute_threads(threads: int | None = None) -> Iterator[None]:
    """Run the block with BLAS on one thread and numba on `threads`.

    With None, numba uses its current number of threads, or fewer if a container's quota of processor time
    is smaller.

    If numba isn't loaded yet, it is not loaded here: the number takes effect in the first inner block that
    is entered with numba loaded, as by the callers of the kernels.

    Blocks may be nested; an inner block without `threads` changes nothing. Several Python threads may enter
    at once: BLAS stays on one thread until the last one has left. A process forked inside the block keeps
    the limits until the thread that forked has left it.

    Raises TypeError if `threads` is not an integer, ValueError if it is below 1 or above the size of numba's
    pool.
    """
    if threads is not None:
        _check_threads(threads)
    with _numba_threads(threads), _blas_on_one_thread:
        yield


class _BlasOnOneThread:
    """Context manager that limits BLAS to one thread while any Python thread is inside.

    A pool is shared by the process, or, if BLAS is built with OpenMP, separate for each Python thread.
    """

    def __init__(self) -> None:
        self.inside = 0  # number of Python threads inside
        self.here = threading.local()  # depth, and `own`: the original sizes of this thread's own pools
        self.shared: list[int] = []  # the original sizes of the process's pools

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
        """Called in a forked child, in which only the thread that forked is left."""
        before, self.inside = self.inside, int(getattr(self.here, "depth", 0) > 0)
        if before and not self.inside:
            self._restore()


class _Pools(NamedTuple):
    """The pools of the BLAS libraries, as threadpoolctl controls them."""

    shared: list[Any]
    own: list[Any]  # one per Python thread


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
    """Let this Python thread set the number of threads: threadpoolctl 3.8 ignores all but the first one that does."""
    if hasattr(pool, "clear_controlling_thread"):
        pool.clear_controlling_thread(force=True)


_blas_on_one_thread = _BlasOnOneThread()

_layer_at_fork: str | None = None


def _after_fork_in_child() -> None:
    global _setting, _layer_at_fork
    _setting = threading.RLock()
    _blas_on_one_thread.keep_the_thread_that_forked()
    with contextlib.suppress(KeyError, AttributeError, ValueError):  # numba is not (fully) loaded, or has no layer yet
        _layer_at_fork = sys.modules["numba"].threading_layer()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _setting.acquire(),
        after_in_parent=lambda: _setting.release(),
        after_in_child=_after_fork_in_child,
    )


def numba_layer_at_fork() -> str | None:
    """numba's threading layer ("omp", "tbb", "workqueue") if this process was forked after its threads started."""
    return _layer_at_fork


_asked_for = threading.local()  # threads: the number that an outer block requests once numba is loaded


@contextlib.contextmanager
def _numba_threads(threads: int | None) -> Iterator[None]:
    before = getattr(_asked_for, "threads", None)
    threads = before if threads is None else threads
    # Asking numba for the number would start its threads, which a fork would lose.
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
        outer = kernel_threads()
        set_kernel_threads(threads)
        _asked_for.threads = None
        try:
            yield
        finally:
            _asked_for.threads = before
            set_kernel_threads(outer)


def threads_to_use() -> int:
    """Number of Python threads to compute with: as many as numba has or would have.

    Neither loads numba nor starts its threads, which a fork would lose.
    """
    with contextlib.suppress(KeyError, AttributeError, ValueError):  # numba is not (fully) loaded, or has no layer yet
        sys.modules["numba"].threading_layer()
        return kernel_threads()
    asked_for = getattr(_asked_for, "threads", None)
    return asked_for or int(min(numba_threads(), threads_by_quota()))


@functools.cache
def threads_by_quota() -> float:
    """Number of threads for a container's quota; infinite if there is none, or NUMBA_NUM_THREADS is set."""
    quota = cpu_quota()
    return math.inf if quota is None or "NUMBA_NUM_THREADS" in os.environ else max(1, math.floor(quota))


def kernel_threads() -> int:
    """Number of threads of numba's pool that the kernels of this Python thread may use; loads numba."""
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
            f"threads must be from 1 to {most}, got {threads}; for more, set NUMBA_NUM_THREADS={threads} before the "
            f"start (this machine has {os.cpu_count()} processors)"
        )


def numba_threads() -> int:
    """The size of numba's thread pool; if numba isn't loaded, the size it would have."""
    if "numba" in sys.modules:
        import numba

        return int(numba.config.NUMBA_NUM_THREADS)
    return int(os.environ.get("NUMBA_NUM_THREADS") or processors()["usable"])
