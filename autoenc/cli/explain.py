"""`autoenc explain`: which likes drive the score of an item."""

from __future__ import annotations

import argparse

from autoenc.cli.common import MODEL_HELP, print_json, show
from autoenc.messages import printable

HELP = "tell which likes drive the score of an item, and by how much"
EPILOG = """\
A like's contribution is what the item's score loses when that like alone is left out: exact, but
the contributions need not add up to the score.

example:
  autoenc explain model.safetensors --liked "Heat (1995)" --liked "Ronin (1998)" --item "Fargo (1996)"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--liked", metavar="TITLE", action="append", required=True,
                        help="a title or an id; again for each like")  # fmt: skip
    parser.add_argument("--item", metavar="TITLE", required=True, help="the item whose score is to be explained")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the table")


def run(args: argparse.Namespace) -> int:
    from autoenc.models import load_model

    model = load_model(args.model)
    score = float(model.score(model.row_of(args.liked))[0, model.row_of([args.item]).indices[0]])
    likes, contributions = model.explain(liked=args.liked, item=args.item)
    rows = [{"item": str(like), "contribution": float(c)} for like, c in zip(likes, contributions)]
    if args.json:
        print_json({"item": args.item, "score": score, "because": rows})
        return 0
    show(f"{printable(args.item)} has the score {score:.3f}; without a like it would lose")
    titles = [printable(like) for like in likes]
    for title, row in zip(titles, rows):
        show(f"  {title:<{max(map(len, titles))}}  {row['contribution']:+8.3f}")
    return 0
