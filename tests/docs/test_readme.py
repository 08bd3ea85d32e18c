"""The README's code blocks are run, from the top, in one empty folder, and print what the README shows.

A `python` block runs in the namespace of those before it, and prints the `text` block after it; a block
marked `python quoted from FILE` is in that file. In a `console` block, a line that begins with "$ " is a
command, and the next lines are its output. A block without a language is not run. The rules for comparing:

- Each line of the README is among the lines printed, in the same order; a run may print more. For a block
  marked `text ranking`, half of the lines are found, in any order.
- Text and whole numbers are the same; whitespace is ignored.
- Other numbers are within 10% or 0.05 of each other: another processor rounds differently, which gives a
  different network after training, as another seed would (which changes p@1 for 671 users by 0.02).
- Seconds, memory and rates depend on the machine, and are not compared.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT
from tests.helpers.pages import QUOTED, blocks, is_quoted, missing, same_line

# How the commands are run here, in the environment that is running the tests.
RUN_AS = {
    "make train": [sys.executable, str(ROOT / "run_train.py"), "--out", "model.safetensors"],
    "autoenc": [sys.executable, "-m", "autoenc"],
}
# They install, fetch, take long, or run these tests.
NOT_RUN = (
    "git clone",
    "cd",
    "pip install",
    "make test",
    "make test-all",
    "make test-long",
    "make lint",
    "make quality",
    "make reproduce",
)


def run_command(command: str, folder: Path) -> str | None:
    """What a command prints, on stdout and stderr; None where it is one that is not run here."""
    if any(command == known or command.startswith(f"{known} ") for known in NOT_RUN):
        return None
    known = next((known for known in RUN_AS if command == known or command.startswith(f"{known} ")), None)
    assert known, f"{command!r} is neither in RUN_AS nor in NOT_RUN"
    run = subprocess.run(
        [*RUN_AS[known], *shlex.split(command.removeprefix(known))],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stdout
    return run.stdout


def test_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "readme"}
    printed = ""
    for line, kind, text in blocks((ROOT / "README.md").read_text(encoding="utf-8")):
        where = f"README.md, line {line}"
        if kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile("\n" * line + text, "README.md", "exec"), namespace)
            printed = out.getvalue()
        elif kind in ("text", "text ranking"):
            assert missing(text, printed, ranking=kind == "text ranking") == [], f"{where}; printed was:\n{printed}"
        elif kind == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, wanted = part.partition("\n")
                output = run_command(command, tmp_path)
                assert output is None or missing(wanted, output) == [], f"{where}, {command}; printed was:\n{output}"
        elif kind.startswith(QUOTED):
            source = (ROOT / kind.removeprefix(QUOTED)).read_text(encoding="utf-8")
            assert is_quoted(text, source), f"{where}: not what the source has"
        else:
            assert kind == "", f"{where}: a block of {kind!r} would not be checked"


@pytest.mark.parametrize(
    ("wanted", "got", "same"),
    [
        ("p@1   0.371", "p@1 0.352", True),
        ("p@1 0.371", "p@1 0.271", False),
        ("score 12.4", "score 11.9", True),
        ("671 users", "672 users", False),
        ("9,066 items", "9,066 items", True),
        ("9,066 items", "9,067 items", False),
        ("loss -412.5", "loss 412.5", False),
        ("Heat (1995)", "Ronin (1998)", False),
        ("trained in 12.3 s", "trained in 4 s", True),
        ('{"p_at_01": 0.37, "seconds": 9.1, "epochs": 20}', '{"p_at_01": 0.38, "seconds": 20.4, "epochs": 20}', True),
        ('{"p_at_01": 0.37, "seconds": 9.1, "epochs": 20}', '{"p_at_01": 0.37, "seconds": 9.1, "epochs": 21}', False),
        ("p@1 0.371", "p@1 nan", False),
    ],
)
def test_how_lines_are_compared(wanted, got, same):
    assert same_line(wanted, got) == same


def test_lines_are_found_in_order_and_half_of_a_ranking():
    assert missing("a\nc", "a\nb\nc") == []
    assert missing("c\na", "a\nb\nc") == ["a"]
    assert missing("a\nb\nc\nd", "d\nx\na\ny", ranking=True) == []
    assert missing("a\nb\nc\nd", "d\nx\ny\nz", ranking=True) == ["a", "b", "c"]


def test_a_command_that_nobody_placed_is_refused(tmp_path):
    with pytest.raises(AssertionError, match="'make tea' is neither in RUN_AS nor in NOT_RUN"):
        run_command("make tea", tmp_path)
    assert run_command("make test", tmp_path) is None


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    assert [name for name in targets if not name.startswith("https:") and not (ROOT / name).exists()] == []
