"""Locks on files and folders, which the system releases when the process that holds them ends for any reason."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

DELETES_OPEN_FILES = os.name == "posix"


def lock(descriptor: int) -> None:
    """Lock an open file or folder for as long as it stays open.

    Raises
    ------
    BlockingIOError
        If another process holds the lock.
    OSError
        If the file system has no locks.
    """
    if sys.platform == "win32":
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from None
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_if_possible(descriptor: int) -> None:
    """Like `lock`, but do nothing if the file system has no locks."""
    try:
        lock(descriptor)
    except BlockingIOError:
        raise
    except OSError:
        pass


def is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file still has its name; another process may have deleted it before it was locked."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


class FolderLock:
    """Reserves a folder for one process with a file `.lock` in it, which is deleted on release.

    A `.lock` left by a killed process locks nothing.
    """

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / ".lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises BlockingIOError if another process has it, OSError if the file can't be written."""
        while self._descriptor is None:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                lock_if_possible(descriptor)
            except BlockingIOError:
                os.close(descriptor)
                raise BlockingIOError(f"another process is using {self.folder}") from None
            if is_at(self.path, descriptor):
                self._descriptor = descriptor
            else:
                os.close(descriptor)

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._descriptor is None:
            return
        if not DELETES_OPEN_FILES:  # then one that another process has just locked is safe too
            os.close(self._descriptor)
        with contextlib.suppress(OSError):
            self.path.unlink()
        if DELETES_OPEN_FILES:
            os.close(self._descriptor)
        self._descriptor = None
