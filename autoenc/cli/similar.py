"""`autoenc similar`: the items most like one."""

from __future__ import annotations

import argparse

from autoenc.checks import whole_number
from autoenc.cli.common import MODEL_HELP, print_json, show
from autoenc.messages import printable

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
    model = load_model(args.model)
    titles, scores = model.similar_items(args.title, min(args.n, model.n_items))
    rows = [{"item": str(title), "score": float(score)} for title, score in zip(titles, scores)]
    if args.json:
        print_json({"item": args.title, "similar": rows})
        return 0
    shown = [printable(title) for title in titles]
    width = max(map(len, shown), default=0)
    for place, (title, row) in enumerate(zip(shown, rows), 1):
        show(f"{place:>3}  {title:<{width}}  {row['score']:8.3f}")
    return 0
