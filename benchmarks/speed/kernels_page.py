"""Generate docs/kernels.md: which kernel replaces which layers, and how fast it is on each processor measured.

    python -m benchmarks.speed.kernels_page

The text is in kernels_page.md next to this file. Names in double braces are replaced by what is generated here
from benchmarks/results/speed/, where the picture by threads is drawn, too.
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
from types import ModuleType

from autoenc.kernels.gather_sum import balanced_blocks
from autoenc.kernels.normalize import n_blocks
from autoenc.kernels.output_tile import parts_of
from autoenc.kernels.top_n import tiles_of
from autoenc.storage.atomic import replacing
from benchmarks.speed.kernels import rows_of_table
from benchmarks.speed.pairs import PAIRS
from benchmarks.speed.profile import EVALUATION, TRAINING
from benchmarks.speed.report import ranking_rows, threads_named, training_rows
from benchmarks.speed.results import FOLDER, by_threads, machine, processor_of, read_all
from benchmarks.speed.targets import parts_of_a_step
from benchmarks.speed.task import EMB_DIM, HIDDEN_DIM, ITEMS
from benchmarks.tables import as_markdown

ROOT = Path(__file__).parents[2]
TEXT = Path(__file__).with_suffix(".md")
PAGE = ROOT / "docs" / "kernels.md"
PICTURE = "![Training and ranking by the number of threads](../benchmarks/results/speed/threads.png)"

# For each phase of the profile: what it is bound by, and why.
WHY = {
    "batch: slice": "SciPy copies the batch's likes from the matrix of all users, on one thread: 0.2 MB.",
    "batch: transpose": "SciPy sorts the likes by item, on one thread. The output layer and the embedding's update "
    "need the users who like each item.",
    "dropout masks": "Bound by arithmetic, on one thread: Philox draws 16 random bits per value.",
    "embedding: catch up": "Bound by memory, and by a square root and a division per number. Adam changes every row in "
    "each step, but a row is only computed when a batch needs it: the missed steps are then done at once.",
    "embedding: gather": "Bound by memory. The rows of all liked items are read, 29,000 of 3.2 kB per step. Rows of "
    "popular items come from the last-level cache, so this can be faster than a copy from memory.",
    "middle, forward": "Bound by arithmetic (one product of 0.16 GFLOP), but short: between its products, ReLU, "
    "BatchNorm and dropout read and write each value once more, and every parallel region waits for its last thread.",
    "output tiles": "Bound by arithmetic: three products of 2.2 GFLOP, nine tenths of those in a step. A tile's "
    "products are smaller than the product that measures BLAS's speed, so BLAS spends more of its time on packing. The "
    "sigmoid and Adam, which reads and writes three arrays of 17 MB, take additional time. Finally, the parts' "
    "gradients of 0.4 MB each are summed. On an AMD EPYC with AVX-512, 16, 24 or 32 parts and tiles of 336, 448 or 672 "
    "items all took the same time.",
    "middle, backward": "Bound by arithmetic (two products of 0.16 GFLOP), but in narrow blocks: their rows are "
    "short, and every parallel region waits for its last thread.",
    "embedding: update": "Bound by memory. The gradient of an item's row is the sum over the users who like it, 3.2 kB "
    "each. It is used immediately by Adam, which reads and writes the row and its two moments.",
    "the rest, Python": "The code between the kernels: about a dozen calls with their arguments, on one thread.",
    "middle": "Bound by arithmetic (0.64 MFLOP per user).",
    "scores and top 10": "Bound by arithmetic (8.5 MFLOP per user). Every score is then compared with the user's tenth "
    "best so far, which few scores exceed.",
}
RANKING_ONLY = {"middle", "scores and top 10"}


def page(stored: list[dict], text: str) -> str:
    """The page's text, with the stored figures of all processors."""
    pieces = {
        "kernels": as_markdown(rows_of_kernels(), "---"),
        "processors": "\n\n".join([PICTURE, *map(section, stored)]) if stored else "No figures are stored.",
        "phases": phases(),
        "sharing": as_markdown(rows_of_sharing()),
        "not measured": not_measured(stored),
    }
    return re.sub(r"\{\{(.*?)\}\}", lambda at: pieces[at[1]], text)


def rows_of_kernels() -> list[list[str]]:
    """Each kernel's file, the first line of its docstring, and the files of the definitions that it replaces."""
    rows = [["kernel", "what it computes", "replaces"]]
    for path in sorted((ROOT / "kernels").glob("[!_]*.py")):
        text = inspect.getdoc(importlib.import_module(f"autoenc.kernels.{path.stem}"))
        definitions = [f for pair in PAIRS if pair.file == path.stem for f in pair.definition]
        if not definitions and (module := re.search(r"Definition: (autoenc[.\w]+\w)", text)):
            definitions = [importlib.import_module(module[1])]
        rows.append(
            [f"[{path.stem}](../kernels/{path.name})", text.partition("\n")[0].removesuffix("."), links(definitions)]
        )
    return rows


def links(definitions: list[Callable | ModuleType]) -> str:
    sources = (inspect.getsourcefile(inspect.unwrap(definition)) for definition in definitions)
    paths = dict.fromkeys(Path(source).resolve().relative_to(ROOT) for source in sources)
    return ", ".join(f"[{path.stem}](../{path.as_posix()})" for path in paths)


