"""BatchNorm1d: each feature gets mean 0 and variance 1 over the batch, then a learned scale and shift.

Forward, in training
    mean    = sum of x / batch
    var     = sum of (x - mean)**2 / batch
    inv_std = 1 / sqrt(var + eps)
    x_hat   = (x - mean) * inv_std
    output  = weight * x_hat + bias
    running_mean += momentum * (mean - running_mean)
    running_var  += momentum * (var * batch / (batch - 1) - running_var)
Forward, in evaluation
    output  = weight * (x - running_mean) / sqrt(running_var + eps) + bias
Backward, of the forward in training
    grad_bias   = sum of grad_output
    grad_weight = sum of grad_output * x_hat
    grad_input  = weight * inv_std * (grad_output - grad_bias / batch - x_hat * grad_weight / batch)

Shapes: x, x_hat, output and their gradients (batch, features), all others (features,). Sums run over the batch.
Kept for backward: x_hat and inv_std.
Source: Ioffe and Szegedy 2015 (arXiv 1502.03167), algorithm 1; torch.nn.BatchNorm1d, PyTorch 2.13.
    Differences: num_batches_tracked is not kept.
Lesson: docs/lessons/batchnorm.md

Example
    >>> batchnorm = BatchNorm1d(*np.array([[2.0], [5.0], [0.0], [1.0]]), eps=0.0)  # weight 2, bias 5
    >>> batchnorm.forward(np.array([[0.0], [0.0], [2.0], [2.0]]), training=True).ravel()  # mean 1, var 1
    array([3., 3., 7., 7.])
    >>> batchnorm.backward(np.array([[1.0], [0.0], [0.0], [0.0]])).ravel()
    array([ 1., -1.,  0.,  0.])
"""

from __future__ import annotations

from typing import Any

import numpy as np


def check_batch(batch: int) -> None:
    """Raise ValueError for a batch of one row, whose variance is 0."""
    if batch < 2:
        raise ValueError(f"BatchNorm1d trains on batches of 2 rows or more, got {batch}; merge it with another batch")


class BatchNorm1d:
    """Normalize each feature over the batch.

    Parameters
    ----------
    weight, bias : array (features,), floating
        The learned scale and shift.
    running_mean, running_var : array (features,)
        Statistics for normalizing in evaluation. A forward in training updates them in place.
    eps : float
        Added to the variance, so that a constant feature divides by sqrt(eps).
    momentum : float
        The weight of the newest batch in the running statistics.
    """

    def __init__(
        self,
        weight: np.ndarray,
        bias: np.ndarray,
        running_mean: np.ndarray,
        running_var: np.ndarray,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ):
        self.params: dict[str, np.ndarray] = {"weight": weight, "bias": bias}
        self.grads: dict[str, Any] = {"weight": None, "bias": None}
        self.buffers = {"running_mean": running_mean, "running_var": running_var}
        self.eps = eps
        self.momentum = momentum
        self.kept: Any = None

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        """Raise ValueError in training if the batch has one row."""
        weight, bias = self.params["weight"], self.params["bias"]
        running_mean, running_var = self.buffers["running_mean"], self.buffers["running_var"]
        if not training:
            return weight * (x - running_mean) / np.sqrt(running_var + self.eps) + bias

        batch = len(x)
        check_batch(batch)
        mean = x.mean(axis=0)  # (features,)
        centered = x - mean  # (batch, features)
        var = (centered * centered).mean(axis=0)  # (features,)
        inv_std = 1 / np.sqrt(var + self.eps)  # (features,)
        x_hat = centered * inv_std  # (batch, features)
        running_mean += self.momentum * (mean - running_mean)
        running_var += self.momentum * (var * (batch / (batch - 1)) - running_var)
        self.kept = x_hat, inv_std
        return weight * x_hat + bias  # (batch, features)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        (x_hat, inv_std), self.kept = self.kept, None
        batch = len(x_hat)
        # output = weight * x_hat + bias
        grad_bias = grad_output.sum(axis=0)  # (features,)
        grad_weight = (grad_output * x_hat).sum(axis=0)  # (features,)
        self.grads.update(weight=grad_weight, bias=grad_bias)
        # x_hat = (x - mean) * inv_std, where mean and inv_std depend on x too
        scale = self.params["weight"] * inv_std  # (features,)
        return scale * (grad_output - grad_bias / batch - x_hat * (grad_weight / batch))  # (batch, features)
