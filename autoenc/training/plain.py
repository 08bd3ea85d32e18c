"""The engine in NumPy: a network's plain layers. It defines what the other engines compute."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from autoenc.batch_invariant import by_fixed_rows
from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.machine import compute_threads
from autoenc.networks.base import Key, Network
from autoenc.optim import Adam


def train_step(network: Network, adam: Adam, user_items: sparse.csr_array, key: Key) -> float:
    """Forward, backward and Adam on one minibatch. Returns the summed loss before the step."""
    loss = network.forward(user_items, key)
    network.backward()
    adam.step(network.grads)
    return loss


class PlainEngine:
    """Trains and scores with the layers; see `engine.Engine`."""

    users_at_once = 256

    def __init__(self, network: Network, adam: Adam | None = None):
        self.network = network
        self.adam = adam
        self.n_items = network.n_items

    def train_step(self, user_items: sparse.csr_array, key: Key) -> float:
        assert self.adam is not None
        with compute_threads():
            return train_step(self.network, self.adam, user_items, key)

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        return by_fixed_rows(self.network.score, user_items, weights=self.network.dense_weights)

    def top_n(self, user_items: sparse.csr_array, n: int) -> tuple[np.ndarray, np.ndarray]:
        return top_n_of_scores(self.score(user_items), user_items, n)

    def encode(self, user_items: sparse.csr_array) -> np.ndarray:
        return by_fixed_rows(self.network.encode, user_items, weights=self.network.dense_weights)

    def encode_sums(self, item_sum: np.ndarray, n_likes: np.ndarray) -> np.ndarray:
        with compute_threads():
            return self.network.encode_sums(item_sum, n_likes)

    def state_dict(self) -> dict[str, np.ndarray]:
        return self.network.state

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        for name, array in self.network.state.items():
            array[:] = state[name]

    def flush(self) -> None:
        """Nothing: no update is deferred here."""

    def training_arrays(self) -> dict[str, np.ndarray]:
        return {}

    def load_training_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Nothing: there are none."""
