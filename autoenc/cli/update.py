"""`autoenc update`: train a model further on new likes."""

from __future__ import annotations

import argparse

from autoenc.checks import whole_number
from autoenc.cli.common import MODEL_HELP, add_reading, load_as_asked, print_json, reading_of, say, show

HELP = "update a model with new likes, including likes of new items"
EPILOG = """\
The model is trained on the likes of FILE for --epochs more epochs. The parameters of a new item start
from the mean over the items that it is liked together with. Pass each user's complete list of likes: a
user listed with new likes only is treated as liking nothing else. Networks, ELSA and popularity can be
updated. EASE, EDLAE, IALS, ItemKNN and blends (--preset best and fast) cannot: train them again on all
likes.

example:
  autoenc update network.safetensors --data new.csv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "--data", metavar="FILE", required=True, help="file of likes, in any format that `train --data` accepts"
    )
    parser.add_argument("--epochs", type=int, default=1, help="passes over the new likes (default: %(default)s)")
    parser.add_argument("--out", metavar="FILE", help="model file to write (default: MODEL is replaced)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of the sentence")
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    from autoenc.models import Blend, load_model
    from autoenc.storage.atomic import check_writable

    whole_number("--epochs", args.epochs, 1)
    out = args.model if args.out is None else args.out
    check_writable(out, args.data)
    model = load_model(args.model)
    if model.catalogue_ is None:
        raise ValueError(f"{args.model} has no item ids to match new likes with; train it on a file that has ids")
    n_before = model.n_items
    if not hasattr(model, "partial_fit"):
        what = "a blend, such as --preset best and fast train," if isinstance(model, Blend) else type(model).__name__
        raise ValueError(
            f"{args.model} cannot be updated: {what} is fitted on all likes at once; train it again on all of them, or "
            "train one that can (--preset task)"
        )
    likes = load_as_asked(args.data, [model], reading_of(args))
    say(f"{likes.name}: training on {likes.n_likes:,} likes of {likes.n_users:,} users, epochs: {args.epochs}")
    model.partial_fit(likes, epochs=args.epochs)
    model.save(out)
    counts = {"users": likes.n_users, "likes": likes.n_likes, "new_items": model.n_items - n_before}
    if args.json:
        print_json({"out": out, **counts, "items": model.n_items})
    else:
        show(f"trained on {likes.n_likes:,} likes, with {counts['new_items']:,} new items; wrote the model to {out}")
    return 0
