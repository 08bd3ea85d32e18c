"""`autoenc tune`: search for hyperparameters."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from autoenc.checks import metric_at_k, whole_number
from autoenc.cli.common import add_likes, add_progress, print_json, reading_of, say, show, wants_progress
from autoenc.training.progress import new_bar

if TYPE_CHECKING:
    from autoenc.evaluation.compare import Comparison
    from autoenc.interactions import Interactions
    from autoenc.models.base import Recommender
    from autoenc.models.tuning import Tuned
    from autoenc.train_job import Split

HELP = "search for a model's best hyperparameters on validation likes, and fit the model with them"
EPILOG = """\
The likes are split as by `autoenc train`. The search uses only the training likes, and holds out some of
them for validation. The model of the best trial is then fitted on all training likes and evaluated once
on the held-out likes. `--model best` is the preset `best`: the search covers EASE's l2 and the network's
hyperparameters, and each trial chooses the blend's weights and when to stop training. This command needs
Optuna: pip install '.[tune]'.

example:
  autoenc tune --model knn --trials 2 --out tuned.safetensors
"""

MODELS = {
    "autoencoder": "AutoEncoder",
    "best": "Blend",
    "deep": "DeepRecommender",
    "denoising": "DenoisingAutoEncoder",
    "ease": "EASE",
    "edlae": "EDLAE",
    "elsa": "ELSA",
    "ials": "IALS",
    "knn": "ItemKNN",
    "multvae": "MultVAE",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", choices=MODELS, default="autoencoder", help="model to tune (default: %(default)s)")
    add_likes(parser, "as for `autoenc train`")
    search = parser.add_argument_group("the search")
    search.add_argument("--minutes", type=float, metavar="N", help="time limit, including the final fit (default: 5, "
                        "or none with --trials)")  # fmt: skip
    search.add_argument("--trials", type=int, metavar="N", help="largest number of trials; without --minutes, the same "
                        "seed gives the same result (default: no limit)")  # fmt: skip
    search.add_argument("--metric", default="ndcg@100", help="metric to maximize (default: %(default)s)")
    search.add_argument("--validation", choices=("weak", "strong"), default="weak",
                        help="hold out a fifth of each user's likes, or a tenth of the users "
                        "(default: %(default)s)")  # fmt: skip
    search.add_argument("--seed", type=int, default=0, help="seed of the splits, the search and the model "
                        "(default: %(default)s)")  # fmt: skip
    parser.add_argument("--out", metavar="FILE", help="write the best model to FILE, as safetensors")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of the tables")
    add_progress(parser)


def run(args: argparse.Namespace) -> int:
    from autoenc.evaluation.compare import compare
    from autoenc.evaluation.metrics import PER_USER
    from autoenc.evaluation.popularity import beside_popularity, popularity_warning
    from autoenc.models import Popular
    from autoenc.storage.atomic import check_writable
    from autoenc.train_job import JUDGED_BY, Settings, load_likes

    whole_number("--seed", args.seed, 0)
    if args.out is not None:
        check_writable(args.out, args.data)
    model = unfitted(args)
    source = {"dataset": args.dataset, "data": args.data, "cache_path": args.cache_path}
    settings = Settings(**source, seed=args.seed, progress=wants_progress(args), reading=reading_of(args))
    split = load_likes(settings, say)
    tuned = search(args, model, split.train)
    scorers = {type(tuned.model).__name__: tuned.model, "Popular": Popular().fit(split.train)}
    _, k = metric_at_k("--metric", args.metric, PER_USER)
    test = compare(scorers, split.train.user_items, split.held_out, sorted({1, 5, 10, k}))
    beside = beside_popularity(JUDGED_BY, *(report[JUDGED_BY] for report in test.reports.values()))
    if popularity_warning(beside):
        say(popularity_warning(beside))
    tuned.model.about_ |= {"beside_popularity": beside}
    if args.out is not None:
        write(args, tuned.model, split)
    if args.json:
        print_json(as_json(args, tuned, test, split.train.name))
    else:
        print_tables(args, tuned, test)
    return 0


def unfitted(args: argparse.Namespace) -> Recommender:
    """The model whose hyperparameters are searched, with the seed of the run."""
    from autoenc import models
    from autoenc.models.presets import preset

    if args.model == "best":
        model = preset("best").set_params(candidates=None, validation=args.validation)
    else:
        model = getattr(models, MODELS[args.model])()
    seeds = [name for name in model.get_params() if name.rpartition("__")[2] == "random_state"]
    return model.set_params(**dict.fromkeys(seeds, args.seed))


def search(args: argparse.Namespace, model: Recommender, train: Interactions) -> Tuned:
    from autoenc.models.tuning import tune

    minutes = 5.0 if args.minutes is None and args.trials is None else args.minutes
    with _bar(wants_progress(args), args.trials, args.metric) as progress:
        tuned = tune(
            model,
            train,
            metric=args.metric,
            minutes=minutes,
            trials=args.trials,
            seed=args.seed,
            validation=args.validation,
            progress=progress,
        )
    if tuned.ended_by == "minutes":
        say(f"stopped after {len(tuned.trials)} trials, at the time limit of {minutes:g} minutes")
    return tuned


def write(args: argparse.Namespace, model: Recommender, split: Split) -> None:
    from autoenc.train_job import about

    model.about_ |= about(args.seed, split)
    model.save(args.out)
    say(f"wrote the model to {args.out}")


def as_json(args: argparse.Namespace, tuned: Tuned, test: Comparison, dataset: str) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "model": type(tuned.model).__name__,
        "params": tuned.params,
        "metric": tuned.metric,
        "validation": args.validation,
        "value": tuned.value,
        "ended_by": tuned.ended_by,
        "seed": args.seed,
        "seconds": tuned.seconds,
        "trials": tuned.trials,
        "test": {name: report.as_row() for name, report in test.reports.items()},
    }


def print_tables(args: argparse.Namespace, tuned: Tuned, test: Comparison) -> None:
    best_first = sorted(
        tuned.trials, key=lambda trial: -1.0 if trial["value"] is None else trial["value"], reverse=True
    )
    show(f"{len(tuned.trials)} trials, the best by {args.metric} on validation:")
    for trial in best_first[:10]:
        figure = "diverged" if trial["value"] is None else f"{trial['value']:.4f} ± {trial['standard_error']:.4f}"
        show(f"  {figure:<15}  {trial['seconds']:6.1f} s  {_in_words(trial['params'])}")
    show(f"\non the held-out likes:\n{test.table(list(dict.fromkeys(['precision@1', args.metric])))}")


def _in_words(params: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in params.items()
    )


@contextlib.contextmanager
def _bar(wanted: bool, trials: int | None, metric: str) -> Iterator[Callable[[dict[str, Any]], None] | None]:
    """Yield a function that advances a progress bar on stderr with each trial, or None if none is wanted."""
    if not wanted:
        yield None
        return
    values = []
    with new_bar(desc="tuning", total=trials, unit=" trials") as bar:

        def progress(trial: dict[str, Any]) -> None:
            if trial["value"] is not None:
                values.append(trial["value"])
                bar.set_postfix({metric: f"{max(values):.4f}"}, refresh=False)
            bar.update()

        yield progress
