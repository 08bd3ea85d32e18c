"""`autoenc merge`: merge a checkpoint's shards into one model file."""

from __future__ import annotations

import argparse

from autoenc.cli.common import print_json, show

HELP = "convert a checkpoint, of one process or several, to a model file"
EPILOG = """\
The model is that of the last checkpoint. Training may still be running.

example:
  autoenc merge checkpoint/ merged.safetensors
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="a checkpoint, written by `autoenc train --checkpoint`")
    parser.add_argument("model", metavar="MODEL", help="model file to write")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of the sentence")


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
