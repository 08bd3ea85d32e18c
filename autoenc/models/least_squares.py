"""One half of alternating least squares: all users' vectors given those of the items, or vice versa.

Problem, for a user whose likes j have weights c[j]
    minimize over x
        sum over likes j of c[j] * (x @ V[j] - 1)**2 + unobserved_weight * sum over all items i of (x @ V[i])**2
        + ridge * |x|**2

Solution
    A = unobserved_weight * V.T @ V + ridge * I
    x = inverse of (A + sum of c[j] * outer(V[j], V[j])) @ sum of c[j] * V[j]

In principal axes
    V.T @ V = Q @ diag(eigenvalues) @ Q.T. Scores stay the same when V @ Q replaces V and x @ Q replaces x, and then
    A = diag(spectrum + ridge) with spectrum = unobserved_weight * eigenvalues: diagonal for every user,
    whatever the ridge.

By likes, for users with at most dim likes (exact)
    Z = V[likes] * A**(-1/2)
    x = A**(-1/2) @ Z.T @ inverse of (Z @ Z.T + diag(1 / c)) @ ones
    This is Woodbury's identity: the matrix to invert is likes x likes instead of factors x factors.

By blocks of factors, for users with more likes (one pass, starting from the current x)
    For each block b of factors in turn, where V has only the rows of the likes and the other factors are fixed:
    x[b] += inverse of (A[b, b] + V[:, b].T @ c @ V[:, b]) @ (V[:, b].T @ c @ (1 - V @ x) - A[b, b] * x[b])
    A single block of all factors is exact, whatever x it starts from.

Cost per user with n likes
    n**2 * dim / 2 + n**3 / 6 multiplications by likes, n * dim * block + dim * block**2 / 6 by blocks; solving the
    equations above directly would take n * dim**2 + dim**3 / 6.

Source
    Hu, Koren and Volinsky 2008, Collaborative Filtering for Implicit Feedback Datasets (ICDM), equation 4;
    Rendle, Krichene, Zhang and Koren 2021, iALS++: Speeding up Matrix Factorization with Subspace
    Optimization (arXiv 2110.14044), for the blocks. Differences: in principal axes a block needs no
    product with the items' Gram matrix, and users with few likes are solved exactly.

`autoenc.kernels.least_squares` has the same functions as compiled kernels.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse


def principal_axes(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nonnegative eigenvalues (dim,) and Q (dim, dim) of a Gram matrix (dim, dim), all float64."""
    eigenvalues, axes = np.linalg.eigh(gram)
    return np.maximum(eigenvalues, 0), axes


def gram(vectors: np.ndarray) -> np.ndarray:
    """V.T @ V in float64: (dim, dim), for vectors (n, dim)."""
    product: np.ndarray = (vectors.T @ vectors).astype(np.float64)
    return product


def rotate(vectors: np.ndarray, axes: np.ndarray) -> None:
    """Replace vectors (n, dim) by vectors @ axes; axes is (dim, dim) of any floating dtype."""
    vectors[:] = vectors @ axes.astype(vectors.dtype)


def solve_rows(
    likes: sparse.csr_array,
    others: np.ndarray,
    spectrum: np.ndarray,
    ridge: np.ndarray,
    vectors: np.ndarray,
    block: int,
) -> None:
    """Replace each user's vector by the solution above, or, with more than dim likes, by one pass over the blocks.

    Parameters
    ----------
    likes : csr_array (n_users, n_items)
        Its data are the weights of the likes, above 0.
    others : array (n_items, dim)
        The items' vectors, in principal axes.
    spectrum : array (dim,), float64
    ridge : array (n_users,), float64
    vectors : array (n_users, dim)
        Updated in place. For users with more than dim likes it is the starting point.
    block : int
        Number of factors to solve for at a time for these users.
    """
    dim = others.shape[1]
    for user, x in enumerate(vectors):
        of_user = slice(likes.indptr[user], likes.indptr[user + 1])
        liked, weights = others[likes.indices[of_user]], likes.data[of_user]  # (n, dim), (n,)
        diagonal = (spectrum + ridge[user]).astype(others.dtype)  # A
        few = len(liked) <= dim
        if few:
            x[:] = 0
        width = dim if few else block
        for start in range(0, dim, width):
            part = slice(start, start + width)
            of_part = liked[:, part]  # (n, width)
            square = np.diag(diagonal[part]) + (of_part.T * weights) @ of_part
            x[part] += np.linalg.solve(square, (weights * (1 - liked @ x)) @ of_part - diagonal[part] * x[part])
