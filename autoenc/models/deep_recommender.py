"""DeepRecommender: an autoencoder of SELU layers, whose output is fed to it again.

Training, of a user's likes x
    h1 = selu(x @ W_embedding + b)                       as wide as the first of hidden_dims
    h2 = selu(h1 @ W_dense1 + B_dense1)                  the second, ..., down to the code
    dropout of the code; then by the same widths up again to hk
    y  = hk @ W_output + B_output
    loss = sum over all items of softplus(y) - x * y
and with refeed a second step on f(x) = sigmoid(y), as input and as target.
Score
    y, without dropout

Their loss, the squared error where something was rated, can't be had of likes: they are ratings of
1, all of them, and a network that says 1 everywhere would have loss 0. So on likes it is the binary
cross-entropy over all items. On ratings `RatingPredictor` is the paper's own.

Does refeeding pay
    Not beyond doubt, and not for what it costs: over 4 seeds of ml-latest-small, paired, it changes
    the RMSE of a random tenth of the ratings by +0.004 ± 0.004, where training twice as long as
    without it changes it by -0.007 ± 0.002, that of the latest tenth by -0.009 ± 0.002 (-0.013 twice
    as long, and the items' means are ahead of all three), and on likes of 2,000 items p@1 by +0.015 ±
    0.011 and nDCG@100 by +0.004 ± 0.003 (`python benchmarks/refeeding.py`, untuned settings).

Explaining
    By leaving out, exactly: the first layer's sum loses a row.

Source
    Kuchaiev and Ginsburg 2017, Training Deep AutoEncoders for Collaborative Filtering (arXiv
    1708.01715): 512 and 512 wide, a code of 1024, dropout of it at 0.8, refeeding.
    Differences: Adam, where theirs is SGD with momentum 0.9, and refeeding goes on with the same
    moments; normal numbers for their uniform ones of the same variance at the start, and no weight
    decay; BCE on likes.

Example
    >>> likes = [[0, 1], [0, 1, 2], [1, 2], [3, 4], [3, 4, 5], [4, 5]] * 8
    >>> model = DeepRecommender([16, 8], dropout=0.2, batch_size=16, epochs=60, lr=0.02).fit(likes)
    >>> items, _ = model.recommend([[0], [3, 5]], N=1)         # what goes with 0? and with 3 and 5?
    >>> items.ravel()
    array([1, 4], dtype=int32)
"""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse

from autoenc.deep_network import DeepNetwork, initial_state, refeeding_step, shapes_of_state
from autoenc.models.base import NotFittedError
from autoenc.models.network_model import NetworkRecommender
from autoenc.models.random_state import seed_of
from autoenc.network import train_step
from autoenc.optim import Adam
from autoenc.splits import keep
from autoenc.threads import compute_threads
from autoenc.trainer import SCHEDULES, PlainNetwork, minibatches, on_backend, steps_an_epoch, whole_number


class DeepRecommender(NetworkRecommender):
    """The deep autoencoder of likes.

    Parameters
    ----------
    hidden_dims : sequence of int, or their text, "512, 256"
        The widths of the encoder, from the items to the code; the decoder has them mirrored.
    dropout : float
        The share of the code that training drops.
    refeed : bool
        Whether each step is followed by one on the output. The kernels do not serve that: it is
        trained by the plain layers, whatever the backend, which then scores.
    bias_offset : float
        Where the output's bias starts.
    epochs : int, optional
        By default as many as make 240 steps, and at least 12.
    batch_size, lr, schedule, horizon, early_stopping, validation_fraction, patience
        As AutoEncoder has them.
    average_last, random_state, backend, threads
        As AutoEncoder has them.

    Attributes
    ----------
    network_ : DeepNetwork
    history_, seed_
        As AutoEncoder has them.
    """

    default_steps = 240
    default_epochs = 12

    def __init__(
        self,
        hidden_dims=(256, 128),
        dropout=0.5,
        refeed=False,
        bias_offset=-2.0,
        epochs=None,
        batch_size=256,
        lr=0.005,
        schedule="cosine",
        horizon=1.5,
        early_stopping=None,
        validation_fraction=0.1,
        patience=5,
        average_last=0,
        random_state=0,
        backend="numba",
        threads=None,
    ):
        self.hidden_dims = hidden_dims
        self.dropout = dropout
        self.refeed = refeed
        self.bias_offset = bias_offset
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.schedule = schedule
        self.horizon = horizon
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.average_last = average_last
        self.random_state = random_state
        self.backend = backend
        self.threads = threads

    def _initial_state(self, n_items):
        return initial_state(n_items, widths_of(self.hidden_dims), self.bias_offset, self.seed_)

    def _network_on(self, state, n_steps=0):
        return DeepNetwork(state, self.dropout)

    def _shapes(self, n_items, emb_dim, hidden_dim):
        return shapes_of_state(n_items, widths_of(self.hidden_dims))

    def _file_params(self):
        return super()._file_params() | {"hidden_dims": ", ".join(map(str, widths_of(self.hidden_dims)))}

    def _trainer_of(self, network, epochs, schedule="constant", callbacks=()):
        trainer = super()._trainer_of(network, epochs, schedule, callbacks)
        network.settings["refeed"] = bool(self.refeed)
        if self.refeed:
            trainer.model = Refeeding(network, trainer.adam)
        return trainer

    def _fit(self, user_items):
        super()._fit(user_items)
        self._score_on_backend()

    def partial_fit(self, user_items, y=None):
        super().partial_fit(user_items)
        self._score_on_backend()
        return self

    def _score_on_backend(self):
        if self.refeed:
            self._scorer = on_backend(self.backend, self.network_)


