"""Dropout: in training, set each value to zero with probability p and scale up the others.

Forward, in training
    mask   = 1 / keep where a random draw keeps the value, else 0          keep = 1 - p
    output = x * mask

Forward, in evaluation
    output = x

Backward
    grad_input = grad_output * mask

Shapes: x, mask and output (batch, features).
Kept for backward: which values the mask keeps, one byte per element.
Source: Srivastava et al. 2014, section 10; torch.nn.Dropout, PyTorch 2.13.
    Differences: the random numbers (see `draw_mask`), and p is rounded to a multiple of 1/65536.
Lesson: docs/lessons/dropout.md

Example
    >>> dropout = Dropout(p=0.5)
    >>> dropout.forward(np.ones((2, 4)), training=True, key=(0, 0, 0, 1))
    array([[0., 0., 0., 0.],
           [2., 2., 2., 0.]])
    >>> dropout.backward(np.ones((2, 4)))
    array([[0., 0., 0., 0.],
           [2., 2., 2., 0.]])
"""

from __future__ import annotations

from typing import Any

import numpy as np


def draw_mask(shape: tuple[int, int], threshold: int, key: tuple[int, int, int, int]) -> np.ndarray:
    """Which values to keep: bool (batch, features), True with probability threshold / 65536.

    A value is kept if a random 16-bit integer is below the threshold. The integers are quarters of 64-bit
    words from Philox, which takes a quarter of the time of as many random floats. Philox is a function of
    a key and a counter, with no other state: a mask depends only on its key = (seed, epoch, step, layer),
    each from 0 to 2**64 - 1, whichever process or thread draws it.
    """
    size = shape[0] * shape[1]
    words = philox_of(key).random_raw(-(-size // 4)).astype("<u8", copy=False)
    draws = words.view("<u2")[:size]  # four per word
    return (draws < threshold).reshape(shape)


def philox_of(key: tuple[int, int, int, int]) -> np.random.Philox:
    """The generator of the random numbers of one layer in one step."""
    seed, epoch, step, layer = key
    return np.random.Philox(key=_words(seed, layer), counter=_words(0, 0, step, epoch))


def _words(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint64)  # without the dtype, numbers of 2**63 or more could become floats


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
        self.p = p
        self.threshold = max(1, round((1 - p) * 65536))  # out of 65536: see `draw_mask`
        self.scale = 65536 / self.threshold  # 1 / keep, for the exact keep rate of the threshold
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, x: np.ndarray, training: bool, key: Any = None) -> np.ndarray:
        if not training:
            return x
        mask = draw_mask(x.shape, self.threshold, key)  # (batch, features)
        self.kept = mask
        return x * mask * self.scale  # (batch, features)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        mask, self.kept = self.kept, None
        return grad_output * mask * self.scale  # (batch, features)
