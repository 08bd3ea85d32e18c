"""RatingPredictor: predicts a user's ratings, with a deep autoencoder.

Training, of a user's ratings x
    y    = the network's output (networks/deep.py)
    loss = the mean of (y - x)**2 over the rated entries, and with refeeding the same for f(x)
Evaluation
    RMSE = sqrt(the mean of (y - x)**2 over the held-out ratings), y clipped to the range of the ratings

It does not rank items, so it does not have the interface of the other models.

Source
    Kuchaiev and Ginsburg 2017 (arXiv 1708.01715), sections 2.1 and 2.2. For the differences see
    `deep_recommender`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
from scipy import sparse

from autoenc.batch_invariant import by_fixed_rows
from autoenc.evaluation.splits import keep
from autoenc.machine import check_free
from autoenc.models.deep_recommender import RefeedingEngine, widths_of
from autoenc.models.estimator import NotFittedError
from autoenc.models.random_state import RandomState, seed_of
from autoenc.networks.deep import DeepNetwork, initial_state, shapes_of_state
from autoenc.storage.csr import indptr_of
from autoenc.training.trainer import Trainer

if TYPE_CHECKING:
    from autoenc.datasets.columns import Ratings

SparseMatrix: TypeAlias = "sparse.sparray | sparse.spmatrix"


@dataclass(eq=False)
class RatingPredictor:
    """The deep autoencoder for ratings of the paper.

    The output biases start at the mean rating. The plain layers compute everything.

    Parameters
    ----------
    hidden_dims, dropout, refeed
        As in `DeepRecommender`.
    epochs, batch_size, lr
        The learning rate falls to 0 along half a cosine.
    random_state
        As in `AutoEncoder`.

    Attributes
    ----------
    network_ : DeepNetwork
    lowest_, highest_ : float
        The lowest and the highest rating, to which predictions are clipped.

    Examples
    --------
    >>> ratings = sparse.csr_array(np.array([[5, 5, 1, 1], [5, 5, 1, 0], [1, 1, 5, 5], [1, 0, 5, 5]] * 8, float))
    >>> model = RatingPredictor([8], dropout=0.0, epochs=150, batch_size=16, lr=0.01).fit(ratings)
    >>> model.predict(ratings[[1]]).round(1)                      # the missing rating is 1, as for similar users
    array([[5., 5., 1., 1.]], dtype=float32)
    """

    hidden_dims: Sequence[int] | str = (64, 64)
    _: KW_ONLY
    dropout: float = 0.8
    refeed: bool = False
    epochs: int = 40
    batch_size: int = 64
    lr: float = 0.001
    random_state: RandomState = 0

    def fit(self, ratings: SparseMatrix) -> Self:
        """Train on a scipy.sparse matrix (n_users, n_items) whose entries are ratings.

        Raises
        ------
        ValueError, TypeError
            If `ratings` is not such a matrix or holds no rating, or a hyperparameter is invalid.
        FloatingPointError
            If training diverges.
        """
        ratings = as_ratings(ratings)
        if not ratings.nnz:
            raise ValueError("ratings holds no ratings; pass at least one to learn from.")
        seed = seed_of(self.random_state)
        mean = float(ratings.data.mean(dtype=np.float64))
        widths = widths_of(self.hidden_dims)
        n_weights = sum(math.prod(shape) for shape in shapes_of_state(ratings.shape[1], widths).values())
        check_free(f"a network for {ratings.shape[1]:,} items", 3 * 4 * n_weights, "make it narrower")
        state = initial_state(ratings.shape[1], widths, mean, seed)
        network = DeepNetwork(state, self.dropout, loss="squared")
        Trainer(
            network,
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            schedule="cosine",
            seed=seed,
            backend="numpy",
            make_engine=RefeedingEngine if self.refeed else None,
        ).train(ratings)
        self.network_ = network
        self.lowest_, self.highest_ = float(ratings.data.min()), float(ratings.data.max())
        return self

    def predict(self, ratings: SparseMatrix) -> np.ndarray:
        """Predicted ratings of all items for users with these ratings: (n_users, n_items)."""
        if not hasattr(self, "network_"):
            raise NotFittedError("this RatingPredictor is not fitted yet; call fit(ratings) first.")
        ratings = as_ratings(ratings, self.network_.n_items)
        network = self.network_
        predicted = by_fixed_rows(network.score, ratings, weights=network.dense_weights)
        clipped: np.ndarray = np.clip(predicted, self.lowest_, self.highest_)
        return clipped

    def rmse(self, ratings: SparseMatrix, held_out: SparseMatrix, batch_size: int = 256) -> float:
        """The root mean squared error of `predict(ratings)` over the held-out ratings of the same users.

        Raises
        ------
        ValueError
            If the two have different shapes, or nothing is held out.
        """
        ratings, held_out = as_ratings(ratings), as_ratings(held_out)
        if ratings.shape != held_out.shape or not held_out.nnz:
            raise ValueError(
                f"held_out must hold ratings in the shape of ratings, {ratings.shape}, "
                f"but has {held_out.nnz:,} in the shape {held_out.shape}."
            )
        total = 0.0
        for start in range(0, ratings.shape[0], batch_size):
            wanted = held_out[start : start + batch_size]
            predicted = self.predict(ratings[start : start + batch_size])
            users = np.repeat(np.arange(wanted.shape[0]), np.diff(wanted.indptr))
            total += np.square(predicted[users, wanted.indices] - wanted.data, dtype=np.float64).sum()
        return math.sqrt(total / held_out.nnz)


def ratings_matrix(ratings: Ratings) -> tuple[sparse.csr_array, sparse.csr_array | None]:
    """The result of `datasets.read(path, values=True)` as users x items matrices, both in ascending order of ids.

    Returns
    -------
    values : csr_array (n_users, n_items), float32
        If an item was rated twice, the last rating counts.
    times : csr_array of the same shape and entries, int64, or None if the file has none

    Raises
    ------
    ValueError
        If the file has no ratings.
    """
    if ratings.ratings is None:
        raise ValueError("these ratings have no values; read a file that has one, with values=True.")
    users, rows = np.unique(ratings.users, return_inverse=True)
    items, columns = np.unique(ratings.items, return_inverse=True)
    cells = rows.astype(np.int64) * len(items) + columns
    # np.unique finds the first of equal entries, which in reversed order is the last
    cells, from_behind = np.unique(cells[::-1], return_index=True)
    last = len(rows) - 1 - from_behind
    rows, columns = np.divmod(cells, len(items))
    indptr = indptr_of(np.bincount(rows, minlength=len(users)))

    def matrix(values: np.ndarray) -> sparse.csr_array:
        return sparse.csr_array((values[last], columns.astype(np.int32), indptr), shape=(len(users), len(items)))

    values = matrix(ratings.ratings.astype(np.float32))
    return values, None if ratings.timestamps is None else matrix(ratings.timestamps)


def holdout_ratings(
    values: SparseMatrix, times: sparse.csr_array | None = None, holdout: float = 0.1, seed: int = 0
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Hold out a fraction of all ratings: at random, or with `times` the latest.

    Parameters
    ----------
    values, times
        As `ratings_matrix` returns them. Ratings with the same time stay together, on the later side.
    holdout : float
        The fraction, above 0 and below 1.
    seed : int

    Returns
    -------
    train, held_out : csr_array of the shape of values
        Disjoint; their sum is `values`.

    Raises
    ------
    ValueError
        If `holdout` is out of range, or `times` has other entries than `values`.
    """
    values = as_ratings(values)
    if not 0 < holdout < 1:
        raise ValueError(f"holdout is {holdout}; pass the fraction to hold out, above 0 and below 1, such as 0.1.")
    if times is None:
        late = np.random.Generator(np.random.Philox(seed)).random(values.nnz) < holdout
    else:
        if not (np.array_equal(times.indptr, values.indptr) and np.array_equal(times.indices, values.indices)):
            raise ValueError("times has other entries than values; pass both as ratings_matrix returns them.")
        late = times.data >= np.quantile(times.data, 1 - holdout)
    return keep(values, ~late), keep(values, late)


def as_ratings(ratings: SparseMatrix, n_items: int | None = None) -> sparse.csr_array:
    """Ratings as a canonical float32 CSR. Raises TypeError or ValueError if that is not possible."""
    if not sparse.issparse(ratings) or ratings.ndim != 2:
        raise TypeError(f"ratings is a {type(ratings).__name__}; pass a scipy.sparse matrix, users x items.")
    if n_items not in (None, ratings.shape[1]):
        raise ValueError(
            f"ratings has {ratings.shape[1]:,} columns, but the model was fitted on {n_items:,} items; "
            "pass ratings of the same items, one column per item."
        )
    csr = sparse.csr_array(ratings, dtype=np.float32)
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    if not np.isfinite(csr.data).all():
        raise ValueError("ratings holds a number that is not finite; leave out what wasn't rated.")
    return csr