class Refeeding(PlainNetwork):
    """The plain layers, with the second step."""

    def train_step(self, user_items, key):
        with compute_threads():
            return refeeding_step(self.network, self.adam, user_items, key)


class RatingPredictor:
    """The deep autoencoder of ratings, as its paper has it: it predicts what a user would rate an item.

    The output's bias starts at the mean rating. All is computed by the plain layers.

    Parameters
    ----------
    hidden_dims, dropout, refeed
        As DeepRecommender has them.
    epochs, batch_size, lr
        The rate falls to 0 along half a cosine.
    random_state
        As AutoEncoder has it.

    Attributes
    ----------
    network_ : DeepNetwork
    lowest_, highest_ : float
        The least and the largest rating, to which predictions are clipped.

    Examples
    --------
    >>> ratings = sparse.csr_array(np.array([[5, 5, 1, 1], [5, 5, 1, 0], [1, 1, 5, 5], [1, 0, 5, 5]] * 8, float))
    >>> model = RatingPredictor([8], dropout=0.0, epochs=150, batch_size=16, lr=0.01).fit(ratings)
    >>> model.predict(ratings[[1]]).round(1)                      # 1, that wasn't given, is what it is for the like
    array([[5., 5., 1., 1.]], dtype=float32)
    """

    def __init__(
        self,
        hidden_dims=(64, 64),
        dropout=0.8,
        refeed=False,
        epochs=40,
        batch_size=64,
        lr=0.001,
        random_state=0,
    ):
        self.hidden_dims = hidden_dims
        self.dropout = dropout
        self.refeed = refeed
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.random_state = random_state

    def fit(self, ratings) -> RatingPredictor:
        """Train on a scipy.sparse matrix (n_users, n_items) whose entries are ratings.

        Raises
        ------
        ValueError, TypeError
            Where `ratings` is not such a matrix, or has none, or a hyperparameter is no good.
        FloatingPointError
            If training diverges.
        """
        ratings = as_ratings(ratings)
        if not ratings.nnz:
            raise ValueError("ratings holds no rating; pass one or more to learn from.")
        seed = seed_of(self.random_state)
        epochs = whole_number("epochs", self.epochs, 0)
        users = np.flatnonzero(np.diff(ratings.indptr))
        steps = epochs * steps_an_epoch(len(users), self.batch_size)
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr must be a finite number above 0, got {self.lr}")
        mean = float(ratings.data.mean(dtype=np.float64))
        state = initial_state(ratings.shape[1], widths_of(self.hidden_dims), mean, seed)
        network = DeepNetwork(state, self.dropout, loss="squared")
        adam = Adam(network.params, self.lr)
        step_on = refeeding_step if self.refeed else train_step
        n_done = 0
        with compute_threads():
            for epoch in range(epochs):
                for step, batch in enumerate(minibatches(users, self.batch_size, seed, epoch)):
                    adam.lr = self.lr * SCHEDULES["cosine"](n_done / steps)
                    loss = step_on(network, adam, ratings[batch], (seed, epoch, step))
                    if not math.isfinite(loss):
                        raise FloatingPointError(
                            f"the loss became {loss} at step {step + 1} of epoch {epoch + 1}; "
                            f"train with a lower lr than {self.lr}"
                        )
                    n_done += 1
        self.network_ = network
        self.lowest_, self.highest_ = float(ratings.data.min()), float(ratings.data.max())
        return self

    def predict(self, ratings) -> np.ndarray:
        """What these users, by the ratings that they gave, would rate each item: (n_users, n_items)."""
        if not hasattr(self, "network_"):
            raise NotFittedError("this RatingPredictor is not fitted yet; call fit(ratings) first.")
        ratings = as_ratings(ratings, self.network_.n_items)
        with compute_threads():
            return np.clip(self.network_.score(ratings), self.lowest_, self.highest_)

    def rmse(self, ratings, held_out, batch_size: int = 256) -> float:
        """The root of the mean squared error of `predict(ratings)` over the ratings held out, of the same users.

        Raises
        ------
        ValueError
            Where the two are of different shapes, or nothing is held out.
        """
        ratings, held_out = as_ratings(ratings), as_ratings(held_out)
        if ratings.shape != held_out.shape or not held_out.nnz:
            raise ValueError(
                f"held_out must hold ratings in the shape of ratings, {ratings.shape}, "
                f"and has {held_out.nnz:,} in the shape {held_out.shape}."
            )
        total = 0.0
        for start in range(0, ratings.shape[0], batch_size):
            wanted = held_out[start : start + batch_size]
            predicted = self.predict(ratings[start : start + batch_size])
            users = np.repeat(np.arange(wanted.shape[0]), np.diff(wanted.indptr))
            total += np.square(predicted[users, wanted.indices] - wanted.data, dtype=np.float64).sum()
        return math.sqrt(total / held_out.nnz)


