"""ReLU: what is positive passes, what is negative becomes zero.

Forward
    output = max(x, 0)

Backward
    grad_input = grad_output where x > 0, else 0

Shapes
    x, output, grad_output, grad_input   (batch, features)

Kept for backward
    active = x > 0, a byte an element; x itself is not needed, only on which side of the corner
    it lay.

Cost at the task's sizes
    One comparison an element: 205,000 and 102,000 elements a step, bound by memory.

What goes wrong
    At x = 0 there is no derivative; any number from 0 to 1 is a valid choice. A finite difference
    that straddles the corner gives one half, so a gradient check keeps its inputs away from 0.

Source
    torch.nn.ReLU, PyTorch 2.13: derivative 0 at x = 0, as here. Differences: none.

Example
    >>> import numpy as np
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

    def __init__(self):
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
