"""Ranking by popularity, for users about whom nothing else is known.

Among equally popular items the lower item number comes first.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from autoenc.evaluation.ranking import top_n_of_scores


class Popularity:
    """The items in order of popularity.

    The N best items for a user with n likes are among the n + N most popular, so the time per user does
    not grow with the catalogue.

    Parameters
    ----------
    counts : array (n_items,), int64
        Number of users who like each item.

    Attributes
    ----------
    order : array (n_items,)
        All items, the most liked first.

    Examples
    --------
    >>> liked = sparse.csr_array(np.array([[0, 1, 0], [0, 0, 0]], np.float32))
    >>> Popularity(np.array([2, 9, 5])).top_n(liked, 2)[0]
    array([[2, 0],
           [1, 2]], dtype=int32)
    """

    def __init__(self, counts: np.ndarray):
        self.counts = counts
        self.order = np.argsort(-counts.astype(np.float32), kind="stable")  # float32, like scores

    def top_n(self, user_items: sparse.csr_array, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n best items of each user, without liked ones, and their counts: (batch, n) each, int32 and float32.

        user_items is (batch, n_items). The result is that of `ranking.top_n_of_scores` for all items: ties
        go to the lower item, and rows with fewer than n items are padded with -1 and the lowest score.
        """
        most_liked = np.diff(user_items.indptr).max(initial=0)
        head = self.order[: n + most_liked]  # (n_head,), the lower first among ties
        scores = np.tile(self.counts[head].astype(np.float32), (user_items.shape[0], 1))  # (batch, n_head)
        places, scores = top_n_of_scores(scores, user_items[:, head], n)
        return np.where(places >= 0, head[places], -1).astype(np.int32), scores

    @cached_property
    def places(self) -> np.ndarray:
        """The position of each item in `order`, from 0: (n_items,)."""
        places = np.empty(len(self.order), np.int64)
        places[self.order] = np.arange(len(self.order))
        return places

    def ranks(self, user_items: sparse.csr_array, items: np.ndarray) -> np.ndarray:
        """The rank, from 0, of these items among all that the user has not liked, by popularity.

        It is the item's position in `order` minus the number of the user's likes before it.

        Parameters
        ----------
        user_items : csr_array (batch, n_items)
        items : array (batch, n)
            Items that the user has not liked; -1 is padding.

        Returns
        -------
        array (batch, n), int64
            Undefined for padding.
        """
        batch, n_items = user_items.shape
        rows = np.arange(batch, dtype=np.int64)
        # a number for each like, by user and then by position, and one for each item on the same scale
        likes = np.sort(np.repeat(rows * n_items, np.diff(user_items.indptr)) + self.places[user_items.indices])
        places = self.places[items]
        in_likes = np.searchsorted(likes, rows[:, None] * n_items + places)
        ranks: np.ndarray = places - (in_likes - user_items.indptr[:-1, None])
        return ranks


def beside_popularity(metric: str, model: float, popular: float) -> dict[str, Any]:
    """The entry "beside_popularity" of a model file, which compares the model with popularity on held-out likes."""
    return {"metric": metric, "model": round(model, 6), "popularity": round(popular, 6)}


def popularity_warning(beside: object) -> str:
    """A sentence if the result of `beside_popularity` shows that the model is worse, else ""."""
    if not isinstance(beside, dict):
        return ""
    metric, model, popular = (beside.get(name) for name in ("metric", "model", "popularity"))
    if not (isinstance(metric, str) and isinstance(model, float) and isinstance(popular, float) and model < popular):
        return ""
    return (
        f"this model is behind popularity on its own held-out likes ({metric} {model:.4f}, popularity "
        f"{popular:.4f}); train it for more epochs or on more likes, or use --preset fast"
    )