def ratings_matrix(ratings) -> tuple[sparse.csr_array, sparse.csr_array | None]:
    """What `datasets.read(path, values=True)` returned as matrices of users x items, both by ascending ids.

    Returns
    -------
    values : csr_array (n_users, n_items), float32
        A rating that was given twice counts as it was given last.
    times : csr_array of the same shape and entries, int64, or None where the file has none

    Raises
    ------
    ValueError
        Where the file has no ratings.
    """
    if ratings.ratings is None:
        raise ValueError("these have no column of ratings; read them with values=True from a file that has one.")
    users, rows = np.unique(ratings.users, return_inverse=True)
    items, columns = np.unique(ratings.items, return_inverse=True)
    cells = rows.astype(np.int64) * len(items) + columns
    # np.unique finds the first of equal ones, so from behind it is the last
    cells, from_behind = np.unique(cells[::-1], return_index=True)
    last = len(rows) - 1 - from_behind
    rows, columns = np.divmod(cells, len(items))
    indptr = np.searchsorted(rows, np.arange(len(users) + 1)).astype(np.int32)

    def matrix(values):
        return sparse.csr_array((values[last], columns.astype(np.int32), indptr), shape=(len(users), len(items)))

    values = matrix(ratings.ratings.astype(np.float32))
    return values, None if ratings.timestamps is None else matrix(ratings.timestamps)


def holdout_ratings(values, times=None, holdout: float = 0.1, seed: int = 0):
    """Hold out a share of all ratings: at random, or with `times` those that came last.

    Parameters
    ----------
    values, times
        As `ratings_matrix` returns them. Of equal times all come to the side of the later.
    holdout : float
        Above 0 and below 1.
    seed : int

    Returns
    -------
    train, held_out : csr_array of the shape of values
        Disjoint; together they are `values`.

    Raises
    ------
    ValueError
        Where `holdout` is not such a share, or `times` are not those of `values`.
    """
    values = as_ratings(values)
    if not 0 < holdout < 1:
        raise ValueError(f"holdout is {holdout}; pass the share to hold out, above 0 and below 1, such as 0.1.")
    if times is None:
        late = np.random.Generator(np.random.Philox(seed)).random(values.nnz) < holdout
    else:
        if not (np.array_equal(times.indptr, values.indptr) and np.array_equal(times.indices, values.indices)):
            raise ValueError("times has other entries than values; pass both as ratings_matrix returns them.")
        late = times.data >= np.quantile(times.data, 1 - holdout)
    return keep(values, ~late), keep(values, late)


def as_ratings(ratings, n_items: int | None = None) -> sparse.csr_array:
    """Ratings as a canonical CSR of float32; raises TypeError or ValueError where they aren't such a matrix."""
    if not sparse.issparse(ratings) or ratings.ndim != 2:
        raise TypeError(f"ratings is a {type(ratings).__name__}; pass a scipy.sparse matrix, users x items.")
    if n_items not in (None, ratings.shape[1]):
        raise ValueError(
            f"ratings has {ratings.shape[1]:,} columns, but the model was fitted on {n_items:,} items; "
            "pass ratings of the same items, a column each."
        )
    csr = sparse.csr_array(ratings, dtype=np.float32)
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    if not np.isfinite(csr.data).all():
        raise ValueError("ratings holds a number that is not finite; leave out what wasn't rated.")
    return csr


def widths_of(hidden_dims) -> tuple[int, ...]:
    """The encoder's widths, from a sequence of whole numbers or their text. Raises ValueError for anything else."""
    widths = hidden_dims
    if isinstance(hidden_dims, str):
        widths = [int(part) if part.strip().isdecimal() else part for part in hidden_dims.split(",")]
    try:
        widths = tuple(widths)
    except TypeError:
        widths = ()
    if not widths or not all(isinstance(w, (int, np.integer)) and not isinstance(w, bool) and w >= 1 for w in widths):
        raise ValueError(f"hidden_dims must be widths of 1 or more, such as [512, 256], got {hidden_dims!r}")
    return tuple(int(width) for width in widths)
