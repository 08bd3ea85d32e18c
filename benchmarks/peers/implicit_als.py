"""What a user on a CPU would otherwise pick: alternating least squares of `implicit`, with its defaults.

Another model than the network (100 factors, no layers), so its time stands beside ours for scale;
what each is worth is `quality.py`'s. Its figures are of the version that is installed (0.7 here).
"""

from __future__ import annotations

import warnings

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

ITERATIONS = 15  # its default


class StopTraining(Exception):
    """Raised by a callback: implicit has no other way to stop early."""


def new(seed: int = 0) -> AlternatingLeastSquares:
    with warnings.catch_warnings():  # of BLAS's threads, which `train` limits as it asks for
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
    """The n best items of users (batch,) that it was trained on, liked ones struck: ids and scores (batch, n)."""
    return model.recommend(users, sparse.csr_matrix(user_items), N=n)
