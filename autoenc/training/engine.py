"""The Engine protocol: an object that trains a network and scores with it.

    plain.PlainEngine       the plain layers: the definition
    fused.FusedEngine       the same steps with compiled kernels

`engine_for` creates either by the name of its backend. Other engines are passed to the trainer as
`make_engine`: a rank's part of a network (`scale.sharded`), a second step on the network's output
(`models.deep_recommender`), Adam in blocks of items (`models.elsa`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy import sparse

from autoenc.networks.base import Key, Network
from autoenc.optim import Adam
from autoenc.training.plain import PlainEngine

BACKENDS = ("numba", "numpy")


class Engine(Protocol):
    """Trains a network in place, and scores with it.

    Attributes
    ----------
    network : Network
        Between steps its arrays may be outdated: use `state_dict()`, or call `flush()` first.
    adam : Adam or None
        The optimizer of the network's params; None if the engine only scores.
    n_items : int
        Number of columns of user_items and of the scores.
    users_at_once : int
        Number of users that `evaluation.ranking` passes to `top_n` at a time.
    """

    network: Network
    adam: Adam | None
    n_items: int

    @property
    def users_at_once(self) -> int: ...

    def train_step(self, user_items: sparse.csr_array, key: Key) -> float:
        """Forward, backward and Adam on a minibatch (batch, n_items); key = (seed, epoch, step) seeds its masks.

        Returns the loss before the step, summed over the users and items of the batch.
        """

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        """The logits of all items for each user, in evaluation: (batch, n_items). Rows are independent, to the bit."""

    def top_n(self, user_items: sparse.csr_array, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n best items of each user without liked ones, int32, and their logits: (batch, n) each.

        Padded and ordered as in `evaluation.ranking.top_n_of_scores`. Raises ValueError if a score is NaN.
        """

    def encode(self, user_items: sparse.csr_array) -> np.ndarray:
        """The input of the output layer for each user, in evaluation: (batch, hidden_dim)."""

    def encode_sums(self, item_sum: np.ndarray, n_likes: np.ndarray) -> np.ndarray:
        """The same from sums of embedding rows (batch, emb_dim) and the number of rows in each sum (batch,).

        The sums must be those of one user, as the bits of a row may depend on the other rows.
        """

    def state_dict(self) -> dict[str, np.ndarray]:
        """The network's arrays after the last step, by their names in the model file; do not modify them."""

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Copy these arrays, with the names and shapes of `state_dict`, into the network."""

    def flush(self) -> None:
        """Apply all deferred updates in place, at the end of training."""

    def training_arrays(self) -> dict[str, np.ndarray]:
        """The arrays that a checkpoint needs, besides those of the network and Adam, to resume with the same bits."""

    def load_training_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Restore the arrays of `training_arrays`; the network, Adam and its step_count must be restored before."""


MakeEngine = Callable[[Network, Adam], Engine]


def check_backend(backend: str) -> None:
    """Raise ValueError if the backend is unknown."""
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")


def engine_for(backend: str, network: Network, adam: Adam | None = None) -> Engine:
    """The engine for the network on "numba" or "numpy"; it can train only with an `adam`."""
    check_backend(backend)
    if backend == "numpy":
        return PlainEngine(network, adam)
    from autoenc.training.fused import FusedEngine  # imports numba

    return FusedEngine(network, adam)
