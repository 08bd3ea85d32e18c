"""Closed standard streams, as with a shell's `>&-` and pythonw, and streams that nobody reads."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from autoenc import AutoEncoder
from autoenc.cli.common import say
from autoenc.training.callbacks import ProgressBar
from tests.helpers import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell closes them")


def shell(line):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = f"{shlex.quote(sys.executable)} -m autoenc {line}"
    return subprocess.run(command, shell=True, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "code"), [("train --emb-dim 4 --hidden-dim 4 --epochs 1 --progress", 0), ("similar nowhere x", 2)]
)
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(arguments, code, closed):
    done = shell(f"{arguments} {closed}")
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert done.stdout.count("\n") == (closed == "2>&-" and code == 0), "the answer alone"


def test_a_progress_bar_without_stderr(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    AutoEncoder(emb_dim=4, hidden_dim=4, epochs=2).fit([[0, 1], [1, 2]], callbacks=[ProgressBar()])


def test_work_goes_on_where_nobody_reads_how_far_it_is(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        say("half of it is done")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), write)  # for the rest, which close() writes
