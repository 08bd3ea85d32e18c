"""Disk space for likes is reserved before they are written: with a full disk, a mapped file is a bus error."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from scipy import sparse

from autoenc.storage import csr, mapped
from autoenc.storage.mapped import empty_rows, is_mapped

N = 3 * 2**20 + 5


def refuse(number):
    def refused(*arguments):
        raise OSError(number, os.strerror(number))

    return refused


@pytest.fixture
def likes_on_disk(tmp_path):
    np.save(tmp_path / "indices.npy", np.arange(4, dtype=np.int32))
    indices = np.load(tmp_path / "indices.npy", mmap_mode="r")
    return sparse.csr_array((np.ones(4, np.float32), indices, np.array([0, 4], np.int32)), shape=(1, 4))


@pytest.mark.skipif(os.name != "posix", reason="Windows counts no blocks")
@pytest.mark.parametrize("reserves", [True, False])
def test_all_of_the_room_is_taken(tmp_path, monkeypatch, reserves):
    if not reserves:
        monkeypatch.setattr(os, "posix_fallocate", refuse(errno.EOPNOTSUPP), raising=False)
    with open(tmp_path / "file", "w+b") as file:
        mapped._reserve(file, N)
        status = os.fstat(file.fileno())
        assert status.st_size == N and status.st_blocks * 512 >= N


@pytest.mark.parametrize("asks", ["for room", "for room by writing"])
def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch, likes_on_disk, asks):
    if asks == "for room":
        monkeypatch.setattr(os, "posix_fallocate", refuse(errno.ENOSPC), raising=False)
    else:
        monkeypatch.setattr(os, "posix_fallocate", refuse(errno.EOPNOTSUPP), raising=False)
        monkeypatch.setattr(mapped, "_fill", refuse(errno.ENOSPC))
    with pytest.raises(OSError, match=r" has no space for 8 bytes of likes \(No space left on device\); free some"):
        empty_rows(likes_on_disk, np.array([2]))
    assert [path.name for path in tmp_path.iterdir()] == ["indices.npy"]


def test_more_likes_than_32_bits_count_are_refused(likes_on_disk, monkeypatch):
    assert is_mapped(empty_rows(likes_on_disk, np.array([2, 2])).indices)
    monkeypatch.setattr(csr, "MOST_ENTRIES", 3)
    with pytest.raises(ValueError, match="there are 4 likes, but at most 3 are supported; use fewer users"):
        empty_rows(likes_on_disk, np.array([2, 2]))
