"""SparseEmbedding: a list of liked items becomes the sum of their rows.

Forward
    output = user_items @ weight
    output[u] = sum of weight[i] over the items i that user u liked

Backward
    grad_weight = user_items.T @ grad_output
    grad_weight[i] = sum of grad_output[u] over the users u who liked item i
    There is no grad_input: the input is a list of ids, which has no derivative.

Shapes: user_items (batch, n_items), sparse CSR of ones; weight (n_items, emb_dim); output (batch, emb_dim).
Kept for backward: user_items, which says which users' gradients a row sums.
Source: torch.nn.EmbeddingBag(mode="sum"), PyTorch 2.13. Differences: none.
Lesson: docs/lessons/embedding.md

Example
    >>> embedding = SparseEmbedding(np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]]))
    >>> embedding.forward(sparse.csr_array(np.array([[1, 0, 1], [0, 0, 1]])))
    array([[101., 202.],
           [100., 200.]])
    >>> embedding.backward(np.array([[1.0, 0.0], [3.0, 0.5]]))
    >>> embedding.grads["weight"]
    array([[1. , 0. ],
           [0. , 0. ],
           [4. , 0.5]])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse


class SparseEmbedding:
    """Sum the rows of the items that each user liked.

    Parameters
    ----------
    weight : array (n_items, emb_dim), floating
        One row per item. Not copied: the optimizer updates it in place.
    """

    def __init__(self, weight: np.ndarray):
        self.params: dict[str, np.ndarray] = {"weight": weight}
        self.grads: dict[str, Any] = {"weight": None}
        self.kept: Any = None

    def forward(self, user_items: sparse.csr_array, training: bool = True) -> np.ndarray:
        if training:
            self.kept = user_items
        return user_items @ self.params["weight"]  # (batch, emb_dim)

    def backward(self, grad_output: np.ndarray) -> None:
        user_items, self.kept = self.kept, None
        self.grads["weight"] = user_items.T @ grad_output  # (n_items, emb_dim)
