"""Adam: each weight moves by its gradient's running mean over its running size.

Step t = 1, 2, ... of a weight w with gradient grad_w
    m = beta1 * m + (1 - beta1) * grad_w              the first moment: which way, lately
    v = beta2 * v + (1 - beta2) * grad_w**2           the second: how large, lately
    w = w - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

m and v start at 0, so after t steps they hold only a share 1 - beta**t of a mean; dividing by it
is the bias correction. At t = 1 the step is lr * sign(grad_w), whatever the gradient's size.

Cost at the task's sizes
    13 million weights, each read and written with its two moments: 310 MB a step. The fast path
    touches an embedding row only when a batch holds its item.

What goes wrong
    eps added before the bias correction of v (as scikit-learn 1.7's MLP has it) is another
    optimizer where gradients are small: a 29th of the step at a gradient of 1e-9.

Source
    Kingma and Ba 2015 (arXiv 1412.6980), algorithm 1; torch.optim.Adam, PyTorch 2.13, with
    weight_decay=0, amsgrad=False. Differences: none.

Example
    >>> import numpy as np
    >>> w = np.array([1.0, 1.0])
    >>> adam = Adam({"w": w}, lr=0.1)
    >>> adam.step({"w": np.array([4.0, -0.001])})
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
        What is trained. Each keeps its dtype.
    lr : float
    betas : (float, float)
        The decay of the first and of the second moment, each in [0, 1).
    eps : float

    Attributes
    ----------
    first_moment, second_moment : dict of str to array
        m and v above, of each parameter's shape and dtype.
    step_count : int
        t above: the steps taken so far.
    """

    def __init__(self, params: dict[str, np.ndarray], lr=0.01, betas=(0.9, 0.999), eps=1e-8):
        self.params = params
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.first_moment = {name: np.zeros_like(w) for name, w in params.items()}
        self.second_moment = {name: np.zeros_like(w) for name, w in params.items()}
        self.step_count = 0

    def step(self, grads: dict[str, np.ndarray]) -> None:
        """Move every parameter by its gradient in `grads`, which has the same names."""
        self.step_count += 1
        for name in self.params:
            self.move(name, grads[name])

    def move(self, name: str, grad_w: np.ndarray) -> None:
        """Move one parameter by its gradient, in the step that `step_count` says."""
        beta1, beta2 = self.betas
        correction1 = 1 - beta1**self.step_count
        correction2 = 1 - beta2**self.step_count
        w, m, v = self.params[name], self.first_moment[name], self.second_moment[name]
        m += (1 - beta1) * (grad_w - m)
        v += (1 - beta2) * (grad_w * grad_w - v)
        w -= self.lr * (m / correction1) / (np.sqrt(v / correction2) + self.eps)
