"""`autoenc gradcheck`: check every gradient against finite differences, an exercise's backward, or the mutants."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from autoenc.checks import whole_number
from autoenc.cli.common import print_json, show

if TYPE_CHECKING:
    from autoenc.gradcheck import TensorCheck

HELP = "check every gradient against finite differences"
EPILOG = """\
Each line is one tensor: the largest difference between its gradient and the central differences,
relative to the largest gradient (error) and to the element itself (by element), and the step size of the
differences. Both errors must be below 1e-6. A WRONG line shows the index of the worst element and both
numbers there. full_size is the whole network at the task's sizes, along one random direction; it takes a
few seconds.

--yours mine.py checks the backward in a file that `autoenc exercise` printed. If a gradient is wrong, it
says which common mistake gives the same numbers.

--mutate breaks every backward with common mistakes, one at a time; the check must catch each of them.

Exit code 1 if a gradient is wrong, a layer raises an error, or a mutant is missed.

example:
  autoenc gradcheck --layer batchnorm
"""

CHECK_LINE = "{:<20} {:<18} {:>8} {:>11} {:>6}  {}"
MUTANT_LINE = "{:<20} {:<47} {:>8}  {:<7} {:<7} {}"
MUTANTS_ARE = """\
Each line is a mistake put into a backward; `error` is the resulting error of the gradients, and `caught`
says whether the check finds it. The last columns say whether two weaker checks would find it: one with an
upstream gradient of ones (- for a loss, which has none), and one that compares to 1 decimal.
"""
CAUGHT = {True: "yes", False: "MISSED", None: "-"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--layer", metavar="NAME", help="layer to check, such as batchnorm or BatchNorm1d; an unknown "
                        "name lists them (default: all)")  # fmt: skip
    parser.add_argument("--yours", metavar="FILE", help="check the backward in FILE, an exercise for --layer")
    parser.add_argument("--mutate", action="store_true", help="break each backward, and check that the check notices")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of the table")


def run(args: argparse.Namespace) -> int:
    whole_number("--seed", args.seed, 0)
    if args.yours is not None and (args.layer is None or args.mutate):
        raise ValueError("--yours checks one layer; pass --layer as well, and not --mutate")

    def say(line: str) -> None:
        if not args.json:
            show(line.rstrip())

    status, rows = (run_mutants if args.mutate else run_checks)(args, say)
    if args.json:
        print_json({"status": status, "seed": args.seed, "mutants" if args.mutate else "checks": rows})
    return 1 if status == "FAIL" else 0


def run_checks(args: argparse.Namespace, say: Callable[[str], None]) -> tuple[str, list[dict[str, Any]]]:
    from autoenc.gradcheck import TOLERANCE, check_layer, names_of
    from autoenc.gradcheck.exercises import Answer, check_yours, load_class
    from autoenc.gradcheck.verdicts import message_of

    names = names_of(args.layer)
    yours = None if args.yours is None else load_class(args.yours, names[0])
    say(CHECK_LINE.format("layer", "tensor", "error", "by element", "step", ""))
    rows: list[dict[str, Any]] = []
    for layer in names:
        try:
            if yours is None:
                answers = [Answer(check, []) for check in check_layer(layer, args.seed)]
            else:
                answers = check_yours(layer, yours, args.seed)
        except Exception as error:  # raised by the layer; the others are still checked
            rows.append({"layer": layer, "passed": False, "raised": message_of(error)})
            say(f"{layer:<20} RAISED {type(error).__name__}: {rows[-1]['raised']}")
            continue
        for check, mistakes in answers:
            rows.append(row_of(layer, check, mistakes))
            say(line_of(layer, check))
            for mistake in mistakes:
                say(f"{'':<20} this is what you get when {mistake}")
    wrong = sum(not row["passed"] for row in rows)
    gradients = f"{len(rows)} gradient{'s' * (len(rows) != 1)}"
    say(f"\n{gradients} checked, {wrong} wrong (an error of {TOLERANCE:.0e} or more)")
    return ("FAIL" if wrong else "PASS"), rows


def row_of(layer: str, check: TensorCheck, mistakes: list[str]) -> dict[str, Any]:
    from dataclasses import asdict

    return {"layer": layer, **asdict(check), "passed": check.passed} | ({"mistakes": mistakes} if mistakes else {})


def line_of(layer: str, check: TensorCheck) -> str:
    from autoenc.gradcheck.verdicts import verdict_of

    numbers = f"{check.error:.1e}", f"{check.element_error:.1e}", f"{check.step:.0e}"
    return CHECK_LINE.format(layer, check.tensor, *numbers, verdict_of(check))


def run_mutants(args: argparse.Namespace, say: Callable[[str], None]) -> tuple[str, list[dict[str, Any]]]:
    from dataclasses import asdict

    from autoenc.gradcheck.mutants import mutants_of, try_mutant

    mutants = mutants_of(args.layer)
    say(MUTANTS_ARE)
    say("")
    say(MUTANT_LINE.format("layer", "mistake", "error", "caught", "by ones", "to 1 decimal"))
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
