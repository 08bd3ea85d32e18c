"""All models on the same splits, each tuned on validation: `quality.py --protocol weak` or `strong`.

    python benchmarks/quality.py --protocol weak                          what is lacking, then the tables
    python benchmarks/quality.py --protocol strong --datasets pinterest   one data set's

weak: every user is trained on, a fifth of their likes is held out. strong: a share of the users is
held out; of these a model sees four fifths of their likes, when it is asked for the rest.

Validation chooses, on likes held out of the training likes in the same way; the test likes are
looked at once. Each run has a process of its own and is a line of results/ranking-PROTOCOL.jsonl;
what is there is not run again. `ranking_plans` says what is run and tuned on which data set. What
each model is worth to each user is kept in a cache, where the runs after it are paired with it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import arrays
import data
import ranking_run
from quality_report import as_text
from ranking_plans import MODELS, PLANS
from ranking_report import RESULTS, Lines, choices, setting, table, verdict


def lacking(lines: Lines, datasets, seeds, models, folder: Path, again: bool) -> list[tuple]:
    """The runs to be done, (dataset, seed, model): on each split the reference, then `best`, then the others.

    The reference is added where its values aren't kept, as all are paired with them. `best`, which
    takes long, is not: whoever runs before it is paired with it by a `--refit`.
    """
    runs = []
    for name in datasets:
        plan = PLANS[name]
        for seed in seeds or plan.seeds_of(lines.protocol):
            todo = [
                model
                for model in plan.spaces
                if model in (models or plan.spaces) and (again or (name, seed, model) not in lines.lines)
            ]
            values = ranking_run.values_file(folder, name, lines.protocol, seed, plan.reference, "*")
            if todo and plan.reference not in todo and not any(folder.glob(values.name)):
                todo.append(plan.reference)
            todo.sort(key=lambda model: (model != plan.reference, model != "best"))
            runs += [(name, seed, model) for model in todo]
    return runs


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        prog="quality.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--protocol", choices=("weak", "strong"), required=True)
    parser.add_argument("--datasets", nargs="+", choices=PLANS, help="default: what can be loaded or has results")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="default: the data set's plan")
    parser.add_argument("--models", nargs="+", choices=MODELS, metavar="MODEL", help="run these alone")
    parser.add_argument("--minutes", type=float, default=60, help="start no run after so many (default: %(default)g)")
    parser.add_argument("--again", action="store_true", help="run also what there are results of")
    parser.add_argument("--refit", action="store_true", help="the same, with what its search chose then")
    parser.add_argument("--results", type=Path, metavar="FOLDER", default=RESULTS, help="default: benchmarks/results")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", default=arrays.default_folder(),
                        help="for the values of each user (default: %(default)s)")  # fmt: skip
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    args = parser.parse_args(argv)

    lines = Lines(args.results / f"ranking-{args.protocol}.jsonl", args.protocol)
    loadable = [name for name in data.available() if name in PLANS]
    known = {name for name, *_ in lines.lines}.union(loadable)
    for name in set(args.datasets or ()) - known:
        parser.error(f"{name} is not in {data.FOLDER}: set AUTOENC_TEST_DATA to the folder that has it")
    datasets = [name for name in args.datasets or PLANS if name in known]
    to_run = [name for name in datasets if name in loadable]
    runs = lacking(lines, to_run, args.seeds, args.models, args.cache, args.again or args.refit)

    begun, unfinished = time.perf_counter(), 0
    for done, (name, seed, model) in enumerate(runs):
        spent = (time.perf_counter() - begun) / 60
        if spent > args.minutes:
            unfinished = len(runs) - done
            break
        print(f"{done + 1} of {len(runs)} runs: {name}, seed {seed}, {model} ({spent:.1f} minutes)", file=sys.stderr)
        earlier = lines.lines.get((name, seed, model)) if args.refit else None
        run = (name, args.protocol, seed, model, args.cache, earlier)
        lines.add(ranking_run.in_own_process(ranking_run.measure, *run))

    met = True
    for name in (name for name in datasets if lines.models(name, PLANS[name])):
        plan = PLANS[name]
        print(setting(lines, name, plan), "", as_text(table(lines, name, plan), args.markdown), "", sep="\n")
        print("Chosen:", *choices(lines, name, plan), "", sep="\n")
        for is_met, sentence in verdict(lines, name, plan):
            met = met and is_met
            print(f"{'met' if is_met else 'NOT MET'}: {sentence}")
        print()
    if unfinished:
        print(f"{unfinished} runs are still to be done: the same command goes on with them")
    if runs:
        print(picture(lines, args.results))
    return 0 if met else 1


def picture(lines: Lines, folder: Path) -> Path:
    import matplotlib

    matplotlib.use("agg")
    from ranking_chart import draw

    path = folder / f"ranking-{lines.protocol}.svg"
    with matplotlib.rc_context({"svg.hashsalt": "autoenc", "svg.fonttype": "none"}):
        figure = draw([lines], PLANS)
        figure.savefig(path, metadata={"Date": None}, facecolor="white")
        matplotlib.pyplot.close(figure)
    return path
