"""`autoenc exercise`: a layer's file with its backward left blank, to be written by the reader."""

from __future__ import annotations

import argparse

from autoenc.cli.common import show

HELP = "write a layer's file with its backward left blank, as an exercise"
EPILOG = """\
The file goes to stdout, so write it to one of yours:

  autoenc exercise batchnorm > mine.py

Fill in the backward and check it. Where a gradient is wrong, the check says which common mistake gives
the same numbers:

  autoenc gradcheck --layer batchnorm --yours mine.py

The solution is the layer's own file, which its lesson derives.

example:
  autoenc exercise batchnorm
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("layer", nargs="?", metavar="LAYER", help="which one, such as batchnorm (default: list them)")


def run(args: argparse.Namespace) -> None:
    from autoenc.gradcheck.exercises import exercise, exercise_names

    if args.layer is None:
        show("\n".join(exercise_names()))
    else:
        show(exercise(args.layer).rstrip())
