"""The rank of each held-out item by weighted sums of several models' scores, without liked items.

Definition: the position of the item in autoenc.evaluation.ranking.top_n_of_scores of
autoenc.models.weighted_sum.weighted_sum, for all items.

The search for a blend's weights ranks the same users by some hundred sums, and metrics of hits depend only
on the ranks of the held-out items. A rank is the number of scores above the item's own, so nothing is
sorted: each held-out item takes one pass without branches over sums in the cache. Product and sum are not
fused, so the bits, and with them the ranks of ties, are those of NumPy.
"""

from __future__ import annotations

import numpy as np

from autoenc.kernels.jit import kernel


@kernel(fastmath=())
def ranks_of_sum(scores, weights, liked, held_out):
    """Return the ranks from 0 (n_sums, n_held) int32, and whether any sum is NaN.

    scores is (n_models, users, n_items) and weights (n_sums, n_models), of the same dtype; liked and
    held_out are each the indptr and indices of a CSR, of the items to exclude and to find. Items with a sum
    of -inf are excluded too. The rank of a held-out item that is excluded is n_items.
    """
    (liked_indptr, liked_items), (held_indptr, held_items) = liked, held_out
    n_models, users, n_items = scores.shape
    ranks = np.empty((len(weights), len(held_items)), np.int32)
    total = np.empty(n_items, scores.dtype)
    any_nan = False
    for u in range(users):
        for s in range(len(weights)):
            for j in range(n_items):
                total[j] = scores[0, u, j] * weights[s, 0]
            for m in range(1, n_models):
                for j in range(n_items):
                    total[j] += scores[m, u, j] * weights[s, m]
            n_nan = 0
            for j in range(n_items):
                n_nan += total[j] != total[j]
            any_nan |= n_nan > 0
            for i in range(liked_indptr[u], liked_indptr[u + 1]):
                total[liked_items[i]] = -np.inf
            for i in range(held_indptr[u], held_indptr[u + 1]):
                ranks[s, i] = rank_of(held_items[i], total)
    return ranks, any_nan


@kernel
def rank_of(item, scores):
    """The number of scores (n_items,) above the item's, plus the ties with lower item numbers."""
    score = scores[item]
    if score == -np.inf:
        return len(scores)
    lower, higher = scores[:item], scores[item + 1 :]
    n = 0
    for j in range(len(lower)):
        n += lower[j] >= score
    for j in range(len(higher)):
        n += higher[j] > score
    return n
