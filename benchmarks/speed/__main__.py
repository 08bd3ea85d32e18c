"""Training, ranking, memory and start of autoenc and others, in alternating turns on the same likes.

    python -m benchmarks.speed                      everything (`make bench`), about an hour
    python -m benchmarks.speed --quick              the main ratios, in about four minutes
    python -m benchmarks.speed --only score         one part again; the other figures are kept
    python -m benchmarks.speed --threads 1 2 4 8 16
    SPEED_VECTORS=AVX2 python -m benchmarks.speed   without AVX-512, as on an older processor

Every contestant has its own process, which sleeps while another measures, in alternating turns; a ratio is
the median over the turns. The likes are synthetic, with the size of MovieLens 10M; four fifths are for
training. OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are cleared for all, so that each library chooses its own
kernels, except with SPEED_VECTORS=AVX2, which keeps OpenBLAS, numba and PyTorch from using AVX-512.

Training, ranking and the profile are measured with each number of threads, the rest with the largest that is
not above the number of processors. Numbers above it show the cost of over-subscription.

The figures are stored in benchmarks/results/speed/, one file per processor, with a picture, and shown in
docs/kernels.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.speed import kernels_page
from benchmarks.speed.parts import PARTS, QUICK, Plan, say
from benchmarks.speed.processor import Processor, processor
from benchmarks.speed.report import tables
from benchmarks.speed.results import BY_THREADS, Results, add_arguments, default_file, machine
from benchmarks.speed.task import ITEMS, LIKES, USERS
from benchmarks.speed.turns import CLEARED, run_again_if_pinned


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the main ratios, in about four minutes")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--turns", type=int, metavar="N", help="measurements of each (default: 5, or 3 with --quick)")
    parser.add_argument("--threads", nargs="+", type=int, metavar="N",
                        help="default: 1, 2, 4 and so on, up to the processors; with --quick 1 and all")  # fmt: skip
    add_arguments(parser)
    args = parser.parse_args(argv)
    here = processor()
    counts = sorted(set(args.threads or default_counts(here, args.quick)))
    if counts[0] < 1:
        parser.error(f"--threads must be 1 or more, got {counts[0]}")
    most = max((n for n in counts if n <= here.count), default=here.count)
    if (code := run_again_if_pinned("benchmarks.speed", argv, most)) is not None:
        return code

    plan = Plan(args.cache, tuple(args.shape), most, args.turns or (3 if args.quick else 5), args.quick)
    results = Results(args.out, plan.shape)
    parts = args.only or (QUICK if args.quick else PARTS)
    for part in parts:
        for threads in counts if part in BY_THREADS else [most]:
            say(f"{part}, {threads} thread{'s' * (threads > 1)}{' (over-subscribed)' * (threads > here.count)}:")
            results.add(part, PARTS[part](plan._replace(threads=threads, others=threads == most)), threads)

    is_the_tasks = plan.shape == (USERS, ITEMS, LIKES)
    print(tables(results.stored, is_the_tasks))
    print(f"\n{machine(results.stored)}; {' and '.join(CLEARED)} cleared for all")
    draw(results.stored, args.out)
    if args.out == default_file() and is_the_tasks:
        kernels_page.main([])
    return 0


def default_counts(here: Processor, quick: bool) -> list[int]:
    return [1, here.count] if quick else here.thread_counts


def draw(stored: dict, path: Path) -> None:
    try:
        from benchmarks.speed import chart
    except ImportError as error:
        say(f"no picture: {error.name} is not installed (pip install {error.name}, or make bench)")
        return
    picture = chart.draw(stored, path.with_suffix(".png"))
    say(f"{path} and {picture}" if picture.exists() else str(path))


if __name__ == "__main__":
    sys.exit(main())
