"""The API's answers: plain dicts, computed from a model and checked arguments, without HTTP.

An item is always {"id", "title"}. A LookupError means that something doesn't exist. The layers of a
network store what they would need for backward, so app.py runs one request at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, SupportsFloat

import numpy as np
from scipy import sparse

from autoenc import __version__
from autoenc.evaluation.popularity import popularity_warning
from autoenc.interactions import as_user_items
from autoenc.models import Recommender
from autoenc.models.rankings import Ranking
from autoenc.networks.base import Network
from autoenc.serve import strips
from autoenc.serve.catalogue import Catalogue
from autoenc.serve.crowd import Crowd, crowd_of
from autoenc.serve.on_demand import OnDemand
from autoenc.serve.starters import Starter, starters

Answer = dict[str, Any]
BATCH = 256
"""Users in the batch shown in training mode, including the user of the page: the task's batch size."""
MOST_STARTERS = 24


class Answers:
    """A fitted model's answers.

    Parameters
    ----------
    model : Recommender
        Its networks are made to use the plain layers.
    network : OnDemand, optional
        A network of the same items, to show if the model has no layers.
    """

    def __init__(self, model: Recommender, network: OnDemand | None = None):
        self.model = model
        put_on_plain_layers(model)
        self.network: Network | None = getattr(model, "network_", None)
        self._other = network if self.network is None else None
        self.catalogue = Catalogue(model)

    def health(self) -> Answer:
        model = type(self.model).__name__
        dataset = str(self.model.about_.get("dataset", ""))
        has_network = self.network is not None or self._other is not None
        behind = bool(popularity_warning(self.model.about_.get("beside_popularity")))
        about = {"model": model, "dataset": dataset, "n_items": self.model.n_items, "network": has_network}
        about["behind_popularity"] = behind
        return {"status": "ok", **about, "autoenc": __version__}

    def items(self, search: str, n: int) -> Answer:
        return {"items": self._items(self.catalogue.search(search, n))}

    def titles(self) -> Answer:
        return {"titles": [str(title) for title in self.catalogue.titles[: strips.MOST_VALUES]]}

    def starters(self, n: int) -> Answer:
        return {"starters": [self._item(s.column) | {"brings": self._items(s.brings)} for s in self._starters[:n]]}

    def recommend(self, like: list[str], n: int, explain: bool, exclude: Sequence[str] = ()) -> Answer:
        row = self._row(like)
        likes = self._columns(like)
        ranking = self.model.recommend(row, N=n, filter_items=self._columns(exclude) or None)
        recommended = self._ranked(ranking)
        if explain:
            for column, item in zip(ranking.items[0], recommended):
                item["contributions"] = self._contributions(row, int(column), likes)
            self._add_shares(recommended, likes, ranking.items[0, : len(recommended)])
        best = recommended[0]["score"] if recommended else 0.0
        median = 0.0 if ranking.by_popularity.all() else np.median(self.model.score(row))
        scale = {"zero": number(median), "full": best}
        return {"likes": self._items(likes), "recommended": recommended, "scale": scale}

    def explain(self, like: list[str], item: str) -> Answer:
        row, likes, column = self._row(like), self._columns(like), self.catalogue.column_of(item)
        score = number(self.model.score(row)[0, column])
        contributions = self._contributions(row, column, likes)
        return {
            "item": self._item(column) | {"score": score},
            "is_liked": column in likes,
            "because": [self._item(c) | {"contribution": value} for c, value in zip(likes, contributions)],
        }

    def similar(self, item: str, n: int) -> Answer:
        column = self.catalogue.column_of(item)
        return {"item": self._item(column), "similar": self._ranked(self.model.similar_items([column], n))}

    def network_at_work(self, like: list[str], without: str | None, training: bool, seed: int) -> Answer:
        """Each layer's output for these likes, and the changes if the like `without` is left out."""
        model = self.model if self._other is None else self._other.model()
        network: Network | None = getattr(model, "network_", None)
        if network is None:
            raise LookupError(f"{type(self.model).__name__} has no layers to show; only networks have layers.")
        likes = self._columns(like)
        left_out = None if without is None else self.catalogue.column_of(without)
        if left_out is not None and left_out not in likes:
            raise LookupError(f"without is {without!r}, which is not one of the likes; pass one of them.")
        others = self._others(seed) if training else self._row([])[:0]

        def steps(columns: list[int]) -> list[strips.Step]:
            batch = sparse.vstack([as_user_items([columns], self.model.n_items), others], format="csr")
            return strips.run(network, sparse.csr_array(batch), training, (seed, 0, 0))

        with_all = steps(likes)
        rest = None if left_out is None else steps([c for c in likes if c != left_out])
        answer = {
            "model": type(model).__name__,
            "likes": self._items(likes),
            "mode": "training" if training else "evaluation",
            "batch": f"{BATCH - 1} {self._crowd.name}" if training else "",
            "strips": strips.strips(network, with_all, rest, training),
            "highest": self._extremes(with_all[-1].output, 10, likes),
        }
        if rest is not None:
            change = with_all[-1].output - rest[-1].output  # in probability
            answer |= {"rises": self._extremes(change, 5, likes), "falls": self._extremes(-change, 5, likes, sign=-1)}
        return answer

    def _others(self, seed: int) -> sparse.csr_array:
        crowd = self._crowd.user_items
        return crowd[np.random.default_rng(seed).choice(crowd.shape[0], BATCH - 1, replace=False)]

    @cached_property
    def _crowd(self) -> Crowd:
        return crowd_of(self.model)

    @cached_property
    def _starters(self) -> list[Starter]:
        return starters(self.model, self.catalogue.search("", self.model.n_items), MOST_STARTERS)

    def _add_shares(self, recommended: list[Answer], likes: list[int], columns: np.ndarray) -> None:
        """Add the share of the training users who like each item, if they are known."""
        if self._crowd.of_the_fit:
            of_all, of_likers = self._crowd.shares(likes, columns)
            for item, share, shares in zip(recommended, of_all, of_likers.T):
                item |= {"liked_by": number(share), "liked_by_likers": [number(value) for value in shares]}

    def _columns(self, like: Sequence[str]) -> list[int]:
        return list(dict.fromkeys(map(self.catalogue.column_of, like)))

    def _row(self, like: list[str]) -> sparse.csr_array:
        return as_user_items([self._columns(like)], self.model.n_items)

    def _contributions(self, row: sparse.csr_array, column: int, likes: list[int]) -> list[float]:
        """The contribution of each like to the score, in the order of `likes`."""
        if not likes:
            return []
        columns, contributions = self.model.explain(row, column)
        of_column = dict(zip(columns.tolist(), contributions))
        return [number(of_column[like]) for like in likes]

    def _item(self, column: int) -> Answer:
        return {"id": self.catalogue.ids[column], "title": self.catalogue.titles[column]}

    def _items(self, columns: Iterable[int]) -> list[Answer]:
        return [self._item(column) for column in columns]

    def _ranked(self, ranking: Ranking) -> list[Answer]:
        """The items of a ranking for one user, without the padding."""
        found = zip(ranking.items[0].tolist(), ranking.scores[0], ranking.by_popularity[0].tolist())
        return [
            self._item(column) | {"score": number(score), "by_popularity": by_popularity}
            for column, score, by_popularity in found
            if column >= 0
        ]

    def _extremes(self, values: np.ndarray, n: int, likes: list[int], sign: int = 1) -> list[Answer]:
        """The n items with the highest values that are not yet liked, with sign * value."""
        best = np.argsort(-values, kind="stable")[: n + len(likes)]
        best = best[~np.isin(best, likes)][:n]
        return [self._item(int(column)) | {"value": sign * number(values[column])} for column in best]


def put_on_plain_layers(model: Recommender) -> None:
    """Make the networks in a model score with their layers: the results are the same, and any thread may run them.

    The kernels run in numba's threads, which abort the process if two callers use its "workqueue" threading
    layer at the same time.
    """
    for part in getattr(model, "models_", []):  # the parts of a blend
        put_on_plain_layers(part)
    if isinstance(getattr(model, "network_", None), Network):
        model.set_params(backend="numpy", threads=None)
        model._set_arrays(model._arrays())


def number(value: SupportsFloat) -> float:
    """A score for JSON, to five decimals."""
    return round(float(value), 5)
