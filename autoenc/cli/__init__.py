"""The command line: `autoenc COMMAND ...`, with one file per command in this folder, except for those in SHARED.

A command's file has HELP (its line in `autoenc --help`), EPILOG (the end of `autoenc COMMAND --help`,
with an example), `add_arguments(parser)`, and `run(args)`, which returns the exit code (None counts as
0). The two functions are called only for the command that is used, and import what they need when called:
`autoenc --help` doesn't import NumPy, SciPy or numba, and no `autoenc COMMAND --help` imports numba.

Exit codes: 0 done, 1 ran and failed (a FAIL, or a failed check), 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import io
import os
import pkgutil
import sys
import traceback
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

import autoenc
from autoenc.messages import EXPECTED, exit_code, one_line, sentence

DESCRIPTION = "Recommend items based on who liked what: train a model, use it, and compare it with others."
GROUPS = {
    "Start here": ("train", "recommend", "serve"),
    "Use a model": ("similar", "explain", "update"),
    "Compare models": ("evaluate", "tune"),
    "Learn how it works": ("exercise", "gradcheck"),
}
OTHERS = "Files and machines"
EPILOG = """\
Set the environment variable AUTOENC_DEBUG=1 to show the traceback of an error.

example:
  autoenc train --help
"""


SHARED = ("common", "figures", "items")  # files that are not commands


class OneSentenceParser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {sentence(message)} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (by default the process's arguments) and return the exit code.

    Bad input (any ValueError, TypeError or OSError) is reported in one sentence on stderr, with code 2; a
    FloatingPointError (training diverged) or a MemoryError in one sentence, with code 1. Raises SystemExit,
    as argparse does, for --help, --version and invalid arguments.
    """
    open_missing_streams()
    argv = sys.argv[1:] if argv is None else list(argv)
    command = next((argument for argument in argv if not argument.startswith("-")), "")
    prog = "autoenc"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a title outside ASCII or cp1252 must not raise an error
    try:
        args = build_parser(command).parse_args(argv)
        prog = args.prog
        with warnings.catch_warnings():
            warnings.showwarning = functools.partial(_say_warning, prog)
            code = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt as error:
        print(f"{prog}: interrupted", file=sys.stderr)
        return exit_code(error)
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe. The rest of the buffer must not be written at exit,
        # as Python would report an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except EXPECTED as error:
        if os.environ.get("AUTOENC_DEBUG", "0") not in ("", "0"):
            traceback.print_exc()
        print(f"{prog}: {one_line(error)}", file=sys.stderr)
        return exit_code(error)
    return code or 0


def _say_warning(prog: str, message: Warning | str, *where: object) -> None:
    print(f"{prog}: {sentence(message)}", file=sys.stderr)


def open_missing_streams() -> None:
    """Replace closed standard streams (`>&-`, pythonw) by os.devnull.

    Otherwise they are None in `sys`, `print` writes to stdout instead, and the next file opened gets their number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  open to the end


def command_names() -> list[str]:
    """The commands, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in SHARED)


def listing(names: Sequence[str]) -> str:
    """The commands and their descriptions, in groups, those to start with first."""
    grouped = GROUPS | {OTHERS: tuple(name for name in names if name not in sum(GROUPS.values(), ()))}
    width = max(map(len, names))
    return "\n\n".join(
        "\n".join([f"{group}:", *(f"  {name:<{width}}  {_module(name).HELP}" for name in of_group)])
        for group, of_group in grouped.items()
    )


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{command}")


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command line; with `command`, only that command has its arguments."""
    names = command_names()
    parser = OneSentenceParser(
        prog="autoenc",
        usage="autoenc [-h] [--version] COMMAND ...",
        description=f"{DESCRIPTION}\n\n{listing(names)}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"autoenc {autoenc.__version__}")
    commands = parser.add_subparsers(prog="autoenc", metavar="COMMAND", required=True, help=argparse.SUPPRESS)
    for name in names:
        module = _module(name)
        subparser = commands.add_parser(
            name,
            description=module.HELP,
            epilog=module.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if command in (None, name):
            module.add_arguments(subparser)
        subparser.set_defaults(run=module.run, prog=subparser.prog)
    return parser
