"""Tanh: squash each value into the range -1 to 1.

Forward
    output = tanh(x)

Backward
    grad_input = grad_output * (1 - output**2)

Shapes: x, output, grad_output and grad_input (batch, features).
Kept for backward: output, which determines the slope.
Source: torch.nn.Tanh, PyTorch 2.13. Differences: none.
Lesson: docs/lessons/tanh.md

Example
    >>> tanh = Tanh()
    >>> tanh.forward(np.array([[0.0, np.log(3), -100.0]])).round(4)  # tanh(log(3)) = (9 - 1) / (9 + 1)
    array([[ 0. ,  0.8, -1. ]])
    >>> tanh.backward(np.array([[5.0, 5.0, 5.0]])).round(4)
    array([[5. , 1.8, 0. ]])
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Tanh:
    """Hyperbolic tangent. It has no parameters."""

    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, x: np.ndarray, training: bool = True) -> np.ndarray:
        output = np.tanh(x)  # (batch, features)
        if training:
            self.kept = output
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        output, self.kept = self.kept, None
        # tanh' = 1 - tanh**2
        return grad_output * (1 - output * output)  # (batch, features)
