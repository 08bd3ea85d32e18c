"""How `autoenc serve` ends on Ctrl-C and SIGTERM: at any time with the same exit code and without a traceback."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def ending_on_signals(prog: str) -> Iterator[None]:
    """In the block, Ctrl-C ends the process with code 130 and SIGTERM with code 0, even if its parent ignores them.

    The handlers end the process directly. A KeyboardInterrupt might be raised anywhere: some callbacks of
    imports and of numba print its traceback and go on, and Python exits with -2 once it has passed through an
    exec. They also skip Python's own shutdown, which waits for threads, and in which another signal prints a
    traceback.
    """
    code = 130

    def end() -> None:
        if code == 130:
            with contextlib.suppress(OSError):  # the signal may interrupt print, which is not reentrant
                os.write(2, f"{prog}: interrupted\n".encode())
        os._exit(code)

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        nonlocal code
        code = 0
        signal.raise_signal(signal.SIGINT)  # training, which handles Ctrl-C, then stops for SIGTERM as well

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda number, frame: end()),
        signal.SIGTERM: signal.signal(signal.SIGTERM, on_sigterm),
    }
    # For "forkserver", the default in Python 3.14 on Linux, numba creates a semaphore; leaving it causes a warning.
    start_method = multiprocessing.get_start_method(allow_none=True)
    try:
        multiprocessing.set_start_method("spawn", force=True)
        yield
    except KeyboardInterrupt:  # from training that has stopped
        end()
    finally:
        multiprocessing.set_start_method(start_method, force=True)
        for number, handler in before.items():
            signal.signal(number, handler)
