"""WeightedBCE: the binary cross-entropy in which items that are not liked count less.

Forward
    h    = sigmoid(logits)
    w    = 1 where targets is 1, negative_weight elsewhere
    loss = -sum(w * (targets * log(h) + (1 - targets) * log(1 - h)))
         = sum(w * softplus(logits)) - sum(targets * logits)              the same, without log(0)
    softplus(z) = log(1 + exp(z))
    The sums run over all users and items of the batch. targets is user_items.

Backward
    grad_logits = w * (h - targets)

Shapes: logits and grad_logits (batch, n_items); user_items (batch, n_items), sparse CSR of ones;
    loss a float, summed in float64.
Kept for backward: logits and user_items.
Source: torch.nn.functional.binary_cross_entropy_with_logits(weight=w, reduction="sum"), PyTorch 2.13.
    Differences: only the order of the sum.
Lesson: docs/lessons/weighted_bce.md

Example
    >>> weighted = WeightedBCE(negative_weight=0.25)
    >>> loss = weighted.forward(np.array([[0.0, 1000.0]]), sparse.csr_array(np.array([[1, 0]])))
    >>> round(loss, 4)  # log(2), and a quarter of 1000
    250.6931
    >>> weighted.backward()
    array([[-0.5 ,  0.25]])
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import sparse

from autoenc.layers.sigmoid_bce import sigmoid


class WeightedBCE:
    """Binary cross-entropy of sigmoid(logits) with the batch itself as target, weighted and summed.

    Parameters
    ----------
    negative_weight : float
        Weight of the terms whose target is 0; above 0 and finite. Terms whose target is 1 have weight 1.

    Raises
    ------
    ValueError
        If negative_weight is not above 0 and finite.
    """

    def __init__(self, negative_weight: float = 1.0):
        if not 0 < negative_weight < math.inf:
            raise ValueError(f"negative_weight must be a finite number above 0, got {negative_weight}")
        self.negative_weight = float(negative_weight)
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, logits: np.ndarray, user_items: sparse.csr_array) -> float:
        self.kept = logits, user_items
        softplus = np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits)))  # (batch, n_items)
        liked = user_items.nonzero()
        loss = self.negative_weight * softplus.sum(dtype=np.float64)
        loss += (1 - self.negative_weight) * softplus[liked].sum(dtype=np.float64)
        return float(loss - logits[liked].sum(dtype=np.float64))

    def backward(self) -> np.ndarray:
        (logits, user_items), self.kept = self.kept, None
        liked = user_items.nonzero()
        h = sigmoid(logits)  # (batch, n_items)
        grad_logits = self.negative_weight * h  # (batch, n_items)
        grad_logits[liked] = h[liked] - 1
        return grad_logits
