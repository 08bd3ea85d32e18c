"""ItemKNN: an item's score is its similarity to the user's items, over its k nearest neighbours.

Similarity
    both[i, j]       = how many users like both items
    similarity[i, j] = both[i, j] / (sqrt(both[i, i] * both[j, j]) + shrink)    for i != j, and 0 for i = j
    The cosine of the two items' columns of likes; shrink lowers similarities that rest on few users.

Weights and times
    With weights or a half_life, both[i, j] is not a count of users but a sum over their pairs of likes:
    of sqrt(c * d) for likes with confidences c and d, and of c for i = j (models/weighting.py). The
    score weights a user's likes relative to each other.

Score
    nearest[i, j] = similarity[i, j] if i is among the k items most similar to j (ties go to the lower), else 0
    score         = user_items @ nearest

Cost
    One pass over each user's pairs of likes, and a sort of the pairs of items liked together. Items are
    processed in blocks, so that only one block's pairs are held in addition to the result (n_items * k
    numbers). ItemKNN suits catalogues too large for an items x items matrix.

Source
    Sarwar, Karypis, Konstan and Riedl 2001 (WWW), sections 3.1.1 and 3.2.1, for likes in place of
    ratings; Deshpande and Karypis 2004 (TOIS 22:143), section 4.1. Shrinkage as in Bell and Koren
    2007 (KDD Cup), added to the denominator. Difference: Deshpande and Karypis keep the k nearest
    neighbours of each liked item, here they are those of the scored item.

Example
    >>> item_knn = ItemKNN(k=1, shrink=0.0).fit([[0, 1], [0, 1], [0, 1, 2], [2, 3], [3]])
    >>> item_knn.nearest_.toarray()
    array([[0. , 1. , 0. , 0. ],
           [1. , 0. , 0. , 0. ],
           [0. , 0. , 0. , 0.5],
           [0. , 0. , 0.5, 0. ]], dtype=float32)
"""

from __future__ import annotations

import itertools
import math
from dataclasses import KW_ONLY, dataclass
from numbers import Real

import numpy as np
from scipy import sparse

from autoenc.checks import whole_number
from autoenc.interactions import UserItems
from autoenc.models.base import Recommender
from autoenc.models.weighting import check_half_life, item_totals, weighted_input, weighted_pairs
from autoenc.storage.csr import check_compressed

BLOCK_PAIRS = 2**22  # pairs of items per block, exceeded by at most one item's


@dataclass(eq=False, repr=False)
class ItemKNN(Recommender):
    """Nearest neighbours of items by cosine similarity.

    Parameters
    ----------
    k : int
        Number of neighbours.
    shrink : float
        Added to the cosine's denominator, 0 or more.
    half_life : float, optional
        Number of days after which a like counts half, as in `EASE`.

    Attributes
    ----------
    nearest_ : csr_array (n_items, n_items), float32
        Column j holds the similarities of the k items most similar to j.
    """

    weighs_likes = True

    k: int = 100
    _: KW_ONLY
    shrink: float = 20.0
    half_life: float | None = None

    def _check_hyperparameters(self) -> None:
        super()._check_hyperparameters()
        whole_number("k", self.k, 1)
        if not (isinstance(self.shrink, Real) and self.shrink >= 0 and math.isfinite(self.shrink)):
            raise ValueError(f"shrink is {self.shrink!r}; pass a number, 0 or more.")
        check_half_life(self.half_life)

    def _fit(self, user_items: UserItems) -> None:
        n_items = user_items.shape[1]
        pairs = weighted_pairs(user_items, self.half_life)
        by_item = pairs.tocsc()
        norms = np.sqrt(item_totals(pairs), dtype=pairs.dtype)
        lengths, indices, values = [], [], []
        bounds = _blocks(user_items)
        for start, end in itertools.pairwise(bounds):
            both = (by_item[:, start:end].T @ pairs).tocsr()  # (block, n_items)
            both.sort_indices()
            n_alike = np.diff(both.indptr)
            rows, items = np.repeat(np.arange(len(n_alike)), n_alike), both.indices
            similarity = both.data / (norms[start + rows] * norms[items] + pairs.dtype.type(self.shrink))
            similarity = similarity.astype(np.float32, copy=False)
            similarity[start + rows == items] = 0

            # The best of each row first; the sort is stable, so that ties stay in the order of items.
            order = np.lexsort((-similarity, rows))
            place = np.arange(len(rows)) - both.indptr[rows]
            nearest = order[(place < self.k) & (similarity[order] > 0)]
            lengths.append(np.bincount(rows[nearest], minlength=len(n_alike)))
            indices.append(items[nearest])
            values.append(similarity[nearest])
        indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
        integer = sparse.get_index_dtype(maxval=max(n_items, indptr[-1]))  # 32 bits if that is enough
        indptr, columns = indptr.astype(integer), np.concatenate(indices).astype(integer)
        of_scored = sparse.csr_array((np.concatenate(values), columns, indptr), shape=(n_items, n_items))
        self.nearest_: sparse.csr_array = of_scored.T.tocsr()

    def _score(self, user_items: sparse.csr_array) -> np.ndarray:
        scores: np.ndarray = (weighted_input(user_items, self.half_life) @ self.nearest_).toarray()  # (batch, n_items)
        return scores

    def _contributions(self, row: sparse.csr_array, column: int) -> np.ndarray:
        similarities = self.nearest_[row.indices][:, [column]].toarray().ravel()  # (n_likes,)
        contributions: np.ndarray = weighted_input(row, self.half_life).data * similarities
        return contributions

    def _arrays(self) -> dict[str, np.ndarray]:
        nearest = self.nearest_
        return {"nearest.data": nearest.data, "nearest.indices": nearest.indices, "nearest.indptr": nearest.indptr}

    def _set_arrays(self, arrays: dict[str, np.ndarray]) -> int:
        try:
            data, indices, indptr = (arrays[f"nearest.{name}"] for name in ("data", "indices", "indptr"))
            n_items = len(indptr) - 1
            check_compressed(indptr, indices, (n_items, n_items))
            nearest = sparse.csr_array((data, indices, indptr), shape=(n_items, n_items))
            nearest.check_format(full_check=True)
            if nearest.dtype != np.float32:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                "nearest.data, nearest.indices and nearest.indptr must be a square CSR matrix of float32."
            ) from None
        self.nearest_ = nearest
        return n_items


def _blocks(user_items: sparse.csr_array) -> list[int]:
    """Bounds of blocks of items, from 0 to n_items, of about BLOCK_PAIRS pairs each."""
    n_items = user_items.shape[1]
    n_likes = np.diff(user_items.indptr)  # (n_users,)
    n_pairs = np.bincount(user_items.indices, np.repeat(n_likes, n_likes), minlength=n_items)  # of each item
    blocks = np.cumsum(np.minimum(n_pairs, n_items)) // BLOCK_PAIRS  # (n_items,): the block that each item ends in
    return [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), n_items]
