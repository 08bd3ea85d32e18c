"""How fast: training, ranking, memory and start of ours and of others, in turns on the same likes.

    python -m benchmarks.speed                    everything (`make bench`), about half an hour
    python -m benchmarks.speed --quick            the main ratios, in under four minutes
    python -m benchmarks.speed --only score       one part again; the others' figures stay

Every contestant has a process of its own and waits asleep while another measures, one turn each,
and again; a ratio is the median over the turns. The likes are synthetic, of MovieLens 10M's shape,
four fifths of them to train on. OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are cleared for all, so
that each library picks its own kernels.

The figures go to benchmarks/results/speed.json, with a picture beside it, and from there to
docs/kernels.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.speed.parts import PARTS, QUICK, Plan, say
from benchmarks.speed.report import tables
from benchmarks.speed.results import DEFAULT, Results, add_arguments, machine, read
from benchmarks.speed.task import ITEMS, LIKES, USERS
from benchmarks.speed.turns import CLEARED, run_again_if_pinned


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the main ratios, in under four minutes")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--turns", type=int, default=5, help="measurements of each (default: %(default)s)")
    add_arguments(parser)
    args = parser.parse_args(argv)
    if (code := run_again_if_pinned("benchmarks.speed", argv, args.threads)) is not None:
        return code

    plan = Plan(args.cache, tuple(args.shape), args.threads, args.turns, args.quick)
    results = Results(args.out, plan.shape, plan.threads)
    parts = args.only or (QUICK if args.quick else PARTS)
    for part in parts:
        say(f"{part}:")
        results.add(part, PARTS[part](plan))

    print(tables(results.parts, plan.shape == (USERS, ITEMS, LIKES)))
    print(f"\n{machine(read(args.out))}; {' and '.join(CLEARED)} cleared for all")
    draw(args.out)
    if args.out == DEFAULT and {"profile", "kernels"} & set(parts):
        subprocess.run([sys.executable, "-m", "benchmarks.speed.kernels_page"], check=True, stdout=sys.stderr)
    return 0


def draw(path: Path) -> None:
    try:
        from benchmarks.speed.chart import draw
    except ImportError as error:
        say(f"no picture: {error.name} is not installed (pip install {error.name}, or make bench)")
        return
    say(f"{path} and {draw(read(path), path.with_suffix('.png'))}")


if __name__ == "__main__":
    sys.exit(main())
