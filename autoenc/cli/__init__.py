"""The command line: `autoenc COMMAND ...`, one file of this folder a command, but for those of SHARED.

A command's file has HELP (its line in `autoenc --help`), EPILOG (what `autoenc COMMAND --help`
ends with: an example), `add_arguments(parser)`, and `run(args)`, which returns the exit code (None
counts as 0). The two functions import what they need when they are called, which they are for the
command that is asked for alone: `autoenc --help` imports neither NumPy, SciPy nor numba, and no
`autoenc COMMAND --help` imports numba.

Exit codes: 0 done, 1 ran and failed (a FAIL, a check not passed), 2 bad input, 130 interrupted.
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

DESCRIPTION = "Recommend items by who liked what: train a model, use it, and compare it with others."
GROUPS = {
    "Start here": ("train", "recommend", "serve"),
    "Use a model": ("similar", "explain", "update"),
    "Compare models": ("evaluate", "tune"),
    "Learn how it works": ("exercise", "gradcheck"),
}
OTHERS = "Files and machines"
EPILOG = """\
With AUTOENC_DEBUG=1 in the environment an error's traceback is shown too.

example:
  autoenc train --help
"""


SHARED = ("common", "figures", "items")  # files that are no command


class OneSentenceParser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one sentence, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {sentence(message)} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` (by default the process's arguments) names; return the exit code.

    Bad input (ValueError, TypeError or OSError, whatever raises it) is one sentence on stderr and
    code 2, a FloatingPointError (a training that diverged) or a MemoryError one sentence and code 1.
    Raises SystemExit, as argparse does, for --help, --version and arguments that it refuses.
    """
    open_missing_streams()
    argv = sys.argv[1:] if argv is None else list(argv)
    command = next((argument for argument in argv if not argument.startswith("-")), "")
    prog = "autoenc"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a title that ASCII or cp1252 lacks must not end a table
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
        # The reader, such as `head`, has what it wanted. What is left in the buffer must not be
        # written at exit, where Python would complain of it.
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
    """Where a standard stream is closed (`>&-`, pythonw), read from and write to nothing instead.

    Else it is None in `sys`, `print` to it goes to stdout, and the next file that is opened gets its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  open to the end


def command_names() -> list[str]:
    """The commands, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in SHARED)


def listing(names: Sequence[str]) -> str:
    """The commands with what each does, by group, those that a person starts with first."""
    grouped = GROUPS | {OTHERS: tuple(name for name in names if name not in sum(GROUPS.values(), ()))}
    width = max(map(len, names))
    return "\n\n".join(
        "\n".join([f"{group}:", *(f"  {name:<{width}}  {_module(name).HELP}" for name in of_group)])
        for group, of_group in grouped.items()
    )


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{command}")


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command line; with `command`, of no other command's arguments."""
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
