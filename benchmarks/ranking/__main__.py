"""All models on the same splits, each tuned on validation.

    python -m benchmarks.ranking --protocol weak                          what is lacking, then the tables
    python -m benchmarks.ranking --protocol strong --datasets pinterest   one data set's

weak: every user is trained on, a fifth of their likes is held out. strong: a share of the users is
held out; of these a model sees four fifths of their likes, when it is asked for the rest.

Validation chooses, on likes held out of the training likes in the same way; the test likes are
looked at once. Each run has a process of its own and is a line of results/ranking-PROTOCOL.jsonl;
what is there is not run again. `plans` says what is run and tuned on which data set. What
each model is worth to each user is kept in a cache, where the runs after it are paired with it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks import datasets
from benchmarks.cache import default_folder
from benchmarks.ranking.lines import RESULTS, Lines
from benchmarks.ranking.plans import MODELS, PLANS
from benchmarks.ranking.report import choices, setting, table, verdict
from benchmarks.ranking.run import in_own_process, measure
from benchmarks.ranking.values import values_file
from benchmarks.tables import as_markdown, as_text


def lacking(lines: Lines, names, seeds, models, folder: Path, again: bool) -> list[tuple]:
    """The runs to be done, (dataset, seed, model): on each split the reference, then `best`, then the others.

    The reference is added where its values aren't kept, as all are paired with them. `best`, which
    takes long, is not: whoever runs before it is paired with it by a `--refit`.
    """
    runs = []
    for name in names:
        plan = PLANS[name]
        for seed in seeds or plan.seeds_of(lines.protocol):
            todo = [
                model
                for model in plan.spaces
                if model in (models or plan.spaces) and (again or (name, seed, model) not in lines.lines)
            ]
            values = values_file(folder, name, lines.protocol, seed, plan.reference, "*")
            if todo and plan.reference not in todo and not any(folder.glob(values.name)):
                todo.append(plan.reference)
            todo.sort(key=lambda model: (model != plan.reference, model != "best"))
            runs += [(name, seed, model) for model in todo]
    return runs


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.ranking", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--protocol", choices=("weak", "strong"), required=True)
    parser.add_argument("--datasets", nargs="+", choices=PLANS, help="default: what can be loaded or has results")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="default: the data set's plan")
    parser.add_argument("--models", nargs="+", choices=MODELS, metavar="MODEL", help="run these alone")
    parser.add_argument("--minutes", type=float, default=60, help="start no run after so many (default: %(default)g)")
    parser.add_argument("--again", action="store_true", help="run also what there are results of")
    parser.add_argument("--refit", action="store_true", help="the same, with what its search chose then")
    parser.add_argument("--results", type=Path, metavar="FOLDER", default=RESULTS, help="default: benchmarks/results")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", default=default_folder(),
                        help="for the values of each user (default: %(default)s)")  # fmt: skip
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    args = parser.parse_args(argv)

    lines = Lines(args.results / f"ranking-{args.protocol}.jsonl", args.protocol)
    loadable = [name for name in datasets.available() if name in PLANS]
    known = {name for name, *_ in lines.lines}.union(loadable)
    for name in set(args.datasets or ()) - known:
        parser.error(f"{name} is not in {datasets.FOLDER}: set AUTOENC_TEST_DATA to the folder that has it")
    names = [name for name in args.datasets or PLANS if name in known]
    to_run = [name for name in names if name in loadable]
    runs = lacking(lines, to_run, args.seeds, args.models, args.cache, args.again or args.refit)
    unfinished = run_all(lines, runs, args.minutes, args.cache, args.refit)

    met = [show(lines, name, args.markdown) for name in names if lines.models(name, PLANS[name])]
    if unfinished:
        print(f"{unfinished} runs are still to be done: the same command goes on with them")
    if runs:
        print(picture(lines, args.results))
    return 0 if all(met) else 1


def run_all(lines: Lines, runs: list[tuple], minutes: float, folder: Path, refit: bool) -> int:
    """Run what there is time for, and return how many runs there wasn't time for."""
    begun = time.perf_counter()
    for done, (name, seed, model) in enumerate(runs):
        spent = (time.perf_counter() - begun) / 60
        if spent > minutes:
            return len(runs) - done
        print(f"{done + 1} of {len(runs)} runs: {name}, seed {seed}, {model} ({spent:.1f} minutes)", file=sys.stderr)
        earlier = lines.lines.get((name, seed, model)) if refit else None
        lines.add(in_own_process(measure, name, lines.protocol, seed, model, folder, earlier))
    return 0


def show(lines: Lines, name: str, markdown: bool) -> bool:
    """Print a data set's table, what was chosen and the verdict; return whether all of that is met."""
    plan = PLANS[name]
    as_table = as_markdown if markdown else as_text
    print(setting(lines, name, plan), "", as_table(table(lines, name, plan)), "", sep="\n")
    print("Chosen:", *choices(lines, name, plan), "", sep="\n")
    judged = verdict(lines, name, plan)
    for is_met, sentence in judged:
        print(f"{'met' if is_met else 'NOT MET'}: {sentence}")
    print()
    return all(is_met for is_met, _ in judged)


def picture(lines: Lines, folder: Path) -> Path:
    import matplotlib

    matplotlib.use("agg")
    from benchmarks.ranking.chart import draw

    path = folder / f"ranking-{lines.protocol}.svg"
    with matplotlib.rc_context({"svg.hashsalt": "autoenc", "svg.fonttype": "none"}):
        figure = draw([lines], PLANS)
        figure.savefig(path, metadata={"Date": None}, facecolor="white")
        matplotlib.pyplot.close(figure)
    return path


if __name__ == "__main__":
    sys.exit(main())
