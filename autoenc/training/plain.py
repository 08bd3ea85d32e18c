"""The step in NumPy: a network's layers as they stand."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from autoenc.batch_invariant import by_fixed_rows
from autoenc.machine import compute_threads
from autoenc.networks.base import ItemNetwork
from autoenc.optim import Adam


def train_step(network: ItemNetwork, adam: Adam, user_items: sparse.csr_array, key: tuple[int, int, int]) -> float:
    """One minibatch: forward, backward, Adam. Returns the batch's summed loss before the step.

    Where the network has one rank's items, so do user_items, and the loss is over all ranks'.
    """
    network.anneal(adam.step_count)
    loss = network.communicator.sum_number(network.forward(user_items, key))
    network.backward()
    adam.step(network.grads)
    return loss


class PlainNetwork:
    """A network's layers behind the face of `fused.FusedNetwork`."""

    def __init__(self, network: ItemNetwork, adam: Adam | None = None):
        self.network = network
        self.adam: Any = adam
        self.n_items = network.n_items

    def train_step(self, user_items: sparse.csr_array, key: tuple[int, int, int]) -> float:
        with compute_threads():
            return train_step(self.network, self.adam, user_items, key)

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        with compute_threads():
            return by_fixed_rows(self.network.score, user_items)

    def encode(self, user_items: sparse.csr_array) -> np.ndarray:
        with compute_threads():
            return by_fixed_rows(self.network.encode, user_items)

    def current_state(self) -> dict[str, np.ndarray]:
        return self.network.state

    def settle(self) -> None:
        """Nothing lags behind here."""

    def training_arrays(self) -> dict[str, np.ndarray]:
        """Nothing but the network's and Adam's own arrays is needed to go on."""
        return {}

    def set_training_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what `training_arrays` gave."""
