"""Tanh: each value is squeezed between -1 and 1.

Forward
    output = tanh(x)

Backward
    grad_input = grad_output * (1 - output**2)

Shapes
    x, output, grad_output, grad_input   (batch, features)

Kept for backward
    output: the slope is a function of it, so x is not needed.

Cost at 256 users and 600 features
    A tanh an element, 154,000 a step: under a thousandth of the output layer's arithmetic.

What goes wrong
    At |x| above 9 output is 1 in float32 and the slope 0: that value stops learning. A user's sum
    of rows grows with the number of likes, so it is normalized first (see InputNormalization).

Source
    torch.nn.Tanh, PyTorch 2.13. Differences: none.

Example
    >>> import numpy as np
    >>> tanh = Tanh()
    >>> tanh.forward(np.array([[0.0, np.log(3), -100.0]])).round(4)     # tanh(log(3)) = (9 - 1) / (9 + 1)
    array([[ 0. ,  0.8, -1. ]])
    >>> tanh.backward(np.array([[5.0, 5.0, 5.0]])).round(4)
    array([[5. , 1.8, 0. ]])
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Tanh:
    """Squeeze between -1 and 1. It has no parameters."""

    def __init__(self):
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
