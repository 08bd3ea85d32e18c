"""Adam: each weight moves by the running mean of its gradient, divided by the gradient's running size.

Step t = 1, 2, ... of a weight w with gradient grad_w
    m = beta1 * m + (1 - beta1) * grad_w              the first moment: the running mean
    v = beta2 * v + (1 - beta2) * grad_w**2           the second moment: the running size, squared
    w = w - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)
    m and v start at 0. Dividing by 1 - beta**t corrects for that.

Shapes: w, grad_w, m and v all have the parameter's shape and dtype.
Kept between steps: m and v for each weight, and t.
Source: Kingma and Ba 2015 (arXiv 1412.6980), algorithm 1; torch.optim.Adam, PyTorch 2.13, with
    weight_decay=0 and amsgrad=False. Differences: none.
Lesson: docs/lessons/adam.md

Example
    >>> w = np.array([1.0, 1.0])
    >>> adam = Adam({"w": w}, lr=0.1)
    >>> adam.step({"w": np.array([4.0, -0.001])})  # the first step is lr long, whatever the gradient
    >>> w.round(4)
    array([0.9, 1.1])
"""

from __future__ import annotations

import numpy as np


class Adam:
    """Adam with bias correction over a dict of arrays, which it updates in place.

    Parameters
    ----------
    params : dict of str to array, floating
        The arrays to train, of any shape and floating dtype.
    lr : float
    betas : (float, float)
        Decay rates of the first and second moment, each in [0, 1).
    eps : float

    Attributes
    ----------
    first_moment, second_moment : dict of str to array
        m and v above, with each parameter's shape and dtype.
    step_count : int
        t above: the number of steps taken so far.
    """

    def __init__(
        self,
        params: dict[str, np.ndarray],
        lr: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        self.params = params
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.first_moment = {name: np.zeros_like(w) for name, w in params.items()}
        self.second_moment = {name: np.zeros_like(w) for name, w in params.items()}
        self.step_count = 0

    def step(self, grads: dict[str, np.ndarray]) -> None:
        """Update all parameters with their gradients in `grads`, which has the same names."""
        self.step_count += 1
        for name in self.params:
            self.move(name, grads[name])

    def move(self, name: str, grad_w: np.ndarray) -> None:
        """Update one parameter with its gradient, as part of step `step_count`."""
        beta1, beta2 = self.betas
        correction1 = 1 - beta1**self.step_count
        correction2 = 1 - beta2**self.step_count
        w, m, v = self.params[name], self.first_moment[name], self.second_moment[name]
        m += (1 - beta1) * (grad_w - m)
        v += (1 - beta2) * (grad_w * grad_w - v)
        w -= self.lr * (m / correction1) / (np.sqrt(v / correction2) + self.eps)
