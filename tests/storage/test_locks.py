"""A folder is locked by one process at a time, and unlocked when that process ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoenc.storage import locks
from autoenc.storage.locks import FolderLock


def test_a_folder_is_locked_until_it_is_released(tmp_path):
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.acquire()
    first.acquire()
    with pytest.raises(BlockingIOError, match="another process is using"):
        second.acquire()
    first.release()
    first.release()
    assert list(tmp_path.iterdir()) == []
    second.acquire()
    second.release()


def test_a_process_that_is_killed_locks_nothing(tmp_path):
    code = f"""
import sys
from pathlib import Path
from autoenc.storage.locks import FolderLock
FolderLock(Path({str(tmp_path)!r})).acquire()
print("locked", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(BlockingIOError):
            FolderLock(tmp_path).acquire()
        process.kill()
    lock = FolderLock(tmp_path)
    lock.acquire()
    lock.release()


def test_a_lock_whose_file_was_deleted_in_the_meantime_is_none(tmp_path, monkeypatch):
    """Released by another process after it was opened here: a third would make a new file, and lock that."""
    lock, deleted = FolderLock(tmp_path), []
    real = locks.lock_if_possible

    def late(descriptor):
        if not deleted:
            deleted.append(lock.path.unlink())
        real(descriptor)

    monkeypatch.setattr(locks, "lock_if_possible", late)
    lock.acquire()
    monkeypatch.undo()
    with pytest.raises(BlockingIOError):
        FolderLock(tmp_path).acquire()
    lock.release()


def test_a_file_system_without_locks_locks_nothing(tmp_path, monkeypatch):
    def none(descriptor):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks, "lock", none)
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.acquire()
    second.acquire()
    assert None not in (first._descriptor, second._descriptor)
    second.release()
    first.release()


@pytest.mark.parametrize("deletes_open_files", [True, False])
def test_the_file_is_closed_first_where_open_files_cannot_be_deleted(tmp_path, monkeypatch, deletes_open_files):
    monkeypatch.setattr(locks, "DELETES_OPEN_FILES", deletes_open_files)
    lock, calls = FolderLock(tmp_path), []
    lock.acquire()
    close, unlink = os.close, Path.unlink
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", lambda descriptor: calls.append("close") or close(descriptor))
        patch.setattr(Path, "unlink", lambda path: calls.append("unlink") or unlink(path))
        lock.release()
    assert calls == (["unlink", "close"] if deletes_open_files else ["close", "unlink"])
    assert list(tmp_path.iterdir()) == []
