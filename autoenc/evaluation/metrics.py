"""Ranking metrics, each with its formula and denominator, as packages disagree on both.

Every function takes the first k items of a ranking, best first, and returns one value per user:
    hit[r]  = 1 if the item at rank r (1, 2, ... k) was held out of the user's likes, else 0
    n_held  = number of held-out items
The rank discount of DCG, 1 / log2(r + 1), is 1, 0.631, 0.5, 0.431, ...

Conventions
    The value for a user with nothing held out is NaN; `autoenc.evaluate` counts such users and leaves
    them out of the mean. Padding with -1 counts as misses.
    Users with fewer than k held-out items are included in the mean; if that keeps a metric below 1,
    its docstring says so.
    Ranks beyond the size of the catalogue are misses.

Shapes
    top_items   (batch, k or more) int, best first, without duplicates in a row; -1 is padding. All
                n_items items suffice for a larger k. May also be bool: whether each item is a hit.
    held_out    (batch, n_items) CSR, canonical, as returned by `as_user_items`
    result      (batch,) float64

Source
    The definitions of trec_eval, if it has them, under the names used by ir-measures 0.4; the tests
    compare the two on real ratings.

Example
    >>> import numpy as np, scipy.sparse as sp
    >>> held_out = sp.csr_array(np.array([[0, 1, 1, 0, 1, 0], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]))
    >>> top_items = np.array([[4, 0, 2], [5, 0, -1], [1, 2, 3]])      # hits: 1 0 1, 0 1 0, none held out
    >>> precision_at_k(top_items, held_out, 2)
    array([0.5, 0.5, nan])
    >>> recall_at_k(top_items, held_out, 2).round(3), capped_recall_at_k(top_items, held_out, 2)
    (array([0.333, 1.   ,   nan]), array([0.5, 1. , nan]))
    >>> ndcg_at_k(top_items, held_out, 3).round(3)                    # (1 + .5) / (1 + .631 + .5); .631 / 1
    array([0.704, 0.631,   nan])
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from autoenc.checks import whole_number


def precision_at_k(top_items: np.ndarray, held_out: sparse.csr_array, k: int) -> np.ndarray:
    """Fraction of the first k items that are hits: sum of hit / k.

    The denominator is k for every user, so with fewer than k held-out items it is at most n_held / k.
    This is the task's precision, and P@k of ir-measures. `implicit` 0.7 differs: it divides the hits
    of all users by the sum of min(k, n_held).
    """
    hits, n_held = _hits(top_items, held_out, k)
    return _where_held(hits.sum(axis=1) / k, n_held)


def recall_at_k(top_items: np.ndarray, held_out: sparse.csr_array, k: int) -> np.ndarray:
    """Fraction of the held-out items among the first k items: sum of hit / n_held.

    With more than k held-out items it is at most k / n_held. R@k of ir-measures.
    """
    hits, n_held = _hits(top_items, held_out, k)
    return _where_held(hits.sum(axis=1) / np.maximum(n_held, 1), n_held)


def capped_recall_at_k(top_items: np.ndarray, held_out: sparse.csr_array, k: int) -> np.ndarray:
    """Fraction of the hits that are possible in k ranks: sum of hit / min(k, n_held).

    1 can be reached for every user. Recall@R of Liang et al. 2018 (arXiv 1802.05814, section 4.2).
    """
    hits, n_held = _hits(top_items, held_out, k)
    return _where_held(hits.sum(axis=1) / np.clip(n_held, 1, k), n_held)


def ndcg_at_k(top_items: np.ndarray, held_out: sparse.csr_array, k: int) -> np.ndarray:
    """Normalized discounted cumulative gain: hits discounted by rank, relative to the best possible ranking.

    sum of hit[r] / log2(r + 1), over sum of 1 / log2(r + 1) for r = 1 ... min(k, n_held). 1 can be
    reached for every user. nDCG@k of ir-measures; NDCG@R of Liang et al. 2018.
    """
    hits, n_held = _hits(top_items, held_out, k)
    n_places = hits.shape[1]  # k, or fewer if k exceeds the catalogue
    discounts = 1 / np.log2(np.arange(2, n_places + 2))  # (n_places,)
    ideal = np.cumsum(discounts)[np.clip(n_held, 1, n_places) - 1]  # (batch,)
    return _where_held(hits @ discounts / ideal, n_held)


def map_at_k(top_items: np.ndarray, held_out: sparse.csr_array, k: int) -> np.ndarray:
    """Average precision: the sum over hits of the precision at their rank, / n_held.

    sum of hit[r] * (hit[1] + ... + hit[r]) / r, over n_held. With more than k held-out items it stays
    below 1. AP@k of ir-measures (its mean over users is MAP). `implicit` and Kaggle divide by
    min(k, n_held) instead.
    """
    hits, n_held = _hits(top_items, held_out, k)
    precisions = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)  # (batch, k)
    return _where_held((hits * precisions).sum(axis=1) / np.maximum(n_held, 1), n_held)


def mrr_at_k(top_items: np.ndarray, held_out: sparse.csr_array, k: int) -> np.ndarray:
    """Reciprocal rank of the first hit, 0 if there is none among the first k. RR@k of ir-measures."""
    hits, n_held = _hits(top_items, held_out, k)
    return _where_held(hits.any(axis=1) / (hits.argmax(axis=1) + 1), n_held)


def hit_rate_at_k(top_items: np.ndarray, held_out: sparse.csr_array, k: int) -> np.ndarray:
    """1 if there is a hit among the first k, else 0. Success@k of ir-measures."""
    hits, n_held = _hits(top_items, held_out, k)
    return _where_held(hits.any(axis=1).astype(float), n_held)


PER_USER = {
    "precision": precision_at_k,
    "recall": recall_at_k,
    "capped_recall": capped_recall_at_k,
    "ndcg": ndcg_at_k,
    "map": map_at_k,
    "mrr": mrr_at_k,
    "hit_rate": hit_rate_at_k,
}
"""The metrics of hits, by their names in the reports of `autoenc.evaluate`."""


def novelty_at_k(top_items: np.ndarray, item_counts: np.ndarray, n_users: int, k: int) -> np.ndarray:
    """Mean self-information of the first k items, in bits: how rare they are.

    The mean of -log2(max(1, item_counts[item]) / n_users) over the first k items, without padding. An item
    that nobody likes counts as liked by one user. NaN if the ranking is all padding. Novelty of Zhou et
    al. 2010 (PNAS 107:4511). It ignores hits, so it should be read together with a metric of accuracy.

    Parameters
    ----------
    item_counts : array (n_items,)
        Number of users who like each item in the training likes.
    n_users : int
        Number of training users.
    """
    top_items = _first(top_items, k, len(item_counts))
    bits = np.log2(n_users) - np.log2(np.maximum(item_counts, 1), dtype=np.float64)  # (n_items,)
    ranked = top_items >= 0  # (batch, k)
    n_ranked = ranked.sum(axis=1)
    return _where_held((bits[top_items] * ranked).sum(axis=1) / np.maximum(n_ranked, 1), n_ranked)


def popularity_bias_at_k(top_items: np.ndarray, shown: sparse.csr_array, item_counts: np.ndarray, k: int) -> np.ndarray:
    """Popularity of the recommended items relative to that of the user's likes; 1 means twice as popular.

    The mean of log2(max(1, item_counts[item])) over the first k items, without padding, minus its mean over
    the user's own likes. NaN for a user without likes, or if the ranking is all padding. Abdollahpouri
    et al. 2019 (arXiv 1907.13286, section 4.2) take the ratio of the mean counts, which is dominated by
    a few very popular items.

    Parameters
    ----------
    shown : csr_array (batch, n_items), canonical
        The users' own training likes.
    item_counts : array (n_items,)
        Number of users who like each item in the training likes.
    """
    bits = np.log2(np.maximum(item_counts, 1), dtype=np.float64)  # (n_items,)
    n_own = np.diff(shown.indptr)
    own = np.bincount(np.repeat(np.arange(len(n_own)), n_own), bits[shown.indices], len(n_own))  # (batch,)
    top_items = _first(top_items, k, len(item_counts))
    ranked = top_items >= 0  # (batch, k)
    n_ranked = ranked.sum(axis=1)
    recommended = (bits[top_items] * ranked).sum(axis=1)
    bias = recommended / np.maximum(n_ranked, 1) - own / np.maximum(n_own, 1)
    return np.where((n_ranked > 0) & (n_own > 0), bias, np.nan)


def serendipity_at_k(
    top_items: np.ndarray, held_out: sparse.csr_array, ranks_by_popularity: np.ndarray, k: int
) -> np.ndarray:
    """Fraction of the first k items that are hits and not obvious: unexpected hits / k.

    A hit is unexpected if the item is not among the k most popular items that the user has not liked. At
    most the precision. Ge et al. 2010 (RecSys, section 3.2), where a primitive model's recommendations
    are the expected ones, and a hit is useful.

    Parameters
    ----------
    ranks_by_popularity : array of the shape of top_items
        The rank, from 0, at which popularity would recommend each item to the user, as returned by
        `evaluation.popularity.Popularity.ranks`.
    """
    hits, n_held = _hits(top_items, held_out, k)
    is_expected = _first(ranks_by_popularity, k, held_out.shape[1]) < k
    return _where_held((hits & ~is_expected).sum(axis=1) / k, n_held)


def diversity_at_k(top_items: np.ndarray, item_vectors: np.ndarray, k: int) -> np.ndarray:
    """Mean of 1 - cosine similarity over all pairs of the first k items.

    It depends on the vectors: with those of another model the diversity of a list is different. A vector
    of zeros has a cosine of 0 with every other. NaN if fewer than two items are ranked. Smyth and
    McClave 2001 (ICCBR, section 2.2), with the cosine as similarity.

    Parameters
    ----------
    item_vectors : array (n_items, dim), floating
        Vectors of the items, such as `ELSA.item_vectors()`.
    """
    top_items = _first(top_items, k, len(item_vectors))
    lengths = np.linalg.norm(item_vectors, axis=1)
    total = np.zeros((len(top_items), item_vectors.shape[1]))
    n_unit = np.zeros(len(top_items))  # number of vectors of length 1
    for of_rank in top_items.T:
        ranked = (of_rank >= 0) & (lengths[of_rank] > 0)
        total[ranked] += item_vectors[of_rank[ranked]] / lengths[of_rank[ranked], None]
        n_unit += ranked
    # |sum of unit vectors|**2 = their number + twice the sum of the cosines of all pairs
    twice_cosines = np.square(total).sum(axis=1) - n_unit
    n_ranked = (top_items >= 0).sum(axis=1)
    return np.where(n_ranked > 1, 1 - twice_cosines / np.maximum(n_ranked * (n_ranked - 1), 1), np.nan)


def gini(times_recommended: np.ndarray) -> float:
    """Gini coefficient of the recommendations: 0 if all items are recommended equally often, near 1 if only one is.

    With x ascending, sum of (2 * i - n_items - 1) * x[i] for i = 1 ... n_items, over n_items * sum of x.
    One number for all users together; NaN if nothing was recommended. Fleder and Hosanagar 2009
    (Management Science 55:697), equation 4, for recommendations in place of sales.

    Parameters
    ----------
    times_recommended : array (n_items,)
        Number of users to whom each item is recommended.
    """
    x = np.sort(np.asarray(times_recommended, np.float64))
    n_items, total = len(x), x.sum()
    if not total:
        return float("nan")
    return float((2 * np.arange(1, n_items + 1) - n_items - 1) @ x / (n_items * total))


def coverage(top_items: np.ndarray, n_items: int) -> float:
    """Fraction of all items that are recommended to any user: distinct items in top_items / n_items.

    One number for all users together, so `top_items` holds the first k items of all of them, in any shape.
    At most n_users * k / n_items. Catalogue coverage of Ge et al. 2010 (RecSys, section 3.1).
    """
    distinct = np.unique(top_items)
    return float((distinct >= 0).sum() / n_items)


def _hits(top_items: np.ndarray, held_out: sparse.csr_array, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Mask (batch, k) of the first k (or all ranked) items that were held out, and the number held out (batch,)."""
    batch, n_items = held_out.shape
    top_items = _first(top_items, k, n_items)
    if len(top_items) != batch:
        raise ValueError(
            f"top_items has {len(top_items):,} rows, but held_out has {batch:,}; pass one row per user in both."
        )
    if top_items.dtype == bool:
        return top_items, np.diff(held_out.indptr)
    if top_items.size and top_items.max() >= n_items:
        raise ValueError(f"top_items holds the item {top_items.max()}, but held_out has {n_items:,} columns.")
    if not held_out.has_canonical_format:
        raise ValueError("held_out is not canonical (ascending indices without duplicates); call as_user_items on it.")
    n_held = np.diff(held_out.indptr)
    # One number for each pair of user and item. Rows and their indices ascend, and so do the pairs.
    first_pair = np.arange(batch, dtype=np.int64) * n_items
    held_pairs = np.repeat(first_pair, n_held) + held_out.indices  # (n_held_pairs,)
    pairs = first_pair[:, None] + top_items  # (batch, k)
    at = np.searchsorted(held_pairs, pairs)
    found = np.append(held_pairs, -1)[at] == pairs
    return found & (top_items >= 0), n_held


def _first(top_items: np.ndarray, k: int, n_items: int) -> np.ndarray:
    top_items = np.asarray(top_items)
    k = whole_number("k", k, 1)
    if top_items.ndim != 2 or top_items.shape[1] < min(k, n_items):
        least = f"k = {k}" if k <= n_items else f"the {n_items:,} items"
        raise ValueError(f"top_items has shape {top_items.shape}; pass (batch, n) with n at least {least}.")
    return top_items[:, :k]


def _where_held(values: np.ndarray, n_held: np.ndarray) -> np.ndarray:
    return np.where(n_held > 0, values, np.nan)
