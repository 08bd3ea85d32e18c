"""A file is written completely, or the previous one is kept."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from autoenc.storage import atomic
from autoenc.storage.atomic import (
    check_writable,
    delete_leftovers,
    exchange,
    replacing,
    replacing_folder,
    scratch_folder,
)
from tests.helpers import ROOT

posix = pytest.mark.skipif(os.name != "posix", reason="about POSIX")


def anything(folder) -> None:
    """Whatever stands there may be replaced."""


def mode_of(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def old_folder(folder, content="old") -> Path:
    folder.mkdir()
    (folder / "file").write_text(content)
    return folder


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("as_path", [str, Path])
def test_the_new_file_takes_the_place_of_the_old_when_the_block_ends(tmp_path, as_path):
    path = tmp_path / "new" / "folder" / "model"
    for content in ("first", "second"):
        with replacing(as_path(path)) as temporary:
            assert temporary.parent == path.parent
            temporary.write_text(content)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == content
        assert names(path.parent) == ["model"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_old_file_stays_when_the_block_raises(tmp_path, error):
    path = tmp_path / "model"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half of the ne")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["model"]


def test_the_old_file_stays_when_the_process_dies(tmp_path):
    path = tmp_path / "model"
    path.write_text("old")
    code = f"""
import os
from autoenc.storage.atomic import replacing
with replacing({str(path)!r}) as temporary:
    temporary.write_text("half of the ne")
    os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 9
    assert path.read_text() == "old"


@posix
def test_what_is_new_is_readable_as_the_umask_has_it(tmp_path, monkeypatch):
    """Which is never changed to find it out: another thread would make files of any mode in the meantime."""
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", None)
            for place in (replacing(tmp_path / "model"), replacing_folder(tmp_path / "folder", anything)):
                with place as temporary:
                    (temporary / "file" if temporary.is_dir() else temporary).write_text("new")
    finally:
        os.umask(before)
    assert [mode_of(tmp_path / name) for name in ("model", "folder", "folder/file")] == [0o640, 0o750, 0o640]


@posix
@pytest.mark.parametrize(("of_file", "of_folder"), [(0o600, 0o700), (0o666, 0o777), (0o620, 0o750)])
def test_what_is_replaced_keeps_its_mode_and_nobody_reads_more_in_the_meantime(
    tmp_path, monkeypatch, of_file, of_folder
):
    path, folder = tmp_path / "model", tmp_path / "folder"
    path.write_text("old")
    path.chmod(of_file)
    folder.mkdir()
    folder.chmod(of_folder)
    chmod, modes = Path.chmod, []

    def watched(made, mode):
        modes.append(mode_of(made))
        chmod(made, mode)

    monkeypatch.setattr(Path, "chmod", watched)
    with replacing(path) as new_file, replacing_folder(folder, anything) as new_folder:
        assert (mode_of(new_file), mode_of(new_folder)) == (of_file, of_folder)
        new_file.write_text("new")
    assert modes == [0o600, 0o700], "before they had the old ones' modes"
    assert (mode_of(path), mode_of(folder), path.read_text()) == (of_file, of_folder, "new")


@posix
@pytest.mark.parametrize("there", [True, False])
def test_a_symbolic_link_is_followed(tmp_path, there):
    (tmp_path / "disk").mkdir()
    file, folder = tmp_path / "disk/model", tmp_path / "disk/folder"
    if there:
        file.write_text("old")
        folder.mkdir()
    (tmp_path / "model").symlink_to("disk/model")
    (tmp_path / "folder").symlink_to("disk/folder")
    check_writable(tmp_path / "model")
    with replacing(tmp_path / "model") as temporary:
        assert temporary.parent == tmp_path / "disk"
        temporary.write_text("new")
    with replacing_folder(tmp_path / "folder", anything) as temporary:
        (temporary / "file").write_text("new")
    assert (tmp_path / "model").is_symlink() and (tmp_path / "folder").is_symlink()
    assert file.read_text() == (folder / "file").read_text() == "new"
    assert names(tmp_path / "disk") == ["folder", "model"]


