"""All models on the same splits, each tuned on validation likes.

    python -m benchmarks.ranking --protocol weak                          the missing runs, then the tables
    python -m benchmarks.ranking --protocol strong --datasets pinterest   for one data set

weak: all users are in the training data, and a fifth of each user's likes is held out. strong: a share of the
users is held out; a model is shown four fifths of their likes and evaluated on the rest.

Hyperparameters are chosen on validation likes, which are held out of the training likes in the same way; the
test likes are used once. Each run has its own process and is one line of results/ranking-PROTOCOL.jsonl; it is
not repeated. `plans` has the models and hyperparameters for each data set. Each model's metrics for each user
are stored in a cache, for paired comparisons in later runs.
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
from benchmarks.ranking.run import PROTOCOLS, in_own_process, measure
from benchmarks.ranking.values import values_file
from benchmarks.tables import as_markdown, as_text


def lacking(lines: Lines, names, seeds, models, folder: Path, again: bool) -> list[tuple]:
    """The runs to do, (dataset, seed, model): on each split the reference, then `best`, then the others.

    The reference is added if its values aren't stored, as all models are paired with it. `best` is not
    added, as it takes long: models that ran before it are paired with it by `--refit`.
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
    parser.add_argument("--protocol", choices=PROTOCOLS, required=True)
    parser.add_argument(
        "--datasets", nargs="+", choices=PLANS, help="default: those that can be loaded or have results"
    )
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="default: the data set's plan")
    parser.add_argument("--models", nargs="+", choices=MODELS, metavar="MODEL", help="run only these")
    parser.add_argument("--minutes", type=float, default=60, help="start no more runs after (default: %(default)g)")
    parser.add_argument("--again", action="store_true", help="repeat runs that have results")
    parser.add_argument("--refit", action="store_true", help="repeat them with the stored hyperparameters")
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
        print(f"{unfinished} runs are left: repeat the command to continue")
    if runs:
        print(picture(lines, args.results))
    return 0 if all(met) else 1


def run_all(lines: Lines, runs: list[tuple], minutes: float, folder: Path, refit: bool) -> int:
    """Run what there is time for, and return the number of runs left."""
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
    """Print a data set's table, the choices and the verdict; return whether all targets are met."""
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
