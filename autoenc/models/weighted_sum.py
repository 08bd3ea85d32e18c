"""Standardized scores of several models, and their weighted sum.

Scale
    z = (score - mean) / standard deviation
    For each user, mean and standard deviation are taken over the items that can be ranked: all that the
    user has not liked. EASE's scores grow with the number of a user's likes and a network's logits do
    not, so no single weight brings both to the same scale for all users.

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
    """arrays[0] * weights[0] + arrays[1] * weights[1] + ..., summed from left to right into a new array.

    `arrays` are n_models arrays of one shape and dtype, such as (batch, n_items); `weights` is (n_models,).
    """
    total: Any = 0.0
    for array, weight in zip(arrays, weights.tolist()):
        total = total + array * weight
    weighted: np.ndarray = total
    return weighted


def standardized(scores: np.ndarray, liked: sparse.csr_array) -> np.ndarray:
    """The z above of scores (batch, n_items), for users with likes `liked` (batch, n_items).

    The result for a user does not depend on who else is in the batch, to the bit.
    """
    mean, spread = mean_and_spread(scores, liked)
    z: np.ndarray = scores - mean[:, None]
    z /= spread[:, None]
    return z


def mean_and_spread(scores: np.ndarray, liked: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (batch,) of each user's scores for the items not liked.

    The standard deviation is returned as 1 where it is 0, so that it can be divided by.
    """
    n_users, n_items = scores.shape
    n_ranked = np.maximum(n_items - np.diff(liked.indptr), 1)
    rows = np.repeat(np.arange(n_users), np.diff(liked.indptr))

    # Both sums treat each row by itself and in a fixed order.
    of_liked = np.bincount(rows, scores[rows, liked.indices], minlength=n_users)
    mean = ((scores.sum(axis=1) - of_liked) / n_ranked).astype(scores.dtype)
    centred = scores - mean[:, None]
    centred[rows, liked.indices] = 0
    spread = np.sqrt(np.square(centred).sum(axis=1) / n_ranked).astype(scores.dtype)
    return mean, np.where(spread > 0, spread, 1)
