"""Several models' scores on one scale, and their weighted sum.

Scale
    z = (score - mean) / spread
    Mean and standard deviation, of a user, are over the items that can be ranked: all but those liked.
    EASE's scores grow with the number of a user's likes and a network's logits don't, so that no one
    weight brings both to the same scale for everybody.

Example
    >>> liked = sparse.csr_array(np.array([[1, 0, 0, 0]]))
    >>> standardized(np.array([[9.0, 1.0, 2.0, 3.0]], np.float32), liked).round(3)
    array([[ 8.573, -1.225,  0.   ,  1.225]], dtype=float32)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import sparse


def weighted_sum(arrays: Iterable[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """arrays[0] * weights[0] + arrays[1] * weights[1] + ..., from the left: a new array of their shape and dtype.

    arrays is n_models of one shape, such as (batch, n_items), and weights (n_models,).
    """
    total: Any = 0.0
    for array, weight in zip(arrays, weights.tolist()):
        total = total + array * weight
    weighted: np.ndarray = total
    return weighted


def standardized(scores: np.ndarray, liked: sparse.csr_array) -> np.ndarray:
    """The scores (batch, n_items) as z above, of the users who liked these (batch, n_items).

    A user's z are the same bits whoever is in the batch.
    """
    mean, spread = mean_and_spread(scores, liked)
    z: np.ndarray = scores - mean[:, None]
    z /= spread[:, None]
    return z


def mean_and_spread(scores: np.ndarray, liked: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (batch,) of each user's scores of what isn't liked.

    A spread of 0, where all are equal, is answered by 1, by which anything may be divided.
    """
    n_users, n_items = scores.shape
    n_ranked = np.maximum(n_items - np.diff(liked.indptr), 1)
    rows = np.repeat(np.arange(n_users), np.diff(liked.indptr))

    # Each row by itself and in its own order: sums along the last axis, and of bins one after another.
    of_liked = np.bincount(rows, scores[rows, liked.indices], minlength=n_users)
    mean = ((scores.sum(axis=1) - of_liked) / n_ranked).astype(scores.dtype)
    centred = scores - mean[:, None]
    centred[rows, liked.indices] = 0
    spread = np.sqrt(np.square(centred).sum(axis=1) / n_ranked).astype(scores.dtype)
    return mean, np.where(spread > 0, spread, 1)
