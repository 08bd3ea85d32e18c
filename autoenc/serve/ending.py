"""How `autoenc serve` ends on Ctrl-C and SIGTERM: by the same exit code and without a traceback, whenever they come."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def ending_on_signals(prog: str) -> Iterator[None]:
    """Inside, Ctrl-C ends the process with code 130 and SIGTERM with code 0, even where its parent had it ignore them.

    They end it from the handler. KeyboardInterrupt would come out anywhere: some callbacks of imports
    and of numba print its traceback and go on, and Python exits with -2 once it has passed through an
    exec. Nor is there Python's own farewell, which waits for threads, and in which another signal has a
    traceback.
    """
    code = 130

    def end() -> None:
        if code == 130:
            with contextlib.suppress(OSError):  # print may be what the signal interrupts, and can't be called in itself
                os.write(2, f"{prog}: interrupted\n".encode())
        os._exit(code)

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        nonlocal code
        code = 0
        signal.raise_signal(signal.SIGINT)  # a training, which takes Ctrl-C over, then stops for SIGTERM as well

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda number, frame: end()),
        signal.SIGTERM: signal.signal(signal.SIGTERM, on_sigterm),
    }
    # For "forkserver", the default of Python 3.14 on Linux, numba makes a semaphore. Left behind, it is a warning.
    start_method = multiprocessing.get_start_method(allow_none=True)
    try:
        multiprocessing.set_start_method("spawn", force=True)
        yield
    except KeyboardInterrupt:  # a training that has stopped
        end()
    finally:
        multiprocessing.set_start_method(start_method, force=True)
        for number, handler in before.items():
            signal.signal(number, handler)
