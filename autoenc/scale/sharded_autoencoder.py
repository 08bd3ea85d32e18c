"""ShardedAutoEncoder: AutoEncoder under mpiexec, each rank holding some of the items.

    mpiexec -n 4 python train.py            where train.py has ShardedAutoEncoder().fit(likes).save(path)

All ranks call the same methods with the same arguments, and get the same results. The saved file is that
of an AutoEncoder, which `load_model` reads on one machine. Without mpiexec, it behaves like an AutoEncoder.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from scipy import sparse

from autoenc.interactions import likes_per_item
from autoenc.models.autoencoder import AutoEncoder
from autoenc.models.growing import Growth
from autoenc.scale.ranks import world
from autoenc.scale.sharded import RowsOfRanks, initial_shard, sharded_by
from autoenc.scale.shards import Shard
from autoenc.storage.model_file import in_file_order, write_model_file
from autoenc.storage.shard_files import is_by_item
from autoenc.training.engine import MakeEngine


class ShardedAutoEncoder(AutoEncoder):
    """The task's autoencoder, with its items divided among MPI ranks; it has the parameters of AutoEncoder.

    The loss must be "bce", and `random_state` an integer, as the ranks must agree on it. Methods that need
    individual weights, such as `explain`, are available after `load_model`.

    Attributes
    ----------
    network_ : AutoEncoderNetwork
        The network of this rank's items.
    """

    _shard: Shard

    def _fit(self, user_items: sparse.csr_array) -> None:
        if not isinstance(self.random_state, (int, np.integer)):
            raise ValueError(f"random_state must be a whole number, the same on all ranks, got {self.random_state!r}")
        self._shard = Shard.dealt(likes_per_item(user_items), world())
        super().check_memory(user_items.shape[0], len(self._shard.items))
        super()._fit(user_items)

    def check_memory(self, n_users: int, n_items: int) -> None:
        """Do nothing: the memory of this rank's share is checked once the items are distributed."""

    def _initial_state(self, n_items: int) -> dict[str, np.ndarray]:
        return initial_shard(self._shard, self.emb_dim, self.hidden_dim, self.bias_offset, self.seed_)

    def _make_engine(self) -> MakeEngine:
        return sharded_by(self._shard, self.backend)

    def _arrays(self) -> dict[str, Any]:
        state = self.network_.state
        return {name: RowsOfRanks(a, self._shard) if is_by_item(name) else a for name, a in state.items()}

    def _grow(self, growth: Growth) -> None:
        raise ValueError("new items can't be added on several ranks; save the model, load it, and update that.")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an AutoEncoder's file to the root's disk, gathering some rows at a time. All ranks must call it."""
        self._check_fitted()
        content = self._file_content(AutoEncoder.__name__)
        if self._shard.ranks.is_root:
            write_model_file(path, content)
            return
        arrays: dict[str, Any] = content.arrays
        for name in in_file_order(arrays):
            if is_by_item(name):
                for _ in arrays[name].blocks():
                    pass
