"""Sources of likes: compressed files, archives, pipes, and paths that are something else."""

from __future__ import annotations

import importlib
import io
import os
import sys
import threading
import types
import zipfile

import numpy as np
import pytest

from autoenc import datasets
from autoenc.datasets import read, streams

CSV = "user,item\n" + "".join(f"{user},{(user * k) % 397}\n" for user in range(1, 500) for k in range(1, 40))


@pytest.fixture
def in_memory(tmp_path):
    (tmp_path / "whole.csv").write_text(CSV)
    return read(tmp_path / "whole.csv")


def assert_same(found, wanted):
    assert np.array_equal(found.users, wanted.users) and np.array_equal(found.items, wanted.items)


def test_standard_input(in_memory, monkeypatch):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(CSV.encode())))
    assert_same(read("-"), in_memory)
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"user,item\n1,2\n3\n")))
    with pytest.raises(ValueError, match=r"^standard input, line 3: expected 2 columns \(user,item\), got 1: '3'; fix"):
        datasets.load(path="-")
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"")))
    with pytest.raises(ValueError, match=r"^standard input is empty; nothing came through the pipe"):
        datasets.load(path="-")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
@pytest.mark.parametrize("form", ["csv", "npz"])
def test_a_pipe(form, in_memory, tmp_path):
    """More than a pipe holds, and of a form that is looked into at its end."""
    content = CSV.encode()
    if form == "npz":
        from autoenc.datasets.npz import save_likes

        save_likes(datasets.load(path=tmp_path / "whole.csv"), tmp_path / "whole.npz")
        content = (tmp_path / "whole.npz").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(content))
    writer.start()
    found = datasets.load(path=tmp_path / "pipe")
    writer.join()
    assert (found.n_users, found.name) == (499, "pipe")
    assert found.n_likes == datasets.load(path=tmp_path / "whole.csv").n_likes


def test_nothing_is_left_of_a_pipe(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"user,item\n1,2\n")))
    read("-")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_an_archive(tmp_path):
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/rating.csv", "user,item\n1,2\n")
        archive.writestr("a/anime.csv", "id,name\n1,x\n")
        archive.writestr("ml/ratings.csv", "userId,movieId\n1,2\n")
        archive.writestr("ml/movies.csv", "movieId,title\n2,Heat\n")
    assert read(path / "a" / "rating.csv").items.tolist() == [2]
    assert datasets.load(path=path / "a" / "rating.csv").name == "rating"
    assert read(path / "ml" / "ratings.csv").titles == {2: "Heat"}
    with pytest.raises(
        ValueError, match=r"there is no file 'b\.csv' in the archive archive\.zip, which holds 'a/rating"
    ):
        read(path / "b.csv")
    with pytest.raises(FileNotFoundError, match="There is no file or folder"):
        read(tmp_path / "none.zip" / "b.csv")


@pytest.mark.parametrize("url", ["https://example.org/ratings.csv", "s3://bucket/likes.parquet", "http:/example.org/a"])
def test_a_url_is_named(url):
    with pytest.raises(ValueError, match=f"^{url} is a URL, but likes are read from files; download it first"):
        datasets.load(path=url)


@pytest.mark.optional
def test_zstd(tmp_path):
    zstd = pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    (tmp_path / "a.csv.zst").write_bytes(zstd.compress(b"user,item\n1,2\n") + zstd.compress(b"3,4\n"))
    found = datasets.load(path=tmp_path / "a.csv.zst")
    assert (found.user_ids.tolist(), found.name) == ([1, 3], "a")
    (tmp_path / "b.zst").write_bytes(zstd.compress(b"user,item\n1,2\n")[:-3])
    with pytest.raises(ValueError, match=r"b\.zst is damaged or cut off"):
        read(tmp_path / "b.zst")


def test_zstd_without_a_module_for_it(tmp_path, monkeypatch):
    def no_module(name):
        raise ImportError(name)

    monkeypatch.setattr(streams, "importlib", types.SimpleNamespace(import_module=no_module))
    (tmp_path / "a.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(9))
    with pytest.raises(ValueError, match=r"a\.zst: it is compressed by zstd: pip install '\.\[zst\]', or decompress"):
        read(tmp_path / "a.zst")
    assert importlib.import_module  # of this module, as it was


def test_xz_that_asks_for_much_memory_is_refused(tmp_path):
    import lzma

    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**28}]
    (tmp_path / "a.xz").write_bytes(lzma.compress(b"user,item\n1,2\n", filters=filters))
    with pytest.raises(ValueError, match=r"a\.xz is damaged or cut off \(Memory usage limit exceeded"):
        read(tmp_path / "a.xz")
