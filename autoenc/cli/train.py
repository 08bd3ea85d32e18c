"""`autoenc train`: run the main job of `autoenc.train_job`."""

from __future__ import annotations

import argparse
import importlib.util
import shlex
from dataclasses import fields
from typing import Any

from autoenc.cli.common import add_progress, add_reading, own_command, print_json, reading_of, say, show, wants_progress

HELP = "train a model on likes and report precision@1, 5 and 10"
EPILOG = """\
A fifth of each user's likes is held out to evaluate the model. The model, including the one that --out
saves, is trained on the rest. Progress is printed to stderr, and one line of JSON to stdout. Its status is
PASS or FAIL (exit code 1) for MovieLens 10M with the task's settings, where p@1 must be at least 0.475,
and DONE otherwise.

example:
  autoenc train --preset fast --out model.safetensors
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from autoenc.models.presets import PRESETS
    from autoenc.train_job import Settings

    likes = parser.add_argument_group("the likes, by one of")
    likes.add_argument("--dataset", metavar="NAME", help="name of a data set: ml-latest-small (bundled), ml-100k, "
                       "ml-1m, ml-10m, ml-20m, ml-25m, ml-32m (downloaded once), or synthetic")  # fmt: skip
    likes.add_argument(
        "--data", metavar="PATH", help="file of likes, or a zip or folder with one, or - for standard input"
    )
    likes.add_argument("--cache-path", metavar="PREFIX", help="the task's own split, PREFIX_train.npy and "
                       "PREFIX_valid.npy (default: data/cache if it exists, else ml-latest-small)")  # fmt: skip
    of_times = parser.add_argument_group("for likes with times")
    of_times.add_argument("--half-life", metavar="TIME", help="time after which a like counts half, such as 90d: "
                          "hours (h), days (d), weeks (w) or years (y) (default: all count equally)")  # fmt: skip
    of_times.add_argument("--since", metavar="TIME", help="drop likes before TIME: a date such as 2015-01-31, or a "
                          "duration before the latest like, such as 5y (default: keep all)")  # fmt: skip
    of_times.add_argument("--until", metavar="TIME", help="drop likes from TIME on: a date or a duration, as for "
                          "--since (default: keep all)")  # fmt: skip

    add_reading(parser)
    lines = ". ".join(f"{name}: {preset.description}" for name, preset in PRESETS.items())
    model = parser.add_argument_group("the model")
    model.add_argument("--preset", choices=tuple(PRESETS), nargs="?", help=f"{lines} (without a name: print these "
                       "lines; default: %(default)s)")  # fmt: skip
    model.add_argument("--validation", choices=("weak", "strong", "time"), help="with --preset best or fast: choose "
                       "what is best for the training users (weak), for new users (strong), or for later likes, "
                       "with a half-life (time) (default: weak)")  # fmt: skip
    _add_network(parser)
    run = parser.add_argument_group("the run")
    run.add_argument("--backend", choices=("numba", "numpy"), help="compiled kernels, or the plain layers "
                     "(default: %(default)s)")  # fmt: skip
    run.add_argument("--threads", type=int, metavar="N", help="number of threads (default: all processors)")
    run.add_argument("--out", metavar="FILE", help="write the trained model to FILE, as safetensors")
    run.add_argument("--topk", metavar="FILE", help="write each user's ten best items to FILE, as in the task "
                     "does (default: results/topk for the task's cache)")  # fmt: skip
    run.add_argument("--seed", type=int, help="random seed, also of the split (default: %(default)s)")  # fmt: skip
    parser.set_defaults(**{field.name: field.default for field in fields(Settings)})
    add_progress(run)


def _add_network(parser: argparse.ArgumentParser) -> None:
    network = parser.add_argument_group("the network and its training, only with --preset task")
    network.add_argument("--emb-dim", type=int, help="width of the embedding (default: %(default)s)")
    network.add_argument("--hidden-dim", type=int, help="width of the bottleneck (default: %(default)s)")
    network.add_argument("--bias-offset", type=float, help="initial value of the output's bias (default: %(default)s)")
    network.add_argument("--dropout", type=float, help="fraction of values dropped (default: %(default)s)")
    network.add_argument("--batch-size", type=int, help="users per step (default: %(default)s)")
    network.add_argument("--lr", type=float, help="Adam's learning rate (default: %(default)s)")
    network.add_argument("--epochs", type=int, help="passes over the users (default: enough for 60 steps, which is "
                         "1 for ml-10m and 20 for ml-latest-small)")  # fmt: skip
    network.add_argument("--schedule", choices=("constant", "cosine"),
                         help="learning rate: constant, or falling to 0 by the last epoch "
                         "(default: %(default)s)")  # fmt: skip
    network.add_argument("--early-stopping", metavar="METRIC", help="metric, such as ndcg@100, to evaluate after each "
                         "epoch on a tenth of the users, who are not trained on; training stops after 5 epochs without "
                         "improvement, and the best weights are kept (default: train for all epochs)")  # fmt: skip
    network.add_argument("--checkpoint", metavar="FOLDER", help="folder for the state of the training; after a crash, "
                         "the same command resumes from it (default: none)")  # fmt: skip
    network.add_argument(
        "--checkpoint-minutes", type=float, metavar="N", help="minutes between checkpoints (default: %(default)s)"
    )
    network.add_argument("--plot", metavar="FILE", help="plot loss and validation by epoch to FILE, such as "
                         "training.png")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from autoenc.models.presets import PRESETS
    from autoenc.scale.ranks import world
    from autoenc.train_job import Settings, main_job

    if args.preset is None:
        show("\n".join(f"{name:<6}{preset.description}" for name, preset in PRESETS.items()))
        return 0
    try:
        settings = {f.name: getattr(args, f.name) for f in fields(Settings)}
        settings |= {"progress": wants_progress(args), "reading": reading_of(args)}
        with world().together("autoenc train"):
            report = main_job(Settings(**settings), say)
    except FloatingPointError as error:
        say(f"autoenc train: {error}")
        return 1
    print_json(report)
    if world().is_root:
        say(meaning(report, args.out))
    return 1 if report["status"] == "FAIL" else 0


def meaning(report: dict[str, Any], model_file: str | None) -> str:
    """One sentence on the meaning of the report's first figure, and one on what to do next."""
    item, one = ("film", "a film") if report["dataset"].startswith("ml-") else ("item", "an item")
    model, popular = (f"{report[name]:.0%}" for name in ("p_at_01", "popular_p_at_01"))
    found = (
        f"For {model} of the users, the first recommendation is {one} they liked that was held out of training; "
        f"recommending the most popular {item}s reaches {popular}."
    )
    if model_file is None:
        return f"{found} To recommend with this model, save it: --out model.safetensors."
    autoenc, quoted = own_command(), shlex.quote(model_file)
    likes = '--liked "Toy Story (1995)"' if item == "film" else "--liked ID"
    next_step = f"{found} Next, try it with your own likes: {autoenc} recommend {quoted} {likes} prints a list"
    if importlib.util.find_spec("starlette") is not None:
        next_step = f"{next_step}, and {autoenc} serve {quoted} opens a page"
    if "preset" not in report:
        return f"{next_step}. For short lists of likes, EASE is better: train again with --preset fast."
    return f"{next_step}."
