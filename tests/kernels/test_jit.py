"""Compiled kernels are cached, and a damaged cache costs no more than compiling again."""

from __future__ import annotations

import errno
import sys
import warnings

import numba
import pytest
from numba.core.caching import IndexDataCacheFile

import autoenc.kernels.jit
from autoenc.kernels.gather_sum import gather_sum
from autoenc.kernels.jit import kernel, was_compiled_and_kept
from tests.datasets.test_cache import run_homeless

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="about the compiled code")


def doubled(x):
    return x + x


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(autoenc.kernels.jit, "_warned", False)
    return tmp_path


def in_another_process(expected=4):
    """The kernel, as a process makes and calls it that knows of nothing but the disk."""
    made = kernel(doubled)
    assert made(2) == expected
    return made


GARBAGE = {
    "empty": lambda content: b"",
    "text": lambda content: b"damaged",
    "zeros": lambda content: bytes(len(content)),
    "half": lambda content: content[: len(content) // 2],
    "of a type that was renamed": lambda content: content.replace(b"numba.core", b"numba.gone"),
}


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", GARBAGE.values(), ids=GARBAGE)
def test_what_is_damaged_is_replaced(folder, suffix, damage):
    in_another_process()
    [path] = folder.rglob(f"*.{suffix}")
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert path.read_bytes() != content
    assert was_compiled_and_kept(in_another_process())
    assert not was_compiled_and_kept(in_another_process()), "it is read again"


def test_a_full_disk_is_one_warning(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(IndexDataCacheFile, "save", full)
    with pytest.warns(RuntimeWarning, match="can't write its cache to .* set NUMBA_CACHE_DIR"):
        in_another_process()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        in_another_process()


def test_what_is_damaged_on_a_disk_that_is_read_only(folder, monkeypatch):
    in_another_process()
    [path] = folder.rglob("*.nbi")
    path.write_bytes(b"damaged")

    def read_only(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(IndexDataCacheFile, "_open_for_write", read_only)
    with pytest.warns(RuntimeWarning, match="Read-only file system"):
        in_another_process()


def test_a_parallel_kernel_looks_like_its_function():
    assert (gather_sum.__name__, gather_sum.__module__) == ("gather_sum", "autoenc.kernels.gather_sum")
    assert gather_sum.__doc__.startswith("Return the (batch, emb_dim) sums")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows the home folder otherwise")
def test_without_a_home_folder_no_folder_is_made(tmp_path, monkeypatch):
    """numba would make one named ~ where the kernels' own folder can't be written to."""
    blocked = tmp_path / "blocked.py"
    blocked.write_text("def f(x): return x + x\n")
    (tmp_path / "__pycache__").write_text("where a folder would be")
    (tmp_path / "cwd").mkdir()
    code = f"""
sys.path.insert(0, {str(tmp_path)!r})
sys.dont_write_bytecode = True
from blocked import f
from autoenc.kernels.jit import kernel
print(kernel(f)(2))
"""
    done = run_homeless(code, tmp_path / "cwd")
    assert done.stdout == "4\n", done.stderr
    assert "numba finds no writable cache folder" in done.stderr
