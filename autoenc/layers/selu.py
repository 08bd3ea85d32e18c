"""SELU: linear above 0 and exponential below, so that a deep stack keeps mean 0 and variance 1 by itself.

Forward
    output = scale * x                         where x > 0
    output = scale * alpha * (exp(x) - 1)      elsewhere
    scale = 1.0507..., alpha = 1.6733...

Backward
    grad_input = grad_output * slope
    slope = scale where x > 0, else scale * alpha * exp(x) = output + scale * alpha

Shapes: x, output, slope, grad_output and grad_input (batch, features).
Kept for backward: output, which has the sign of x and determines the slope.
Source: Klambauer et al. 2017 (arXiv 1706.02515), equation 2; torch.nn.SELU, PyTorch 2.13. Differences: none.
Lesson: docs/lessons/selu.md

Example
    >>> selu = SELU()
    >>> selu.forward(np.array([[2.0, 0.0, -np.log(2), -1000.0]])).round(4)  # exp(-log(2)) - 1 = -1/2
    array([[ 2.1014,  0.    , -0.879 , -1.7581]])
    >>> selu.backward(np.array([[1.0, 1.0, 2.0, 1.0]])).round(4)
    array([[1.0507, 1.7581, 1.7581, 0.    ]])
"""

from __future__ import annotations

from typing import Any

import numpy as np

SCALE = 1.0507009873554804934193349852946
ALPHA = 1.6732632423543772848170429916717


class SELU:
    """The scaled exponential linear unit. It has no parameters."""

    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, x: np.ndarray, training: bool = True) -> np.ndarray:
        output = SCALE * np.where(x > 0, x, ALPHA * np.expm1(np.minimum(x, 0)))  # (batch, features)
        if training:
            self.kept = output
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        output, self.kept = self.kept, None
        slope = np.where(output > 0, output.dtype.type(SCALE), output + SCALE * ALPHA)  # (batch, features)
        return grad_output * slope
