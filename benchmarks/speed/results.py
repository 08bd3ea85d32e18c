"""A run's figures as JSON: the machine, and the parts of `python -m benchmarks.speed` measured on it."""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path

from autoenc.doctor import versions
from autoenc.machine import blas_pools
from autoenc.storage.atomic import replacing
from benchmarks.cache import default_folder
from benchmarks.speed.processor import Processor, processor
from benchmarks.speed.task import ITEMS, LIKES, USERS

FORMAT = 3  # of the parts; increased when their content changes
FOLDER = Path(__file__).parents[1] / "results" / "speed"
BY_THREADS = ("epoch", "score", "profile")  # the parts that are stored for each number of threads


def default_file() -> Path:
    """The file with the figures of this processor."""
    return FOLDER / f"{processor().slug}.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of all commands that write results."""
    shape = (USERS, ITEMS, LIKES)
    parser.add_argument("--shape", nargs=3, type=int, default=shape, metavar=("USERS", "ITEMS", "LIKES"),
                        help="size of the set (default: MovieLens 10M's, which the targets are for)")  # fmt: skip
    parser.add_argument("--cache", type=Path, metavar="FOLDER", default=default_folder(),
                        help="folder to store the sets in (default: %(default)s)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", default=default_file(), help="default: %(default)s")


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add the number of threads, for a command that measures with only one."""
    parser.add_argument("--threads", type=int, default=processor().count, help="default: %(default)s")


class Results:
    """The parts by name. Parts with another format, processor or shape are dropped when one is added.

    A part in BY_THREADS is a dict of measurements by the number of threads, as a string.

    Parameters
    ----------
    path : Path
        Read if it exists, and rewritten with each part.
    shape : (n_users, n_items, n_likes)
        The size of the set.
    """

    def __init__(self, path: Path, shape):
        self.path = path
        self.setting = {"format": FORMAT, "shape": list(shape), "processor": processor()._asdict()}
        stored = read(path) if path.exists() else {}
        same = all(stored.get(key) == value for key, value in self.setting.items())
        self.stored = self.setting | {"parts": stored["parts"] if same else {}}

    def add(self, part: str, figures: dict, threads: int) -> None:
        date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
        dated = {"date": date, "threads": threads} | figures
        parts = self.stored["parts"]
        parts[part] = parts.get(part, {}) | {str(threads): dated} if part in BY_THREADS else dated
        self.stored |= {"versions": self._versions(), "blas": blas_pools(), "parts": parts}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps(self.stored, indent=1) + "\n", encoding="utf-8")

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


def read(path: Path) -> dict:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def read_all(folder: Path = FOLDER) -> list[dict]:
    """The stored figures of all processors, sorted by file name."""
    return [read(path) for path in sorted(folder.glob("*.json"))]


def processor_of(stored: dict) -> Processor:
    return Processor(**stored["processor"])


def by_threads(part: dict) -> dict[int, dict]:
    """A part in BY_THREADS, sorted by the number of threads."""
    return {threads: part[str(threads)] for threads in sorted(map(int, part))}


def machine(stored: dict) -> str:
    """The machine and the libraries of a run, on one line."""
    v = stored["versions"]
    blas = {f"{pool['name']} {pool['version']} for {pool['kernel']}" for pool in stored["blas"]}
    names = ("autoenc", "numpy", "scipy", "numba", "torch", "implicit")
    libraries = ", ".join(f"{name} {v[name]}" for name in names if name in v)
    return (
        f"{processor_of(stored)}, {v['system']}, Python {v['python']}, {libraries}, BLAS {' and '.join(sorted(blas))}"
    )
