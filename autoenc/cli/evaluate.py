"""`autoenc evaluate`: how good models are, beside each other and baselines."""

from __future__ import annotations

import json
import sys

HELP = "measure models on held-out likes, beside popularity or other baselines"
EPILOG = """\
--protocol weak takes the split that the model was trained on: the same data and seed, a fifth of
each user's likes held out. --protocol strong holds out a tenth of the users, trains a new model of
the same settings on the others, shows it four fifths of the likes of those, and asks for the rest
(Liang et al. 2018); it takes as long as a training. So does --protocol time, which trains on the
first four fifths of all likes and asks for what the same users liked from then on; the likes need
times. A new blend keeps what the old one chose but for the weights. Figures are means over users
with their standard errors; the last table has each model's difference to the first, paired by user.

Several models must be of the same items; they are called by their files. --beside fits baselines
on the same likes: popular, ease, edlae, knn, or none where no name follows.

With --engine dask --data is a prepared folder (`autoenc prepare --memory`), split and ranked a part of
the users at a time by the workers of a scheduler or by processes on this machine. It takes --protocol weak,
and nothing or popular beside.

example:
  autoenc evaluate model.safetensors --k 1 5 10
"""

BASELINES = {"popular": "Popular", "ease": "EASE", "edlae": "EDLAE", "knn": "ItemKNN"}


def add_arguments(parser) -> None:
    from autoenc.cli.recommend import add_engine
    from autoenc.cli.train import add_progress

    parser.add_argument("models", metavar="MODEL", nargs="+", help="what `autoenc train --out` wrote")
    likes = parser.add_argument_group("the likes, one of (default: those that the model was trained on, if bundled)")
    likes.add_argument("--dataset", metavar="NAME", help="as `autoenc train` has it")
    likes.add_argument("--data", metavar="PATH", help="likewise")
    likes.add_argument("--cache-path", metavar="PREFIX", help="likewise; weak alone")
    parser.add_argument("--protocol", choices=("weak", "strong", "time"), default="weak", help="(default: %(default)s)")
    parser.add_argument("--k", type=int, nargs="+", default=[1, 5, 10], help="how many places count (default: 1 5 10)")
    parser.add_argument("--beside", metavar="NAME", nargs="*", choices=BASELINES, default=["popular"],
                        help="baselines (default: popular)")  # fmt: skip
    parser.add_argument("--seed", type=int, help="of the split (default: the first model's)")
    parser.add_argument("--plot", metavar="FILE", help="draw precision and recall by k, and hits by the items' "
                        "popularity, there")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the tables")
    add_engine(parser)
    add_progress(parser)


