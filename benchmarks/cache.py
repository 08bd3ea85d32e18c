"""Where the benchmarks keep between runs what takes long to make."""

from __future__ import annotations

from pathlib import Path


def default_folder() -> Path:
    import pooch  # slow to import

    return Path(pooch.os_cache("autoenc")) / "benchmarks"
