"""IALS: matrix factorization by alternating least squares; the dot product of a user's and an item's vector scores it.

Problem
    minimize over U (n_users, emb_dim) and V (n_items, emb_dim)
        sum over likes (u, i) of c[u, i] * (U[u] @ V[i] - 1)**2
        + unobserved_weight * sum over all u and i of (U[u] @ V[i])**2
        + sum over users of l2[u] * |U[u]|**2 + sum over items of l2[i] * |V[i]|**2
    l2[u] = l2 * (n_likes of u + unobserved_weight * n_items)**l2_exponent, and l2[i] accordingly.
    c[u, i] is the confidence of the like (weighting.py): 1 if likes have neither weights nor a half-life. An item
    that isn't liked counts as a dislike, but with a small weight.

Training
    An epoch solves for all users with the items fixed, then for all items with the users fixed. Each user and
    each item is a separate least-squares problem (least_squares.py).

Score
    score = x @ V.T, where x is the exact solution for a row of likes, whether it was seen in training or not. Likes
    are weighted as input is (weighting.py). No user vectors are kept, so new users are treated like all others.

Explaining
    By exact leave-one-out: the user's vector is solved for again without each like.

Cost
    4 bytes for each number in U and V. An epoch takes about 4 * (n_users + n_items) * emb_dim**2 flops for Gram
    matrices and rotations, plus the cost in least_squares.py per user and item. IALS is for catalogues that are
    too large for EASE's items x items matrix.

Source
    Hu, Koren and Volinsky 2008, Collaborative Filtering for Implicit Feedback Datasets (ICDM); Rendle,
    Krichene, Zhang and Koren 2022, Revisiting the Performance of iALS on Item Recommendation Benchmarks
    (RecSys, arXiv 2110.14037), for the regularization and the initial scale. Differences: l2_exponent is 0
    by default, where theirs is 1, as the best l2 then varies less between data sets.

Example
    >>> likes = [[0, 1], [0, 1, 2], [1, 2], [3, 4], [3, 4, 5], [4, 5]] * 8
    >>> items, _ = IALS(emb_dim=4).fit(likes).recommend([[0], [3, 5]], N=1)
    >>> items.ravel()
    array([1, 4], dtype=int32)
"""

from __future__ import annotations

import logging
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from autoenc.batch_invariant import by_fixed_rows
from autoenc.checks import is_finite, number, whole_number
from autoenc.interactions import UserItems, UserItemsLike
from autoenc.machine import check_free, compute_threads
from autoenc.models import least_squares
from autoenc.models.base import Recommender, item_embeddings_of
from autoenc.models.random_state import RandomState, seed_of
from autoenc.models.weighting import check_half_life, confidences, weighted_input, with_data
from autoenc.training.engine import BACKENDS

BLOCK = 64  # factors solved for at a time, for rows with many likes
INITIAL_LENGTH = 0.1  # of an item's vector, on average


class Penalty(NamedTuple):
    """The penalties that a model was fitted with, which scoring uses even if the hyperparameters are changed later."""

    l2: float
    unobserved_weight: float
    l2_exponent: float

    def of(self, likes: sparse.csr_array) -> np.ndarray:
        """The penalty on the squared length of each row's vector: (n_rows,) float64."""
        size = np.diff(likes.indptr) + self.unobserved_weight * likes.shape[1]
        ridge: np.ndarray = self.l2 * size**self.l2_exponent
        return ridge


