"""`autoenc similar`: the items most like one."""

from __future__ import annotations

import argparse
import json

from autoenc.checks import whole_number
from autoenc.cli.common import MODEL_HELP

HELP = "list the items most like one item"
EPILOG = """\
They are what the model recommends to somebody who likes that item alone.

example:
  autoenc similar model.safetensors "Heat (1995)"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("title", metavar="TITLE", help="an item's title or id")
    parser.add_argument("-n", type=int, default=10, help="how many (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the table")


def run(args: argparse.Namespace) -> int:
    from autoenc.models import load_model

    whole_number("-n", args.n, 1)
    titles, scores = load_model(args.model).similar_items(args.title, args.n)
    rows = [{"item": str(title), "score": float(score)} for title, score in zip(titles, scores)]
    if args.json:
        print(json.dumps({"item": args.title, "similar": rows}))
        return 0
    width = max([len(str(title)) for title in titles], default=0)
    for place, row in enumerate(rows, 1):
        print(f"{place:>3}  {row['item']:<{width}}  {row['score']:8.3f}")
    return 0
