"""The best N items of each user by a weighted sum of several models' scores, those already liked struck.

Definition: autoenc.evaluation.ranking.top_n_of_scores of autoenc.models.blend.weighted_sum.

A blend that looks for its weights ranks the same users by some dozens of sums. Here a user's sum is
made in the cache and ranked at once. Keeping the best takes most of the time, far more than reading
the scores. Product and sum are not fused, so the bits are those of NumPy, and so are the items where
scores are equal.
"""

from __future__ import annotations

import numpy as np

from autoenc.kernels.jit import kernel
from autoenc.kernels.top_n import CHUNK, insert


@kernel(fastmath=())
def top_n_of_sum(scores, weights, liked_indptr, liked_items, n):
    """Return the items (users, n) int32, best first, their sums (users, n), and whether any sum is NaN.

    scores is (n_models, users, n_items) and weights (n_models,), of one dtype; liked_indptr and
    liked_items are the CSR of what to strike. A sum of -inf strikes an item too. Where fewer than n
    items are left the rest is item -1 with the lowest number there is.
    """
    n_models, users, n_items = scores.shape
    items = np.full((users, n), -1, np.int32)
    best = np.full((users, n), np.finfo(scores.dtype).min, scores.dtype)
    total = np.empty(n_items, scores.dtype)
    any_nan = False
    for u in range(users):
        for j in range(n_items):
            total[j] = scores[0, u, j] * weights[0]
        for m in range(1, n_models):
            for j in range(n_items):
                total[j] += scores[m, u, j] * weights[m]
        n_nan = 0
        for j in range(n_items):
            n_nan += total[j] != total[j]
        any_nan |= n_nan > 0
        for i in range(liked_indptr[u], liked_indptr[u + 1]):
            total[liked_items[i]] = np.nan
        keep_best(total, items[u], best[u])
    return items, best, any_nan


@kernel
def keep_best(scores, items, best):
    """Fill items and best (n,) with the best of scores (n_items,); one of NaN or -inf is passed over."""
    n, found = len(items), 0
    for start in range(0, len(scores), CHUNK):
        chunk = scores[start : start + CHUNK]
        if found < n or count_above(chunk, best[n - 1]) > 0:
            for j in range(len(chunk)):
                found = insert(start + j, chunk[j], items, best, found)


@kernel
def count_above(scores, bound):
    """How many are above the bound: without a branch, so that many are compared at once."""
    n = 0
    for j in range(len(scores)):
        n += scores[j] > bound
    return n
