"""ConfidenceMultinomial: the multinomial loss in which each like is counted as often as its confidence says.

Forward
    log_p = logits - log(sum of exp(logits) over the items)            for each user separately
    loss  = -sum(confidence * log_p)
    The loss sums over all users and items of the batch. confidence is user_items, 0 for items that are not liked.

Backward
    grad_logits = n * softmax(logits) - confidence,      n = the sum of the user's confidences

Shapes: logits, log_p and grad_logits (batch, n_items); user_items (batch, n_items), sparse CSR of confidences, above 0;
    n (batch, 1); loss a float, summed in float64.
Kept for backward: log_p, whose exp is the softmax, and user_items.
Source: Liang et al. 2018 (arXiv 1802.05814), equation 2, which holds for counts as for ones;
    -sum(log_softmax(logits) * confidence) in PyTorch 2.13. Differences: the paper averages over the batch.
Lesson: docs/lessons/confidence_multinomial.md

Example
    >>> confidence_multinomial = ConfidenceMultinomial()
    >>> loss = confidence_multinomial.forward(np.log([[1.0, 2.0, 5.0]]), sparse.csr_array(np.array([[2, 0, 1]])))
    >>> round(loss, 4)  # the softmax is 1/8, 2/8, 5/8: -2 * log(1/8) - log(5/8)
    4.6289
    >>> confidence_multinomial.backward()
    array([[-1.625,  0.75 ,  0.875]])
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from autoenc.layers.multinomial import Multinomial


class ConfidenceMultinomial(Multinomial):
    """Cross-entropy of softmax(logits) with the batch itself as target, weighted by confidence and summed."""

    def forward(self, logits: np.ndarray, user_items: sparse.csr_array) -> float:
        shifted = logits - logits.max(axis=1, keepdims=True)  # (batch, n_items)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))  # (batch, n_items)
        self.kept = log_p, user_items
        return float(-(user_items.data * log_p[user_items.nonzero()]).sum(dtype=np.float64))

    def backward(self) -> np.ndarray:
        (log_p, user_items), self.kept = self.kept, None
        n = user_items.sum(axis=1, dtype=log_p.dtype)[:, None]  # (batch, 1)
        grad_logits = n * np.exp(log_p)  # (batch, n_items)
        grad_logits[user_items.nonzero()] -= user_items.data
        return grad_logits  # (batch, n_items)
