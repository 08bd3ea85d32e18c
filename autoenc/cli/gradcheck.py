"""`autoenc gradcheck`: every gradient of the network against finite differences, or the check against mutants."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from autoenc.checks import whole_number
from autoenc.cli.common import print_json, show

HELP = "check every gradient against finite differences"
EPILOG = """\
A line a tensor: the largest difference between the gradient and the central differences, relative
to the largest gradient (error) and to its own element's (by element); the step; and the index of
the worst. Both errors must be under 1e-6. full_size is the whole network at the task's sizes, along
one random direction; it takes some seconds.

With --mutate a line a mutant, a backward broken on purpose: whether the check catches it, and
whether it would have with an upstream gradient of ones (a loss has none: -), or to one decimal.

Exit code 1 if a gradient is wrong, or a mutant is missed.

example:
  autoenc gradcheck --layer batchnorm
"""

CHECK_LINE = "{:<20} {:<20} {:>8} {:>11} {:>6}  {:<8} {}"
MUTANT_LINE = "{:<20} {:<42} {:>8}  {:<7} {:<7} {}"
CAUGHT = {True: "yes", False: "MISSED", None: "-"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--layer", metavar="NAME", help="this one alone (a wrong name lists them)")
    parser.add_argument("--mutate", action="store_true", help="break each backward and see that the check notices")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the table")


def run(args: argparse.Namespace) -> int:
    whole_number("--seed", args.seed, 0)

    def say(line: str) -> None:
        if not args.json:
            show(line.rstrip())

    status, rows = (run_mutants if args.mutate else run_checks)(args, say)
    if args.json:
        print_json({"status": status, "seed": args.seed, "mutants" if args.mutate else "checks": rows})
    return 1 if status == "FAIL" else 0


def run_checks(args: argparse.Namespace, say: Callable[[str], None]) -> tuple[str, list[dict[str, Any]]]:
    from dataclasses import asdict

    from autoenc.gradcheck import TOLERANCE, check_layer, names_of

    names = names_of(args.layer)
    say(CHECK_LINE.format("layer", "tensor", "error", "by element", "step", "worst", ""))
    rows = []
    for layer in names:
        for check in check_layer(layer, args.seed):
            rows.append({"layer": layer, **asdict(check), "passed": check.passed})
            numbers = f"{check.error:.1e}", f"{check.element_error:.1e}", f"{check.step:.0e}"
            worst = ", ".join(map(str, check.worst)) or "-"
            say(CHECK_LINE.format(layer, check.tensor, *numbers, worst, "ok" if check.passed else "WRONG"))
    wrong = sum(not row["passed"] for row in rows)
    say(f"\n{len(rows)} gradients checked, {wrong} wrong (an error of {TOLERANCE:.0e} or more)")
    return ("FAIL" if wrong else "PASS"), rows


def run_mutants(args: argparse.Namespace, say: Callable[[str], None]) -> tuple[str, list[dict[str, Any]]]:
    from dataclasses import asdict

    from autoenc.gradcheck.mutants import mutants_of, try_mutant

    mutants = mutants_of(args.layer)
    say(MUTANT_LINE.format("layer", "mutant", "error", "caught", "by ones", "to 1 decimal"))
    rows = []
    for mutant in mutants:
        verdict = try_mutant(mutant, args.seed)
        rows.append({**mutant._asdict(), **asdict(verdict)})
        by = [CAUGHT[answer] for answer in (verdict.caught, verdict.caught_by_ones, verdict.caught_to_one_decimal)]
        say(MUTANT_LINE.format(mutant.layer, mutant.name, f"{verdict.error:.1e}", *by))
    checks = "caught", "caught_by_ones", "caught_to_one_decimal"
    missed, by_ones, to_one_decimal = (sum(row[check] is False for row in rows) for check in checks)
    say(f"\n{len(rows)} mutants, {missed} missed; ones would have missed {by_ones}, one decimal {to_one_decimal}")
    return ("FAIL" if missed else "PASS"), rows
