"""`autoenc evaluate`: measure models, and compare them with each other and with baselines."""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from autoenc.checks import whole_number
from autoenc.cli.common import (
    MODEL_HELP,
    add_engine,
    add_likes,
    add_progress,
    check_engine,
    load_as_asked,
    print_json,
    reading_of,
    say,
    say_if_without_times,
    say_source,
    show,
    wants_progress,
    weighs_times,
)
from autoenc.cli.figures import behind, by_quartiles, table_of_quartiles, vectors_of
from autoenc.messages import printable

if TYPE_CHECKING:
    from scipy import sparse

    from autoenc.evaluation.compare import Comparison
    from autoenc.evaluation.evaluate import Report
    from autoenc.models.base import Recommender
    from autoenc.train_job import Settings, Split

    Scorers = dict[str, Recommender]

HELP = "measure models on held-out likes, and compare them with popularity or other baselines"
EPILOG = """\
--protocol weak uses the split that the model was trained on: the same data and seed, with a fifth of
each user's likes held out. --protocol strong holds out a tenth of the users, trains a new model with
the same settings on the others, shows it four fifths of the likes of the users held out, and evaluates
it on the rest (Liang et al. 2018). It takes as long as training does. So do the two protocols that need
times: --protocol time trains on the first four fifths of all likes and evaluates on what the same users
liked afterwards, and --protocol last evaluates on each user's latest like. A blend that is trained again
keeps the hyperparameters it chose, except the weights. Figures are means over users with their standard
errors. The last table has each model's difference from the first, paired by user.

--held-out evaluates on a split made elsewhere: the models are shown the likes of --data and evaluated on
those of the file; users and items are matched by their ids. Train on the file of --data first. --by
prints a row for each quartile of the users or items by number of likes. --seeds 5 fits and evaluates with
five seeds, from --seed on, and prints the means. --diversity measures how different the items of a list
are, by the item vectors of the model given. Models that do worse than popularity are reported.

All models must have the same items. Each is named by its file. --beside fits baselines on the same
likes: popular, ease, edlae, ials, knn, or none if no name follows.

With --engine dask, --data is a prepared folder (`autoenc prepare --memory`), split and ranked in batches
of users by the workers of a Dask scheduler or by processes on this machine. Only --protocol weak is
supported, with no baseline or with popular.

example:
  autoenc evaluate model.safetensors --k 1 5 10
"""

