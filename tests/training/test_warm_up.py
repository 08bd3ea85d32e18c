"""Kernels are compiled by two processes if they are not yet compiled, and by none if they are."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from autoenc import AutoEncoder
from autoenc.training import warm_up as module
from autoenc.training.warm_up import compile_middle, warm_up
from tests.helpers import ROOT
from tests.helpers.child import run

COMPILE = """
import json, sys
from autoenc.kernels import bottleneck, gather_sum, linear, normalize, output_tile, scatter_add, top_n
from autoenc.training import compiling
from autoenc.training import warm_up as module
from autoenc.training.warm_up import warm_up
lines, counted = [], []


class Counted(compiling.Compiling):
    def __exit__(self, *error):
        super().__exit__(*error)
        counted.append((self.done, self.total))


module.Compiling = Counted
warm_up(lines.append)
kernels = [
    normalize.normalize, normalize.normalize_backward, normalize.normalize_eval, linear.linear_of_blocks,
    bottleneck.bottleneck, bottleneck.bottleneck_backward, gather_sum.gather_sum, output_tile.output_tile,
    scatter_add.scatter_add, scatter_add.catch_up, top_n.top_n_of_shares,
]
compiled = [k.__name__ for k in kernels if k.stats.cache_misses]
found = [k.__name__ for k in kernels if k.stats.cache_hits]
print(json.dumps({"lines": lines, "counted": counted, "compiled": compiled, "found": found}))
"""
MIDDLE = {
    "normalize",
    "normalize_backward",
    "normalize_eval",
    "linear_of_blocks",
    "bottleneck",
    "bottleneck_backward",
}
ENDS = {"gather_sum", "output_tile", "scatter_add", "catch_up", "top_n_of_shares"}


@pytest.fixture(autouse=True)
def first_time(monkeypatch):
    """As in a process that has not asked the disk yet."""
    monkeypatch.setattr(module, "_asked", False)


@pytest.mark.long
def test_each_process_compiles_its_half_once(tmp_path, monkeypatch):
    """The first run leaves the middle to the process aside; the second finds all on the disk and says nothing."""
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    cold, warm = (json.loads(run(COMPILE)) for _ in range(2))
    assert set(cold["compiled"]) == ENDS
    assert set(cold["found"]) == MIDDLE
    total = module.IN_MIDDLE + module.AT_ENDS
    [[counted, expected]] = cold["counted"]
    assert expected == total and total - 8 <= counted <= total
    assert all(line.startswith("compiling the kernels for this machine, once: ") for line in cold["lines"])
    assert f" of {total}, " in cold["lines"][-1] and cold["lines"][-1].endswith(" s left")
    assert warm == {"lines": [], "counted": [], "compiled": [], "found": [*warm["found"]]}
    assert set(warm["found"]) == MIDDLE | ENDS


def test_no_process_is_started_where_nothing_has_to_be_compiled(monkeypatch):
    monkeypatch.setattr(module, "was_compiled_and_kept", lambda kernel: False)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    warm_up()


def test_a_process_compiles_once_however_often_it_trains(monkeypatch):
    started = []

    class Aside:
        def __init__(self, *_, **__):
            started.append(self)
            self.stdin, self.stdout = io.BytesIO(), io.BytesIO()

        def wait(self):
            pass

    monkeypatch.setattr(module, "was_compiled_and_kept", lambda kernel: True)
    monkeypatch.setattr(subprocess, "Popen", Aside)
    for _ in range(2):
        AutoEncoder(emb_dim=4, hidden_dim=2, epochs=1).fit([[0, 1], [1, 2]])
    assert len(started) == 1


def test_kernels_are_made_ready_where_no_process_can_be_started(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError("no more processes")

    monkeypatch.setattr(module, "was_compiled_and_kept", lambda kernel: True)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    warm_up()


def test_the_process_aside_ends_with_a_failure_here(monkeypatch):
    """Nothing is left running behind an interrupt."""
    aside = []

    class Aside:
        def __init__(self, command, env, stdin, **_):
            assert "compile_middle_for_parent()" in command[-1]
            assert env["AUTOENC_MPI"] == "0"
            assert stdin == subprocess.PIPE
            aside.append(self)
            self.done = []
            self.stdin, self.stdout = io.BytesIO(), io.BytesIO()

        def kill(self):
            self.done.append("kill")

        def wait(self):
            self.done.append("wait")

    def interrupt(network):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "was_compiled_and_kept", lambda kernel: True)
    monkeypatch.setattr(subprocess, "Popen", Aside)
    monkeypatch.setattr(module, "_use", interrupt)
    with pytest.raises(KeyboardInterrupt):
        warm_up()
    assert aside[0].done == ["kill", "wait"]


def test_the_process_aside_ends_with_the_one_that_started_it_however_that_ends():
    """Its stdin ends; a compiler that goes on for long stands in for ours."""
    code = """
import time
from autoenc.training import warm_up
warm_up.compile_middle = lambda: time.sleep(250)
warm_up.compile_middle_for_parent()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    aside = subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE)
    aside.stdin.close()
    assert aside.wait(timeout=200) == 1


@pytest.mark.parametrize(("backend", "times"), [("numba", 1), ("numpy", 0)])
def test_a_training_in_python_says_when_it_compiles(backend, times, monkeypatch, caplog):
    """By logging, whose warnings Python prints to stderr where nobody has set it up."""
    monkeypatch.setattr(module, "compile_kernels", lambda say: say("compiling"))
    AutoEncoder(emb_dim=4, hidden_dim=2, epochs=1, backend=backend).fit([[0, 1], [1, 2]])
    assert [record.getMessage() for record in caplog.records if record.name == "autoenc"] == ["compiling"] * times


@pytest.mark.kernels
def test_the_middle_compiles_by_itself():
    compile_middle()
