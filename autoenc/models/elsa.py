"""ELSA: EASE's items x items matrix as a product of item embeddings, for catalogues too large for EASE.

Score
    A     = weight, each row divided by its length
    score = user_items @ (A @ A.T - I)
    The diagonal of A @ A.T is 1, so that of A @ A.T - I is 0: an item does not score itself.

Training
    Adam minimizes the cosine distance between score and user_items; see networks/elsa.py.

Cost
    3 * n_items * emb_dim**2 flops per step, whatever the batch size; computing the scores would take
    6 * batch * n_items * emb_dim. 16 bytes per weight, including A and Adam's moments.

Source
    Vančura, Alves, Kasalický and Kordík 2022, Scalable Linear Shallow Autoencoder for Collaborative
    Filtering (RecSys), and their package elsarec. Differences: Adam with learning rate .03 in place of
    NAdam with .1; a user's error is summed over the items, not averaged, which changes the effect of
    Adam's eps.

Example
    >>> likes = [[0, 1], [0, 1, 2], [1, 2], [3, 4], [3, 4, 5], [4, 5]] * 8
    >>> items, _ = ELSA(emb_dim=4, epochs=40, batch_size=16).fit(likes).recommend([[0], [3, 5]], N=1)
    >>> items.ravel()
    array([1, 4], dtype=int32)
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Any, Self

import numpy as np
from scipy import sparse

from autoenc.batch_invariant import by_fixed_rows
from autoenc.checks import whole_number
from autoenc.interactions import UserItemsLike
from autoenc.machine import check_free, compute_threads, threads_to_use
from autoenc.models.base import Recommender, item_embeddings_of
from autoenc.models.growing import Growth
from autoenc.models.random_state import RandomState, seed_of
from autoenc.networks.base import Key
from autoenc.networks.elsa import CosineOfProduct, initial_weight
from autoenc.optim import Adam
from autoenc.training.callbacks import History
from autoenc.training.minibatches import default_epochs
from autoenc.training.plain import PlainEngine
from autoenc.training.trainer import SCHEDULES, Trainer

BLOCK = 512  # items at a time, so that their gradient and moments stay in the cache
LEAST_STEPS = 120  # by default
LEAST_EPOCHS = 4  # within which the paper's data sets peak, in more steps


@dataclass(eq=False, repr=False)
class ELSA(Recommender):
    """A scalable linear shallow autoencoder.

    Parameters
    ----------
    emb_dim : int
        Length of an item's embedding: the rank of the approximation of EASE's weights.
    epochs : int, optional
        Passes over the users. By default enough for 120 steps, and at least 4.
    batch_size : int
    lr : float
        Adam's learning rate. It can be large, as only the direction of a row matters.
    schedule : "constant" or "cosine"
        Whether the learning rate stays constant or falls to 0 by the last step.
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None
        Seed for initialization and shuffling; the same int gives the same bits.

    Attributes
    ----------
    item_embeddings_ : array (n_items, emb_dim), float32
        A above. The dot product of two rows is what a like of one item adds to the other's score.
    history_ : list of dict
        epoch, loss (per user) and lr, one dict per epoch.
    seed_ : int
        Seed drawn from `random_state`.
    """

    emb_dim: int = 256
    _: KW_ONLY
    epochs: int | None = None
    batch_size: int = 256
    lr: float = 0.03
    schedule: str = "constant"
    random_state: RandomState = 0

    def _fit(self, user_items: sparse.csr_array) -> None:
        self.seed_ = seed_of(self.random_state)
        n_users = int((np.diff(user_items.indptr) > 0).sum())
        epochs = self.epochs
        if epochs is None:
            epochs = default_epochs(n_users, self.batch_size, LEAST_STEPS, LEAST_EPOCHS)
        self.history_: list[dict[str, Any]] = []
        start = initial_weight(user_items.shape[1], self.emb_dim, self.seed_)
        self.item_embeddings_: np.ndarray = self._trained(start, user_items, epochs)

    def partial_fit(self, user_items: UserItemsLike, y: object = None, *, epochs: int = 1) -> Self:
        """Train for `epochs` more epochs on these likes, with a new optimizer; the first call fits.

        New items start from the mean of the items that they were liked with (models/growing.py).
        Raises the errors of `fit`.
        """
        if not self.__sklearn_is_fitted__():
            return self.fit(user_items)
        epochs = whole_number("epochs", epochs, 1)
        likes = self._take_in(user_items)
        self.item_embeddings_ = self._trained(self.item_embeddings_, likes, epochs)
        return self

    def _grow(self, growth: Growth) -> None:
        self.item_embeddings_ = growth.rows(self.item_embeddings_)

    def _trained(self, weight: np.ndarray, user_items: sparse.csr_array, epochs: int) -> np.ndarray:
        """The item embeddings after training `weight`, which is updated in place."""
        layer: Any = CosineOfProduct(weight)
        history = History()
        Trainer(
            layer,
            epochs=epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            schedule=self.schedule,
            seed=self.seed_,
            backend="numpy",
            callbacks=[history],
            make_engine=BlockwiseEngine,
        ).train(user_items)
        self.history_ += history.epochs
        embeddings: np.ndarray = layer.item_embeddings()[0]
        return embeddings

    def check_memory(self, n_users: int, n_items: int) -> None:
        check_free(f"ELSA on {n_items:,} items", 16 * n_items * self.emb_dim, "lower emb_dim, or fit on fewer items")

    def _check_hyperparameters(self) -> None:
        super()._check_hyperparameters()
        for name in ("emb_dim", "batch_size"):
            whole_number(name, getattr(self, name), 1)
        if self.epochs is not None:
            whole_number("epochs", self.epochs, 1)
        if not (isinstance(self.lr, Real) and self.lr > 0 and math.isfinite(self.lr)):
            raise ValueError(f"lr is {self.lr!r}; pass a number above 0, such as 0.03.")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule is {self.schedule!r}; pass one of {', '.join(SCHEDULES)}.")

    def _score(self, user_items: sparse.csr_array) -> np.ndarray:
        sums = user_items @ self.item_embeddings_  # (batch, emb_dim)
        weight = self.item_embeddings_
        scores = by_fixed_rows(lambda rows: rows @ weight.T, sums, weights=[weight])  # (batch, n_items)
        scores[user_items.nonzero()] -= 1
        return scores

    def item_vectors(self) -> np.ndarray:
        """`item_embeddings_`."""
        self._check_fitted()
        return self.item_embeddings_

    def _contributions(self, row: sparse.csr_array, column: int) -> np.ndarray:
        products = self.item_embeddings_[row.indices] @ self.item_embeddings_[column]
        contributions: np.ndarray = products - (row.indices == column)
        return contributions

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"item_embeddings": self.item_embeddings_}

    def _set_arrays(self, arrays: dict[str, np.ndarray]) -> int:
        self.item_embeddings_ = item_embeddings_of(arrays)
        self.history_, self.seed_ = [], seed_of(self.random_state)
        return len(self.item_embeddings_)


class BlockwiseEngine(PlainEngine):
    """Works on one block of items at a time, so that intermediate arrays are as small as the block."""

    def __init__(self, network: Any, adam: Adam):
        super().__init__(network, adam)
        self.layer: CosineOfProduct = network
        self.blocks = [slice(start, start + BLOCK) for start in range(0, self.n_items, BLOCK)]
        self.optimizers = [rows_of(adam, block) for block in self.blocks]

    def train_step(self, user_items: sparse.csr_array, key: Key) -> float:
        assert self.adam is not None
        with compute_threads(), ThreadPoolExecutor(threads_to_use()) as pool:
            loss: float = user_items.shape[0] * self.layer.forward_from(user_items, *self._embeddings_and_gram(pool))
            self.layer.backward_sums()
            list(pool.map(self._step_on_rows, self.blocks, self.optimizers))
        self.adam.step_count += 1
        return loss

    def _embeddings_and_gram(self, pool: ThreadPoolExecutor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A, the lengths, and A.T @ A as the sum over blocks in their order, whichever thread computes a block."""
        weight = self.layer.params["weight"]
        embeddings, lengths = np.empty_like(weight), np.empty((self.n_items, 1), weight.dtype)
        gram = np.zeros((weight.shape[1], weight.shape[1]), weight.dtype)

        def of_block(block: slice) -> np.ndarray:
            with compute_threads():
                embeddings[block], lengths[block] = self.layer.item_embeddings(block)
                part: np.ndarray = embeddings[block].T @ embeddings[block]
                return part

        for part in pool.map(of_block, self.blocks):
            gram += part
        return embeddings, lengths, gram

    def _step_on_rows(self, block: slice, optimizer: Adam) -> None:
        assert self.adam is not None
        optimizer.lr = self.adam.lr
        with compute_threads():
            optimizer.step({"weight": self.layer.backward_rows(block)})


def rows_of(adam: Adam, rows: slice) -> Adam:
    """An Adam for these rows only, sharing the arrays."""
    part = Adam({}, adam.lr, adam.betas, adam.eps)
    part.params = {name: array[rows] for name, array in adam.params.items()}
    part.first_moment = {name: array[rows] for name, array in adam.first_moment.items()}
    part.second_moment = {name: array[rows] for name, array in adam.second_moment.items()}
    return part
