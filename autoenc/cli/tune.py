"""`autoenc tune`: hyperparameters by search."""

from __future__ import annotations

import contextlib
import json
import sys

HELP = "search a model's hyperparameters on validation, and fit the best"
EPILOG = """\
The likes are split as `autoenc train` does. The search sees the training likes alone, and holds out
some of them for validation; the best trial is then fitted on all of them and measured once on the
likes held out. `best` is the preset: each trial of it chooses the blend's weights and when training
stops, and what is searched is EASE's l2 and the network's. Needs Optuna: pip install 'autoenc[tune]'.

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
    "knn": "ItemKNN",
    "multvae": "MultVAE",
}


def add_arguments(parser) -> None:
    from autoenc.cli.train import add_progress

    parser.add_argument("--model", choices=MODELS, default="autoencoder", help="(default: %(default)s)")
    likes = parser.add_argument_group("the likes, one of (default: as `autoenc train` has it)")
    likes.add_argument("--dataset", metavar="NAME", help="as `autoenc train` has it")
    likes.add_argument("--data", metavar="PATH", help="likewise")
    likes.add_argument("--cache-path", metavar="PREFIX", help="likewise")
    search = parser.add_argument_group("the search")
    search.add_argument("--minutes", type=float, help="begin no trial that would end later, the last fit included "
                        "(default: 5, where there is no --trials)")  # fmt: skip
    search.add_argument("--trials", type=int, metavar="N", help="how many at most; with this alone the same seed "
                        "gives the same answer")  # fmt: skip
    search.add_argument("--metric", default="ndcg@100", help="what to be best at (default: %(default)s)")
    search.add_argument("--validation", choices=("weak", "strong"), default="weak",
                        help="hold out a fifth of each user's likes, or a tenth of the users "
                        "(default: %(default)s)")  # fmt: skip
    search.add_argument("--seed", type=int, default=0, help="of the splits, the search and the model")
    parser.add_argument("--out", metavar="FILE", help="write the best model there, as safetensors")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the tables")
    add_progress(parser)


def run(args) -> int:
    from autoenc import __version__, models
    from autoenc.cli.train import wants_progress
    from autoenc.evaluation.compare import compare
    from autoenc.models import Popular
    from autoenc.models.presets import preset
    from autoenc.models.tuning import tune
    from autoenc.train_job import Settings, check_writable, fingerprint, load_likes

    def say(line):
        print(line, file=sys.stderr, flush=True)

    if args.seed < 0:
        raise ValueError(f"--seed must be 0 or more, got {args.seed}")
    if args.out is not None:
        check_writable(args.out)
    if args.model == "best":
        model = preset("best").set_params(candidates=None, validation=args.validation)
    else:
        model = getattr(models, MODELS[args.model])()
    seeds = [name for name in model.get_params() if name.rpartition("__")[2] == "random_state"]
    model.set_params(**dict.fromkeys(seeds, args.seed))
    minutes = 5.0 if args.minutes is None and args.trials is None else args.minutes
    source = {"dataset": args.dataset, "data": args.data, "cache_path": args.cache_path}
    train, held_out, is_the_cache = load_likes(Settings(**source, seed=args.seed, progress=wants_progress(args)), say)

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
        say(f"{minutes:g} minutes allow {len(tuned.trials)} trials")
    if args.out is not None:
        tuned.model.about_ |= {
            "split": "cache" if is_the_cache else "per user, 0.2",
            "seed": args.seed,
            "likes": fingerprint(train.user_items),
            "autoenc": __version__,
        }
        tuned.model.save(args.out)
        say(f"wrote the model to {args.out}")
    ks = sorted({1, 5, 10, int(args.metric.partition("@")[2])})
    scorers = {type(tuned.model).__name__: tuned.model, "Popular": Popular().fit(train)}
    test = compare(scorers, train.user_items, held_out, ks)

    if args.json:
        report = {
            "dataset": train.name,
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
        print(json.dumps(report))
        return 0
    best_first = sorted(
        tuned.trials, key=lambda trial: -1.0 if trial["value"] is None else trial["value"], reverse=True
    )
    print(f"{len(tuned.trials)} trials, the best by {args.metric} on validation:")
    for trial in best_first[:10]:
        figure = "diverged" if trial["value"] is None else f"{trial['value']:.4f} ± {trial['standard_error']:.4f}"
        print(f"  {figure:<15}  {trial['seconds']:6.1f} s  {_in_words(trial['params'])}")
    print(f"\non the likes held out before:\n{test.table(list(dict.fromkeys(['precision@1', args.metric])))}")
    return 0


def _in_words(params: dict) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in params.items()
    )


@contextlib.contextmanager
def _bar(wanted: bool, trials: int | None, metric: str):
    """Yield a function of a trial that moves a bar on stderr; None where none is wanted."""
    if not wanted:
        yield None
        return
    from tqdm import tqdm

    values = []
    with tqdm(desc="tuning", total=trials, unit=" trials", dynamic_ncols=True) as bar:

        def progress(trial):
            if trial["value"] is not None:
                values.append(trial["value"])
                bar.set_postfix({metric: f"{max(values):.4f}"}, refresh=False)
            bar.update()

        yield progress
