"""ConfidenceEmbedding: the sum of the liked items' rows, weighted by confidence.

Forward
    share  = confidence / sqrt(mean of confidence**2 over the user's likes), or 1 if weighted is False
    output = share @ weight
    output[u] = sum of share[u, i] * weight[i] over the items i that user u liked
    A row of shares has length sqrt(n_likes), like a row of ones: the output depends on how a user's likes compare
    with each other, not with those of other users.

Backward
    grad_weight = share.T @ grad_output
    There is no grad_input: the input is a list of ids, which has no derivative.

Shapes: user_items (batch, n_items), sparse CSR of confidences, above 0; share, with the same entries; weight
    (n_items, emb_dim); output (batch, emb_dim).
Kept for backward: share.
Source: torch.nn.EmbeddingBag(mode="sum") with per_sample_weights=share, PyTorch 2.13. Differences: none.
Lesson: docs/lessons/confidence_embedding.md

Example
    >>> embedding = ConfidenceEmbedding(np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]]))
    >>> embedding.forward(sparse.csr_array(np.array([[1, 0, 7], [0, 3, 0]])))  # 1 and 7 become 1/5 and 7/5
    array([[140.2, 280.4],
           [ 10. ,  20. ]])
    >>> embedding.backward(np.array([[1.0, 0.0], [3.0, 0.5]]))
    >>> embedding.grads["weight"]
    array([[0.2, 0. ],
           [3. , 0.5],
           [1.4, 0. ]])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse


class ConfidenceEmbedding:
    """Sum the rows of the items that each user liked, weighted or not.

    Parameters
    ----------
    weight : array (n_items, emb_dim), floating
        One row per item. Not copied: the optimizer updates it in place.
    weighted : bool
        Whether to weight a like by its share; otherwise every like counts 1.
    """

    def __init__(self, weight: np.ndarray, weighted: bool = True):
        self.params: dict[str, np.ndarray] = {"weight": weight}
        self.grads: dict[str, Any] = {"weight": None}
        self.kept: Any = None
        self.weighted = weighted

    def forward(self, user_items: sparse.csr_array, training: bool = True) -> np.ndarray:
        share = self.share(user_items)
        if training:
            self.kept = share
        return share @ self.params["weight"]  # (batch, emb_dim)

    def backward(self, grad_output: np.ndarray) -> None:
        share, self.kept = self.kept, None
        self.grads["weight"] = share.T @ grad_output  # (n_items, emb_dim)

    def share(self, user_items: sparse.csr_array) -> sparse.csr_array:
        """The shares as a CSR with the same entries."""
        dtype = self.params["weight"].dtype
        share = np.ones(user_items.nnz, dtype)
        if self.weighted:
            share = shares(user_items.indptr, user_items.data).astype(dtype, copy=False)
        return sparse.csr_array((share, user_items.indices, user_items.indptr), shape=user_items.shape)


def shares(indptr: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """The share of each like, (n_likes,): scaled to a mean square of 1 over each user's likes.

    indptr is that of the CSR of likes; confidence is (n_likes,), above 0.
    """
    n_likes = np.diff(indptr)
    starts, n_likes = indptr[:-1][n_likes > 0], n_likes[n_likes > 0]
    if not len(starts):
        return confidence
    relative = confidence / np.repeat(np.maximum.reduceat(confidence, starts), n_likes)  # first: no square overflows
    mean_square = np.add.reduceat(relative * relative, starts) / n_likes
    share: np.ndarray = relative / np.repeat(np.sqrt(mean_square), n_likes)
    return share
