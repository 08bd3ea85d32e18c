"""Items to start with: well-known items that say much about the users who like them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.interactions import as_user_items
from autoenc.models import Recommender

CANDIDATES = 350
AT_ONCE = 100
NEAR = 10
SHOWN = 3


class Starter(NamedTuple):
    """An item and the SHOWN best recommendations for a user who likes only this item, as columns."""

    column: int
    brings: list[int]


def starters(model: Recommender, popular: list[int], n: int) -> list[Starter]:
    """At most n popular items, no two of which are near each other.

    They are sorted by how specific their recommendations are: by how much higher their three best score than they
    do for the other candidates, in standard deviations. An item's ten best recommendations are near it.

    Parameters
    ----------
    model : Recommender
        Fitted.
    popular : list of int
        Columns, the most popular first; the first CANDIDATES are considered.
    n : int
    """
    candidates = np.array(popular[:CANDIDATES])
    near = np.empty((len(candidates), NEAR), np.int64)
    best = np.empty((len(candidates), NEAR))
    total, squares = np.zeros(model.n_items), np.zeros(model.n_items)
    for start in range(0, len(candidates), AT_ONCE):
        block = slice(start, start + AT_ONCE)
        row = as_user_items(candidates[block, None].tolist(), model.n_items)
        scores = model.score(row).astype(np.float64)  # (block, n_items)
        near[block], best[block] = top_n_of_scores(scores, row, NEAR)
        total += scores.sum(axis=0)
        squares += (scores**2).sum(axis=0)
    mean = total / len(candidates)
    spread = np.sqrt(np.maximum(squares / len(candidates) - mean**2, 0))
    spread += spread.mean() + np.finfo(np.float32).tiny
    gain = np.where(near >= 0, best - mean[near], 0.0)  # fewer than NEAR items may be left
    own = (gain / spread[near])[:, :SHOWN].mean(axis=1)

    chosen: list[Starter] = []
    taken: set[int] = set()
    for i in np.argsort(-own, kind="stable"):
        column, around = int(candidates[i]), [c for c in near[i].tolist() if c >= 0]
        if column not in taken and all(starter.column not in around for starter in chosen):
            chosen.append(Starter(column, around[:SHOWN]))
            taken |= {column, *around}
        if len(chosen) == n:
            break
    return chosen
