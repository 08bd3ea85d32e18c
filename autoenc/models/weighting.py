"""The confidence of each like, from its weight and its age.

Confidence c of a like with weight w (1 if likes have none) at time t
    c = w * 2**(-(latest - t) / half_life)           without a half_life, c = w
    A user whose likes all have weight 2 counts in training as much as two users.

Training on pairs of likes
    x    = sqrt(c), where latest is the latest time of all training likes
    A pair of likes with confidences c and d counts sqrt(c * d), which x.T @ x sums.

Input
    x    = c / sqrt(mean of c**2 over the user's likes), where latest is the user's own latest time
    A user's likes are weighted relative to each other: x has the same length sqrt(n_likes) as ones
    have, the latest like of a user who has been away for years counts as much as any other user's, and
    the result does not depend on other users. Likes without weights and times all count 1.

Source
    Confidence: Hu, Koren and Volinsky 2008 (ICDM), section 4. Decay by a half-life: Ding and Li 2005,
    Time Weight Collaborative Filtering (CIKM), where it is applied to the input only.

Example
    >>> from autoenc.interactions import Interactions
    >>> likes = Interactions.from_pairs([1, 1], [1, 2], times=[0, 90 * DAY]).user_items
    >>> confidences(likes, half_life=90)
    array([0.5, 1. ])
    >>> weighted_input(likes, half_life=90).data.round(3)
    array([0.632, 1.265], dtype=float32)
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse

from autoenc.interactions import UserItems, likes_per_item
from autoenc.layers.confidence_embedding import shares
from autoenc.messages import shown

DAY = 86_400
"""In seconds: half-lives are in days, times in seconds."""

LEAST = -100.0  # of the exponent, so that even the square of an old like's confidence stays above 0


def check_half_life(half_life: Any) -> None:
    """Raise ValueError unless it is a number of days above 0, or None."""
    is_number = isinstance(half_life, Real) and not isinstance(half_life, bool)
    if half_life is not None and not (is_number and 0 < float(half_life) < math.inf):
        raise ValueError(f"half_life is {shown(half_life)}; pass a number of days above 0, such as 90, or None.")


def confidences(user_items: UserItems | sparse.csr_array, half_life: float | None) -> np.ndarray | None:
    """c of each like, (n_likes,) float64, relative to the latest; None if every like counts 1.

    Raises ValueError if half_life is given and the likes have no times.
    """
    weights, times = getattr(user_items, "weights", None), getattr(user_items, "times", None)
    if half_life is None:
        return None if weights is None else weights.astype(np.float64)
    if times is None:
        raise ValueError(
            f"half_life is {half_life}, but the likes have no times; pass likes with times, such as "
            "datasets.load(times=True), or half_life=None."
        )
    age = (times.max() if len(times) else 0) - times
    return _decayed(user_items, age, half_life)


def weighted_pairs(user_items: UserItems, half_life: float | None) -> sparse.csr_array:
    """The x above for pairs of likes: a float64 CSR of sqrt(c), or the likes themselves if every one counts 1."""
    counts = confidences(user_items, half_life)
    return user_items if counts is None else with_data(user_items, np.sqrt(counts))


def weighted_input(user_items: sparse.csr_array, half_life: float | None) -> sparse.csr_array:
    """The x above as input: a float32 CSR, or the likes themselves if every one counts 1."""
    if not isinstance(user_items, UserItems):
        return user_items
    times = None if half_life is None else user_items.times
    if user_items.weights is None and times is None:
        return user_items
    age = None if times is None else _latest_of_user(user_items.indptr, times) - times
    share = shares(user_items.indptr, _decayed(user_items, age, half_life))
    return with_data(user_items, share.astype(np.float32))


def item_totals(user_items: sparse.csr_array) -> np.ndarray:
    """The sum of c over the likes of each item: (n_items,), int64 for checked likes, float64 for `weighted_pairs`."""
    if isinstance(user_items, UserItems):
        return likes_per_item(user_items)
    return np.bincount(user_items.indices, user_items.data**2, minlength=user_items.shape[1])


def _decayed(user_items: UserItems, age: np.ndarray | None, half_life: float | None) -> np.ndarray:
    """c (n_likes,) of likes of these ages in seconds; None for age 0."""
    counts = np.ones(user_items.nnz) if user_items.weights is None else user_items.weights.astype(np.float64)
    if age is not None and half_life is not None:
        counts *= np.exp2(np.maximum(age / (-DAY * half_life), LEAST))
    return counts


def _latest_of_user(indptr: np.ndarray, times: np.ndarray) -> np.ndarray:
    """For each like, the time of its user's latest like: (n_likes,)."""
    n_likes = np.diff(indptr)
    latest: np.ndarray = np.maximum.reduceat(times, indptr[:-1][n_likes > 0]) if len(times) else times
    return np.repeat(latest, n_likes[n_likes > 0])


def with_data(user_items: sparse.csr_array, data: np.ndarray) -> sparse.csr_array:
    """The same likes with `data` in place of ones."""
    return sparse.csr_array((data, user_items.indices, user_items.indptr), shape=user_items.shape)
