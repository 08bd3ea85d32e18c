"""Replace files and folders atomically: the old one stays until the new one is complete.

The new one is written in the same folder under a temporary name, `.autoenc-XXXXXXXX-YYYYYYYY.part`, where X
is derived from the final name and Y is random, and is locked while it is written. What a killed process
leaves behind is deleted by the next one that writes to the same path; it stays if the system or the file
system has no locks (Windows).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from autoenc.storage.exchange import exchanged_in_one_step
from autoenc.storage.locks import is_at, lock, lock_if_possible

HAS_LOCKS = os.name == "posix"  # on Windows a locked file can't be written to by another descriptor
PART, OLD = "part", "old"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path next to `path`, which replaces `path` if the block succeeds.

    The folder is created if it doesn't exist. If the block raises, or the process dies, `path` is unchanged.
    A file that is replaced keeps its mode, and a symbolic link is followed. A device or a pipe is yielded
    itself, to be written to. Raises OSError if `path` can't be written to.
    """
    path = Path(path)
    there = _status(path)
    _check_is_file(path, there)
    if there is not None and not stat.S_ISREG(there.st_mode):
        yield path
        return
    path = _followed(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(path, _new_file, there) as temporary:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike[str], check: Callable[[Path], object]) -> Iterator[Path]:
    """Yield a temporary folder next to `path`, which replaces `path` if the block succeeds.

    Parameters
    ----------
    path : str or Path
    check : callable
        Called with `path` before and after the block; raises if `path` must not be replaced.
    """
    path = _followed(Path(path))
    check(path)
    there = _status(path)
    _check_access(path, there)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(path, _new_folder, there) as temporary:
        yield temporary
        check(path)
        if path.exists():
            exchange(temporary, path)
        else:
            temporary.rename(path)


@contextlib.contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Yield a folder for temporary files, next to a file or folder."""
    with _temporary(beside, _new_folder) as folder:
        yield folder


def check_writable(path: str | os.PathLike[str], *read: str | os.PathLike[str] | None) -> None:
    """Raise OSError if `path` can't be written, or ValueError if it is one of the files `read`: before a long job."""
    path = Path(path)
    there = _status(path)
    for other in read:
        if there is not None and other is not None and _is_same(there, Path(other)):
            raise ValueError(f"{path} is also an input and would be overwritten; choose another output")
    _check_is_file(path, there)
    if there is not None and not stat.S_ISREG(there.st_mode):
        return
    folder = next(folder for folder in _followed(path.absolute()).parents if folder.exists())
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, so there can be no {path}; name a file in a folder")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{path.parent} can't be written to; name a file in another folder")


def _check_is_file(path: Path, there: os.stat_result | None) -> None:
    if there is not None and stat.S_ISDIR(there.st_mode):
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    _check_access(path, there)


def _check_access(path: Path, there: os.stat_result | None) -> None:
    """Raise PermissionError if the existing file may not be changed, although a rename could replace it."""
    if there is not None and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is read-only; choose another path or change its permissions")


def delete_leftovers(folder: Path, target: Path | None = None) -> None:
    """Delete what killed processes left in a folder: for one target, or all if only the caller writes there.

    A folder that was moved aside, but not replaced, is moved back.
    """
    key = "[0-9a-f]{8}" if target is None else _key(target)
    ours = re.compile(rf"\.autoenc-{key}-[0-9a-f]{{8}}\.({PART}|{OLD})")
    names: list[str] = []
    with contextlib.suppress(OSError):  # a folder may be writable but not readable
        names = os.listdir(folder)
    for path in [folder / name for name in names if ours.fullmatch(name)]:
        is_part = path.suffix == f".{PART}"
        with contextlib.suppress(OSError), _locked(path, needed=is_part and target is not None):
            if is_part or (target is not None and target.exists()):
                _delete(path)
            elif target is not None:
                path.rename(target)


def exchange(new: Path, old: Path) -> None:
    """Swap the names of two folders, in one step if the system and the file system support it."""
    if exchanged_in_one_step(new, old):
        return
    aside = _name_beside(old, OLD)
    with _locked(old, needed=False):  # another writer must not mistake `aside` for a leftover
        try:
            old.rename(aside)
            new.rename(old)
        except BaseException:
            if aside.exists() and not old.exists():
                aside.rename(old)
            raise
        with contextlib.suppress(OSError):  # otherwise the next writer deletes it
            aside.rename(new)


@contextlib.contextmanager
def _temporary(target: Path, make: Callable[[Path, int], int], there: os.stat_result | None = None) -> Iterator[Path]:
    """Yield a new file or folder next to `target`, locked. It is deleted if it still has the temporary name at the end.

    It gets the mode and the owner of what is `there`, if that is allowed.
    """
    delete_leftovers(target.parent, target)
    temporary, descriptor = _made(target, make, 0o777 if there is None else 0o700)
    try:
        if there is not None:
            with contextlib.suppress(AttributeError, PermissionError):  # Windows has no owners; chown may be forbidden
                os.chown(temporary, there.st_uid, there.st_gid)
            temporary.chmod(stat.S_IMODE(there.st_mode))
        yield temporary
    finally:
        _delete(temporary)
        if descriptor >= 0:
            os.close(descriptor)


def _made(target: Path, make: Callable[[Path, int], int], mode: int) -> tuple[Path, int]:
    while True:
        path = _name_beside(target, PART)
        try:
            descriptor = make(path, mode)
        except FileExistsError:
            continue
        if descriptor < 0:
            return path, descriptor
        with contextlib.suppress(BlockingIOError):  # another process has just mistaken it for a leftover
            lock_if_possible(descriptor)
            if is_at(path, descriptor):
                return path, descriptor
        os.close(descriptor)


def _new_file(path: Path, mode: int) -> int:
    """Create a file with a mode (minus the umask); return its descriptor, or -1 if it can't be locked."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode & 0o666)
    if HAS_LOCKS:
        return descriptor
    os.close(descriptor)
    return -1


def _new_folder(path: Path, mode: int) -> int:
    path.mkdir(mode)
    return os.open(path, os.O_RDONLY) if HAS_LOCKS else -1


@contextlib.contextmanager
def _locked(path: Path, needed: bool) -> Iterator[None]:
    """Hold a lock. Raises OSError if another process has it, or if it is `needed` and locks are not supported."""
    if not HAS_LOCKS:
        if needed:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        yield
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        (lock if needed else lock_if_possible)(descriptor)
        yield
    finally:
        os.close(descriptor)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_same(there: os.stat_result, other: Path) -> bool:
    return stat.S_ISREG(there.st_mode) and (found := _status(other)) is not None and os.path.samestat(there, found)


def _key(target: Path) -> str:
    return f"{zlib.crc32(os.fsencode(target.name)):08x}"


def _name_beside(target: Path, ending: str) -> Path:
    return target.with_name(f".autoenc-{_key(target)}-{secrets.token_hex(4)}.{ending}")


def _followed(path: Path) -> Path:
    """The target of a symbolic link; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
