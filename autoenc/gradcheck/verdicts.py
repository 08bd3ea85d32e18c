"""The result of a check in words, for the command line and notebooks."""

from __future__ import annotations

import traceback

from autoenc.gradcheck.check import TensorCheck
from autoenc.messages import one_line


def verdict_of(check: TensorCheck) -> str:
    """`ok`, or the index of the worst element and its two numbers."""
    if check.passed:
        return "ok"
    where = f" at {', '.join(map(str, check.worst))}" if check.worst else ""
    return f"WRONG{where}: backward has {check.grad:.6g}, the differences {check.numerical:.6g}"


def message_of(error: BaseException) -> str:
    """An error's message prefixed by the innermost forward or backward that raised it, as in "ReLU.backward: ..."."""
    place = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        function = frame.f_code.co_name.removeprefix("checked_")  # see autoenc.safeguards
        if function in ("forward", "backward") and "self" in frame.f_locals:
            place = f"{type(frame.f_locals['self']).__name__}.{function}"
    text = one_line(error)
    return text if text.startswith(place) else f"{place}: {text}"
