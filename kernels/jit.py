"""How every kernel is compiled: cached on disk where that can be, without the interpreter's lock."""

from __future__ import annotations

import warnings

from numba import njit

# A product and a sum may fuse into one instruction; no sum may be reordered and no NaN assumed away.
FASTMATH = frozenset({"contract"})

# Only a written prange runs in parallel; array expressions stay on their thread.
PRANGE_ONLY = {
    "prange": True,
    **dict.fromkeys(("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"), False),
}


def kernel(function=None, *, parallel=False, fastmath=FASTMATH):
    """Compile `function` with numba, for each dtype when it is first called with it.

    Where numba finds no folder to cache compiled code in, each process compiles the
    kernel again, with one warning.
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
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        _warn_once()
        return njit(**options)(function)


def was_compiled_and_kept(kernel) -> bool:
    """Whether this process had to compile a kernel, and keeps it on the disk for others."""
    stats = getattr(kernel, "stats", None)  # a plain function, where NUMBA_DISABLE_JIT is set, has none
    return stats is not None and stats.cache_path is not None and sum(stats.cache_misses.values()) > 0


def _warn_once():
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "numba finds no writable cache folder, so every start compiles the kernels again (about 25 s): "
            "set NUMBA_CACHE_DIR to a folder that can be written to",
            RuntimeWarning,
            stacklevel=4,
        )


_warned = False
