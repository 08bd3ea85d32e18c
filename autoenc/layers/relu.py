"""ReLU: positive values pass, negative values become zero.

Forward
    output = max(x, 0)

Backward
    grad_input = grad_output where x > 0, else 0

Shapes: x, output, grad_output and grad_input (batch, features).
Kept for backward: active = x > 0, one byte per element.
Source: torch.nn.ReLU, PyTorch 2.13, whose derivative at x = 0 is also 0. Differences: none.
Lesson: docs/lessons/relu.md

Example
    >>> relu = ReLU()
    >>> relu.forward(np.array([[-2.0, 0.0, 3.0]]))
    array([[0., 0., 3.]])
    >>> relu.backward(np.array([[5.0, 6.0, 7.0]]))
    array([[0., 0., 7.]])
"""

from __future__ import annotations

from typing import Any

import numpy as np


class ReLU:
    """Clip from below at zero. It has no parameters."""

    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, x: np.ndarray, training: bool = True) -> np.ndarray:
        if training:
            self.kept = x > 0  # (batch, features)
        return np.maximum(x, 0)  # (batch, features)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        active, self.kept = self.kept, None
        return grad_output * active  # (batch, features)
