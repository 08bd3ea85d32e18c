"""InputDropout: in training, hide some of a user's likes, so that the network has to predict them from the others.

Forward, in training
    output = user_items, where each like is dropped with probability p

Forward, in evaluation
    output = user_items

Backward
    There is none: the input is a list of ids, which has no derivative.

Shapes: user_items and output (batch, n_items), sparse CSR of ones.
Kept for backward: nothing.
Source: Vincent et al. 2008; Liang et al. 2018 (arXiv 1802.05814), section 3.
    Differences: Liang et al. scale up the likes that are kept; here they remain ones (see InputNormalization).
Lesson: docs/lessons/input_dropout.md

Example
    >>> user_items = sparse.csr_array(np.array([[1, 1, 1, 0, 1], [0, 1, 0, 1, 1]]))
    >>> InputDropout(p=0.5).forward(user_items, training=True, key=(0, 0, 0, 0)).toarray()
    array([[0, 1, 0, 0, 1],
           [0, 0, 0, 0, 1]])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from autoenc.layers.dropout import Dropout, draw_mask


class InputDropout:
    """Drop each like with probability `p`, 0 <= p < 1. It has no parameters.

    Raises
    ------
    ValueError
        If p is not in [0, 1).
    """

    def __init__(self, p: float):
        self.p = p
        self.threshold = Dropout(p).threshold
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, user_items: sparse.csr_array, training: bool, key: Any = None) -> sparse.csr_array:
        if not training:
            return user_items
        mask = draw_mask((1, user_items.nnz), self.threshold, key)[0]  # (n_likes,)
        n_before = np.append(0, np.cumsum(mask)).astype(user_items.indptr.dtype)  # (n_likes + 1,)
        kept = user_items.data[mask], user_items.indices[mask], n_before[user_items.indptr]
        return sparse.csr_array(kept, shape=user_items.shape)
