"""How all kernels are compiled: cached on disk if possible, and without the global interpreter lock."""

from __future__ import annotations

import contextlib
import os
import warnings

from numba import config, njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache

from autoenc.kernels.launch import ParallelKernel

# A product and a sum may be fused; sums must not be reordered, and NaN must not be assumed absent.
FASTMATH = frozenset({"contract"})

# Only explicit pranges run in parallel; array expressions stay on their thread.
PRANGE_ONLY = {
    "prange": True,
    **dict.fromkeys(("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"), False),
}


def kernel(function=None, *, parallel=False, fastmath=FASTMATH):
    """Compile `function` with numba, for each dtype when it is first called with it.

    Compiled code is cached on disk. Damaged entries are replaced; if the cache can't be written, a warning
    is shown once.
    """
    if function is None:
        return lambda f: kernel(f, parallel=parallel, fastmath=fastmath)
    # NumPy's error model: x / 0 is inf, whereas Python's would need a branch in every division.
    options = {
        "nogil": True,
        "error_model": "numpy",
        "no_cfunc_wrapper": True,  # kernels are not called from C, and a wrapper takes time to compile
        "parallel": PRANGE_ONLY if parallel else False,
        "fastmath": set(fastmath),
    }
    dispatcher = njit(**options)(function)
    if config.DISABLE_JIT:
        return dispatcher
    try:
        dispatcher._cache = KernelCache(function)  # where njit(cache=True) would set numba's cache
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        _warn_once("numba finds no writable cache folder")
    return ParallelKernel(dispatcher) if parallel else dispatcher


def was_compiled_and_kept(kernel) -> bool:
    """Whether this process had to compile a kernel, and cached it on disk."""
    stats = getattr(kernel, "stats", None)  # missing in a plain function, if NUMBA_DISABLE_JIT is set
    compiled = stats is not None and stats.cache_path is not None and sum(stats.cache_misses.values()) > 0
    return compiled and not _warned


class CacheLocators(CompileResultCacheImpl):
    """numba's cache folders, except in an unknown home folder, for which numba would create one named `~`."""

    if not (os.path.isabs(os.path.expanduser("~")) or os.environ.get("XDG_CACHE_HOME")):
        _locator_classes = [
            locator for locator in CompileResultCacheImpl._locator_classes if "UserWide" not in locator.__name__
        ]


class KernelCache(FunctionCache):
    """numba's disk cache of a function, in which any failure only causes a compilation."""

    _impl_class = CacheLocators

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # unpickling damaged data, or a type that no longer exists, may raise anything
            with self.tolerating_failures():
                self.flush()  # drops all entries of this function; the next save replaces them
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
            _warn_once(f"numba can't write its cache to {self.cache_path} ({error})")


_warned = False


def _warn_once(reason):
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"{reason}, so every start compiles the kernels again (about 25 s): "
            "set NUMBA_CACHE_DIR to a writable folder",
            RuntimeWarning,
            stacklevel=4,
        )
