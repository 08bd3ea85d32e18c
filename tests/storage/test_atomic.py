"""A file that is written is there whole, or what stood there before is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from autoenc.storage.atomic import replacing
from tests.helpers import ROOT


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


@pytest.mark.skipif(os.name != "posix", reason="about POSIX permissions")
def test_a_new_file_is_readable_as_the_umask_has_it(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "model") as temporary:
            temporary.write_text("new")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o640


def test_what_cannot_be_written_is_an_oserror_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError), replacing(tmp_path / "file" / "model"):
        pass
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError), replacing(tmp_path / "folder") as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == ["file", "folder"]
