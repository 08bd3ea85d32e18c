"""SigmoidBCE: the output's sigmoid and the binary cross-entropy, taken together.

Forward
    h    = sigmoid(logits)
    loss = -sum(targets * log(h) + (1 - targets) * log(1 - h))            as the task writes it
         = sum(softplus(logits)) - sum(targets * logits)                  the same, without log(0)
    softplus(z) = log(1 + exp(z)) = max(z, 0) + log1p(exp(-|z|))
    The sum runs over all items and all users of the batch. targets is user_items: an autoencoder
    predicts its input.

Backward
    grad_logits = h - targets
    The sigmoid's slope h * (1 - h) and the cross-entropy's (h - targets) / (h * (1 - h)) cancel;
    taken one after the other they are 0 * inf where h rounds to 0 or 1.

Shapes
    logits       (batch, n_items)
    user_items   (batch, n_items)  sparse CSR of ones
    loss         a float, in float64

Kept for backward
    logits and user_items.

Cost at the task's sizes
    An exp, a log and a division for each of 2.7 million logits a step, and 11 MB each for logits
    and grad_logits: why the fast path holds a tile of items at a time and never the whole.

What goes wrong
    exp(z) overflows at z = 89 in float32, log(1 - h) is log(0) at z = 17; exp(-|z|) does neither.

Source
    The task's loss; torch.nn.functional.binary_cross_entropy_with_logits(reduction="sum"),
    PyTorch 2.13. Differences: none but the order of the sum.

Example
    >>> import numpy as np, scipy.sparse as sp
    >>> sigmoid_bce = SigmoidBCE()
    >>> loss = sigmoid_bce.forward(np.array([[0.0, 1000.0]]), sp.csr_array(np.array([[1, 0]])))
    >>> round(loss, 4)                     # log(2), and 1000 for the item that was so wrong
    1000.6931
    >>> sigmoid_bce.backward()
    array([[-0.5,  1. ]])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)) by element, in the form of which neither side overflows."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


class SigmoidBCE:
    """Binary cross-entropy of sigmoid(logits) with the batch itself as target, summed."""

    def __init__(self):
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
