"""Makes docs/kernels.md: what each kernel computes and how fast, from the kernels' docstrings and a run's JSON.

    python -m benchmarks.speed.kernels_page

The figures are those of the parts `kernels` and `profile` of benchmarks/results/speed.json, which
`make bench` measures; the texts are the kernels' docstrings.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path

from autoenc.storage.atomic import replacing
from benchmarks.speed.kernels import rows_of_table
from benchmarks.speed.pairs import PAIRS, Pair
from benchmarks.speed.results import DEFAULT, machine, read
from benchmarks.tables import as_markdown

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "kernels.md"

OPENING = """\
# From definition to kernel

A layer in `autoenc/layers/` is a definition: it can be read, and checked by finite differences. A kernel in `kernels/`
computes the same as one layer, or as several in a row, and faster. This page says how, for readers who know the layers.
It is made by `python -m benchmarks.speed.kernels_page` from the kernels' docstrings and from what `make bench`
measured, on one minibatch of the task's sizes: {sizes}.

All kernels divide their work into blocks of a fixed size, which numba's `prange` distributes to the threads. Each block
is computed by one thread, which calls BLAS for its matrix products. So the order of every sum is fixed, and the result
is the same to the bit on any number of threads.

- **share of bound**: the least time that the kernel could need, divided by the time that it takes. The least time is
  that of its flops at the rate of NumPy's BLAS in a large square product ({blas:.0f} GFLOP/s), or of its bytes at the
  rate of a large copy ({copy:.0f} GB/s), whichever is longer. Above 100% the data came from a cache.
- **ulp apart**: the largest difference between layer and kernel in float32, over all outputs, in units in the last
  place of the output's largest number. The two columns after it compare the layer and the kernel with the layer in
  float64 in the same way: the smaller one is the more accurate.

{table}

{machine}. Measured on {date} by `python -m benchmarks.speed.kernels`.
"""

STEP = """\
## One training step

The time of each phase of a step on the kernels, measured by `python -m benchmarks.speed.profile`:

{training}

And of ranking {users:,} users:

{evaluation}
"""


def page(stored: dict) -> str:
    """The page's text, of the content of a results file."""
    part, profile = stored["parts"]["kernels"], stored["parts"].get("profile")
    blocks = [
        OPENING.format(
            sizes=part["sizes"],
            blas=part["blas_gflops"],
            copy=part["copy_gbs"],
            table=as_markdown(rows_of_table(part)),
            machine=machine(stored),
            date=part["date"],
        )
    ]
    if profile:
        training, evaluation = (as_markdown(phase_rows(profile[key])) for key in ("training", "evaluation"))
        blocks.append(STEP.format(training=training, evaluation=evaluation, users=profile["users_ranked"]))
    files = dict.fromkeys(pair.file for pair in PAIRS if pair.file)
    blocks += [section(file, [pair for pair in PAIRS if pair.file == file]) for file in files]
    others = [path.stem for path in sorted((ROOT / "kernels").glob("[!_]*.py")) if path.stem not in files]
    blocks.append("## Used by the other kernels\n")
    blocks.append("\n".join(f"- {headline(file)}" for file in others) + "\n")
    return "\n".join(blocks)


def headline(file: str) -> str:
    """A link to a kernel's file, and the first line of its docstring."""
    title = inspect.getdoc(importlib.import_module(f"autoenc.kernels.{file}")).partition("\n")[0]
    return f"[kernels/{file}.py](../kernels/{file}.py): {lowered(title)}"


def section(file: str, pairs: list[Pair]) -> str:
    """A kernel's file: its docstring, and where the definitions of its rows in the table are."""
    body = inspect.getdoc(importlib.import_module(f"autoenc.kernels.{file}")).partition("\n")[2]
    definitions = [f"- {pair.title}: {links(pair.definition)}\n" for pair in pairs if pair.definition]
    blocks = [f"## {file}\n", f"{headline(file)}\n", f"{body.strip()}\n"]
    if definitions:
        blocks.append("The code that it replaces, by row of the table:\n\n" + "".join(definitions))
    return "\n".join(blocks)


def lowered(title: str) -> str:
    """A docstring's first line as the rest of a sentence, but for a name such as ReLU."""
    return title if re.match(r"[A-Z]\w*[A-Z]", title) else title[:1].lower() + title[1:]


def links(functions: list[Callable]) -> str:
    paths = dict.fromkeys(Path(inspect.getsourcefile(f)).resolve().relative_to(ROOT).as_posix() for f in functions)
    return ", ".join(f"[{path}](../{path})" for path in paths)


def phase_rows(rows: list[dict]) -> list[list[str]]:
    table = [["phase", "ms", "bound, ms", "bound by", "share of bound"]]
    for row in rows:
        bound = row["bound_ms"]
        bounds = [f"{bound:.2f}", row["bound_by"], f"{bound / row['ms']:.0%}"] if bound else ["", "", ""]
        table.append([row["phase"], f"{row['ms']:.2f}", *bounds])
    return table


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.speed.kernels_page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=Path, metavar="FILE", default=DEFAULT, help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="FILE", default=PAGE, help="default: %(default)s")
    args = parser.parse_args(argv)
    stored = read(args.results)
    if "kernels" not in stored["parts"]:
        print(f"{args.results} has no figures of the kernels: run python -m benchmarks.speed.kernels", file=sys.stderr)
        return 2
    text = page(stored)
    with replacing(args.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
