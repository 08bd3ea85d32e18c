"""The job that test_sharded.py runs on ranks: `mpiexec -n N python tests/helpers/sharded_job.py WHAT FOLDER`."""

from __future__ import annotations

import os
import signal
import sys
import zlib
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from autoenc.datasets import load
from autoenc.interactions import likes_per_item
from autoenc.networks.autoencoder import AutoEncoderNetwork
from autoenc.scale.checkpoint import ShardedCheckpoints
from autoenc.scale.ranks import world
from autoenc.scale.sharded import initial_shard, sharded_by
from autoenc.scale.shards import Shard
from autoenc.storage.shard_files import is_by_item
from autoenc.training.callbacks import Callback
from autoenc.training.trainer import Trainer

EMB_DIM, HIDDEN_DIM, BATCH = 24, 12, 64


class StopAt(Callback):
    def __init__(self, step, how=None):
        self.step, self.how = step, how

    def on_step_end(self, trainer):
        if trainer.adam.step_count == self.step:
            trainer.stop = True


def likes():
    return load().user_items[:, :2000]


def sharded(ranks, user_items, dtype, backend="numba", **settings):
    """A trainer of the ranks' network."""
    shard = Shard.dealt(likes_per_item(user_items), ranks)
    network = AutoEncoderNetwork(initial_shard(shard, EMB_DIM, HIDDEN_DIM, dtype=dtype))
    make_engine = sharded_by(shard, backend)
    return Trainer(
        network, batch_size=BATCH, epochs=20, threads=1, backend=backend, make_engine=make_engine, **settings
    )


def whole(trainer, arrays):
    """The arrays of all ranks, on each."""
    shard = trainer.engine.shard
    gathered = {}
    for name, array in arrays.items():
        gathered[name] = array
        if is_by_item(name):
            into = np.zeros((shard.n_items, *array.shape[1:]), array.dtype)
            into[shard.items] = array
            gathered[name] = shard.ranks.all_reduce(into)
    return gathered


def train(ranks, folder):
    """Twenty steps in float64 and in float32, one step's gradients, and a ranking, on both backends."""
    user_items = likes()
    for backend in ("numba", "numpy"):
        for dtype in (np.float64, np.float32):
            trainer = sharded(ranks, user_items, dtype, backend=backend, callbacks=[StopAt(20)]).fit(user_items)
            arrays = whole(trainer, trainer.engine.network.state)
            arrays |= {f"first_moment/{k}": m for k, m in whole(trainer, trainer.adam.first_moment).items()}
            arrays |= {f"second_moment/{k}": v for k, v in whole(trainer, trainer.adam.second_moment).items()}
            middle = b"".join(a.tobytes() for name, a in trainer.engine.network.state.items() if not is_by_item(name))
            arrays["middles"] = np.array(ranks.all_gather(zlib.crc32(middle)))
            arrays["loss"] = np.array(trainer.epoch_loss)
            arrays["items"], arrays["scores"] = trainer.engine.top_n(user_items[:100], 10)
            arrays["all_scores"] = trainer.engine.score(user_items[:100])
            if ranks.is_root:
                np.savez(Path(folder) / f"{backend}-{np.dtype(dtype).name}.npz", **arrays)
    trainer = sharded(ranks, user_items, np.float32, backend="numpy")
    network = trainer.engine.network
    own = trainer.engine.shard.own(user_items[:BATCH])
    loss = ranks.all_reduce_number(network.forward(own, (0, 0, 0)))
    network.backward()
    gradients = whole(trainer, network.grads)
    if ranks.is_root:
        np.savez(Path(folder) / "gradients.npz", loss=loss, **gradients)


def checkpoint(ranks, folder):
    """Ten steps with a checkpoint every four, or from there to the twentieth."""
    user_items = likes()
    state = Path(folder) / "state"
    last = 20 if state.exists() else 10
    keep = ShardedCheckpoints(state, every_steps=4)
    trainer = sharded(ranks, user_items, np.float64, callbacks=[keep, StopAt(last)]).fit(user_items)
    arrays = whole(trainer, trainer.engine.network.state)
    if ranks.is_root:
        np.savez(Path(folder) / "arrays.npz", steps=trainer.adam.step_count, **arrays)


def fail(ranks, folder):
    """The last rank raises in the middle of a training."""

    class Fail(Callback):
        def on_step_end(self, trainer):
            if trainer.adam.step_count == 3 and ranks.rank == ranks.size - 1:
                raise OSError("the disk of this rank is gone")

    with ranks.together("the job"):
        sharded(ranks, likes(), np.float32, backend="numpy", callbacks=[Fail()]).fit(likes())


def die(ranks, folder):
    """The last rank is killed in the middle of a training."""

    class Die(Callback):
        def on_step_end(self, trainer):
            if trainer.adam.step_count == 3 and ranks.rank == ranks.size - 1:
                os.kill(os.getpid(), signal.SIGKILL)

    with ranks.together("the job"):
        sharded(ranks, likes(), np.float32, backend="numpy", callbacks=[Die()]).fit(likes())


if __name__ == "__main__":
    what, folder = sys.argv[1:]
    {"train": train, "checkpoint": checkpoint, "fail": fail, "die": die}[what](world(), folder)