BASELINES = {"popular": "Popular", "ease": "EASE", "edlae": "EDLAE", "ials": "IALS", "knn": "ItemKNN"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", metavar="MODEL", nargs="+", help=MODEL_HELP)
    add_likes(parser, "those the model was trained on, if they are a named data set; a cache needs --protocol weak")
    parser.add_argument(
        "--protocol",
        choices=("weak", "strong", "time", "last"),
        default="weak",
        help="split to evaluate on (default: %(default)s)",
    )
    parser.add_argument(
        "--held-out", metavar="FILE", help="held-out likes to predict; --data contains the remaining likes"
    )
    parser.add_argument(
        "--by", choices=("activity", "popularity"), help="also print figures by quartiles of users or items"
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="fit again and evaluate on N random splits")
    parser.add_argument("--diversity", metavar="MODEL", help="model file whose item vectors measure diversity")
    parser.add_argument("--k", type=int, nargs="+", default=[1, 5, 10], help="lengths of the lists (default: 1 5 10)")
    parser.add_argument("--beside", metavar="NAME", nargs="*", choices=BASELINES, default=["popular"],
                        help="baselines to compare with (default: popular)")  # fmt: skip
    parser.add_argument("--seed", type=int, help="seed of the split (default: the first model's)")
    parser.add_argument("--plot", metavar="FILE", help="plot precision and recall by k, and hits by the "
                        "items' popularity, to FILE")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of the tables")
    add_engine(parser)
    add_progress(parser)


def run(args: argparse.Namespace) -> int:
    check(args)
    scorers = load_all(args.models)
    about = next(iter(scorers.values())).about_
    seed = whole_number("--seed", about.get("seed", 0) if args.seed is None else args.seed, 0)
    if args.engine == "dask":
        return by_dask(args, seed)
    if args.seeds is not None:
        return from_seeds(args, scorers, seed)
    scorers, asked = asked_of(args, scorers, seed)
    scorers |= baselines(args.beside, scorers, asked.train)
    comparison = compared(args, scorers, asked)
    parts = {} if args.by is None else by_quartiles(args, scorers, asked)
    return told(args, comparison, asked.dataset, seed, parts)


def asked_of(args: argparse.Namespace, scorers: Scorers, seed: int) -> tuple[Scorers, Asked]:
    """The models and what they are evaluated on, by the protocol."""
    if args.held_out is not None:
        return scorers, of_files(args, scorers)
    if args.protocol == "weak":
        return weakly(args, scorers, seed)
    return strongly(args, scorers, seed) if args.protocol == "strong" else by_time(args, scorers, seed)


def of_files(args: argparse.Namespace, scorers: Scorers) -> Asked:
    """The likes of --data to show and those of --held-out to find, aligned with the models' items."""
    from autoenc.datasets import load
    from autoenc.evaluation.align import aligned

    train = load_as_asked(args.data, scorers.values(), reading_of(args))
    fewest = dict.fromkeys(("min_likes_per_user", "min_likes_per_item"), 0)  # they are for the training likes
    held_out = load(path=args.held_out, **vars(reading_of(args)) | fewest)
    say_source(held_out)
    shown, found = aligned(next(iter(scorers.values())), train, held_out)
    say(f"{held_out.name}: showing {shown.nnz:,} likes of {shown.shape[0]:,} users, evaluating on {found.nnz:,}")
    return Asked(train.name, shown, shown, found)


def from_seeds(args: argparse.Namespace, scorers: Scorers, seed: int) -> int:
    """Fit the models again on the split of each seed, and report their means over seeds."""
    from autoenc.evaluation.seeds import over_seeds

    found: dict[str, list[Report]] = {}
    dataset = ""
    for of_run in range(seed, seed + args.seeds):
        say(f"seed {of_run}:")
        fitted, asked = asked_of(args, scorers, of_run)
        if args.protocol == "weak":
            fitted = {name: fit_again(args, model, asked.train, of_run) for name, model in scorers.items()}
        comparison = compared(args, fitted | baselines(args.beside, fitted, asked.train), asked)
        dataset = asked.dataset
        for name, report in comparison.reports.items():
            found.setdefault(name, []).append(report)
    means = {name: over_seeds(reports) for name, reports in found.items()}
    if args.json:
        rows = {name: [report.as_row() for report in reports] for name, reports in found.items()}
        figures = {name: report.as_row() for name, report in means.items()}
        head = {"dataset": dataset, "protocol": args.protocol, "seed": seed, "seeds": args.seeds}
        print_json(head | {"models": figures, "of_seeds": rows})
        return 0
    for name, report in means.items():
        show(f"{printable(name)}, means and standard errors over {args.seeds} seeds\n{report}\n")
    return 0


class Asked(NamedTuple):
    """What the models are evaluated on: CSR matrices over their items."""

    dataset: str
    train: sparse.csr_array  # what baselines are fitted on
    shown: sparse.csr_array  # each user's likes that a model is shown ...
    held_out: sparse.csr_array  # ... and those it should find


def check(args: argparse.Namespace) -> None:
    """Raise ValueError or OSError for bad arguments, before anything is read."""
    from autoenc.evaluation import plots
    from autoenc.storage.atomic import check_writable

    check_engine(args)
    whole_number("--k", min(args.k), 1)
    if args.seeds is not None:
        whole_number("--seeds", args.seeds, 2, 1000)
    if args.held_out is not None:
        if args.data is None or args.dataset is not None or args.cache_path is not None or args.protocol != "weak":
            raise ValueError("--held-out needs --data, without --dataset, --cache-path or --protocol")
        if args.seeds is not None:
            raise ValueError("--held-out is a single split, but --seeds makes several; leave one of them out")
    for flag in ("held_out", "by", "seeds", "diversity"):
        if args.engine == "dask" and getattr(args, flag) is not None:
            raise ValueError(f"--{flag.replace('_', '-')} cannot be combined with --engine dask; leave it out")
    if args.seeds is not None and (args.by is not None or args.plot is not None):
        raise ValueError("--by and --plot need a single seed; leave --seeds out")
    if args.plot is not None:
        plots.check_plot(args.plot)
        check_writable(args.plot, *args.models, args.data)


def source_of(args: argparse.Namespace, about: dict[str, Any]) -> dict[str, Any]:
    """The data set, file or cache to read: that of the flags, or else that of the first model's training."""
    from autoenc.datasets import NAMES
    from autoenc.train_job import DEFAULT_CACHE

    source: dict[str, Any] = {"dataset": args.dataset, "data": args.data, "cache_path": args.cache_path}
    if not any(source.values()):
        if about.get("split") == "cache" and Path(f"{DEFAULT_CACHE}_train.npy").is_file():
            source["cache_path"] = DEFAULT_CACHE
        elif about.get("dataset") in NAMES:
            source["dataset"] = about["dataset"]
        else:
            raise ValueError(
                f"the model was trained on {about.get('dataset') or 'likes without a name'}, which is not the name "
                "of a data set; pass --data, --dataset or --cache-path"
            )
    if args.protocol != "weak" and source["cache_path"] is not None:
        raise ValueError("the task's cache is a weak split; pass --protocol weak, or the ratings with --data")
    return source


def load_split(args: argparse.Namespace, scorers: Scorers, seed: int) -> Split:
    from autoenc.train_job import load_likes

    return load_likes(settings_of(args, scorers, seed), say)


def settings_of(args: argparse.Namespace, scorers: Scorers, seed: int, times: bool = False) -> Settings:
    """Settings to load the likes with, within the period that the first model was trained on."""
    from autoenc.train_job import Settings

    about = next(iter(scorers.values())).about_
    bounds = {name: about[name] for name in ("since", "until") if name in about}
    times = times or weighs_times(scorers.values())
    likes = source_of(args, about) | bounds | {"times": times, "reading": reading_of(args)}
    return Settings(**likes, seed=seed, progress=wants_progress(args))


def weakly(args: argparse.Namespace, scorers: Scorers, seed: int) -> tuple[Scorers, Asked]:
    """The models as they are, and the likes held out by the split that they were trained on."""
    from autoenc.models.export import on_items_of
    from autoenc.train_job import fingerprint

    split = load_split(args, scorers, seed)
    first = next(iter(scorers.values()))
    shown, n_unknown, _ = on_items_of(first, split.train)
    held_out, _, _ = on_items_of(first, split.train.with_user_items(split.held_out))
    if n_unknown:
        say(f"left out {n_unknown:,} items that the model doesn't know")
    for name, trained in scorers.items():
        if args.seeds is None and trained.about_.get("likes") not in (None, fingerprint(shown)):
            say(f"{name} was trained on another split, so it may have seen likes that are held out here")
    return scorers, Asked(split.train.name, shown, shown, held_out)


def strongly(args: argparse.Namespace, scorers: Scorers, seed: int) -> tuple[Scorers, Asked]:
    """The models fitted again without a tenth of the users, and the likes of those users."""
    from autoenc.evaluation.splits import holdout_users, united
    from autoenc.models.export import on_items_of

    loaded = load_split(args, scorers, seed)
    everything = loaded.train.with_user_items(united(loaded.train.user_items, loaded.held_out))
    user_items, _, _ = on_items_of(next(iter(scorers.values())), everything)
    split = holdout_users(user_items, seed=seed)
    say(f"training on {split.train.shape[0]:,} users, evaluating on the other {len(split.test_users):,}")
    scorers = {name: fit_again(args, trained, split.train, seed) for name, trained in scorers.items()}
    return scorers, Asked(loaded.train.name, split.train, split.fold_in, split.held_out)


def by_time(args: argparse.Namespace, scorers: Scorers, seed: int) -> tuple[Scorers, Asked]:
    """The models fitted again on the earlier likes, and the later ones, of all users together or of each user."""
    import numpy as np

    from autoenc.evaluation.splits import LastSplit, TimeSplit, holdout_by_time, holdout_last
    from autoenc.train_job import load_ratings

    settings = settings_of(args, scorers, seed, times=True)
    if settings.dataset is not None and settings.data is not None:
        raise ValueError("--dataset and --data both name the likes; pass one of them")
    likes = load_ratings(settings, say, times=True)
    split: TimeSplit | LastSplit
    if args.protocol == "last":
        split = holdout_last(likes)
        say(f"training on {split.train.nnz:,} likes, evaluating on the latest one of {split.held_out.nnz:,} users")
    else:
        split = holdout_by_time(likes)
        newcomers = f"; left out {split.n_left_out:,} of {split.n_newcomers:,} users new since"
        say(
            f"training on {split.train.nnz:,} likes before {np.datetime64(split.cut, 's')}, evaluating on "
            f"{split.held_out.nnz:,}{newcomers if split.n_newcomers else ''}"
        )
    scorers = {name: fit_again(args, trained, split.train, seed) for name, trained in scorers.items()}
    return scorers, Asked(likes.name, split.train, split.train, split.held_out)


def baselines(names: list[str], scorers: Scorers, train: sparse.csr_array) -> Scorers:
    """Models of BASELINES, fitted on the same likes."""
    from autoenc import models

    classes = [BASELINES[name] for name in names]
    return {f"{name} (defaults)" if name in scorers else name: getattr(models, name)().fit(train) for name in classes}


def compared(args: argparse.Namespace, scorers: Scorers, asked: Asked) -> Comparison:
    """The models compared, and plotted if --plot was passed."""
    from autoenc.evaluation import plots
    from autoenc.evaluation.compare import compare
    from autoenc.train_job import progress_bar

    with progress_bar(wants_progress(args), "ranking") as progress:
        vectors = None if args.diversity is None else vectors_of(args.diversity, scorers)
        comparison = compare(scorers, asked.shown, asked.held_out, args.k, progress=progress, item_vectors=vectors)
    if args.plot is not None:
        k = max(args.k)
        hits = {name: plots.hits_by_popularity(s, asked.shown, asked.held_out, k) for name, s in scorers.items()}
        plots.save(plots.draw_evaluation(comparison.reports, hits, k), args.plot)
        say(f"wrote the plot to {args.plot}")
    return comparison


def by_dask(args: argparse.Namespace, seed: int) -> int:
    from autoenc.scale.dask import cluster, evaluate_parts, prepared
    from autoenc.train_job import progress_bar

    if args.data is None or args.dataset is not None or args.cache_path is not None:
        raise ValueError("--engine dask reads a prepared folder; pass only --data to name the likes")
    if args.protocol != "weak" or args.plot is not None or not set(args.beside) <= {"popular"}:
        raise ValueError("--engine dask supports --protocol weak, --beside popular or none, and no --plot")
    likes = prepared(args.data)
    names = load_all(args.models)
    say_if_without_times(args.data, likes, names.values())
    paths = dict(zip(names, args.models))
    popular = ("Popular (defaults)" if "Popular" in paths else "Popular") if args.beside else None
    with (
        cluster(args.scheduler, args.workers, say) as client,
        progress_bar(wants_progress(args), "ranking") as progress,
    ):
        comparison = evaluate_parts(
            client, paths, args.data, args.k, seed=seed, beside_popular=popular, progress=progress
        )
    return told(args, comparison, Path(args.data).resolve().name, seed)


def told(
    args: argparse.Namespace,
    comparison: Comparison,
    dataset: str,
    seed: int,
    parts: dict[str, dict[str, Report]] | None = None,
) -> int:
    for sentence in behind(comparison.reports, max(args.k)):
        say(sentence)
    if args.json:
        figures = {name: report.as_row() for name, report in comparison.reports.items()}
        rows = {part: {name: report.as_row() for name, report in of.items()} for part, of in (parts or {}).items()}
        answer = {"dataset": dataset, "protocol": args.protocol, "seed": seed, "models": figures}
        print_json(answer | ({args.by: rows} if rows else {}))
        return 0
    for name, report in comparison.reports.items():
        show(f"{printable(name)}\n{report}\n")
    show(str(comparison))
    if parts:
        show(f"\n{table_of_quartiles(parts, f'ndcg@{max(args.k)}')}")
    if args.diversity is not None:
        show(f"\ndiversity is measured by the item vectors of {printable(args.diversity)}")
    return 0


def load_all(paths: list[str]) -> Scorers:
    """The models by name: the class of a single model, the files of several."""
    from autoenc.models import load_model
    from autoenc.models.export import ids_of

    models = {path: load_model(path) for path in paths}
    first, *others = models.values()
    for path, model in models.items():
        if list(ids_of(model)) != list(ids_of(first)):
            raise ValueError(f"{path} and {paths[0]} have different items; evaluate each by itself")
    return models if others else {type(first).__name__: first}


def fit_again(args: argparse.Namespace, trained: Recommender, user_items: sparse.csr_array, seed: int) -> Recommender:
    """A new model with the same settings, those that fit chose included; with --seeds, `seed` is its seed."""
    from autoenc.models import AutoEncoder, Blend
    from autoenc.training.callbacks import ProgressBar
    from autoenc.training.progress import show_progress

    model = type(trained)(**copy.deepcopy(trained.get_params(deep=False)))
    if args.seeds is not None:
        seeds = [name for name in model.get_params() if name.rpartition("__")[2] == "random_state"]
        model.set_params(**dict.fromkeys(seeds, seed))
    if isinstance(model, AutoEncoder):
        return model.fit(user_items, callbacks=[ProgressBar()] if wants_progress(args) else [])
    if isinstance(model, Blend):
        with show_progress(wants_progress(args)) as told:
            return model.fit(user_items, progress=told)
    return model.fit(user_items)
