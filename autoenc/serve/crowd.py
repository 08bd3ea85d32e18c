"""Other users, to form a batch with, and to quote in the reason for a recommendation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from autoenc import datasets
from autoenc.interactions import as_user_items
from autoenc.models import Recommender
from autoenc.models.export import on_items_of

MADE_UP_USERS = 512
MADE_UP_LIKES = 20


class Crowd(NamedTuple):
    """Some users.

    Attributes
    ----------
    user_items : csr_array (n_users, n_items)
    name : str
        A description of them.
    of_the_fit : bool
        Whether the model was fitted on them, so that their shares describe its training data.
    """

    user_items: sparse.csr_array
    name: str
    of_the_fit: bool

    def shares(self, likes: list[int], columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The share of users who like each column, among all of them and among those who like each of `likes`.

        The shapes are (n_columns,) and (n_likes, n_columns).

        Examples
        --------
        >>> crowd = Crowd(as_user_items([[0, 1], [0], [1, 2], [2]]), "four", True)
        >>> crowd.shares([0], np.array([1, 2]))
        (array([0.5, 0.5]), array([[0.5, 0. ]]))
        """
        by_item = sparse.csc_array(self.user_items, dtype=np.float64)
        likers, those = by_item[:, likes], by_item[:, columns]
        together = (likers.T @ those).toarray()  # (n_likes, n_columns)
        n_likers = np.maximum(1, np.asarray(likers.sum(axis=0)))
        return np.asarray(those.mean(axis=0)), together / n_likers[:, None]


def crowd_of(model: Recommender) -> Crowd:
    """The users of the bundled ratings, if the model knows their items, or else random ones."""
    dataset = str(model.about_.get("dataset", ""))
    if dataset.startswith("ml-"):
        try:
            bundled = datasets.load()
            likes = on_items_of(model, bundled).user_items
            return Crowd(likes, "users of the bundled MovieLens ratings", dataset == bundled.name)
        except ValueError:
            pass  # another catalogue with the same name
    rng = np.random.default_rng(0)
    n_likes = min(MADE_UP_LIKES, model.n_items)
    lists = [rng.choice(model.n_items, n_likes, replace=False) for _ in range(MADE_UP_USERS)]
    name = f"lists of {n_likes} random likes (a model file holds no users)"
    return Crowd(as_user_items(lists, model.n_items), name, False)
