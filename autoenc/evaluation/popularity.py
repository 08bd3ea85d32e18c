"""Items by how many users like them: what to recommend where nothing else is known.

Of items that equally many like the lower one comes first.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from autoenc.evaluation.ranking import top_n_of_scores


class Popularity:
    """The items in the order of their likes.

    Whoever likes n items finds the best N left among the n + N most popular, so a user costs no more
    in a large catalogue.

    Parameters
    ----------
    counts : array (n_items,), int64
        How many users like each item.

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
        self.order = np.argsort(-counts.astype(np.float32), kind="stable")  # as scores are

    def top_n(self, user_items: sparse.csr_array, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n best items of each user, without liked ones, and their counts: (batch, n) each, int32 and float32.

        user_items is (batch, n_items). As `ranking.top_n_of_scores` has it of all scores: of equal ones
        the lower item first, and item -1 with the lowest score where fewer than n are left.
        """
        most_liked = np.diff(user_items.indptr).max(initial=0)
        head = self.order[: n + most_liked]  # (n_head,), of equal ones the lower first
        scores = np.tile(self.counts[head].astype(np.float32), (user_items.shape[0], 1))  # (batch, n_head)
        places, scores = top_n_of_scores(scores, user_items[:, head], n)
        return np.where(places >= 0, head[places], -1).astype(np.int32), scores

    @cached_property
    def places(self) -> np.ndarray:
        """The place of each item in `order`, from 0: (n_items,)."""
        places = np.empty(len(self.order), np.int64)
        places[self.order] = np.arange(len(self.order))
        return places

    def ranks(self, user_items: sparse.csr_array, items: np.ndarray) -> np.ndarray:
        """At which rank, from 0, popularity recommends these items to each user, without liked ones.

        An item's place in the order, less how many of the user's likes have a place before it.

        Parameters
        ----------
        user_items : csr_array (batch, n_items)
        items : array (batch, n)
            None of them liked by the user; -1 is padding.

        Returns
        -------
        array (batch, n), int64
            Of padding it is any number.
        """
        batch, n_items = user_items.shape
        rows = np.arange(batch, dtype=np.int64)
        # a number for each like, by user and then by place, and one for each item on the same scale
        likes = np.sort(np.repeat(rows * n_items, np.diff(user_items.indptr)) + self.places[user_items.indices])
        places = self.places[items]
        in_likes = np.searchsorted(likes, rows[:, None] * n_items + places)
        ranks: np.ndarray = places - (in_likes - user_items.indptr[:-1, None])
        return ranks


def beside_popularity(metric: str, model: float, popular: float) -> dict[str, Any]:
    """What a model file tells, under "beside_popularity", of the model's own held-out likes."""
    return {"metric": metric, "model": round(model, 6), "popularity": round(popular, 6)}


def told_behind(beside: object) -> str:
    """One sentence where what `beside_popularity` made says that the model is behind, else ""."""
    if not isinstance(beside, dict):
        return ""
    metric, model, popular = (beside.get(name) for name in ("metric", "model", "popularity"))
    if not (isinstance(metric, str) and isinstance(model, float) and isinstance(popular, float) and model < popular):
        return ""
    return (
        f"this model is behind popularity on its own held-out likes ({metric} {model:.4f}, popularity "
        f"{popular:.4f}); train it for more epochs or on more likes, or take --preset fast"
    )