@posix
def test_what_is_no_regular_file_is_written_to_and_stays(tmp_path):
    """As /dev/null and /dev/stdout."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    check_writable(pipe)
    with replacing(pipe) as place, open(place, "w") as file:
        file.write("new")
    reader.join()
    assert read == ["new"] and stat.S_ISFIFO(pipe.stat().st_mode) and names(tmp_path) == ["pipe"]
    check_writable(os.devnull)
    with replacing(os.devnull) as place:
        assert place == Path(os.devnull)


@pytest.mark.parametrize("length", [200, 241, 255])
def test_names_may_be_as_long_as_the_file_system_takes(tmp_path, length):
    path = tmp_path / ("x" * length)
    check_writable(path)
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == [path.name]


@posix
def test_longer_names_are_refused_before_the_work(tmp_path):
    with pytest.raises(OSError, match="too long"):
        check_writable(tmp_path / ("x" * 256))


def test_what_is_read_is_not_to_be_written(tmp_path):
    (tmp_path / "likes.npz").write_text("likes")
    check_writable(tmp_path / "likes.npz", tmp_path / "other.npz", None, tmp_path)
    with pytest.raises(ValueError, match=r"likes.npz is also an input and would be overwritten; choose another output"):
        check_writable(tmp_path / "likes.npz", None, tmp_path / "." / "likes.npz")


@posix
def test_what_may_not_be_written_to_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "model").write_text("mine")
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: not os.fspath(path).endswith(("model", "folder")))
    for refused in (
        lambda: check_writable(tmp_path / "model"),
        lambda: replacing(tmp_path / "model").__enter__(),
        lambda: replacing_folder(tmp_path / "folder", anything).__enter__(),
    ):
        with pytest.raises(PermissionError, match=r"(model|folder) is read-only; choose another path or change its"):
            refused()
    assert names(tmp_path) == ["folder", "model"] and (tmp_path / "model").read_text() == "mine"


# Folders


@pytest.fixture(params=["in one step", "in three"])
def either_way(request, monkeypatch):
    """Where the system exchanges two names, and where it can't."""
    if request.param == "in three":
        monkeypatch.setattr(atomic, "exchanged_in_one_step", lambda new, old: False)


def test_a_new_folder_takes_the_place_of_the_old_when_the_block_ends(tmp_path, either_way):
    folder, seen = tmp_path / "above" / "folder", []
    for content in ("first", "second"):
        with replacing_folder(folder, seen.append) as temporary:
            (temporary / "file").write_text(content)
            assert not folder.exists() or (folder / "file").read_text() == "first"
        assert (folder / "file").read_text() == content
        assert names(folder.parent) == ["folder"]
    assert seen == [folder] * 4


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_old_folder_stays_when_the_block_raises(tmp_path, error):
    old_folder(tmp_path / "folder")
    with pytest.raises(error), replacing_folder(tmp_path / "folder", anything) as temporary:
        (temporary / "file").write_text("half of the ne")
        raise error
    assert (tmp_path / "folder/file").read_text() == "old"
    assert names(tmp_path) == ["folder"]


def test_what_came_into_the_folder_in_the_meantime_is_not_lost(tmp_path):
    def is_empty(folder):
        if folder.exists() and names(folder):
            raise FileExistsError("it holds something")

    with pytest.raises(FileExistsError, match="it holds something"), replacing_folder(tmp_path / "folder", is_empty):
        old_folder(tmp_path / "folder")
    assert (tmp_path / "folder/file").read_text() == "old"
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_the_old_folder_is_put_back_where_a_rename_fails(tmp_path, monkeypatch, nth, error):
    old_folder(tmp_path / "folder")
    monkeypatch.setattr(atomic, "exchanged_in_one_step", lambda new, old: False)
    rename, calls = Path.rename, []

    def fails(path, target):
        calls.append(path)
        if len(calls) == nth:
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(type(error)), replacing_folder(tmp_path / "folder", anything):
        pass
    assert (tmp_path / "folder/file").read_text() == "old"
    assert names(tmp_path) == ["folder"]


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="other systems exchange no names")
def test_the_system_exchanges_two_folders(tmp_path):
    new, old = old_folder(tmp_path / "new", "new"), old_folder(tmp_path / "old")
    if not atomic.exchanged_in_one_step(new, old):
        pytest.skip("the file system exchanges no names")
    assert ((tmp_path / "old/file").read_text(), (tmp_path / "new/file").read_text()) == ("new", "old")
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "none", old)
    assert (tmp_path / "old/file").read_text() == "new"


# What a killed process leaves

KILLED = """
import os, sys
from pathlib import Path
from autoenc.storage import atomic
target = Path(sys.argv[1])
atomic.exchanged_in_one_step = lambda new, old: False
place = {"file": atomic.replacing, "folder": lambda path: atomic.replacing_folder(path, print),
         "scratch": atomic.scratch_folder, "renames": lambda path: atomic.replacing_folder(path, print)}[sys.argv[2]]
rename = Path.rename
def once(path, target):
    rename(path, target)
    os._exit(9)
if sys.argv[2] == "renames":
    Path.rename = once
with place(target) as temporary:
    (temporary / "file" if temporary.is_dir() else temporary).write_text("half")
    if sys.argv[2] != "renames":
        print("writing", flush=True)
        sys.stdin.read()
        os._exit(9)
"""