def run(args) -> int:
    from pathlib import Path

    import numpy as np

    from autoenc import models
    from autoenc.cli.recommend import check_engine
    from autoenc.cli.train import wants_progress
    from autoenc.datasets import NAMES, load
    from autoenc.evaluation import plots
    from autoenc.evaluation.compare import compare
    from autoenc.evaluation.splits import holdout_by_time, holdout_users
    from autoenc.models.export import on_items_of
    from autoenc.train_job import DEFAULT_CACHE, Settings, check_writable, fingerprint, load_likes, progress_bar

    def say(line):
        print(line, file=sys.stderr, flush=True)

    check_engine(args)
    if min(args.k) < 1:
        raise ValueError(f"--k must be 1 or more, got {min(args.k)}")
    if args.plot is not None:
        plots.check_plot(args.plot)
        check_writable(args.plot)
    scorers = load_all(args.models)
    model, *_ = scorers.values()
    about = model.about_
    seed = about.get("seed", 0) if args.seed is None else args.seed
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"--seed must be 0 or more, got {seed}")
    if args.engine == "dask":
        return by_dask(args, seed, say)
    source = {"dataset": args.dataset, "data": args.data, "cache_path": args.cache_path}
    if not any(source.values()):
        if about.get("split") == "cache" and Path(f"{DEFAULT_CACHE}_train.npy").is_file():
            source["cache_path"] = DEFAULT_CACHE
        elif about.get("dataset") in NAMES:
            source["dataset"] = about["dataset"]
        else:
            raise ValueError(
                f"the model was trained on {about.get('dataset') or 'likes without a name'}, which isn't found by "
                "that; pass --data, --dataset or --cache-path"
            )
    if args.protocol != "weak" and source["cache_path"] is not None:
        raise ValueError("the task's cache is a weak split; pass --protocol weak, or the ratings by --data")
    if args.protocol == "time":
        if source["dataset"] is not None and source["data"] is not None:
            raise ValueError("--dataset and --data each name the likes; give one of them")
        train = load(source["dataset"] or NAMES[0], path=source["data"], progress=wants_progress(args), times=True)
    else:
        train, held_out, _ = load_likes(Settings(**source, seed=seed, progress=wants_progress(args)), say)
        held_out = train.with_user_items(held_out)
    if args.protocol == "time":
        by_time = holdout_by_time(train)
        say(
            f"training on {by_time.train.nnz:,} likes before {np.datetime64(by_time.cut, 's')}, judged by "
            f"{by_time.held_out.nnz:,}; left out {by_time.n_left_out:,} of {by_time.n_newcomers:,} users new since"
        )
        for name, trained in scorers.items():
            scorers[name] = fit_anew(trained, by_time.train, wants_progress(args))
        seen = shown = by_time.train
        asked = by_time.held_out
    elif args.protocol == "strong":
        everything = train.with_user_items(train.user_items + held_out.user_items)
        user_items, _, _ = on_items_of(model, everything)
        split = holdout_users(user_items, seed=seed)
        say(f"training on {split.train.shape[0]:,} users, judged by the other {len(split.test_users):,}")
        for name, trained in scorers.items():
            scorers[name] = fit_anew(trained, split.train, wants_progress(args))
        seen, shown, asked = split.train, split.fold_in, split.held_out
    else:
        shown, n_unknown, _ = on_items_of(model, train)
        asked, _, _ = on_items_of(model, held_out)
        if n_unknown:
            say(f"left out {n_unknown:,} items that the model doesn't know")
        for name, trained in scorers.items():
            if trained.about_.get("likes") not in (None, fingerprint(shown)):
                say(f"this is not the split that {name} was trained on: it may have seen what is held out here")
        seen = shown
    for name in (BASELINES[name] for name in args.beside):
        scorers[f"{name} as it comes" if name in scorers else name] = getattr(models, name)().fit(seen)

    with progress_bar(wants_progress(args), "ranking") as progress:
        comparison = compare(scorers, shown, asked, args.k, progress=progress)
    if args.plot is not None:
        k = max(args.k)
        hits = {name: plots.hits_by_popularity(scorer, shown, asked, k) for name, scorer in scorers.items()}
        plots.save(plots.draw_evaluation(comparison.reports, hits, k), args.plot)
        say(f"drew it to {args.plot}")
    return told(args, comparison, train.name, seed)


def by_dask(args, seed: int, say) -> int:
    from pathlib import Path

    from autoenc.cli.train import wants_progress
    from autoenc.scale.dask import cluster, evaluate_parts, prepared
    from autoenc.train_job import progress_bar

    if args.data is None or args.dataset is not None or args.cache_path is not None:
        raise ValueError("--engine dask reads a prepared folder; pass it by --data alone")
    if args.protocol != "weak" or args.plot is not None or not set(args.beside) <= {"popular"}:
        raise ValueError("--engine dask takes --protocol weak, --beside popular or nothing, and no --plot")
    prepared(args.data)
    names = load_all(args.models)
    paths = dict(zip(names, args.models))
    popular = ("Popular as it comes" if "Popular" in paths else "Popular") if args.beside else None
    with (
        cluster(args.scheduler, args.workers, say) as client,
        progress_bar(wants_progress(args), "ranking") as progress,
    ):
        comparison = evaluate_parts(
            client, paths, args.data, args.k, seed=seed, beside_popular=popular, progress=progress
        )
    return told(args, comparison, Path(args.data).resolve().name, seed)


def told(args, comparison, dataset: str, seed: int) -> int:
    if args.json:
        figures = {name: report.as_row() for name, report in comparison.reports.items()}
        print(json.dumps({"dataset": dataset, "protocol": args.protocol, "seed": seed, "models": figures}))
        return 0
    for name, report in comparison.reports.items():
        print(f"{name}\n{report}\n")
    print(comparison)
    return 0


def load_all(paths) -> dict:
    """The models by name: one by its class, several by their files."""
    from autoenc.models import load_model
    from autoenc.models.export import ids_of

    models = {path: load_model(path) for path in paths}
    first, *others = models.values()
    for path, model in models.items():
        if list(ids_of(model)) != list(ids_of(first)):
            raise ValueError(f"{path} has other items than {paths[0]}; evaluate each by itself")
    return models if others else {type(first).__name__: first}


def fit_anew(trained, user_items, progress: bool):
    """A new model of the same settings, which in a blend are those that its fit chose."""
    from autoenc.models import AutoEncoder
    from autoenc.training.callbacks import ProgressBar

    model = type(trained)(**trained.get_params(deep=False))
    if isinstance(model, AutoEncoder):
        return model.fit(user_items, callbacks=[ProgressBar()] if progress else [])
    return model.fit(user_items)
