"""`autoenc update`: a model goes on learning from likes that came since."""

from __future__ import annotations

import argparse

from autoenc.checks import whole_number
from autoenc.cli.common import MODEL_HELP, add_reading, load_as_asked, print_json, reading_of, say, show

HELP = "let a model learn from new likes, of new items too"
EPILOG = """\
The model is trained on the likes of FILE for --epochs more; items that it has not seen start from the
mean of what they were liked with. Best is each user's whole list, old likes and new: who is there with
the new ones alone is learned as somebody who likes nothing else. Networks, ELSA and popularity take
more likes; EASE, EDLAE, ItemKNN and blends have to be trained again on all of them, and say so.

example:
  autoenc update network.safetensors --data new.csv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--data", metavar="FILE", required=True, help="the new likes, as `autoenc train` has it")
    parser.add_argument("--epochs", type=int, default=1, help="passes over them (default: %(default)s)")
    parser.add_argument("--out", metavar="FILE", help="where the model goes (default: in the place of MODEL)")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the sentence")
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    from autoenc.models import load_model
    from autoenc.storage.atomic import check_writable

    whole_number("--epochs", args.epochs, 1)
    out = args.model if args.out is None else args.out
    check_writable(out, args.data)
    model = load_model(args.model)
    if model.catalogue_ is None:
        raise ValueError(f"{args.model} has no ids of items, by which new likes could be told; train it on a file")
    n_before = model.n_items
    try:
        partial_fit = model.partial_fit
    except AttributeError as error:
        raise ValueError(str(error)) from None
    likes = load_as_asked(args.data, [model], reading_of(args))
    say(f"{likes.name}: learning from {likes.n_likes:,} likes of {likes.n_users:,} users, epochs: {args.epochs}")
    partial_fit(likes, epochs=args.epochs)
    model.save(out)
    counts = {"users": likes.n_users, "likes": likes.n_likes, "new_items": model.n_items - n_before}
    if args.json:
        print_json({"out": out, **counts, "items": model.n_items})
    else:
        show(f"learned {likes.n_likes:,} likes, with {counts['new_items']:,} new items, and wrote the model to {out}")
    return 0
