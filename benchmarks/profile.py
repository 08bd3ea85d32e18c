"""Where a training step's time goes, phase by phase, and how near each phase is to its own bound.

    python benchmarks/profile.py

The functions that autoenc.training.fused calls are wrapped in a stopwatch, and a training runs through
them. A phase's bound is the time that its flops take at the rate of NumPy's BLAS in a large square
matmul, or its bytes at the rate of a large copy, both measured here on all threads: of each kernel
the longer of the two. Rows that still lie in a cache come faster than a copy from memory, so a
share above 100% is possible. The rest is Python between the kernels.

The figures are printed, and kept in benchmarks/results/speed.json.
"""

from __future__ import annotations

import sys

if __name__ == "profile":
    # Not run but imported: cProfile, which PyTorch imports, wants the standard library's module of
    # this name, and in a script of this folder finds this file before it.
    import importlib.util
    import sysconfig

    spec = importlib.util.spec_from_file_location("profile", f"{sysconfig.get_path('stdlib')}/profile.py")
    sys.modules["profile"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["profile"])

elif __name__ == "__main__":
    from phases import main

    sys.exit(main(__doc__))
