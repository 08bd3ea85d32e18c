"""A run's figures as JSON: the machine, and the parts of `python -m benchmarks.speed` that have been measured on it."""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path

from autoenc.doctor import versions
from autoenc.machine import blas_pools, processors
from autoenc.storage.atomic import replacing
from benchmarks.cache import default_folder
from benchmarks.speed.task import ITEMS, LIKES, USERS

FORMAT = 2  # of the parts; counts up when what a part holds changes
DEFAULT = Path(__file__).parents[1] / "results" / "speed.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What all commands that write results are told."""
    shape = (USERS, ITEMS, LIKES)
    parser.add_argument("--shape", nargs=3, type=int, default=shape, metavar=("USERS", "ITEMS", "LIKES"),
                        help="of the set (default: MovieLens 10M's, which the targets are for)")  # fmt: skip
    parser.add_argument("--threads", type=int, default=processors()["usable"], help="default: %(default)s")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", default=default_folder(),
                        help="where the sets are kept between runs (default: %(default)s)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", default=DEFAULT, help="default: %(default)s")


class Results:
    """The parts by name. Those of another format, machine or shape are dropped when one is added.

    Parameters
    ----------
    path : Path
        Read if it is there, written again with each part.
    shape : (n_users, n_items, n_likes)
        Of the set that is measured on.
    threads : int
    """

    def __init__(self, path: Path, shape, threads: int):
        self.path = path
        self.setting = {"format": FORMAT, "shape": list(shape), "threads": threads, "processor": processors()["model"]}
        stored = read(path) if path.exists() else {}
        same = all(stored.get(key) == value for key, value in self.setting.items())
        self.parts = stored["parts"] if same else {}

    def add(self, part: str, figures: dict) -> None:
        date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
        self.parts[part] = {"date": date} | figures
        content = self.setting | {"versions": self._versions(), "blas": blas_pools(), "parts": self.parts}
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def _versions() -> dict[str, str]:
        from importlib.metadata import PackageNotFoundError, version

        peers = {}
        for name in ("torch", "implicit"):
            try:
                peers[name] = version(name)
            except PackageNotFoundError:
                continue
        return versions() | peers


def read(path: Path = DEFAULT) -> dict:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def machine(stored: dict) -> str:
    """The machine and the libraries of a run, in a line."""
    v = stored["versions"]
    blas = {f"{pool['name']} {pool['version']} for {pool['kernel']}" for pool in stored["blas"]}
    names = ("numpy", "scipy", "numba", "torch", "implicit")
    libraries = ", ".join(f"{name} {v[name]}" for name in names if name in v)
    return (
        f"{stored['processor']}, {stored['threads']} threads, {v['system']}, Python {v['python']}, {libraries}, "
        f"BLAS {' and '.join(sorted(blas))}"
    )
