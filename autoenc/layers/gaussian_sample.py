"""GaussianSample: a user as a normal distribution, of which training draws one point.

Forward, in training
    mean, log_var = the two halves of x
    output  = mean + exp(log_var / 2) * noise                    noise ~ Normal(0, 1)
    penalty = beta * sum((exp(log_var) + mean**2 - 1 - log_var) / 2)
    The sum is KL(Normal(mean, exp(log_var)) || Normal(0, 1)) over the features and the batch, and
    the penalty is what this layer adds to the loss. The noise is drawn outside of the parameters
    (hence reparametrization), so that the output has a slope in them.
Forward, in evaluation
    output  = mean

Backward
    grad_mean    = grad_output + beta * mean
    grad_log_var = grad_output * noise * exp(log_var / 2) / 2 + beta * (exp(log_var) - 1) / 2
    The second terms are the penalty's own.

Shapes
    x               (batch, 2 * features): mean, then log_var
    output, noise   (batch, features)
    penalty         a float, in float64

Kept for backward
    mean, std = exp(log_var / 2) and noise, each (batch, features).

Cost at 256 users and 200 features
    51,000 normal draws and exps a step.

What goes wrong
    With beta at 1 from the start the KL wins before the decoder has learned to use the code: every
    user becomes Normal(0, 1). So beta rises from 0, and no further than needed. A layer that learns
    the standard deviation itself has to keep it positive; its log has no such bound.

The draw
    By NumPy's normals of Philox under (seed, epoch, step, layer), in float32 whatever x is.

Source
    Kingma and Welling 2014 (arXiv 1312.6114), section 2.4 and appendix B; beta and its rise: Liang
    et al. 2018 (arXiv 1802.05814), section 2.2.2. Differences: the sum over the batch, where their
    code has the mean.

Example
    >>> import numpy as np
    >>> sample = GaussianSample(beta=0.5)
    >>> x = np.array([[3.0, np.log(4.0)]])                       # one feature: mean 3, variance 4
    >>> sample.forward(x, training=False)
    array([[3.]])
    >>> noise = (sample.forward(x, training=True, key=(0, 0, 0, 1)) - 3) / 2
    >>> np.array_equal(noise, draw_noise((1, 1), (0, 0, 0, 1)).astype(float))
    True
    >>> round(sample.penalty, 4)                                 # .5 * (4 + 9 - 1 - log(4)) / 2
    2.6534
    >>> sample.backward(np.array([[0.0]]))                       # .5 * 3 and .5 * (4 - 1) / 2
    array([[1.5 , 0.75]])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autoenc.layers.dropout import philox_of


def draw_noise(shape: tuple[int, int], key: tuple[int, int, int, int]) -> np.ndarray:
    """Standard normal numbers, float32 (batch, features), named by key = (seed, epoch, step, layer)."""
    return np.random.Generator(philox_of(key)).standard_normal(shape, np.float32)


class GaussianSample:
    """Draw from the normal distribution that the input describes. It has no parameters.

    Parameters
    ----------
    beta : float
        The weight of the KL in the loss; may be set between steps.

    Attributes
    ----------
    penalty : float
        What the last forward in training adds to the loss.
    """

    def __init__(self, beta: float):
        self.beta = float(beta)
        self.penalty = 0.0
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, x: np.ndarray, training: bool, key=None) -> np.ndarray:
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
