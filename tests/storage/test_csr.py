"""Matrices from files whose indptr would make compiled code read out of bounds; each of them crashed the process."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from autoenc.datasets import load
from autoenc.models import ItemKNN, load_model
from autoenc.storage.csr import check_compressed
from autoenc.storage.model_file import read_model_file, write_model_file

NONE = np.array([], np.int32)
BROKEN = {
    "not ascending, no entries": ([0, 2**24, 0], NONE),
    "not ascending, and below 0": ([0, 100, -5], NONE),
    "differences that wrap around in 32 bits": ([0, 2**31 - 1, -(2**31) + 1], NONE),
    "beyond the entries": ([0, 1, 9], [0, 1]),
    "does not begin at 0": ([1, 1, 2], [0, 1]),
    "column beyond the last": ([0, 1, 2], [0, 3]),
    "column below 0": ([0, 1, 2], [0, -1]),
}
broken = pytest.mark.parametrize(("indptr", "indices"), BROKEN.values(), ids=BROKEN)


@broken
def test_it_is_refused(indptr, indices):
    with pytest.raises(ValueError, match=r"indptr|indices"):
        check_compressed(np.array(indptr), np.array(indices, np.int32), (2, 3))


@broken
@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_an_npz_is_refused(indptr, indices, kind, tmp_path):
    path = tmp_path / "likes.npz"
    arrays = {"indptr": np.array(indptr).astype(np.int32), "indices": np.array(indices, np.int32)}
    shape = (2, 3) if kind == "csr" else (3, 2)
    np.savez(path, **arrays, data=np.ones(len(indices), np.float32), format=np.array(kind.encode()), shape=shape)
    with pytest.raises(ValueError, match=rf"likes.npz holds a broken {kind} matrix"):
        load(path=path)


@broken
def test_a_model_file_is_refused(indptr, indices, tmp_path):
    path = tmp_path / "knn.safetensors"
    ItemKNN(k=2).fit([[0, 1], [0, 1], [1]]).save(path)
    content = read_model_file(path)
    indices = np.array(indices, np.int32)
    content.arrays |= {"nearest.indptr": np.array(indptr).astype(np.int32), "nearest.indices": indices}
    content.arrays["nearest.data"] = np.ones(len(indices), np.float32)
    write_model_file(path, content)
    with pytest.raises(ValueError, match="a square CSR matrix of float32"):
        load_model(path)


@given(st.integers(0, 6), st.integers(1, 6), st.floats(0, 1), st.integers(0, 99))
def test_whole_matrices_pass(n_rows, n_columns, density, seed):
    matrix = sparse.csr_array(np.random.default_rng(seed).random((n_rows, n_columns)) < density)
    check_compressed(matrix.indptr, matrix.indices, matrix.shape)
