"""What several commands share: flags, and messages on stderr."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from autoenc.messages import printable

if TYPE_CHECKING:
    from autoenc.datasets.options import ReadOptions
    from autoenc.interactions import Interactions
    from autoenc.models.base import Recommender

MODEL_HELP = "a model file, written by `autoenc train --out`"


def say(line: str) -> None:
    """Report progress on stderr; stdout is for the answer. If stderr can't be written to, the work goes on."""
    with contextlib.suppress(OSError):
        _tell(line, sys.stderr)


def show(text: str) -> None:
    """Print an answer as text, with any number of lines."""
    _tell(text, sys.stdout)


def _tell(text: str, stream: TextIO) -> None:
    """Print lines without characters that a terminal would interpret."""
    print("\n".join(map(printable, text.split("\n"))), file=stream, flush=True)


def print_json(value: Any) -> None:
    """Print the answer as one line of JSON. NaN and infinity, which JSON lacks, become null."""
    print(json.dumps(_as_json(value), allow_nan=False))


def _as_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _as_json(inner) for key, inner in value.items()}
    return [_as_json(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def own_command() -> str:
    """The command that starts this program: `autoenc` if it is on the path, or else the script next to this Python."""
    if shutil.which("autoenc"):
        return "autoenc"
    script = Path(sys.executable).with_name("autoenc")
    program, *rest = [str(script)] if script.exists() else [sys.executable, "-m", "autoenc"]
    nearer = os.path.relpath(program)
    return shlex.join([program if nearer.startswith("..") else nearer, *rest])


def add_likes(parser: argparse.ArgumentParser, default: str) -> None:
    """Flags that name the likes, as in `autoenc train`; `default` describes the default."""
    likes = parser.add_argument_group(f"the likes, by one of (default: {default})")
    likes.add_argument("--dataset", metavar="NAME", help="the name of a data set, as for `autoenc train`")
    likes.add_argument("--data", metavar="PATH", help="a file of likes, or a zip or folder with one, or - for standard "
                       "input")  # fmt: skip
    likes.add_argument(
        "--cache-path", metavar="PREFIX", help="the task's own split, PREFIX_train.npy and PREFIX_valid.npy"
    )
    add_reading(parser)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Flags for how to read a file of likes, which `reading_of` evaluates."""
    reading = parser.add_argument_group(
        "how the file of likes is read",
        "The columns used are reported on stderr. COLUMN is a header name or a number, counted from 1.",
    )
    for role, what in _COLUMNS.items():
        reading.add_argument(f"--{role}-column", metavar="COLUMN", help=what)
    reading.add_argument("--delimiter", metavar="CHARACTER", help="column separator: a single character, ::, or one "
                         "of tab, comma, semicolon, bar, blank (default: detected)")  # fmt: skip
    reading.add_argument("--header", action=argparse.BooleanOptionalAction, default=None,
                         help="whether the first line names the columns (default: detected)")  # fmt: skip
    reading.add_argument("--min-rating", type=float, metavar="N", help="count only rows rated N or higher as likes "
                         "(default: all rows)")  # fmt: skip
    reading.add_argument("--min-likes-per-user", type=int, default=0, metavar="N",
                         help="drop users with fewer than N likes (default: 0)")  # fmt: skip
    reading.add_argument("--min-likes-per-item", type=int, default=0, metavar="N",
                         help="drop items with fewer than N likes; with --min-likes-per-user, both are repeated "
                         "until nothing more is dropped (default: 0)")  # fmt: skip


_COLUMNS = {
    "user": "column of users (default: detected)",
    "item": "column of items; for lists with one line per user, a range such as 2-, the second column and all after it "
    "(default: detected)",
    "rating": "column of ratings, for --min-rating (default: detected)",
    "time": "column of times: seconds since 1970, or dates such as 2024-01-31 10:00:00 (default: detected)",
    "weight": "column of weights, such as plays or stars: how much each like counts (default: all count equally)",
}


def say_source(likes: Interactions) -> None:
    """Report how likes were read, if that was guessed, and what was left out."""
    if likes.source:
        say(likes.source)


def reading_of(args: argparse.Namespace) -> ReadOptions:
    """The options set by the flags of `add_reading`. Raises ValueError if one is invalid."""
    from autoenc.datasets.options import ReadOptions

    columns = {role: getattr(args, f"{role}_column") for role in _COLUMNS}
    others = ("delimiter", "header", "min_rating", "min_likes_per_user", "min_likes_per_item")
    return ReadOptions(**columns, **{name: getattr(args, name) for name in others})


def add_progress(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction, default=None,
                        help="show progress bars (default: if stderr is a terminal)")  # fmt: skip


def wants_progress(args: argparse.Namespace) -> bool:
    return sys.stderr.isatty() if args.progress is None else args.progress


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Flags for computing on many machines."""
    engine = parser.add_argument_group("many machines")
    engine.add_argument(
        "--engine",
        choices=("here", "dask"),
        default="here",
        help="compute in this process, or on Dask workers (default: here)",
    )
    engine.add_argument("--scheduler", metavar="ADDRESS", help="address of a Dask scheduler, such as "
                        "tcp://host:8786 (default: start processes on this machine)")  # fmt: skip
    engine.add_argument("--workers", type=int, metavar="N", help="number of processes to start on this machine "
                        "(default: one per processor)")  # fmt: skip


def check_engine(args: argparse.Namespace) -> None:
    """Raise ValueError if the flags of `add_engine` and `add_reading` can't be combined."""
    from autoenc.datasets.options import check_no_columns

    if args.engine != "dask" and (args.scheduler, args.workers) != (None, None):
        raise ValueError("--scheduler and --workers need --engine dask; pass that as well, or leave them out")
    if args.workers is not None and args.workers < 1:
        raise ValueError(f"--workers must be 1 or more, got {args.workers}")
    if args.engine == "dask":
        check_no_columns("--engine dask reads a prepared folder", reading_of(args))
        if args.min_likes_per_user or args.min_likes_per_item:
            raise ValueError(
                "--min-likes-per-user and --min-likes-per-item need all likes at once, but --engine dask reads them in "
                "parts; leave them out"
            )


def weighs_times(models: Iterable[Recommender]) -> bool:
    """Whether one of the models, or a part of a blend, has a half-life or will choose one."""
    params = (model.get_params().items() for model in models)
    told = ((name.rpartition("__")[2], value) for items in params for name, value in items)
    return any(
        (name == "half_life" and value is not None) or (name, value) == ("validation", "time") for name, value in told
    )


def load_as_asked(path: str, models: Iterable[Recommender], reading: ReadOptions) -> Interactions:
    """The likes at a path, with times if one of the models uses them and the file has any."""
    from autoenc import datasets

    use_times = weighs_times(models)
    likes = datasets.load(path=path, times=None if use_times else False, **vars(reading))
    say_source(likes)
    say_if_without_times(path, likes, models)
    return likes


def say_if_without_times(path: str, likes: Interactions, models: Iterable[Recommender]) -> None:
    """Report that likes have no times if one of the models uses them."""
    if likes.times is None and weighs_times(models):
        say(f"{path} has no times, so all likes of a user count equally")
