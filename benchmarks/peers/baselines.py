"""Baselines that a network has to beat: the most popular items, and EASE, a linear model in closed form."""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse


class Popular:
    """An item's score is the number of users who like it."""

    def __init__(self, user_items: sparse.csr_array):
        self.n_items = user_items.shape[1]
        self.counts = np.bincount(user_items.indices, minlength=self.n_items).astype(np.float32)

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        return np.tile(self.counts, (user_items.shape[0], 1))  # (batch, n_items)


class Ease:
    """A ridge regression of every item on all the others (Steck 2019, arXiv 1905.03375).

    gram    = user_items.T @ user_items + l2 * identity
    inverse = gram**-1
    weight  = -inverse / diagonal(inverse) by column, and 0 on the diagonal
    """

    def __init__(self, user_items: sparse.csr_array, l2: float):
        self.n_items = user_items.shape[1]
        gram = (user_items.T @ user_items).toarray().astype(np.float64)
        gram[np.diag_indices_from(gram)] += l2
        inverse = linalg.inv(gram, overwrite_a=True, assume_a="pos")
        self.weight = (inverse / -np.diag(inverse)).astype(np.float32)  # (n_items, n_items)
        np.fill_diagonal(self.weight, 0)

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        return user_items @ self.weight  # (batch, n_items)
