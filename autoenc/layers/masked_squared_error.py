"""MaskedSquaredError: the mean squared error of predicted ratings, over the rated items only.

Forward
    loss = sum(rated * (output - ratings)**2) / n,      n = sum of rated
    rated is 1 where there is a rating and 0 elsewhere. The sums run over all users and items of the batch.

Backward
    grad_output = 2 * rated * (output - ratings) / n

Shapes: output and grad_output (batch, n_items); ratings (batch, n_items), sparse CSR whose stored entries are
    the ratings, or dense if all items are rated; loss a float, summed in float64.
Kept for backward: the differences (n,), their positions, and output's shape.
Source: Kuchaiev and Ginsburg 2017 (arXiv 1708.01715), equation 1;
    torch.nn.functional.mse_loss(output[rated], ratings[rated]), PyTorch 2.13. Differences: a stored 0 is a rating,
    unlike in the paper's code; without any rating the loss is 0, whereas PyTorch's is NaN.
Lesson: docs/lessons/masked_squared_error.md

Example
    >>> masked = MaskedSquaredError()
    >>> ratings = sparse.csr_array(np.array([[5.0, 0.0, 0.0], [1.0, 0.0, 3.0]]))  # three ratings
    >>> round(masked.forward(np.array([[4.0, 99.0, 99.0], [1.0, 99.0, 5.0]]), ratings), 4)  # (1 + 0 + 4) / 3
    1.6667
    >>> masked.backward().round(4)
    array([[-0.6667,  0.    ,  0.    ],
           [ 0.    ,  0.    ,  1.3333]])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse


class MaskedSquaredError:
    """Mean squared error over the rated items."""

    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, output: np.ndarray, ratings: sparse.csr_array) -> float:
        """The loss for sparse ratings; every stored entry counts as a rating, whatever its value."""
        rated = np.repeat(np.arange(len(output)), np.diff(ratings.indptr)), ratings.indices
        return self._loss(output, rated, ratings.data)

    def forward_dense(self, output: np.ndarray, ratings: np.ndarray) -> float:
        """The loss for dense ratings, where every item is rated."""
        return self._loss(output, ..., ratings)

    def _loss(self, output: np.ndarray, rated: Any, ratings: np.ndarray) -> float:
        difference = output[rated] - ratings  # (n,), or (batch, n_items) for dense ratings
        self.kept = difference, rated, output.shape
        return float((difference * difference).sum(dtype=np.float64) / max(1, difference.size))

    def backward(self) -> np.ndarray:
        (difference, rated, shape), self.kept = self.kept, None
        grad_output = np.zeros(shape, difference.dtype)  # (batch, n_items)
        grad_output[rated] = difference * (2 / max(1, difference.size))
        return grad_output
