"""The Engine protocol: an object that trains a network and scores with it.

    plain.PlainEngine       the layers, as they are: the definition
    fused.FusedEngine       the same steps made of kernels

`engine_for` makes either by the name of its backend. Other engines are handed to the trainer as
`make_engine`: a rank's part of a network (`scale.sharded`), a second step on the network's own answer
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
        Its arrays may lag behind between steps: read `state_dict()`, or `flush()` first.
    adam : Adam or None
        The optimizer of the network's params; None where the engine only scores.
    n_items : int
        Columns of user_items and of the scores.
    users_at_once : int
        How many users `evaluation.ranking` passes to `top_n` at a time.
    """

    network: Network
    adam: Adam | None
    n_items: int

    @property
    def users_at_once(self) -> int: ...

    def train_step(self, user_items: sparse.csr_array, key: Key) -> float:
        """Forward, backward and Adam on a minibatch (batch, n_items); key = (seed, epoch, step) names its masks.

        Returns the loss before the step, summed over the batch's users and items.
        """

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        """Every item's logit for each user, in evaluation: (batch, n_items). No row's bits depend on another."""

    def top_n(self, user_items: sparse.csr_array, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n best items of each user, liked ones left out, int32, and their logits: (batch, n) each.

        As `evaluation.ranking.top_n_of_scores` pads and orders them. Raises ValueError where a score is NaN.
        """

    def encode(self, user_items: sparse.csr_array) -> np.ndarray:
        """What the output layer gets for each user, in evaluation: (batch, hidden_dim)."""

    def encode_sums(self, item_sum: np.ndarray, n_likes: np.ndarray) -> np.ndarray:
        """The same from sums of embedding rows, (batch, emb_dim), and the number of rows in each sum, (batch,).

        Of one user's sums: a row's bits may depend on the others.
        """

    def state_dict(self) -> dict[str, np.ndarray]:
        """The network's arrays as of the last step, by the names of the model file; not to be written to."""

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Copy these arrays, of the names and shapes of `state_dict`, into the network."""

    def flush(self) -> None:
        """Apply all updates that were deferred, in place: training is over."""

    def training_arrays(self) -> dict[str, np.ndarray]:
        """What a checkpoint needs besides the network's arrays and Adam's, to go on with the same bits."""

    def load_training_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what `training_arrays` gave; the network, Adam and its step_count are restored already."""


MakeEngine = Callable[[Network, Adam], Engine]


def check_backend(backend: str) -> None:
    """Raise ValueError if there is no such backend."""
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")


def engine_for(backend: str, network: Network, adam: Adam | None = None) -> Engine:
    """The network on "numba" or "numpy"; it can train where it has an `adam`."""
    check_backend(backend)
    if backend == "numpy":
        return PlainEngine(network, adam)
    from autoenc.training.fused import FusedEngine  # imports numba

    return FusedEngine(network, adam)
