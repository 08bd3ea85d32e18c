"""The inverse in EASE's solution, from an items x items or a users x users matrix, whichever is smaller.

Problem
    P = inverse of (X.T @ X + L), where X is user_items and L is diagonal: a penalty above 0 per item

By items
    G = X.T @ X                                  how many users like both of two items, or with
                                                 weights (weighting.py) how much such pairs count
    P = inverse of (G + L), by blocks (inverse.py)

By users, if they are few (Woodbury's identity)
    M = inverse of (X @ inverse(L) @ X.T + I)    (n_users, n_users), by blocks (inverse.py)
    Y = X @ inverse(L)                           (n_users, n_items), as sparse as X
    P = inverse(L) - Y.T @ M @ Y

Cost
    By items, n_items**3 flops and 8 bytes per pair of items, after one pass over the users' pairs of
    likes for G, which serves any L. By users, n_users**3 + (n_items + 4 * n_users) * n_likes flops, 8
    bytes per pair of users, and, if the likes are dense, 8 more per user and item. float32 takes half
    the time and bytes, with a relative error in P of 1e-5.

Source
    Woodbury 1950, Inverting Modified Matrices (Princeton, memorandum report 42).

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
from scipy import sparse

from autoenc.machine import compute_threads, threads_to_use
from autoenc.models.inverse import invert
from autoenc.models.weighting import item_totals

BLOCK = 512  # items processed at a time
DENSE = 32  # a dense product is faster if more than one entry in 32 is a like
DENSE_ENTRIES = 2**24  # numbers in a dense block of users: 67 MB


class Inverse(NamedTuple):
    """The upper triangle of P, which is symmetric.

    diagonal is (n_items,) floating. rows(start, stop) is P[start:stop, start:]; entries left of the
    diagonal are undefined.
    """

    diagonal: np.ndarray
    rows: Callable[[int, int], np.ndarray]


def gram_of(user_items: sparse.csr_array, dtype: type = np.float64) -> ItemGram | UserGram:
    """The smaller Gram matrix of likes (n_users, n_items), checked or `weighted_pairs`, computing in `dtype`."""
    return UserGram(user_items, dtype) if _are_few(*user_items.shape) else ItemGram(user_items, dtype)


def bytes_needed(n_users: int, n_items: int) -> int:
    """The bytes that this matrix and its inverse take at most, in addition to the likes."""
    return 8 * (n_users * (n_users + n_items) if _are_few(n_users, n_items) else n_items**2)


def _are_few(n_users: int, n_items: int) -> bool:
    # With dense likes and half as many users as items, both ways take the same time; with a third, users are
    # clearly faster. With sparse likes, users are faster beyond this, too.
    return 3 * n_users <= n_items


class ItemGram:
    """The Gram matrix G of some likes, for any number of inverses. It takes 8 bytes per pair of items, or 4.

    Parameters
    ----------
    user_items : csr_array (n_users, n_items)
        As in `gram_of`.
    dtype : float64 or float32
        The dtype of G and the inverses.

    Attributes
    ----------
    counts : array (n_items,)
        How many users like each item, or how much its likes count: the diagonal of G.
    half_life : float or None
        The half-life used to weight the likes; set by the caller.
    """

    half_life: float | None = None

    def __init__(self, user_items: sparse.csr_array, dtype: type = np.float64):
        self.counts = item_totals(user_items)
        # G is symmetric, so its lower triangle is kept, and P is computed in the upper one.
        with compute_threads():
            self._square = _users_in_common(user_items, dtype)

    def inverse(self, penalty: np.ndarray) -> Inverse:
        """P for the penalty (n_items,) float64, L's diagonal; the next call overwrites it."""
        square = self._square
        _mirror_lower(square)
        np.fill_diagonal(square, self.counts + penalty)
        invert(square)
        return Inverse(square.diagonal().copy(), lambda start, stop: square[start:stop, start:])


