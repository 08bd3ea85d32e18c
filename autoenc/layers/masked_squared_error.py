"""MaskedSquaredError: how far predicted ratings are from those that were given, and only those.

Forward
    loss = sum(rated * (output - ratings)**2) / n,      n = sum of rated
    rated is 1 where a rating was given and 0 elsewhere: what a user hasn't rated is not known, and
    counts nothing. The mean runs over all ratings of the batch; its square root is their RMSE. Of a
    dense array of ratings all are given.

Backward
    grad_output = 2 * rated * (output - ratings) / n

Shapes
    output    (batch, n_items)
    ratings   (batch, n_items)  sparse CSR, a stored entry a rating, whatever its value; or dense
    loss      a float, in float64

Kept for backward
    difference, a number a rating; where they are; and output's shape.

Cost at 256 users and 10,677 items
    A difference and a square a rating, 29,000 a step; grad_output is 11 MB, nearly all zeros.

What goes wrong
    Likes are ratings of 1, all of them: a network that answers 1 everywhere has loss 0 and knows
    nothing. So on likes the loss has to run over the items that aren't liked, too: SigmoidBCE.
    A mean over batch * n_items instead of n is small whatever the network does, and depends on how
    much the users rated.

Source
    Kuchaiev and Ginsburg 2017 (arXiv 1708.01715), equation 1 (MMSE);
    torch.nn.functional.mse_loss(output[rated], ratings[rated]), PyTorch 2.13. Differences: their
    code takes a rating of 0 for none given; here an entry that is stored counts, a 0 too. A batch
    without ratings has loss 0, where PyTorch's has NaN.

Example
    >>> import numpy as np, scipy.sparse as sp
    >>> masked = MaskedSquaredError()
    >>> ratings = sp.csr_array(np.array([[5.0, 0.0, 0.0], [1.0, 0.0, 3.0]]))     # three were given
    >>> masked.forward(np.array([[4.0, 99.0, 99.0], [1.0, 99.0, 5.0]]), ratings)     # (1 + 0 + 4) / 3
    1.6666666666666667
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

    def __init__(self):
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, output: np.ndarray, ratings: sparse.csr_array) -> float:
        """Of the ratings that are stored, whatever their values."""
        rated = np.repeat(np.arange(len(output)), np.diff(ratings.indptr)), ratings.indices
        return self._loss(output, rated, ratings.data)

    def forward_dense(self, output: np.ndarray, ratings: np.ndarray) -> float:
        """Of ratings that are all given."""
        return self._loss(output, ..., ratings)

    def _loss(self, output, rated, ratings):
        difference = output[rated] - ratings  # (n,), or (batch, n_items) where all were given
        self.kept = difference, rated, output.shape
        return float((difference * difference).sum(dtype=np.float64) / max(1, difference.size))

    def backward(self) -> np.ndarray:
        (difference, rated, shape), self.kept = self.kept, None
        grad_output = np.zeros(shape, difference.dtype)  # (batch, n_items)
        grad_output[rated] = difference * (2 / max(1, difference.size))
        return grad_output
