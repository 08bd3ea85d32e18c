"""The most likely alternative on a CPU: alternating least squares of `implicit`, with its defaults.

As it is a different model (100 factors, no layers), its times are only given for scale;
`benchmarks.ranking` compares the quality. The figures are for the installed version (here 0.7).
"""

from __future__ import annotations

import warnings

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

ITERATIONS = 15  # its default


class StopTraining(Exception):
    """Raised by a callback, as implicit has no other way to stop early."""


def new(seed: int = 0) -> AlternatingLeastSquares:
    with warnings.catch_warnings():  # about BLAS's threads, which `train` limits as implicit recommends
        warnings.simplefilter("ignore")
        return AlternatingLeastSquares(iterations=ITERATIONS, random_state=seed)


def train(model: AlternatingLeastSquares, user_items: sparse.csr_array, on_iteration) -> None:
    """All iterations, or fewer if on_iteration(), which is called after each, returns True."""

    def callback(iteration, seconds, loss):
        if on_iteration():
            raise StopTraining

    try:
        with threadpool_limits(1, user_api="blas"):
            model.fit(sparse.csr_matrix(user_items), show_progress=False, callback=callback)
    except StopTraining:
        pass


def top_n(model: AlternatingLeastSquares, users: np.ndarray, user_items: sparse.csr_array, n: int):
    """The n best items of training users (batch,), without liked ones: ids and scores (batch, n)."""
    return model.recommend(users, sparse.csr_matrix(user_items), N=n)


class Als:
    """The same as a model: `fit`, then scores of any users, given only their likes.

    A user's factors are computed from the items', like the next half of an iteration in training, so
    training users and new users are scored in the same way.
    """

    def __init__(self, factors: int = 100, regularization: float = 0.01, alpha: float = 1.0, random_state: int = 0):
        self.params = {"factors": factors, "regularization": regularization, "alpha": alpha}
        self.random_state = random_state

    def fit(self, user_items: sparse.csr_array) -> Als:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.model = AlternatingLeastSquares(**self.params, iterations=ITERATIONS, random_state=self.random_state)
        train(self.model, user_items, lambda: False)
        self.n_items = user_items.shape[1]
        return self

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        with threadpool_limits(1, user_api="blas"):
            users = self.model.recalculate_user(np.arange(user_items.shape[0]), sparse.csr_matrix(user_items))
            return users @ self.model.item_factors.T  # (batch, n_items)
