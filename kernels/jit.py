"""How every kernel is compiled: kept on the disk where that can be, without the interpreter's lock."""

from __future__ import annotations

import contextlib
import os
import warnings

from numba import config, njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache

from autoenc.kernels.launch import ParallelKernel

# A product and a sum may fuse into one instruction; no sum may be reordered and no NaN assumed away.
FASTMATH = frozenset({"contract"})

# Only a written prange runs in parallel; array expressions stay on their thread.
PRANGE_ONLY = {
    "prange": True,
    **dict.fromkeys(("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"), False),
}


def kernel(function=None, *, parallel=False, fastmath=FASTMATH):
    """Compile `function` with numba, for each dtype when it is first called with it.

    What was compiled is kept on the disk. Damaged entries are replaced; where nothing can be kept, one
    warning says so.
    """
    if function is None:
        return lambda f: kernel(f, parallel=parallel, fastmath=fastmath)
    # NumPy's error model: x / 0 is inf, where Python's would put a branch into every division.
    options = {
        "nogil": True,
        "error_model": "numpy",
        "no_cfunc_wrapper": True,  # nobody calls a kernel from C, and a wrapper takes time to compile
        "parallel": PRANGE_ONLY if parallel else False,
        "fastmath": set(fastmath),
    }
    dispatcher = njit(**options)(function)
    if config.DISABLE_JIT:
        return dispatcher
    try:
        dispatcher._cache = KernelCache(function)  # where njit(cache=True) puts numba's own
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        _warn_once("numba finds no writable cache folder")
    return ParallelKernel(dispatcher) if parallel else dispatcher


def was_compiled_and_kept(kernel) -> bool:
    """Whether this process had to compile a kernel, and keeps it on the disk for others."""
    stats = getattr(kernel, "stats", None)  # a plain function, where NUMBA_DISABLE_JIT is set, has none
    compiled = stats is not None and stats.cache_path is not None and sum(stats.cache_misses.values()) > 0
    return compiled and not _warned


class CacheLocators(CompileResultCacheImpl):
    """numba's cache folders, without those below a home folder that is unknown: numba would create one named `~`."""

    if not (os.path.isabs(os.path.expanduser("~")) or os.environ.get("XDG_CACHE_HOME")):
        _locator_classes = [
            locator for locator in CompileResultCacheImpl._locator_classes if "UserWide" not in locator.__name__
        ]


class KernelCache(FunctionCache):
    """numba's cache of a function on the disk, whose failures cost no more than the time to compile."""

    _impl_class = CacheLocators

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # any may come of unpickling damaged data, or a type that no longer exists
            with self.tolerating_failures():
                self.flush()  # forgets all of this function: the next save replaces it
            return None

    def save_overload(self, sig, data):
        with self.tolerating_failures():
            super().save_overload(sig, data)

    @contextlib.contextmanager
    def tolerating_failures(self):
        try:
            yield
        except Exception as error:
            self.disable()
            _warn_once(f"numba can't keep what it compiles in {self.cache_path} ({error})")


_warned = False


def _warn_once(reason):
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"{reason}, so every start compiles the kernels again (about 25 s): "
            "set NUMBA_CACHE_DIR to a folder that can be written to",
            RuntimeWarning,
            stacklevel=4,
        )