@dataclass(eq=False, repr=False)
class IALS(Recommender):
    """Matrix factorization of likes, by implicit alternating least squares.

    Parameters
    ----------
    emb_dim : int
        Length of the vectors. For large catalogues 1,024 is better.
    l2 : float
        Penalty on the squared length of a vector, above 0.
    unobserved_weight : float
        Weight of the squared score of every item, liked or not, relative to a like's squared error; above 0.
        Roughly 1 / alpha of other packages.
    l2_exponent : float
        How the penalty grows with the number of likes of a user or item: 0 for not at all, 1 for in proportion.
    epochs : int
    half_life : float, optional
        Number of days after which a like counts half, as in `EASE`.
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None
        Seed for the initial vectors; the same int gives the same bits.
    backend : "numba" or "numpy"
        Compiled kernels, or their plain NumPy definition.
    threads : int, optional
        Number of threads for the kernels. By default all.

    Attributes
    ----------
    item_embeddings_ : array (n_items, emb_dim), float32
        V above, rotated into its principal axes, so that its columns are orthogonal.
    seed_ : int
        Seed drawn from `random_state`.
    """

    weighs_likes = True

    emb_dim: int = 512
    _: KW_ONLY
    l2: float = 2.0
    unobserved_weight: float = 0.02
    l2_exponent: float = 0.0
    epochs: int = 6
    half_life: float | None = None
    random_state: RandomState = 0
    backend: str = "numba"
    threads: int | None = None

    def _check_hyperparameters(self) -> None:
        super()._check_hyperparameters()
        for name in ("emb_dim", "epochs"):
            whole_number(name, getattr(self, name), 1)
        for name in ("l2", "unobserved_weight", "l2_exponent"):
            number(name, getattr(self, name))
        for name in ("l2", "unobserved_weight"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}; pass a number above 0.")
        if not 0 <= self.l2_exponent <= 1:
            raise ValueError(f"l2_exponent is {self.l2_exponent!r}; pass a number from 0 to 1.")
        check_half_life(self.half_life)
        if self.backend not in BACKENDS:
            raise ValueError(f"backend is {self.backend!r}; pass one of {', '.join(BACKENDS)}.")

    def check_memory(self, n_users: int, n_items: int) -> None:
        # The vectors, partial Gram matrices, and the workspace of the eigenvectors.
        n_bytes = 4 * self.emb_dim * (n_users + n_items) + 100 * self.emb_dim**2
        check_free(f"IALS on {n_items:,} items", n_bytes, "lower emb_dim, or fit on fewer items")

    def _fit(self, user_items: UserItems) -> None:
        self.seed_, self._penalty = seed_of(self.random_state), self._penalties()
        n_users, n_items = user_items.shape
        counts = confidences(user_items, self.half_life)
        likes = user_items if counts is None else with_data(user_items, counts.astype(np.float32))
        by_item = likes.T.tocsr()
        users = np.zeros((n_users, self.emb_dim), np.float32)
        items = np.random.default_rng(self.seed_).standard_normal((n_items, self.emb_dim), np.float32)
        items *= np.float32(INITIAL_LENGTH / self.emb_dim**0.5)
        solver = self._solver()
        with compute_threads(self.threads):
            for _ in range(self.epochs):
                self._solve(solver, likes, items, users)
                self._solve(solver, by_item, users, items)
            self._turn(solver, items)
        self._take(items)

    def _solve(self, solver: Any, likes: sparse.csr_array, others: np.ndarray, vectors: np.ndarray) -> None:
        """Replace `vectors`, one per row of likes, by the solutions given `others`, one per column (rotated here)."""
        eigenvalues, axes = self._turn(solver, others)
        many = np.diff(likes.indptr) > self.emb_dim
        if many.any():  # only for these does the starting point matter
            before = vectors[many]
            solver.rotate(before, axes)
            vectors[many] = before
        spectrum = self._penalty.unobserved_weight * eigenvalues
        solver.solve_rows(likes, others, spectrum, self._penalty.of(likes), vectors, BLOCK)

    def _turn(self, solver: Any, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotate `vectors` into their principal axes, and return the result of `principal_axes`."""
        gram = solver.gram(vectors)
        if not is_finite(gram):
            raise ValueError(
                f"with l2 {self.l2!r} and unobserved_weight {self.unobserved_weight!r} the vectors become infinite or "
                "NaN; pass other values, such as the defaults."
            )
        eigenvalues, axes = least_squares.principal_axes(gram)
        solver.rotate(vectors, axes)
        return eigenvalues, axes

    def _solver(self) -> Any:
        """The functions of `least_squares`, or the kernels of the same names."""
        if self.backend == "numpy":
            return least_squares
        from autoenc.kernels import least_squares as kernels
        from autoenc.training.warm_up import compile_least_squares

        compile_least_squares(logging.getLogger("autoenc").warning)
        return kernels

    def user_embedding(self, user_items: UserItemsLike) -> np.ndarray:
        """The users' vectors: (n_users, emb_dim), float32, for an index such as hnswlib or faiss.

        score = user_embedding @ item_embeddings_.T, so an inner-product index of the items' vectors finds the
        items that `recommend` does.
        """
        return self._vectors(self._as_fitted(user_items))

    def item_vectors(self) -> np.ndarray:
        """`item_embeddings_`."""
        self._check_fitted()
        return self.item_embeddings_

    def _vectors(self, user_items: sparse.csr_array) -> np.ndarray:
        items = self.item_embeddings_
        vectors = np.zeros((user_items.shape[0], items.shape[1]), np.float32)
        with compute_threads(self.threads):
            likes, ridge = weighted_input(user_items, self.half_life), self._penalty.of(user_items)
            self._solver().solve_rows(likes, items, self._spectrum, ridge, vectors, items.shape[1])
        return vectors

    def _score(self, user_items: sparse.csr_array) -> np.ndarray:
        weight = self.item_embeddings_
        return by_fixed_rows(lambda rows: rows @ weight.T, self._vectors(user_items), weights=[weight])

    def _score_of(self, user_items: sparse.csr_array, column: int) -> np.ndarray:
        scores: np.ndarray = self._vectors(user_items) @ self.item_embeddings_[column]
        return scores

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"item_embeddings": self.item_embeddings_}

    def _set_arrays(self, arrays: dict[str, np.ndarray]) -> int:
        item_embeddings = item_embeddings_of(arrays)
        if item_embeddings.shape[1] != self.emb_dim:
            raise ValueError(f"item_embeddings has {item_embeddings.shape[1]} columns, but emb_dim is {self.emb_dim}.")
        self.seed_, self._penalty = seed_of(self.random_state), self._penalties()
        self._take(item_embeddings)
        return len(item_embeddings)

    def _take(self, items: np.ndarray) -> None:
        """Keep the items' vectors, and the spectrum used to solve for users."""
        self.item_embeddings_ = items
        self._spectrum = self._penalty.unobserved_weight * np.einsum("ij,ij->j", items, items, dtype=np.float64)

    def _penalties(self) -> Penalty:
        return Penalty(float(self.l2), float(self.unobserved_weight), float(self.l2_exponent))
