"""EASE: linear regression of each item's likes on those of all other items, in closed form.

Problem
    minimize |X - X @ B|**2 + l2 * |B|**2 over B with a diagonal of zeros, where X is user_items

Solution
    G = X.T @ X                       how many users like both of two items
    P = inverse of (G + l2 * I)
    B[i, j] = -P[i, j] / P[j, j]      for i != j, and B[j, j] = 0
    The constraint on the diagonal has one Lagrange multiplier per item, which becomes the division
    by P's diagonal.

Score
    score = user_items @ B

Weights and times
    With weights or a half_life, the entries of X are not 1 but as in models/weighting.py: a pair of
    likes with confidences c and d adds sqrt(c * d) to G, and the score weights a user's likes relative
    to each other.

Shapes
    G, P   (n_items, n_items) float64; P overwrites G
    B      (n_items, n_items) float32

Cost
    12 bytes and n_items flops per pair of items: 1.4 GB and 1.2 TFLOP for 10,677 items. Users cost one
    pass over their pairs of likes. So EASE is for catalogues of some ten thousand items. With 10
    million likes it takes 30 s on one core and a peak of 1.6 GB, likes included. Another l2 on the same
    likes reuses G, which saves 13 s of the 30; if fits are only compared, P in float32 suffices and
    takes half the time. One factorization for all l2, by eigenvectors, takes nine times as long as P.
    If there are at most a third as many users as items, P is computed from a users x users matrix
    (gram.py): 8,000 users, 26,000 items and 135,000 likes take 31 s on one core.

Source
    Steck 2019, Embarrassingly Shallow Autoencoders for Sparse Data (arXiv 1905.03375), equation 8
    and algorithm 1.

Example
    >>> ease = EASE(l2=1.0).fit([[0, 1], [0, 1], [1]])    # G + I = [[3, 2], [2, 4]], P = [[4, -2], [-2, 3]] / 8
    >>> ease.item_weights_.round(3)
    array([[0.   , 0.667],
           [0.5  , 0.   ]], dtype=float32)
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Self

import numpy as np
from scipy import sparse

from autoenc.interactions import UserItems, UserItemsLike, as_user_items
from autoenc.machine import check_free, compute_threads, threads_to_use, usable_memory
from autoenc.models.base import Recommender
from autoenc.models.gram import BLOCK, Inverse, ItemGram, UserGram, bytes_needed, gram_of
from autoenc.models.scorer import Score
from autoenc.models.weighting import check_half_life, item_totals, weighted_input, weighted_pairs


@dataclass(eq=False, repr=False)
class EASE(Recommender):
    """A linear autoencoder without self-similarity.

    Parameters
    ----------
    l2 : float
        Weight of |B|**2, above 0. The paper uses 200 to 1,000; more data allows less.
    max_memory : float, optional
        Number of bytes that `fit` may use in addition to the likes. It needs 12 * n_items**2, or, with
        few users, up to 4 * n_items**2 + 8 * n_users * (n_users + n_items). If that is more than this,
        or than the machine has free (known on Linux only), `fit` raises ValueError at once. By default
        half of the installed memory, or of a container's limit.
    half_life : float, optional
        Number of days after which a like counts half, in training and when scoring likes that have
        times. By default every like counts by its weight alone.

    Attributes
    ----------
    item_weights_ : array (n_items, n_items), float32
        B above: row i is what a like of item i adds to each score.
    """

    weighs_likes = True

    l2: float = 500.0
    _: KW_ONLY
    max_memory: float | None = None
    half_life: float | None = None

    def precompute(self, user_items: UserItemsLike, dtype: type = np.float64) -> ItemGram | UserGram:
        """The Gram matrix of the likes, which `fit` accepts in their place unless half_life has changed."""
        self._check_hyperparameters()
        likes = as_user_items(user_items)
        self.check_memory(*likes.shape)
        gram = gram_of(weighted_pairs(likes, self.half_life), dtype)
        gram.half_life = self.half_life
        return gram

    def fit(self, user_items: UserItemsLike | ItemGram | UserGram, y: object = None) -> Self:
        """Learn from likes, as `Recommender.fit` does, or from the result of `precompute`."""
        if not isinstance(user_items, (ItemGram, UserGram)):
            return super().fit(user_items)
        self._check_gram(user_items)
        self._fit_gram(user_items)
        return self._fitted_on(user_items.counts)

    def _scores_of_trial(self, precomputed: ItemGram | UserGram) -> Score:
        """With few users, score without the items x items matrix.

        For a user's likes x, x @ B is x[j] - (x @ P)[j] / P[j, j] for item j.
        """
        if not isinstance(precomputed, UserGram):
            return super()._scores_of_trial(precomputed)
        self._check_gram(precomputed)
        with compute_threads():
            diagonal, times = precomputed.products(self._checked_penalty(precomputed.counts))

        def scores(user_items: sparse.csr_array) -> np.ndarray:
            x = weighted_input(user_items, self.half_life)
            found: np.ndarray = x.toarray() - times(x) / diagonal  # (batch, n_items)
            return found.astype(np.float32, copy=False)

        return scores

    def _check_gram(self, gram: ItemGram | UserGram) -> None:
        self._check_hyperparameters()
        if gram.half_life != self.half_life:
            raise ValueError(
                f"half_life is {self.half_life}, but the Gram matrix was computed with {gram.half_life}; "
                "call precompute again."
            )

    def _check_hyperparameters(self) -> None:
        super()._check_hyperparameters()
        if not (isinstance(self.l2, Real) and self.l2 > 0 and math.isfinite(self.l2)):
            raise ValueError(f"l2 is {self.l2!r}; pass a number above 0, such as 500.")
        if self.max_memory is not None and not (isinstance(self.max_memory, Real) and self.max_memory > 0):
            raise ValueError(f"max_memory is {self.max_memory!r}; pass a number of bytes, such as 4e9, or None.")
        check_half_life(self.half_life)

    def _fit(self, user_items: UserItems) -> None:
        pairs = weighted_pairs(user_items, self.half_life)
        self._checked_penalty(item_totals(pairs))  # before the Gram matrix, which takes long
        self._fit_gram(gram_of(pairs))

    def _fit_gram(self, gram: ItemGram | UserGram) -> None:
        penalty = self._checked_penalty(gram.counts)
        with compute_threads():
            self.item_weights_ = _weights(gram.inverse(penalty))

    def _checked_penalty(self, counts: np.ndarray) -> np.ndarray:
        """The result of `_penalty`. Raises ValueError if rounding loses it."""
        penalty = self._penalty(counts)
        # Above this the factorization can't fail: Higham 2002, theorem 10.7.
        least_l2 = np.finfo(np.float64).eps * len(counts) ** 2 * (counts + penalty).max()
        if self.l2 < least_l2:
            raise ValueError(
                f"l2 is {self.l2}, which is lost to rounding with these likes; pass more than {least_l2:.1g}, such "
                "as 500."
            )
        return penalty

    def check_limit(self, n_users: int, n_items: int) -> None:
        needed, limit = self._bytes_to_fit(n_users, n_items), self.max_memory
        which = "max_memory"
        if limit is None and (usable := usable_memory()) is not None:
            limit, which = usable / 2, "half of the memory that this process may use"
        if limit is not None and needed > limit:
            raise ValueError(
                f"{type(self).__name__} on {n_items:,} items needs {needed:,} bytes, but {which} is {limit:,.0f}; "
                "raise max_memory if the machine has more, or use IALS or ELSA, which need no items x items matrix."
            )

    def check_memory(self, n_users: int, n_items: int) -> None:
        self.check_limit(n_users, n_items)
        way_out = "fit on fewer items, or use IALS or ELSA, which need no items x items matrix"
        check_free(f"{type(self).__name__} on {n_items:,} items", self._bytes_to_fit(n_users, n_items), way_out)

    def _bytes_to_fit(self, n_users: int, n_items: int) -> int:
        return bytes_needed(n_users, n_items) + 4 * n_items**2  # P, and B in float32

    def _penalty(self, counts: np.ndarray) -> np.ndarray:
        """The penalty to add to the diagonal of G, which is `counts`: (n_items,) float64."""
        return np.full(len(counts), self.l2, np.float64)

    def _score(self, user_items: sparse.csr_array) -> np.ndarray:
        scores: np.ndarray = weighted_input(user_items, self.half_life) @ self.item_weights_  # (batch, n_items)
        return scores

    def _contributions(self, row: sparse.csr_array, column: int) -> np.ndarray:
        weights: np.ndarray = weighted_input(row, self.half_life).data * self.item_weights_[row.indices, column]
        return weights

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"item_weights": self.item_weights_}

    def _set_arrays(self, arrays: dict[str, np.ndarray]) -> int:
        weights = arrays.get("item_weights")
        if weights is None or weights.ndim != 2 or weights.shape[0] != weights.shape[1] or weights.dtype != np.float32:
            raise ValueError("item_weights must be a square matrix of float32.")
        self.item_weights_ = weights
        return len(weights)


def _weights(inverse: Inverse) -> np.ndarray:
    """B[i, j] = -P[i, j] / P[j, j] and B[j, j] = 0."""
    n_items, diagonal = len(inverse.diagonal), inverse.diagonal
    weights = np.empty((n_items, n_items), np.float32)

    def fill(start: int) -> None:
        block = slice(start, start + BLOCK)
        with compute_threads():
            rows = inverse.rows(start, start + BLOCK)  # (block, n_items - start)
        weights[start:, block] = rows.T / -diagonal[block]
        weights[block, start:] = rows / -diagonal[start:]
        square = rows[:, :BLOCK]
        weights[block, block] = (np.triu(square) + np.triu(square, 1).T) / -diagonal[block]

    with ThreadPoolExecutor(threads_to_use()) as pool:
        list(pool.map(fill, range(0, n_items, BLOCK)))
    np.fill_diagonal(weights, 0)
    return weights
