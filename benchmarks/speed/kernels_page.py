"""Makes docs/kernels.md: each definition beside its kernel, from the sources and a run's JSON.

    python -m benchmarks.speed.kernels_page

The figures are those of the parts `kernels` and `profile` of benchmarks/results/speed.json, which
`make bench` measures; the texts are the kernels' docstrings and the functions themselves.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
import textwrap
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
stands for a layer, or for several one after the other, and has to give the same answer. Here each stands beside its
definition, for a reader who has read the layers. The page is made by `python -m benchmarks.speed.kernels_page` from the
sources and from what `make bench` measured, on one minibatch of the task's sizes: {sizes}.

What the kernels have in common: work is cut into blocks of a fixed size, which numba's `prange` deals to the threads,
and each block is computed by one thread, with a matmul of our own (kernels/matmul.py). Only `top_n` calls BLAS, on
that one thread, where BLAS rounds all rows alike. So the order of every sum is fixed, and the bits don't depend on the
number of threads.

- **share of bound**: what the kernel's flops take at the rate of NumPy's BLAS in a large square matmul
  ({blas:.0f} GFLOP/s), or its bytes at that of a large copy ({copy:.0f} GB/s), whichever is longer, over what the
  kernel takes. Above 100% the data came from a cache.
- **ulp apart**: the largest difference between the two in float32, over all outputs, in units in the last place of the
  largest number of its kind. The columns after it measure in the same way how far the layer and the kernel are from the
  layer computed in float64: where the kernel's is the smaller one, the kernel is the more exact of the two.

{table}

{machine}. Measured on {date} by `python -m benchmarks.speed.kernels`.
"""

STEP = """\
## One training step

Where the time goes in the fused step, by `python -m benchmarks.speed.profile`:

{training}

and in ranking {users:,} users:

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
    blocks.append("## Without a definition\n\nWhat changes no value has none:\n")
    blocks.append("\n".join(f"- {headline(file)}" for file in others) + "\n")
    return "\n".join(blocks)


def headline(file: str) -> str:
    """A link to a kernel's file, and the first line of its docstring."""
    title = inspect.getdoc(importlib.import_module(f"autoenc.kernels.{file}")).partition("\n")[0]
    return f"[kernels/{file}.py](../kernels/{file}.py): {lowered(title)}"


def section(file: str, pairs: list[Pair]) -> str:
    """A kernel's file: its docstring, then each of its pairs as code."""
    body = inspect.getdoc(importlib.import_module(f"autoenc.kernels.{file}")).partition("\n")[2]
    blocks = [f"## {file}\n", f"{headline(file)}\n", f"{body.strip()}\n"]
    for pair in pairs:
        blocks.append(f"### {pair.title}\n")
        if pair.definition:
            blocks.append(f"The definition, in {links(pair.definition)}:\n\n{code(pair.definition)}")
        blocks.append(f"The kernel:\n\n{code(pair.kernel)}")
    return "\n".join(blocks)


def lowered(title: str) -> str:
    """A docstring's first line as the rest of a sentence, but for a name such as ReLU."""
    return title if re.match(r"[A-Z]\w*[A-Z]", title) else title[:1].lower() + title[1:]


def plain(function: Callable) -> Callable:
    """A kernel's Python, where numba has compiled it."""
    return getattr(function, "py_func", function)


def links(functions: list[Callable]) -> str:
    paths = dict.fromkeys(Path(inspect.getsourcefile(f)).resolve().relative_to(ROOT).as_posix() for f in functions)
    return ", ".join(f"[{path}](../{path})" for path in paths)


def code(functions: list[Callable]) -> str:
    """The functions' source in a block, a method under a comment that names its class."""
    sources = []
    for function in map(plain, functions):
        source = textwrap.dedent(inspect.getsource(function)).rstrip()
        owner = function.__qualname__.rpartition(".")[0]
        sources.append(f"# {owner}\n{source}" if owner else source)
    return "```python\n" + "\n\n".join(sources) + "\n```\n"


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
