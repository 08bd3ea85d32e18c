"""The kernels on one rank's items, in a separate file because it imports numba."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from autoenc.kernels.adam import Rates
from autoenc.networks.autoencoder import AutoEncoderNetwork
from autoenc.optim import Adam
from autoenc.scale.ranks import Communicator
from autoenc.training.fused import FusedEngine


class FusedShard(FusedEngine):
    """The fused engine, with its two sums over items extended over the ranks."""

    def __init__(self, network: AutoEncoderNetwork, adam: Adam | None, ranks: Communicator):
        super().__init__(network, adam)
        self.ranks = ranks

    def item_sums(self, user_items: sparse.csr_array, weight: np.ndarray) -> np.ndarray:
        return self.ranks.all_reduce(super().item_sums(user_items, weight))

    def output_step(self, hidden: np.ndarray, item_users: sparse.csc_array, rates: Rates) -> tuple[float, np.ndarray]:
        loss, grad_hidden = super().output_step(hidden, item_users, rates)
        return self.ranks.all_reduce_number(loss), self.ranks.all_reduce(grad_hidden)