def killed(target, what) -> subprocess.Popen:
    """A process that writes and is killed once its standard input is closed, or between two renames."""
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, target, what],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def places(what):
    return {"file": replacing, "folder": lambda path: replacing_folder(path, anything), "scratch": scratch_folder}[what]


@posix
@pytest.mark.parametrize("what", ["file", "folder", "scratch"])
def test_the_next_that_writes_there_deletes_it_once_nobody_holds_it(tmp_path, what):
    others = [".autoenc-01234567-01234567.part", ".autoenc-notes.part", ".target.abc.part"]
    for name in others:
        (tmp_path / name).write_text("another's")
    with killed(tmp_path / "target", what) as process:
        while "writing" not in process.stdout.readline():
            pass
        [held] = set(names(tmp_path)) - set(others)
        with places(what)(tmp_path / "target"):
            assert held in names(tmp_path), "a living process writes to it"
        process.stdin.close()
        process.wait()
    assert held in names(tmp_path)
    with places(what)(tmp_path / "other"):
        assert held in names(tmp_path), "it is of another name"
    with places(what)(tmp_path / "target"):
        assert held not in names(tmp_path)
    assert set(others) <= set(names(tmp_path))


@posix
def test_a_folder_that_was_moved_away_when_the_process_died_is_moved_back(tmp_path):
    folder = old_folder(tmp_path / "folder")
    with killed(folder, "renames") as process:
        assert process.wait() == 9
    assert not folder.exists()
    delete_leftovers(tmp_path, folder)
    assert (folder / "file").read_text() == "old"
    with replacing_folder(folder, anything) as temporary:
        (temporary / "file").write_text("new")
    assert (folder / "file").read_text() == "new"
    assert names(tmp_path) == ["folder"]


@posix
def test_a_folder_that_is_moved_aside_by_a_living_process_is_left_alone(tmp_path, monkeypatch):
    new, old = old_folder(tmp_path / "new", "new"), old_folder(tmp_path / "folder")
    monkeypatch.setattr(atomic, "exchanged_in_one_step", lambda new, old: False)
    rename = Path.rename

    def another_writer_comes(path, target):
        rename(path, target)
        if path == old:
            monkeypatch.setattr(Path, "rename", rename)
            delete_leftovers(tmp_path, old)
            assert not old.exists(), "it was moved back"

    monkeypatch.setattr(Path, "rename", another_writer_comes)
    exchange(new, old)
    assert ((old / "file").read_text(), (new / "file").read_text()) == ("new", "old")


def test_leftovers_without_locks(tmp_path, monkeypatch):
    """As on Windows: a part may be in use, unless the caller alone writes to the folder."""
    monkeypatch.setattr(atomic, "HAS_LOCKS", False)
    folder = tmp_path / "folder"
    part, aside = (atomic._name_beside(folder, ending) for ending in (atomic.PART, atomic.OLD))
    old_folder(part)
    old_folder(aside)
    delete_leftovers(tmp_path, folder)
    assert names(tmp_path) == sorted([part.name, "folder"])
    assert (folder / "file").read_text() == "old"
    delete_leftovers(tmp_path)
    assert names(tmp_path) == ["folder"]


def test_a_folder_that_can_only_be_written_to_is_written_to(tmp_path, monkeypatch):
    def unreadable(folder):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "listdir", unreadable)
    with replacing(tmp_path / "model") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "model").exists()


@pytest.mark.parametrize("call", ["open", "close", "fsync", "replace"])
def test_each_call_of_the_system_that_fails_is_an_error_and_leaves_nothing(tmp_path, monkeypatch, call):
    path, real = tmp_path / "model", getattr(os, call)
    path.write_text("old")

    def fails(*arguments, **named):
        if call == "close":
            real(*arguments)
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"), monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with replacing(path) as temporary:
            temporary.write_text("new")
    assert path.read_text() == ("new" if call == "close" else "old")
    assert names(tmp_path) == ["model"]


def test_what_cannot_be_written_is_an_oserror_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError), replacing(tmp_path / "file" / "model"):
        pass
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="folder is a folder; name a file in it"):
        replacing(tmp_path / "folder").__enter__()  # before the work
    assert names(tmp_path) == ["file", "folder"]
