"""The distribution of items over ranks.

Memory depends on the number of items, and the work on the embedding on their likes, most of which belong
to a few items. So items are distributed in rounds, in which each rank gets one, the most liked first: the
rank with the fewest likes so far gets the item with the most likes in the round.

    sizes differ by at most 1
    likes differ by at most the widest gap within a round, and so by at most the likes of one item

Proof: if ranks with likes a <= b get items with likes p >= q, they then differ by |(b - a) - (p - q)|, which
is at most the larger of b - a and p - q.

Example
    >>> [shard.tolist() for shard in deal(np.array([100, 60, 30, 9, 5, 1]), 2)]
    [[0, 3, 5], [1, 2, 4]]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from autoenc.scale.ranks import ALONE, Communicator


def deal(likes: np.ndarray, n_ranks: int) -> list[np.ndarray]:
    """The items of each rank, ascending, int64, given the items' likes (n_items,); the same on every rank.

    Raises ValueError if there are fewer items than ranks.
    """
    n_items = len(likes)
    if n_items < n_ranks:
        raise ValueError(f"{n_items} items can't be divided among {n_ranks} ranks; start at most one rank per item")
    by_likes = np.argsort(-likes, kind="stable")
    owner = np.empty(n_items, np.int64)
    total = np.zeros(n_ranks, np.int64)
    for first in range(0, n_items, n_ranks):
        round_ = by_likes[first : first + n_ranks]
        ranks = np.argsort(total, kind="stable")[: len(round_)]
        owner[round_] = ranks
        total[ranks] += likes[round_].astype(np.int64)
    return [np.flatnonzero(owner == rank) for rank in range(n_ranks)]


@dataclass(frozen=True)
class Shard:
    """One rank's items. No rank stores which rank holds the others.

    Attributes
    ----------
    items : array (n_own,), int64
        This rank's items, ascending.
    n_items : int
        The number of items of all ranks.
    ranks : Communicator
        All ranks.
    """

    items: np.ndarray
    n_items: int
    ranks: Communicator = ALONE

    @classmethod
    def dealt(cls, likes: np.ndarray, ranks: Communicator = ALONE) -> Shard:
        """This rank's shard of items that are distributed over all ranks by their likes (n_items,)."""
        return cls(deal(likes, ranks.size)[ranks.rank], len(likes), ranks)

    def own(self, user_items: sparse.csr_array) -> sparse.csr_array:
        """The columns of this rank's items: (n_users, n_own)."""
        own = user_items[:, self.items]
        own.sort_indices()
        return own
