"""Locks of files and folders, which the system releases when the process that holds them ends, however it ends."""

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
        Where another process holds the lock.
    OSError
        Where the file system has no locks.
    """
    if sys.platform == "win32":
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from None
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_if_possible(descriptor: int) -> None:
    """The same, but where the file system has no locks do nothing."""
    try:
        lock(descriptor)
    except BlockingIOError:
        raise
    except OSError:
        pass


def is_at(path: Path, descriptor: int) -> bool:
    """Whether a file that was opened still has its name: another process may have deleted it before it was locked."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


class FolderLock:
    """Keeps a folder for one process, by a file `.lock` in it that is there only in the meantime.

    What a killed process leaves of it locks nothing.
    """

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / ".lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raises BlockingIOError where another process has it, OSError where the file can't be written."""
        while self._descriptor is None:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                lock_if_possible(descriptor)
            except BlockingIOError:
                os.close(descriptor)
                raise BlockingIOError(f"another process is at work in {self.folder}") from None
            if is_at(self.path, descriptor):
                self._descriptor = descriptor
            else:
                os.close(descriptor)

    def release(self) -> None:
        """Does nothing where it is not held."""
        if self._descriptor is None:
            return
        if not DELETES_OPEN_FILES:  # nor then one that another process has just locked
            os.close(self._descriptor)
        with contextlib.suppress(OSError):
            self.path.unlink()
        if DELETES_OPEN_FILES:
            os.close(self._descriptor)
        self._descriptor = None
