"""Compare autoenc with PyTorch: same data, splits and settings, several seeds; PASS or FAIL.

    python -m benchmarks.quality                                runs missing in results/quality.jsonl, then the table
    python -m benchmarks.quality --datasets gowalla --again     gowalla again
    python -m benchmarks.quality --protocol weak                all models, tuned: benchmarks.ranking

A seed determines the split, the initial weights, the order of users and the masks, so autoenc and PyTorch
are paired by split. Each run trains for the largest number of epochs of its data set and is evaluated after
each of the numbers. EASE, which has no epochs, is run if an items x items matrix fits.

Every run is stored as a few lines in results/quality.jsonl, one for each number of epochs, and is not
repeated. `report.verdict` has the rule for the verdict.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from threadpoolctl import threadpool_limits

import autoenc
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.splits import holdout_per_user
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.training.callbacks import Callback
from autoenc.training.trainer import Trainer
from benchmarks import datasets
from benchmarks.peers.baselines import Ease, Popular
from benchmarks.quality.report import METRICS, OURS, PEER, Plan, Results, digest, table, verdict
from benchmarks.tables import as_markdown, as_text

RESULTS = Path(__file__).parents[1] / "results" / "quality.jsonl"

PLANS = {
    "ml-latest-small": Plan((1, 5, 20), (OURS, PEER, "torch-plain", "popular", "ease"), l2=200),
    "gowalla": Plan((1, 4), (OURS, PEER, "popular")),
    "pinterest": Plan((1, 4), (OURS, PEER, "popular", "ease"), l2=200),
    "synthetic": Plan((1, 2), (OURS, PEER, "popular", "ease"), l2=500),
}

MODELS = PLANS["ml-latest-small"].models


def run(model: str, train, plan: Plan, seed: int, on_epoch) -> str:
    """Train `model` on one thread, calling on_epoch(epoch, scorer) after each epoch; return the library's version."""
    if model == OURS:
        network = AutoEncoderNetwork(initial_state(train.shape[1], seed=seed))
        Trainer(network, epochs=plan.epochs[-1], seed=seed, threads=1, callbacks=[AfterEpoch(on_epoch)]).fit(train)
    elif model == "popular":
        on_epoch(0, Popular(train))
    elif model == "ease":
        on_epoch(0, Ease(train, plan.l2))
    else:
        import torch

        torch.set_num_threads(1)
        peer = importlib.import_module(f"benchmarks.peers.{model.replace('-', '_')}")
        peer.train(train, plan.epochs[-1], seed, on_epoch)
        return f"torch {torch.__version__}"
    return f"autoenc {autoenc.__version__}"


class AfterEpoch(Callback):
    def __init__(self, on_epoch):
        self.on_epoch = on_epoch

    def on_epoch_end(self, trainer):
        self.on_epoch(trainer.epoch + 1, trainer.engine)


def measure(model: str, name: str, seed: int, train, held_out) -> list[dict]:
    """One run, as one line for each number of epochs."""
    plan = PLANS[name]
    reports = {}

    def on_epoch(epoch, scorer):
        if epoch in plan.epochs_of(model):
            reports[epoch] = evaluate(scorer, train, held_out)

    version = run(model, train, plan, seed, on_epoch)
    return [
        {"dataset": name, "seed": seed, "model": model, "epochs": epoch}
        | {key: round(report[metric], 6) for key, metric in METRICS.items()}
        | {"users": report.n_users, "split": digest(train), "version": version, "date": time.strftime("%Y-%m-%d")}
        for epoch, report in reports.items()
    ]


def run_missing(results: Results, missing: list[tuple], minutes: float) -> int:
    """Run what there is time for, and return the number of runs left."""
    start = time.perf_counter()
    loaded = None
    for done, (name, seed, model) in enumerate(missing):
        spent = (time.perf_counter() - start) / 60
        if spent > minutes:
            return len(missing) - done
        print(f"{done + 1} of {len(missing)} runs: {name}, seed {seed}, {model} ({spent:.1f} minutes)", file=sys.stderr)
        if loaded is None or loaded.name != name:
            loaded = datasets.load(name)
        train, held_out = holdout_per_user(loaded.user_items, seed=seed)
        with threadpool_limits(1, user_api="blas"):
            results.add(measure(model, name, seed, train, held_out))
    return 0


def main(argv=None) -> int:
    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("--protocol")
    if which.parse_known_args(argv)[0].protocol:
        from benchmarks.ranking.__main__ import main

        return main(argv)
    parser = argparse.ArgumentParser(
        "python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--datasets", nargs="+", choices=PLANS, help="default: those that can be loaded or have results"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4], metavar="N")
    parser.add_argument("--models", nargs="+", choices=MODELS, help="run only these")
    parser.add_argument("--minutes", type=float, default=60, help="start no more runs after (default: %(default)g)")
    parser.add_argument("--again", action="store_true", help="repeat runs that have results")
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: benchmarks/results/quality.jsonl")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    args = parser.parse_args(argv)

    results = Results(args.results)
    loadable = datasets.available()
    known = {name for name, *_ in results.lines}.union(loadable)
    for name in set(args.datasets or ()) - known:
        parser.error(f"{name} is not in {datasets.FOLDER}: set AUTOENC_TEST_DATA to the folder that has it")
    plans = {name: PLANS[name] for name in args.datasets or PLANS if name in known}
    missing = [
        (name, seed, model)
        for name, plan in plans.items()
        for seed in args.seeds
        for model in plan.models
        if name in loadable
        and model in (args.models or plan.models)
        and (args.again or not results.has(name, seed, model, plan))
    ]
    unfinished = run_missing(results, missing, args.minutes)

    as_table = as_markdown if args.markdown else as_text
    print(as_table(table(results, plans, args.seeds)))
    passed, lines = verdict(results, plans, args.seeds)
    print("", *lines, sep="\n")
    if unfinished:
        print(f"{unfinished} runs are left: repeat the command to continue")
    print("PASS" if passed else "FAIL")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
