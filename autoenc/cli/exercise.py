"""`autoenc exercise`: print a layer's file with its backward left blank, for the reader to write."""

from __future__ import annotations

import argparse

from autoenc.cli.common import print_json, show

HELP = "print a layer with its backward left blank, as an exercise"
EPILOG = """\
The file is printed to stdout; redirect it to a file of your own:

  autoenc exercise batchnorm > mine.py

Fill in the backward and check it. If a gradient is wrong, the check says which common mistake gives the
same numbers:

  autoenc gradcheck --layer batchnorm --yours mine.py

The solution is the layer's own file, and its lesson derives it. The notebooks network, task_layers and
other_layers contain the same exercises:

  autoenc exercise --notebook network > network.ipynb

example:
  autoenc exercise batchnorm
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("layer", nargs="?", metavar="LAYER", help="layer, such as batchnorm (default: list them)")
    parser.add_argument("--notebook", metavar="NAME", help="print this notebook of exercises instead, as .ipynb")


def run(args: argparse.Namespace) -> None:
    from autoenc.gradcheck.exercises import exercise, exercise_names
    from autoenc.gradcheck.notebooks import notebook

    if args.notebook is not None:
        if args.layer is not None:
            raise ValueError("a notebook has its own layers; leave out LAYER or --notebook")
        print_json(notebook(args.notebook))
    elif args.layer is None:
        show("\n".join(exercise_names()))
    else:
        show(exercise(args.layer).rstrip())
