"""Run code in a new process, for example to measure its memory."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.helpers import ROOT


def run(code: str, *arguments, environment=os.environ) -> str:
    """What Python prints when it runs `code` with the arguments; it has to succeed."""
    environment = {**environment, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
