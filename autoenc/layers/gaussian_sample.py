"""GaussianSample: represent a user by a normal distribution, from which training draws one sample.

Forward, in training
    mean, log_var = the two halves of x
    std     = exp(log_var / 2)
    output  = mean + std * noise                    noise ~ Normal(0, 1)
    penalty = beta * sum((std**2 + mean**2 - 1 - log_var) / 2)
    The penalty is beta * KL(Normal(mean, std**2) || Normal(0, 1)), to be added to the loss.

Forward, in evaluation
    output  = mean

Backward
    grad_mean    = grad_output + beta * mean
    grad_log_var = grad_output * noise * std / 2 + beta * (std**2 - 1) / 2

Shapes: x (batch, 2 * features), all others (batch, features); penalty a float, summed in float64.
Kept for backward: mean, std and noise.
Source: Kingma and Welling 2014 (arXiv 1312.6114); beta: Liang et al. 2018 (arXiv 1802.05814).
    Differences: the penalty is summed over the batch; the code of Liang et al. takes the mean.
Lesson: docs/lessons/gaussian_sample.md

Example
    >>> sample = GaussianSample(beta=0.5)
    >>> output = sample.forward(np.array([[3.0, np.log(4.0)]]), training=True, key=(0, 0, 0, 1))
    >>> output.round(4), round(sample.penalty, 4)  # one feature: mean 3, variance 4
    (array([[0.1371]]), 2.6534)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autoenc.layers.dropout import philox_of


def draw_noise(shape: tuple[int, int], key: tuple[int, int, int, int]) -> np.ndarray:
    """Standard normal numbers, float32 (batch, features), drawn with key = (seed, epoch, step, layer)."""
    return np.random.Generator(philox_of(key)).standard_normal(shape, np.float32)


def check_columns(columns: int) -> None:
    """Raise ValueError for an odd number of columns."""
    if columns % 2:
        raise ValueError(
            f"GaussianSample takes a mean and a log_var per feature, so an even number of columns, got {columns}"
        )


class GaussianSample:
    """Draw from the normal distribution that the input describes. It has no parameters.

    Parameters
    ----------
    beta : float
        Weight of the KL divergence in the loss. It may be changed between steps.

    Attributes
    ----------
    penalty : float
        The term to add to the loss, computed by the last forward in training.
    """

    def __init__(self, beta: float):
        self.beta = float(beta)
        self.penalty = 0.0
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, x: np.ndarray, training: bool, key: Any = None) -> np.ndarray:
        check_columns(x.shape[1])
        mean, log_var = np.split(x, 2, axis=1)  # (batch, features) each
        if not training:
            return mean
        std = np.exp(log_var / 2)
        noise = draw_noise(mean.shape, key).astype(x.dtype, copy=False)
        kl = (std * std + mean * mean - 1 - log_var) / 2  # (batch, features)
        self.penalty = self.beta * float(kl.sum(dtype=np.float64))
        self.kept = mean, std, noise
        return mean + std * noise  # (batch, features)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        (mean, std, noise), self.kept = self.kept, None
        grad_mean = grad_output + self.beta * mean
        # std = exp(log_var / 2), so its slope in log_var is std / 2
        grad_log_var = grad_output * noise * std / 2 + self.beta * (std * std - 1) / 2
        return np.concatenate([grad_mean, grad_log_var], axis=1)  # (batch, 2 * features)
