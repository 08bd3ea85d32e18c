"""`autoenc doctor`: what `autoenc.doctor` finds, on the command line."""

from __future__ import annotations

import argparse

from autoenc.cli.common import print_json, say, show

HELP = "check how fast this machine trains, and what slows it down"
EPILOG = """\
Exit code 0, also where something holds the machine back; 1 where the kernels give wrong answers.

example:
  autoenc doctor --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="all that was found, as one line of JSON")


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
