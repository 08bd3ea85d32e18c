"""The cache folder of the benchmarks, for data that takes long to compute."""

from __future__ import annotations

from pathlib import Path


def default_folder() -> Path:
    import pooch  # slow to import

    return Path(pooch.os_cache("autoenc")) / "benchmarks"
