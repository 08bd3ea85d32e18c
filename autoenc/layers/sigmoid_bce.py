"""SigmoidBCE: the output's sigmoid and the binary cross-entropy, taken together.

Forward
    h    = sigmoid(logits)
    loss = -sum(targets * log(h) + (1 - targets) * log(1 - h))
         = sum(softplus(logits)) - sum(targets * logits)                  the same, without log(0)
    softplus(z) = log(1 + exp(z)) = max(z, 0) + log1p(exp(-|z|))
    The sums run over all users and items of the batch. targets is user_items.

Backward
    grad_logits = h - targets

Shapes: logits and grad_logits (batch, n_items); user_items (batch, n_items), sparse CSR of ones;
    loss a float, summed in float64.
Kept for backward: logits and user_items.
Source: torch.nn.functional.binary_cross_entropy_with_logits(reduction="sum"), PyTorch 2.13.
    Differences: only the order of the sum.
Lesson: docs/lessons/sigmoid_bce.md

Example
    >>> sigmoid_bce = SigmoidBCE()
    >>> loss = sigmoid_bce.forward(np.array([[0.0, 1000.0]]), sparse.csr_array(np.array([[1, 0]])))
    >>> round(loss, 4)  # log(2), and 1000 for the second item, which is not liked
    1000.6931
    >>> sigmoid_bce.backward()
    array([[-0.5,  1. ]])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)) elementwise, in a form that does not overflow."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


class SigmoidBCE:
    """Binary cross-entropy of sigmoid(logits) with the batch itself as target, summed."""

    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, logits: np.ndarray, user_items: sparse.csr_array) -> float:
        self.kept = logits, user_items
        softplus = np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits)))  # (batch, n_items)
        of_likes = logits[user_items.nonzero()]  # where the targets are 1
        return float(softplus.sum(dtype=np.float64) - of_likes.sum(dtype=np.float64))

    def backward(self) -> np.ndarray:
        (logits, user_items), self.kept = self.kept, None
        h, targets = sigmoid(logits), user_items.astype(logits.dtype).toarray()  # (batch, n_items) each
        return h - targets