def section(stored: dict) -> str:
    """The stored figures of one processor: by threads, by phase, and by kernel."""
    parts = stored["parts"]
    blocks = [f"## {processor_of(stored)}"]
    if "epoch" in parts:
        blocks += ["Training, an epoch:", as_markdown(training_rows(stored))]
    if "score" in parts:
        blocks += ["The ten best items, for one call and for all users:", as_markdown(ranking_rows(stored))]
    if "profile" in parts:
        profiles = by_threads(parts["profile"])
        blocks += ["The phases of a training step, in ms, with the bound in brackets:"]
        blocks += [as_markdown(phase_rows(profiles, "training", stored))]
        blocks += ["The phases of ranking, in ms per 1,000 users, with the bound in brackets:"]
        blocks += [as_markdown(phase_rows(profiles, "evaluation", stored))]
    if "busy" in parts:
        threads, busy = parts["busy"]["threads"], parts["busy"]["busy"]
        blocks += [f"The phases' shares of a step with {threads} threads, alone and next to {busy} busy processes:"]
        blocks += [as_markdown(busy_rows(parts["busy"]))]
    if "kernels" in parts:
        blocks += [f"Kernels and layers with {parts['kernels']['threads']} threads:", as_markdown(pair_rows(parts))]
    dates = sorted({one["date"] for part in parts.values() for one in dated(part)})
    blocks.append(f"Measured on {' and '.join(dates)}: {machine(stored)}.")
    return "\n\n".join(blocks)


def dated(part: dict) -> list[dict]:
    return [part] if "date" in part else list(part.values())


def phase_rows(profiles: dict[int, dict], key: str, stored: dict) -> list[list[str]]:
    """One row per phase: what it is bound by, and its time for each number of threads."""
    processors = processor_of(stored).count
    rows = [["phase", "bound by", *(threads_named(n, processors) for n in profiles)]]
    measured = [profile[key] for profile in profiles.values()]
    scales = [1 if key == "training" else 1000 / profile["users_ranked"] for profile in profiles.values()]
    for phases_ in zip(*measured):
        bounds = {row["bound_by"] for row in phases_} - {None}
        cells = []
        for row, scale in zip(phases_, scales):
            bound = f" [{row['bound_ms'] * scale:.2f}]" if row["bound_ms"] else ""
            cells.append(f"{row['ms'] * scale:.2f}{bound}")
        rows.append([phases_[0]["phase"], " or ".join(sorted(bounds)), *cells])
    return rows


def busy_rows(part: dict) -> list[list[str]]:
    idle, beside = parts_of_a_step(part["idle"]), parts_of_a_step(part["beside"])
    rows = [["phase", "alone", "next to busy processes", "ratio"]]
    rows += [[name, f"{idle[name]:.1%}", f"{beside[name]:.1%}", f"{beside[name] / idle[name]:.1f}"] for name in idle]
    whole = [part[key][-1]["ms"] for key in ("idle", "beside")]
    return [*rows, ["all, ms", *(f"{ms:.1f}" for ms in whole), f"{whole[1] / whole[0]:.1f}"]]


def pair_rows(parts: dict) -> list[list[str]]:
    """`kernels.rows_of_table`, with its three columns of ulp joined."""
    return [
        [*row[:5], "ulp apart" if not row[0] else f"{row[5]} ({row[6]}, {row[7]})"]
        for row in rows_of_table(parts["kernels"])
    ]


def phases() -> str:
    in_order = dict.fromkeys([*TRAINING, "the rest, Python", *EVALUATION])
    said = [f"- **{'ranking, ' * (phase in RANKING_ONLY)}{phase}**: {WHY[phase]}" for phase in in_order]
    return "\n".join(textwrap.fill(line, 120, subsequent_indent="  ") for line in said)


def rows_of_sharing() -> list[list[str]]:
    """The numbers of blocks of the phases of a step, and of ranking, and how long the average thread has work."""
    blocks = {
        "output tiles": parts_of(ITEMS),
        "middle, the embedding's features": n_blocks(EMB_DIM),
        "middle, the hidden features": n_blocks(HIDDEN_DIM),
        "embedding: gather, update": inspect.signature(balanced_blocks).parameters["n_blocks"].default,
        "ranking of 256 users: scores and top 10": tiles_of(ITEMS),
    }
    counts = (2, 4, 8, 16)
    rows = [["phase", "blocks", *(f"{n} threads" for n in counts)]]
    for phase, n in blocks.items():
        rows.append([phase, str(n), *(f"{n / threads / -(-n // threads):.0%}" for threads in counts)])
    return rows


def not_measured(stored: list[dict]) -> str:
    here = [processor_of(one) for one in stored]
    most = max((one.count for one in here), default=0)
    counts = [max(by_threads(one["parts"]["epoch"])) for one in stored if "epoch" in one["parts"]]
    kinds = [
        f"{maker} with {vectors}"
        for maker in ("AMD", "Intel")
        for vectors in ("AVX2", "AVX-512")
        if not any(maker in one.name and vectors == one.vectors for one in here)
    ]
    said = []
    if most and max(counts, default=0) > most:
        said.append(
            f"No machine here has more than {most} processors. The over-subscribed figures show that more threads than "
            "processors do little harm, but not how many processors could be used."
        )
    if kinds:
        said.append(f"No processors of these kinds were measured: {', '.join(kinds)}.")
    said.append("Nothing was measured on ARM, on macOS, or on machines with several sockets.")
    return textwrap.fill(" ".join(said), 120)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.speed.kernels_page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=Path, metavar="FOLDER", default=FOLDER, help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="FILE", default=PAGE, help="default: %(default)s")
    args = parser.parse_args(argv)
    stored = read_all(args.results)
    if not stored:
        print(f"{args.results} has no figures: run python -m benchmarks.speed", file=sys.stderr)
        return 2
    text = page(stored, TEXT.read_text(encoding="utf-8"))
    with replacing(args.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(args.out)
    try:
        from benchmarks.speed import chart
    except ImportError as error:
        print(f"no picture: {error.name} is not installed", file=sys.stderr)
        return 0
    print(chart.draw_threads(stored, args.results / "threads.png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
