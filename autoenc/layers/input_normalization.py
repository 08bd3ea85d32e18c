"""InputNormalization: a user's row of likes at length 1, and the first layer's bias.

Forward
    output = item_sum / sqrt(max(1, n_likes)) + bias
    A row x of n ones has length sqrt(n). As (x / sqrt(n)) @ W = (x @ W) / sqrt(n), the embedding's
    sums are divided instead of the rows, and the embedding stays a sum of rows.

Backward
    grad_bias  = sum of grad_output over the batch
    grad_input = grad_output / sqrt(max(1, n_likes))

Shapes
    item_sum, output   (batch, features)
    n_likes            (batch,)  how many rows each sum is of: after input dropout, the kept ones
    bias               (features,)

Kept for backward
    size = sqrt(max(1, n_likes)), (batch, 1).

Cost at 256 users and 600 features
    A division and a sum an element, 154,000 a step.

What goes wrong
    A user without a like has length 0; max(1, .) makes its output the bias. Leaving one like out of
    n changes the scale of all others, which an explanation has to follow.

Source
    Liang et al. 2018 (arXiv 1802.05814), l2_normalize of their code's input;
    torch.nn.functional.normalize(x) and torch.nn.Linear, PyTorch 2.13. Differences: there the row
    is normalized and then dropped out and scaled up; here what was kept is normalized.

Example
    >>> import numpy as np
    >>> normalization = InputNormalization(bias=np.array([1.0, 0.0]))
    >>> normalization.forward(np.array([[6.0, 8.0], [0.0, 0.0]]), n_likes=np.array([4, 0]))
    array([[4., 4.],
           [1., 0.]])
    >>> normalization.backward(np.array([[1.0, 3.0], [5.0, 7.0]]))
    array([[0.5, 1.5],
           [5. , 7. ]])
    >>> normalization.grads["bias"]
    array([ 6., 10.])
"""

from __future__ import annotations

from typing import Any

import numpy as np


class InputNormalization:
    """Divide each user's sum by the length of the row of likes, and add a bias.

    Parameters
    ----------
    bias : array (features,), floating
        Held, not copied: the optimizer updates it in place.
    """

    def __init__(self, bias: np.ndarray):
        self.params: dict[str, np.ndarray] = {"bias": bias}
        self.grads: dict[str, Any] = {"bias": None}
        self.kept: Any = None

    def forward(self, item_sum: np.ndarray, n_likes: np.ndarray, training: bool = True) -> np.ndarray:
        size = np.sqrt(np.maximum(1, n_likes)).astype(item_sum.dtype)[:, None]  # (batch, 1)
        if training:
            self.kept = size
        return item_sum / size + self.params["bias"]  # (batch, features)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        size, self.kept = self.kept, None
        self.grads["bias"] = grad_output.sum(axis=0)  # (features,)
        return grad_output / size  # (batch, features)
