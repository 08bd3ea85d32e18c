"""Linear: every output is a weighted sum of every input, plus a bias.

Forward
    output = x @ weight.T + bias

Backward
    grad_weight = grad_output.T @ x
    grad_bias   = sum of grad_output over the batch
    grad_input  = grad_output @ weight

Shapes: x (batch, in_features); weight (out_features, in_features); bias (out_features,);
    output (batch, out_features). In the output layer, weight has one row per item, as in the embedding.
Kept for backward: x. The weight is not copied, so backward must come before the optimizer changes it.
Source: torch.nn.Linear, PyTorch 2.13. Differences: none.
Lesson: docs/lessons/linear.md

Example
    >>> linear = Linear(weight=np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), bias=np.zeros(3))
    >>> linear.forward(np.array([[1.0, 10.0]]))
    array([[21., 43., 65.]])
    >>> linear.backward(np.array([[1.0, 0.0, 2.0]]))
    array([[11., 14.]])
    >>> linear.grads["weight"]
    array([[ 1., 10.],
           [ 0.,  0.],
           [ 2., 20.]])
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Linear:
    """Multiply by a matrix and add a bias.

    Parameters
    ----------
    weight : array (out_features, in_features), floating
    bias : array (out_features,), of weight's dtype
        Neither is copied: the optimizer updates both in place.
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray):
        self.params: dict[str, np.ndarray] = {"weight": weight, "bias": bias}
        self.grads: dict[str, Any] = {"weight": None, "bias": None}
        self.kept: Any = None

    def forward(self, x: np.ndarray, training: bool = True) -> np.ndarray:
        if training:
            self.kept = x
        return x @ self.params["weight"].T + self.params["bias"]  # (batch, out_features)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        x, self.kept = self.kept, None
        self.grads["weight"] = grad_output.T @ x  # (out_features, in_features)
        self.grads["bias"] = grad_output.sum(axis=0)  # (out_features,)
        return grad_output @ self.params["weight"]  # (batch, in_features)
