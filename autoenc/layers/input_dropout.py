"""InputDropout: in training the network sees some of a user's likes, and is to predict all.

Forward, in training
    output = user_items without each like that a random draw drops, with probability p
    What stays is still a one: it is not scaled up, InputNormalization sees to the scale.
Forward, in evaluation
    output = user_items

Backward
    There is none: the input is ids, and an id has no slope. The gradient of a row of the embedding
    is summed over the likes that stayed, as SparseEmbedding keeps what it was given.

Shapes
    user_items, output   (batch, n_items)  sparse CSR of ones

Kept for backward
    Nothing.

Cost at the task's sizes
    29,000 draws a step, one a like, and a copy of what stays.

What goes wrong
    The loss's targets are all likes; with what stayed as target the network learns that what was
    dropped is not liked.

The draw
    As Dropout's: 16-bit integers of Philox against a threshold, named by (seed, epoch, step, layer).
    The likes take them in their order in the CSR, the zeros none.

Source
    Vincent et al. 2008, denoising autoencoders; Liang et al. 2018 (arXiv 1802.05814), section 3.
    Differences: Liang et al. scale up what stays, after normalizing the whole row.

Example
    >>> import numpy as np, scipy.sparse as sp
    >>> user_items = sp.csr_array(np.array([[1, 1, 1, 0, 1], [0, 1, 0, 1, 1]]))
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
    """Forget each like with probability `p`, 0 <= p < 1. It has no parameters.

    Raises
    ------
    ValueError
        If p is not in [0, 1).
    """

    def __init__(self, p: float):
        self.threshold = Dropout(p).threshold
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, Any] = {}
        self.kept: Any = None

    def forward(self, user_items: sparse.csr_array, training: bool, key=None) -> sparse.csr_array:
        if not training:
            return user_items
        mask = draw_mask((1, user_items.nnz), self.threshold, key)[0]  # (n_likes,)
        n_before = np.append(0, np.cumsum(mask)).astype(user_items.indptr.dtype)  # (n_likes + 1,)
        kept = user_items.data[mask], user_items.indices[mask], n_before[user_items.indptr]
        return sparse.csr_array(kept, shape=user_items.shape)
