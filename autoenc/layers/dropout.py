"""Dropout: in training, forget each value with probability p and scale up what stays.

Forward, in training
    mask   = 1 / keep where a random draw keeps the value, else 0          keep = 1 - p
    output = x * mask
Forward, in evaluation
    output = x

Backward
    grad_input = grad_output * mask

Shapes
    x, mask, output   (batch, features)

Kept for backward
    mask (batch, features) as booleans, a byte an element.

Cost at the task's sizes
    307,000 draws a step; `draw_mask` says how.

What goes wrong
    A mask that isn't rescaled makes training see half of what evaluation sees. Scaling up in
    training (inverted dropout) leaves evaluation as it is.

Source
    Srivastava et al. 2014, section 10 (inverted dropout); torch.nn.Dropout, PyTorch 2.13.
    Differences: the random numbers, and p rounded to 1/65536. Philox: Salmon et al. 2011.

Example
    >>> import numpy as np
    >>> dropout = Dropout(p=0.5)
    >>> output = dropout.forward(np.ones((2, 4)), training=True, key=(0, 0, 0, 1))
    >>> output
    array([[0., 0., 0., 0.],
           [2., 2., 2., 0.]])
    >>> np.array_equal(dropout.backward(np.ones((2, 4))), output)
    True
"""

from __future__ import annotations

from typing import Any

import numpy as np


def draw_mask(shape: tuple[int, int], threshold: int, key: tuple[int, int, int, int]) -> np.ndarray:
    """Which values stay: bool (batch, features), True with probability threshold / 65536.

    A value stays where a random 16-bit integer is below the threshold. The integers are cut from the
    64-bit words of Philox, a generator that is a function of a key and a counter: so (seed, epoch,
    step, layer), each from 0 to 2**64 - 1, names a mask, whoever draws it and on however many
    threads. They cost a quarter of what as many random floats do.
    """
    size = shape[0] * shape[1]
    words = philox_of(key).random_raw(-(-size // 4)).astype("<u8", copy=False)
    draws = words.view("<u2")[:size]  # four to a word
    return (draws < threshold).reshape(shape)


def philox_of(key: tuple[int, int, int, int]) -> np.random.Philox:
    """The generator of what is random in one layer at one step."""
    seed, epoch, step, layer = key
    return np.random.Philox(key=_words(seed, layer), counter=_words(0, 0, step, epoch))


def _words(*numbers):
    return np.array(numbers, np.uint64)  # a list of them would turn into floats from 2**63 on


class Dropout:
    """Drop each value with probability `p`, 0 <= p < 1. It has no parameters.

    Raises
    ------
    ValueError
        If p is not in [0, 1).
    """

    def __init__(self, p: float):
        if not 0 <= p < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {p}")
        self.threshold = max(1, round((1 - p) * 65536))  # of 16-bit integers, see `draw_mask`
        self.scale = 65536 / self.threshold  # 1 / keep, by the keep rate that the threshold really gives
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, x: np.ndarray, training: bool, key=None) -> np.ndarray:
        if not training:
            return x
        mask = draw_mask(x.shape, self.threshold, key)  # (batch, features)
        self.kept = mask
        return x * mask * self.scale  # (batch, features)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        mask, self.kept = self.kept, None
        return grad_output * mask * self.scale  # (batch, features)
