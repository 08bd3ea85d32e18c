"""The inverse that EASE is made of, from a square of items or one of users, whichever is smaller.

Problem
    P = inverse of (X.T @ X + L), X being user_items and L a penalty above 0 for each item, diagonal

By items
    G = X.T @ X                                  how many users like both of two items, or with
                                                 weights (weighting.py) how much such pairs count
    P = inverse of (G + L), by blocks (inverse.py)

By users, where they are few (Woodbury's identity)
    C @ C.T = X @ inverse(L) @ X.T + I           (n_users, n_users), C by Cholesky's factorization
    Y = inverse(C) @ X @ inverse(L)              (n_users, n_items)
    P = inverse(L) - Y.T @ Y

Cost
    By items n_items**3 flops and 8 bytes a pair of items, beside G, which takes a pass over the
    users' pairs of likes and serves any L. By users about n_users * n_items**2 flops and 8 bytes
    for each user and item. In float32 half of the time and of the bytes, and P is off by 1e-5 of its size.

Source
    Woodbury 1950, Inverting Modified Matrices (Princeton, memorandum report 42); Cholesky's
    factorization and its rounding: Higham 2002, Accuracy and Stability of Numerical Algorithms,
    chapter 10.

Example
    >>> likes = sparse.csr_array(np.array([[1, 1, 0, 0], [0, 1, 1, 0]], np.float32))
    >>> for gram in (ItemGram(likes), UserGram(likes)):
    ...     print(gram.inverse(np.ones(4)).rows(0, 4)[1, 1:].round(3))
    [ 0.5  -0.25  0.  ]
    [ 0.5  -0.25  0.  ]
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from scipy import linalg, sparse

from autoenc.machine import compute_threads, threads_to_use
from autoenc.models.inverse import invert
from autoenc.models.weighting import item_totals

BLOCK = 512  # items at a time, of what is n_items wide
DENSE_ENTRIES = 2**24  # numbers in a dense block of users: 67 MB


class Inverse(NamedTuple):
    """P, of which one triangle is enough, as it is symmetric.

    diagonal is (n_items,) floating. rows(start, stop) is P[start:stop, start:]; in it what is left of
    the diagonal may be anything.
    """

    diagonal: np.ndarray
    rows: Callable[[int, int], np.ndarray]


def gram_of(user_items: sparse.csr_array, dtype: type = np.float64) -> ItemGram | UserGram:
    """The smaller square of these likes (n_users, n_items), checked or `weighted_pairs`, with inverses of that dtype."""
    return UserGram(user_items, dtype) if _are_few(*user_items.shape) else ItemGram(user_items, dtype)


def bytes_needed(n_users: int, n_items: int) -> int:
    """The bytes that this square and an inverse by it take, beside the likes."""
    return 8 * n_items * (n_users if _are_few(n_users, n_items) else n_items)


def _are_few(n_users: int, n_items: int) -> bool:
    # At a half of the items both squares take as long; from a third on that of users is clearly quicker.
    return 3 * n_users <= n_items


class ItemGram:
    """G of some likes, for as many inverses as one likes. It takes 8 bytes a pair of items, or 4.

    Parameters
    ----------
    user_items : csr_array (n_users, n_items)
        As `gram_of` has it.
    dtype : float64 or float32
        Of G and of the inverses.

    Attributes
    ----------
    counts : array (n_items,)
        How many users like an item, or how much its likes count: G's diagonal.
    half_life : float or None
        What those likes were weighed by: whoever makes it from such likes sets it.
    """

    half_life: float | None = None

    def __init__(self, user_items: sparse.csr_array, dtype: type = np.float64):
        self.counts = item_totals(user_items)
        # Being symmetric, G needs one triangle, the lower; P is made in the upper one.
        with compute_threads():
            self._square = _users_in_common(user_items, dtype)

    def inverse(self, penalty: np.ndarray) -> Inverse:
        """P for the penalty (n_items,) float64, L's diagonal, until the next call, which takes its place."""
        square = self._square
        for start in range(0, len(square), BLOCK):
            block = slice(start, start + BLOCK)
            square[block, start + BLOCK :] = square[start + BLOCK :, block].T
            diagonal_block = np.tril(square[block, block], -1)
            square[block, block] = diagonal_block + diagonal_block.T
        np.fill_diagonal(square, self.counts + penalty)
        invert(square)
        return Inverse(square.diagonal().copy(), lambda start, stop: square[start:stop, start:])


class UserGram:
    """The same of few users, by a square of users. It keeps the likes, and an inverse takes 8 bytes a user and item.

    Parameters and attributes are those of `ItemGram`.
    """

    half_life: float | None = None

    def __init__(self, user_items: sparse.csr_array, dtype: type = np.float64):
        self.counts = item_totals(user_items)
        self._by_item = user_items.tocsc().astype(dtype)

    def inverse(self, penalty: np.ndarray) -> Inverse:
        """P for the penalty (n_items,) float64, L's diagonal."""
        (n_users, n_items), dtype = self._by_item.shape, self._by_item.dtype
        penalty = penalty.astype(dtype)
        blocks = [slice(start, start + BLOCK) for start in range(0, n_items, BLOCK)]
        square = np.eye(n_users, dtype=dtype)
        for block in blocks:
            likes = self._by_item[:, block].toarray()  # (n_users, block)
            square += (likes / penalty[block]) @ likes.T
        factor = linalg.cholesky(square, lower=True, overwrite_a=True)  # C
        half = np.empty((n_items, n_users), dtype)  # Y.T

        def solve(block: slice) -> None:
            likes = self._by_item[:, block].toarray()
            with compute_threads():
                half[block] = linalg.solve_triangular(factor, likes / penalty[block], lower=True, overwrite_b=True).T

        with ThreadPoolExecutor(threads_to_use()) as pool:
            list(pool.map(solve, blocks))
        diagonal = 1 / penalty - np.einsum("ij,ij->i", half, half)

        def rows(start: int, stop: int) -> np.ndarray:
            product: np.ndarray = half[start:stop] @ -half[start:].T  # (stop - start, n_items - start)
            np.fill_diagonal(product, diagonal[start:stop])
            return product

        return Inverse(diagonal, rows)


def _users_in_common(user_items: sparse.csr_array, dtype: type = np.float64) -> np.ndarray:
    """X.T @ X, (n_items, n_items), of that dtype.

    Among the popular items nearly every pair of items has users in common, and there a dense
    product is faster; all the others meet in a sparse one. Of likes that count 1 every sum is a
    whole number below 2**24, so float32 holds it exactly, in whatever order it is taken; those with
    weights are float64, and BLAS is on one thread.
    """
    n_users, n_items = user_items.shape
    gram = np.zeros((n_items, n_items), dtype)
    by_item = user_items.tocsc()
    is_popular = np.diff(by_item.indptr) > n_users / 32

    popular = np.flatnonzero(is_popular)
    if len(popular):
        likes = by_item[:, popular].tocsr()
        users_at_once = max(1, DENSE_ENTRIES // len(popular))
        both = np.zeros((len(popular), len(popular)), user_items.dtype)
        for start in range(0, n_users, users_at_once):
            dense = likes[start : start + users_at_once].toarray()
            both += dense.T @ dense
        gram[np.ix_(popular, popular)] = both

    others = np.flatnonzero(~is_popular)
    for start in range(0, len(others), BLOCK):
        block = others[start : start + BLOCK]
        both = (by_item[:, block].T @ user_items).toarray()  # (block, n_items)
        gram[block] = both
        gram[:, block] = both.T
    return gram
