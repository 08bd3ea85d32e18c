"""`autoenc merge`: a checkpoint's shards as one model file."""

from __future__ import annotations

import argparse

from autoenc.cli.common import print_json, show

HELP = "turn a checkpoint, of one process or of several, into a model file"
EPILOG = """\
The training may be over or not; the model is what the checkpoint's step has made of it.

example:
  autoenc merge checkpoint/ merged.safetensors
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="what `autoenc train --checkpoint` wrote")
    parser.add_argument("model", metavar="MODEL", help="the model file to write")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the sentence")


def run(args: argparse.Namespace) -> int:
    from autoenc.scale.merge import merge
    from autoenc.storage.atomic import check_writable

    check_writable(args.model)
    about = merge(args.folder, args.model)
    if args.json:
        print_json({"model": args.model, **about})
    else:
        show(f"wrote the model of {about['epochs']} epochs to {args.model}")
    return 0
