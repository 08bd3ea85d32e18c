"""SoftBCE: the binary cross-entropy with probabilities as targets.

Forward
    h    = sigmoid(logits)
    loss = -sum(targets * log(h) + (1 - targets) * log(1 - h))
         = sum(softplus(logits) - targets * logits)               the same, without log(0)
    softplus(z) = log(1 + exp(z))
    The sums run over all users and items of the batch.

Backward
    grad_logits = h - targets

Shapes: logits, targets and grad_logits (batch, n_items), targets from 0 to 1; loss a float, summed in float64.
Kept for backward: logits and targets.
Source: torch.nn.functional.binary_cross_entropy_with_logits(reduction="sum"), PyTorch 2.13.
    Differences: only the order of the sum.
Lesson: docs/lessons/soft_bce.md

Example
    >>> soft = SoftBCE()
    >>> round(soft.forward(np.array([[np.log(3), 0.0]]), np.array([[0.25, 0.5]])), 4)  # h is 3/4 and 1/2
    1.8048
    >>> soft.backward()
    array([[0.5, 0. ]])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autoenc.layers.sigmoid_bce import sigmoid


class SoftBCE:
    """Binary cross-entropy of sigmoid(logits) with targets from 0 to 1, summed."""

    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, logits: np.ndarray, targets: np.ndarray) -> float:
        self.kept = logits, targets
        softplus = np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits)))  # (batch, n_items)
        return float((softplus - targets * logits).sum(dtype=np.float64))

    def backward(self) -> np.ndarray:
        (logits, targets), self.kept = self.kept, None
        return sigmoid(logits) - targets  # (batch, n_items)
