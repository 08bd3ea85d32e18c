"""The progress reported while kernels are compiled for the first time."""

from __future__ import annotations

import io

import pytest
from numba import config, njit

from autoenc.training import compiling as module
from autoenc.training.compiling import Compiling, write_a_byte_a_kernel

needs_jit = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="about the compiled code")


def a_new_kernel():
    def add_one(x):
        return x + 1

    add_one.__module__ = "autoenc.kernels.of_this_test"
    return njit(add_one)


@needs_jit
def test_each_kernel_counts_once_here_and_by_a_byte_elsewhere():
    with Compiling(3, lambda line: None) as compiling:
        add_one = a_new_kernel()
        assert add_one(1) == 2 and compiling.done == 1
        assert add_one(2) == 3 and compiling.done == 1
        njit(lambda x: x)(1)  # none of ours
        compiling.count_bytes(io.BytesIO(b".."))
        assert compiling.done == 3
    a_new_kernel()(1)
    assert compiling.done == 3


@needs_jit
def test_another_process_writes_a_byte_a_kernel(monkeypatch):
    registered, register = [], module.event.register
    monkeypatch.setattr(module.event, "register", lambda *args: (registered.append(args), register(*args)))
    stream = io.BytesIO()
    write_a_byte_a_kernel(stream)
    try:
        a_new_kernel()(1)
    finally:
        module.event.unregister(*registered[0])
    assert stream.getvalue() == b"."


def test_a_line_says_how_many_and_how_long(monkeypatch):
    monkeypatch.setattr(module.time, "monotonic", lambda: 100.0)
    compiling = Compiling(60, lambda line: None)
    assert compiling.line() == "compiling the kernels for this machine, once: 0 of 60"
    compiling.done = 11
    assert compiling.line() == "compiling the kernels for this machine, once: 11 of 60"
    compiling.done = 20
    monkeypatch.setattr(module.time, "monotonic", lambda: 106.0)
    assert compiling.line() == "compiling the kernels for this machine, once: 20 of 60, 6 to 24 s left"
    compiling.done = 60
    assert compiling.line() == "compiling the kernels for this machine, once: 60 of 60"


def test_lines_go_on_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr(module, "SECONDS_IN_SILENCE", 0.0)
    monkeypatch.setattr(module, "SECONDS_BETWEEN", 0.001)
    monkeypatch.setattr(module.sys, "stderr", io.StringIO())
    lines, three = [], module.threading.Event()

    def say(line):
        lines.append(line)
        compiling.count()
        if len(lines) == 3:
            three.set()

    compiling = Compiling(3, say)
    with compiling:
        assert three.wait(30)
    assert [line.partition(" of 3")[0][-1] for line in lines[:3]] == ["0", "1", "2"]


def test_nothing_is_said_at_first():
    lines = []
    with Compiling(3, lines.append):
        pass
    assert lines == []


def test_a_terminal_has_one_line_that_is_written_over(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(module, "SECONDS_IN_SILENCE", 0.0)
    monkeypatch.setattr(module.sys, "stderr", terminal)
    lines = []
    with Compiling(3, lines.append) as compiling:
        for done in range(3):
            compiling.done = done
            while f"{done} of 3" not in terminal.getvalue():
                module.time.sleep(0.01)
    assert lines == [] and "\n" not in terminal.getvalue().strip("\n")
