"""Ctrl-C waits for the end of a block, and is never lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from autoenc.scale.signals import deferred_interrupt


@pytest.fixture(autouse=True)
def _python_s_own_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("error", [None, OSError("it fails")])
def test_it_comes_at_the_end_even_if_the_block_raises(block, error):
    done = []
    with pytest.raises(KeyboardInterrupt), deferred_interrupt(block):
        signal.raise_signal(signal.SIGINT)
        done.append(True)
        if error is not None:
            raise error
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("block", [False, True])
def test_without_ctrl_c_nothing_comes(block):
    with deferred_interrupt(block):
        pass
    with pytest.raises(OSError), deferred_interrupt(block):
        raise OSError


def test_another_thread_changes_nothing():
    seen = []

    def inside():
        with deferred_interrupt(block=True):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="about POSIX")
@pytest.mark.parametrize("block", [False, True])
def test_a_process_that_is_started_in_a_blocking_one_never_gets_it(block):
    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    with deferred_interrupt(block):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == f"{block}\n"
