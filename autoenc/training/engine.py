"""On what a network is trained and scores: its layers in NumPy, or the kernels."""

from __future__ import annotations

from typing import Any

from autoenc.networks.base import ItemNetwork
from autoenc.optim import Adam
from autoenc.scale.sharded import ShardedNetwork
from autoenc.scale.shards import Shard
from autoenc.training.plain import PlainNetwork

BACKENDS = ("numba", "numpy")


def on_backend(backend: str, network: ItemNetwork, adam: Adam | None = None, shard: Shard | None = None):
    """The network as a scorer that can train (where it has an `adam`), on "numba" or "numpy".

    With a shard, the network is of its items, and the scorer of all ranks'.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if backend == "numpy":
        model: Any = PlainNetwork(network, adam)
    else:
        from autoenc.training.fused import FusedNetwork

        model = FusedNetwork(network, adam)
    return model if shard is None else ShardedNetwork(model, shard)