class UserGram:
    """The same for few users, from a users x users matrix.

    An inverse takes 8 bytes per pair of users. If more than one entry in DENSE is a like, the likes are stored
    densely, in 8 bytes per user and item.

    Parameters and attributes are those of `ItemGram`.
    """

    half_life: float | None = None

    def __init__(self, user_items: sparse.csr_array, dtype: type = np.float64):
        self.counts = item_totals(user_items)
        likes = user_items.tocsc().astype(dtype)
        self._likes = likes.toarray() if likes.nnz * DENSE > likes.shape[0] * likes.shape[1] else likes

    def inverse(self, penalty: np.ndarray) -> Inverse:
        """P for the penalty (n_items,) float64, L's diagonal."""
        inv_penalty, square, diagonal = self._solved(penalty)

        def rows(start: int, stop: int) -> np.ndarray:
            scaled = self._likes[:, start:stop] * -inv_penalty[start:stop]
            product: np.ndarray = (scaled.T @ square) @ self._likes[:, start:]  # (stop - start, the rest)
            product *= inv_penalty[start:]
            np.fill_diagonal(product, diagonal[start:stop])
            return product

        return Inverse(diagonal, rows)

    def products(self, penalty: np.ndarray) -> tuple[np.ndarray, Callable[[sparse.csr_array], np.ndarray]]:
        """P's diagonal, and x -> x @ P for some users' likes x (batch, n_items), without computing all of P."""
        inv_penalty, square, diagonal = self._solved(penalty)

        def times(x: sparse.csr_array) -> np.ndarray:
            scaled = (x * inv_penalty).tocsr()
            with compute_threads():
                product: np.ndarray = (_dense(scaled @ self._likes.T) @ square) @ self._likes  # (batch, n_items)
            product *= -inv_penalty
            product += scaled.toarray()
            return product

        return diagonal, times

    def _solved(self, penalty: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The inverse of L's diagonal, M, and the diagonal of P."""
        (n_users, n_items), dtype = self._likes.shape, self._likes.dtype
        inv_penalty = (1 / penalty).astype(dtype)
        blocks = [slice(start, start + BLOCK) for start in range(0, n_items, BLOCK)]
        square = np.eye(n_users, dtype=dtype)
        for block in [slice(None)] if sparse.issparse(self._likes) else blocks:
            likes = self._likes[:, block]
            square += _dense((likes * inv_penalty[block]) @ likes.T)
        invert(square)
        _mirror_lower(square.T)
        diagonal = np.empty(n_items, dtype)

        def fill(block: slice) -> None:
            with compute_threads():
                scaled = self._likes[:, block] * inv_penalty[block]  # of Y
                diagonal[block] = inv_penalty[block] - np.einsum("iu,ui->i", scaled.T @ square, _dense(scaled))

        with ThreadPoolExecutor(threads_to_use()) as pool:
            list(pool.map(fill, blocks))
        return inv_penalty, square, diagonal


def _dense(array: np.ndarray | sparse.csc_array) -> np.ndarray:
    return array.toarray() if isinstance(array, sparse.sparray) else array


def _mirror_lower(square: np.ndarray) -> None:
    """Copy the lower triangle of a matrix into the upper one, in place."""
    for start in range(0, len(square), BLOCK):
        block = slice(start, start + BLOCK)
        square[block, start + BLOCK :] = square[start + BLOCK :, block].T
        lower = np.tril(square[block, block])
        square[block, block] = lower + np.tril(lower, -1).T


def _users_in_common(user_items: sparse.csr_array, dtype: type = np.float64) -> np.ndarray:
    """X.T @ X, (n_items, n_items), in `dtype`.

    Nearly every pair of popular items has users in common, so for these a dense product is faster; all
    other pairs are computed by a sparse one. If all likes count 1, every sum is an integer below 2**24,
    which float32 holds exactly, in whatever order it is summed; weighted likes are float64, and BLAS
    runs on one thread.
    """
    n_users, n_items = user_items.shape
    gram = np.zeros((n_items, n_items), dtype)
    by_item = user_items.tocsc()
    is_popular = np.diff(by_item.indptr) > n_users / DENSE

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
