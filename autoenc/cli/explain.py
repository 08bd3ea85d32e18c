"""`autoenc explain`: which likes drive the score of an item."""

from __future__ import annotations

import argparse

from autoenc.cli.common import MODEL_HELP, print_json, show
from autoenc.cli.items import names, row_of
from autoenc.messages import printable

HELP = "show which likes drive the score of an item, and by how much"
EPILOG = """\
A like's contribution is the amount by which the item's score drops if only that like is left out. It is
exact, but the contributions need not add up to the score.

example:
  autoenc explain model.safetensors --liked "Heat (1995)" --liked "Ronin (1998)" --item "Fargo (1996)"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--liked", metavar="TITLE", action="append", required=True,
                        help="title or id of a liked item; repeat for each like")  # fmt: skip
    parser.add_argument(
        "--item", metavar="TITLE", required=True, help="title or id of the item whose score is explained"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of the table")


def run(args: argparse.Namespace) -> int:
    from autoenc.models import load_model

    model = load_model(args.model)
    row, [column] = row_of(model, args.liked), row_of(model, [args.item]).indices
    [item] = names(model, [column])
    score = float(model.score(row)[0, column])
    explanation = model.explain(row, int(column))
    likes = names(model, explanation.items)
    rows = [{"item": like, "contribution": float(c)} for like, c in zip(likes, explanation.contributions)]
    if args.json:
        print_json({"item": item, "score": score, "is_liked": explanation.is_liked, "because": rows})
        return 0
    if explanation.is_liked:
        show(f"{printable(item)} is already liked, so it would not be recommended")
    show(f"{printable(item)} has a score of {score:.3f}; leaving out a like would lower it by")
    titles = [printable(like) for like in likes]
    for title, row in zip(titles, rows):
        show(f"  {title:<{max(map(len, titles))}}  {row['contribution']:+8.3f}")
    return 0
