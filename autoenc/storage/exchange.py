"""The system call that swaps two names atomically, if the system and the file system have one."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path


def exchanged_in_one_step(new: Path, old: Path) -> bool:
    """Swap the names of two paths. Returns False, without doing anything, if there is no such call.

    Raises OSError if the call fails.
    """
    names = os.fsencode(new.absolute()), os.fsencode(old.absolute())
    if sys.platform not in ("linux", "darwin"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    at_fdcwd, rename_exchange, rename_swap = -100, 2, 2  # from Linux's and Apple's headers
    try:
        if sys.platform == "linux":
            failed = libc.renameat2(at_fdcwd, names[0], at_fdcwd, names[1], rename_exchange)
        else:
            failed = libc.renamex_np(*names, rename_swap)
    except AttributeError:  # an older C library
        return False
    number = ctypes.get_errno()
    if failed and number not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise OSError(number, os.strerror(number), str(old))
    return not failed
