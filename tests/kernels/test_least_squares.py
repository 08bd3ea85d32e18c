"""The kernels of alternating least squares against their definition, at the edges of their tiles and panels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config
from scipy import sparse

from autoenc.interactions import as_user_items
from autoenc.kernels import least_squares as kernels
from autoenc.machine import compute_threads
from autoenc.models import least_squares as definition

pytestmark = pytest.mark.kernels

ROUNDING = {"float32": 1e-4, "float64": 1e-11}  # of systems whose condition is some hundreds
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
PANEL = kernels.PANEL


@pytest.fixture(autouse=True)
def one_threaded_blas():
    with compute_threads():
        yield


def problem(seed, dtype, n_likes, n_items, dim):
    """Likes with weights, n_likes[u] for user u, of items with vectors in principal axes, and initial user vectors."""
    rng = np.random.default_rng(seed)
    others = rng.standard_normal((n_items, dim))
    eigenvalues, axes = definition.principal_axes(others.T @ others)
    indices = np.concatenate([np.sort(rng.choice(n_items, n, replace=False)) for n in n_likes]).astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum(n_likes)]).astype(np.int32)
    likes = sparse.csr_array((rng.uniform(0.5, 2, len(indices)), indices, indptr), (len(n_likes), n_items))
    start = rng.standard_normal((len(n_likes), dim)).astype(dtype)
    ridge = rng.uniform(1, 3, len(n_likes))
    return likes, (others @ axes).astype(dtype), 0.1 * eigenvalues, ridge, start


def assert_solves_as_the_definition(likes, others, spectrum, ridge, start, block):
    ours, expected = start.copy(), start.copy()
    kernels.solve_rows(likes, others, spectrum, ridge, ours, block)
    definition.solve_rows(likes, others, spectrum, ridge, expected, block)
    assert ours.dtype == expected.dtype == start.dtype
    np.testing.assert_allclose(ours, expected, rtol=0, atol=ROUNDING[str(start.dtype)])


@both_dtypes
@settings(max_examples=25)
@given(
    n_likes=st.lists(st.integers(0, 9), min_size=1, max_size=9),
    dim=st.integers(1, 9),
    block=st.integers(1, 10),
    seed=st.integers(0, 2**32 - 1),
)
def test_rows_are_solved_as_the_definition_has_it(dtype, n_likes, dim, block, seed):
    """With fewer likes than factors, as many, and more."""
    assert_solves_as_the_definition(*problem(seed, dtype, n_likes, 9, dim), block)


@both_dtypes
@pytest.mark.parametrize("dim", [3, PANEL + 1, kernels.TILE + 1])
def test_rows_at_the_edges_of_panels_tiles_and_chunks(dtype, dim):
    edges = (PANEL, kernels.TILE, kernels.CHUNK)
    n_likes = [0, 1, *(edge + off for edge in edges for off in (-1, 0, 1))]
    assert_solves_as_the_definition(*problem(0, dtype, n_likes, kernels.CHUNK + 9, dim), PANEL + 1)


def test_how_rows_are_dealt_out_changes_no_bits(monkeypatch):
    likes, others, spectrum, ridge, start = problem(1, "float32", [5, 0, 40, 3, 7, 60, 1], 80, 20)
    together = start.copy()
    kernels.solve_rows(likes, others, spectrum, ridge, together, 8)
    for u in range(len(start)):
        alone = start[[u]].copy()
        kernels.solve_rows(likes[[u]], others, spectrum, ridge[[u]], alone, 8)
        np.testing.assert_array_equal(alone[0], together[u])
    monkeypatch.setattr(kernels, "BLOCKS", 2)
    again = start.copy()
    kernels.solve_rows(likes, others, spectrum, ridge, again, 8)
    np.testing.assert_array_equal(again, together)


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="about the compiled code")
def test_checked_likes_and_their_transpose_take_the_same_compiled_kernel():
    """The data of checked likes are read-only, those of other matrices aren't."""
    likes = as_user_items([[0, 1], [1]])
    for of_rows in (likes, likes.T.tocsr()):
        kernels.solve_rows(of_rows, np.eye(2, dtype=np.float32), np.ones(2), np.ones(2), np.ones((2, 2), np.float32), 2)
    dtypes = [str(signature) for signature in kernels.solve_blocks.dispatcher.signatures]
    assert sum("float32" in dtype for dtype in dtypes) == 1


@both_dtypes
@pytest.mark.parametrize("n", [0, 1, kernels.PARTS - 1, kernels.PARTS, 3 * kernels.BLOCKS + 1])
def test_gram_and_rotate_are_the_definitions(dtype, n):
    rng = np.random.default_rng(n)
    vectors, axes = rng.standard_normal((n, 5)).astype(dtype), rng.standard_normal((5, 5))
    gram = kernels.gram(vectors)
    assert gram.dtype == np.float64
    np.testing.assert_allclose(gram, definition.gram(vectors), rtol=0, atol=ROUNDING[dtype] * max(1, n))
    expected = vectors.copy()
    definition.rotate(expected, axes)
    kernels.rotate(vectors, axes)
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=ROUNDING[dtype])


@both_dtypes
@pytest.mark.parametrize("n", [1, 2, PANEL - 1, PANEL, PANEL + 1, 3 * PANEL, 3 * PANEL + 5])
def test_solve_is_the_inverse_times_a_vector(dtype, n):
    rng = np.random.default_rng(n)
    rows = rng.standard_normal((n, n))
    square, x = (rows @ rows.T / n + np.eye(n)).astype(dtype), rng.standard_normal(n).astype(dtype)
    expected = np.linalg.solve(square.astype(np.float64), x)
    kernels.solve(np.triu(square), x)  # the other triangle is not looked at
    np.testing.assert_allclose(x, expected, rtol=0, atol=ROUNDING[dtype])


@pytest.mark.parametrize("n", [2, PANEL + 2])
def test_what_has_no_factor_gives_nan(n):
    square, x = -np.eye(n), np.ones(n)
    with np.errstate(invalid="ignore"):
        kernels.solve(square, x)
    assert np.isnan(x).all()
