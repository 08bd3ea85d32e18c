"""`autoenc similar`: list the items most similar to one item."""

from __future__ import annotations

import argparse

from autoenc.checks import whole_number
from autoenc.cli.common import MODEL_HELP, print_json, show
from autoenc.cli.items import names, row_of
from autoenc.messages import printable

HELP = "list the items most similar to one item"
EPILOG = """\
These are the items that the model recommends to a user who likes only that item. If nobody liked the item
together with another item, the most popular items are listed instead, and marked.

example:
  autoenc similar model.safetensors "Heat (1995)"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("title", metavar="TITLE", help="title or id of an item")
    parser.add_argument("-n", type=int, default=10, help="number of items (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of the table")


def run(args: argparse.Namespace) -> int:
    from autoenc.models import load_model

    whole_number("-n", args.n, 1)
    model = load_model(args.model)
    [column] = row_of(model, [args.title]).indices
    ranking = model.similar_items([int(column)], args.n)
    found = zip(*(array[0].tolist() for array in (*ranking, ranking.by_popularity)))
    rows = [
        {"item": names(model, [item])[0], "score": score, "by_popularity": by_popularity}
        for item, score, by_popularity in found
        if item >= 0
    ]
    if args.json:
        print_json({"item": names(model, [column])[0], "similar": rows})
        return 0
    shown = [printable(row["item"]) for row in rows]
    width = max(map(len, shown), default=0)
    for place, (title, row) in enumerate(zip(shown, rows), 1):
        note = "  popular" if row["by_popularity"] else ""
        show(f"{place:>3}  {title:<{width}}  {row['score']:8.3f}{note}")
    return 0
