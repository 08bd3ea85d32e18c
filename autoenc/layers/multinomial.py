"""Multinomial: the likes of a user as draws from one softmax over all items.

Forward
    log_p = logits - log(sum of exp(logits) over the items)            each row by itself
    loss  = -sum(targets * log_p)
    The sum runs over all items and all users of the batch. targets is user_items. Each row is
    shifted by its maximum before exp, which changes nothing but the overflow.

Backward
    grad_logits = n * softmax(logits) - targets,      n = the row's number of likes
    A row's targets sum to n and its softmax to 1, so a row of grad_logits sums to 0: items compete
    for one budget, where under the sigmoid each stands by itself.

Shapes
    logits       (batch, n_items)
    user_items   (batch, n_items)  sparse CSR of ones
    loss         a float, in float64

Kept for backward
    log_p (batch, n_items), whose exp is the softmax, and user_items.

Cost at the task's sizes
    An exp a logit forward and one backward, on 2.7 million logits a step. Unlike the sigmoid's, a
    gradient needs its whole row of logits first.

What goes wrong
    exp(z) overflows at z = 89 in float32; a row of equal logits shows nothing of it. A bias_offset
    is without effect here: the softmax of a shifted row is the same.

Source
    Liang et al. 2018 (arXiv 1802.05814), section 2.1, equation 2, the likelihood of Mult-DAE;
    -sum(log_softmax(logits) * targets) in PyTorch 2.13. Differences: none but the order of the sum;
    the paper averages over the batch, and here it is summed, as SigmoidBCE is.

Example
    >>> import numpy as np, scipy.sparse as sp
    >>> multinomial = Multinomial()
    >>> loss = multinomial.forward(np.log([[1.0, 2.0, 5.0]]), sp.csr_array(np.array([[1, 0, 1]])))
    >>> round(loss, 4)                      # p is 1/8, 2/8, 5/8: -log(1/8) - log(5/8)
    2.5494
    >>> multinomial.backward()              # 2 p - targets
    array([[-0.75,  0.5 ,  0.25]])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse


class Multinomial:
    """Cross-entropy of softmax(logits) with the batch itself as target, summed."""

    def __init__(self):
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
