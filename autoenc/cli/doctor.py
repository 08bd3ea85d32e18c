"""`autoenc doctor`: print the findings of `autoenc.doctor`."""

from __future__ import annotations

import argparse

from autoenc.cli.common import print_json, say, show

HELP = "check how fast this machine trains, and what slows it down"
EPILOG = """\
The exit code is 0 even if the machine is slow, and 1 if the kernels give wrong results.

example:
  autoenc doctor --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print all findings as one line of JSON")


def run(args: argparse.Namespace) -> int:
    from autoenc.doctor import as_text, examine
    from autoenc.training.warm_up import warm_up

    warm_up(say)
    facts = examine()
    if args.json:
        print_json(facts)
    else:
        show(as_text(facts))
    return 0 if facts["ok"] else 1
