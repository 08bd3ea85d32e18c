"""MaskedSquaredError: the mean squared error of predicted ratings, over those that were given.

Forward
    loss = sum(rated * (output - ratings)**2) / n,      n = sum of rated
    rated is 1 where a rating was given and 0 elsewhere. The sums run over all users and items of the batch.

Backward
    grad_output = 2 * rated * (output - ratings) / n

Shapes: output and grad_output (batch, n_items); ratings (batch, n_items), sparse CSR whose stored entries are
    the ratings, or dense where all were given; loss a float, summed in float64.
Kept for backward: the differences (n,), where they are, and output's shape.
Source: Kuchaiev and Ginsburg 2017 (arXiv 1708.01715), equation 1;
    torch.nn.functional.mse_loss(output[rated], ratings[rated]), PyTorch 2.13. Differences: a stored 0 is a rating,
    which it is not in the paper's code; without any rating the loss is 0, where PyTorch's is NaN.
Lesson: docs/lessons/masked_squared_error.md

Example
    >>> masked = MaskedSquaredError()
    >>> ratings = sparse.csr_array(np.array([[5.0, 0.0, 0.0], [1.0, 0.0, 3.0]]))  # three were given
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
    """The mean squared error over the ratings that were given."""

    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, output: np.ndarray, ratings: sparse.csr_array) -> float:
        """The loss on sparse ratings: those that are stored, whatever their values."""
        rated = np.repeat(np.arange(len(output)), np.diff(ratings.indptr)), ratings.indices
        return self._loss(output, rated, ratings.data)

    def forward_dense(self, output: np.ndarray, ratings: np.ndarray) -> float:
        """The loss on dense ratings, all of which were given."""
        return self._loss(output, ..., ratings)

    def _loss(self, output: np.ndarray, rated: Any, ratings: np.ndarray) -> float:
        difference = output[rated] - ratings  # (n,), or (batch, n_items) where all were given
        self.kept = difference, rated, output.shape
        return float((difference * difference).sum(dtype=np.float64) / max(1, difference.size))

    def backward(self) -> np.ndarray:
        (difference, rated, shape), self.kept = self.kept, None
        grad_output = np.zeros(shape, difference.dtype)  # (batch, n_items)
        grad_output[rated] = difference * (2 / max(1, difference.size))
        return grad_output
