"""InputNormalization: scale each user's row of likes to length 1, and add the first layer's bias.

Forward
    size   = sqrt(max(1, n_likes))
    output = item_sum / size + bias
    A row of n_likes ones has length sqrt(n_likes). Dividing item_sum, its product with the embedding, is the
    same as dividing the row.

Backward
    grad_bias  = sum of grad_output over the batch
    grad_input = grad_output / size

Shapes: item_sum and output (batch, features); bias (features,); n_likes (batch,), the number of rows in each sum.
Kept for backward: size (batch, 1).
Source: Liang et al. 2018 (arXiv 1802.05814), l2_normalize in their code; torch.nn.functional.normalize, PyTorch 2.13.
    Differences: they normalize the row before dropping likes; here the likes that are kept are normalized.
Lesson: docs/lessons/input_normalization.md

Example
    >>> normalization = InputNormalization(bias=np.array([1.0, 0.0]))
    >>> normalization.forward(np.array([[6.0, 8.0], [0.0, 0.0]]), n_likes=np.array([4, 0]))
    array([[4., 4.],
           [1., 0.]])
    >>> normalization.backward(np.array([[1.0, 3.0], [5.0, 7.0]])), normalization.grads["bias"]
    (array([[0.5, 1.5],
           [5. , 7. ]]), array([ 6., 10.]))
"""

from __future__ import annotations

from typing import Any

import numpy as np


class InputNormalization:
    """Divide each user's sum by the length of the row of likes, and add a bias.

    Parameters
    ----------
    bias : array (features,), floating
        Not copied: the optimizer updates it in place.
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
