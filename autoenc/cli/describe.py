"""`autoenc describe`: describe a file of likes."""

from __future__ import annotations

import argparse

from autoenc.cli.common import add_reading, print_json, reading_of, say, show

HELP = "describe a file of likes: counts, distributions, times, and the most liked items"
EPILOG = """\
FILE is anything that `train --data` accepts, or the name of a data set. No model is trained.

example:
  autoenc describe ml-latest-small
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="likes: a file, or a zip or folder with one, or - for "
                        "standard input")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of the text")
    parser.add_argument(
        "--plot", metavar="FILE", help="plot the likes per user and per item to FILE, such as likes.png"
    )
    add_reading(parser)


def run(args: argparse.Namespace) -> None:
    from autoenc.datasets.describe import as_text, describe
    from autoenc.evaluation import plots
    from autoenc.storage.atomic import check_writable

    reading = reading_of(args)
    if args.plot is not None:
        plots.check_plot(args.plot)
        check_writable(args.plot, args.file)
    found = describe(args.file, reading)
    if found["source"]:
        say(found["source"])
    if args.plot is not None:
        plots.save(plots.draw_description(found), args.plot)
        say(f"wrote the plot to {args.plot}")
    if args.json:
        print_json(found)
    else:
        show(as_text(found))
