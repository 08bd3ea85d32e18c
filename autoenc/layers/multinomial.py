"""Multinomial: the likes of a user as draws from one softmax over all items.

Forward
    log_p = logits - log(sum of exp(logits) over the items)            for each user separately
    loss  = -sum(targets * log_p)
    The loss sums over all users and items of the batch. targets is user_items.

Backward
    grad_logits = n * softmax(logits) - targets,      n = the user's number of likes

Shapes: logits, log_p and grad_logits (batch, n_items); user_items (batch, n_items), sparse CSR of ones;
    n (batch, 1); loss a float, summed in float64.
Kept for backward: log_p, whose exp is the softmax, and user_items.
Source: Liang et al. 2018 (arXiv 1802.05814), equation 2; -sum(log_softmax(logits) * targets) in PyTorch 2.13.
    Differences: the paper averages over the batch.
Lesson: docs/lessons/multinomial.md

Example
    >>> multinomial = Multinomial()
    >>> loss = multinomial.forward(np.log([[1.0, 2.0, 5.0]]), sparse.csr_array(np.array([[1, 0, 1]])))
    >>> round(loss, 4)  # the softmax is 1/8, 2/8, 5/8: -log(1/8) - log(5/8)
    2.5494
    >>> multinomial.backward()
    array([[-0.75,  0.5 ,  0.25]])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse


class Multinomial:
    """Cross-entropy of softmax(logits) with the batch itself as target, summed."""

    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, logits: np.ndarray, user_items: sparse.csr_array) -> float:
        shifted = logits - logits.max(axis=1, keepdims=True)  # (batch, n_items)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))  # (batch, n_items)
        self.kept = log_p, user_items
        return float(-log_p[user_items.nonzero()].sum(dtype=np.float64))

    def backward(self) -> np.ndarray:
        (log_p, user_items), self.kept = self.kept, None
        n = user_items.sum(axis=1, dtype=log_p.dtype)[:, None]  # (batch, 1)
        grad_logits = n * np.exp(log_p)  # (batch, n_items)
        grad_logits[user_items.nonzero()] -= 1
        return grad_logits  # (batch, n_items)
