"""Synthetic likes with the size of MovieLens 10M, or any other size, for use where real ones are not available.

Each item has a popularity and a taste, and each user a taste, all drawn at random:

    appeal[u, i] = log_popularity[i] + user_taste[u] @ item_taste[i]

and user u likes n_likes[u] different items, drawn without replacement, each with probability
proportional to exp(appeal[u, i]) among those left (the Plackett-Luce model). Such a sample consists of
the items with the n_likes[u] smallest values of E[u, i] / exp(appeal[u, i]), with E drawn from
Exponential(1).

Popularities are log-normal, and so is the number of a user's likes above the minimum. With the
spreads below and the default size, users have 20 to 7,474 likes (median 69) and items 0 to 36,530
(median 325); the task's network reaches a p@1 of 0.54 in one epoch, and popularity 0.19.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from autoenc.interactions import Interactions
from autoenc.machine import compute_threads

TASTES = 12  # dimensions
SPREAD_OF_TASTE = 1.75  # standard deviation of user_taste[u] @ item_taste[i]
SPREAD_OF_POPULARITY = 1.9  # standard deviation of log_popularity
SPREAD_OF_ACTIVITY = 1.35  # standard deviation of the log of a user's likes above the minimum
LEAST_LIKES = 20
LARGEST_SHARE = 0.7  # the largest share of all items that a user likes

_CELLS_AT_A_TIME = 1 << 22  # of the users x items matrix, which is never held in full


def synthetic(n_users: int = 69_878, n_items: int = 10_677, n_likes: int = 10_000_054, seed: int = 0) -> Interactions:
    """Draw likes with long-tailed users, long-tailed items and tastes that can be learned.

    Parameters
    ----------
    n_users, n_items, n_likes : int
        The exact size; the defaults are those of MovieLens 10M. Each user has at least 20 likes, or half
        the mean if that is less; in small sets an item may have none.
    seed : int

    Returns
    -------
    Interactions
        The likes, named "synthetic", with ids from 1 and no titles. The same seed gives the same likes at any
        number of threads; another kind of processor may give slightly different ones.

    Raises
    ------
    ValueError
        If there are fewer likes than users, or more than users times items.

    Examples
    --------
    >>> synthetic(n_users=100, n_items=50, n_likes=1000)
    Interactions('synthetic', 100 users x 50 items, 1,000 likes)
    """
    if not 1 <= n_users <= n_likes <= n_users * n_items:
        raise ValueError(
            f"n_likes is {n_likes:,} for {n_users:,} users and {n_items:,} items; "
            f"pass a number from n_users to n_users * n_items = {n_users * n_items:,}."
        )
    rng = np.random.Generator(np.random.Philox(seed))
    likes_of_user = _likes_of_users(n_users, n_items, n_likes, rng)
    log_popularity = SPREAD_OF_POPULARITY * rng.standard_normal(n_items, np.float32)
    item_taste = rng.standard_normal((n_items, TASTES), np.float32)
    user_taste = rng.standard_normal((n_users, TASTES), np.float32) * np.float32(SPREAD_OF_TASTE / np.sqrt(TASTES))

    indptr = np.concatenate([[0], np.cumsum(likes_of_user)])
    indices = np.empty(n_likes, np.int32)
    users_at_a_time = max(1, _CELLS_AT_A_TIME // n_items)
    with compute_threads():
        for start in range(0, n_users, users_at_a_time):
            users = np.arange(start, min(start + users_at_a_time, n_users))
            appeal = user_taste[users] @ item_taste.T  # (users, n_items)
            appeal += log_popularity
            arrival = rng.standard_exponential(appeal.shape, np.float32)
            arrival *= np.exp(-appeal)
            for user, times in zip(users, arrival):
                liked = np.argpartition(times, likes_of_user[user] - 1)[: likes_of_user[user]]
                indices[indptr[user] : indptr[user + 1]] = np.sort(liked)

    user_items = sparse.csr_array((np.ones(n_likes, np.float32), indices, indptr), shape=(n_users, n_items))
    return Interactions.from_csr(
        user_items, user_ids=np.arange(1, n_users + 1), item_ids=np.arange(1, n_items + 1), name="synthetic"
    )


def _likes_of_users(n_users: int, n_items: int, n_likes: int, rng: np.random.Generator) -> np.ndarray:
    """Each user's number of likes: least + scale * log-normal, with scale chosen so that they sum to n_likes."""
    mean = n_likes / n_users
    least = max(1, min(LEAST_LIKES, int(mean / 2)))
    most = min(n_items, int(np.ceil(max(LARGEST_SHARE * n_items, (mean + n_items) / 2))))
    activity = np.exp(SPREAD_OF_ACTIVITY * rng.standard_normal(n_users))

    def likes_at(scale: float) -> np.ndarray:
        return np.minimum(least + scale * activity, most)

    low, high = 0.0, 2 * n_items / activity.min()
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if likes_at(middle).sum() <= n_likes else (low, middle)
    likes = likes_at(low)
    whole: np.ndarray = np.floor(likes).astype(np.int64)
    whole[np.argsort(whole - likes, kind="stable")[: n_likes - whole.sum()]] += 1
    return whole
