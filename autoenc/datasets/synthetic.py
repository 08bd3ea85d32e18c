"""Likes made up in the shape of MovieLens 10M, or of any other size, for where the real ones can't be had.

Each item has a popularity and a taste, each user a taste, all drawn at random:

    appeal[u, i] = log_popularity[i] + user_taste[u] @ item_taste[i]

and user u likes n_likes[u] different items, drawn one after another, each with probability
proportional to exp(appeal[u, i]) among those left (Plackett and Luce's model). Such a sample is the
finish of a race in which item i takes a time of Exponential(1) / exp(appeal[u, i]): the first
n_likes[u] to arrive.

Popularities are log-normal, and so is what a user's number of likes exceeds the least by. With the
spreads below the default shape has users of 20 to 7,474 likes (a median of 69), items of 0 to 36,530
(a median of 325), and the task's network reaches p@1 .54 in its epoch, where popularity has .19.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from autoenc.interactions import Interactions
from autoenc.machine import compute_threads

TASTES = 12  # dimensions
SPREAD_OF_TASTE = 1.75  # standard deviation of user_taste[u] @ item_taste[i]
SPREAD_OF_POPULARITY = 1.9  # standard deviation of log_popularity
SPREAD_OF_ACTIVITY = 1.35  # standard deviation of the log of a user's likes above the least
LEAST_LIKES = 20
LARGEST_SHARE = 0.7  # of the items that one user likes

_CELLS_AT_A_TIME = 1 << 22  # of the users x items matrix, never held whole


def synthetic(n_users: int = 69_878, n_items: int = 10_677, n_likes: int = 10_000_054, seed: int = 0) -> Interactions:
    """Draw likes with long-tailed users, long-tailed items and tastes that can be learnt.

    Parameters
    ----------
    n_users, n_items, n_likes : int
        The shape, exactly; the defaults are MovieLens 10M's. Each user has at least 20 likes, or half
        of the mean where that is less; in small sets an item may have none.
    seed : int

    Returns
    -------
    Interactions
        Called "synthetic", with ids from 1 and no titles. One seed gives the same likes at any
        number of threads; another kind of processor may give slightly different ones.

    Raises
    ------
    ValueError
        Where there are fewer likes than users, or more than users times items.

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
    """How many items each user likes: least + scale * log-normal, at scale's value for the sum."""
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
