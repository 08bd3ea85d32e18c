"""Checkpoints of training with items divided among ranks: each rank writes and reads its own part."""

from __future__ import annotations

from typing import Any

from autoenc.scale.sharded import ShardedEngine
from autoenc.scale.shards import Shard
from autoenc.training.checkpoint import Checkpoints, Peers
from autoenc.training.trainer import Trainer


class ShardPeers(Peers):
    """The ranks that write one checkpoint together."""

    def __init__(self, shard: Shard):
        self.ranks, self.items = shard.ranks, shard.items
        self.rank, self.size = shard.ranks.rank, shard.ranks.size

    def all_gather(self, value: Any) -> list[Any]:
        return self.ranks.all_gather(value)


class ShardedCheckpoints(Checkpoints):
    """`Checkpoints` for a Trainer whose engine is a ShardedEngine; each rank has one."""

    def on_train_begin(self, trainer: Trainer) -> None:
        assert isinstance(trainer.engine, ShardedEngine)
        self.peers = ShardPeers(trainer.engine.shard)
        super().on_train_begin(trainer)
