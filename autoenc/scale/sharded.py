"""A network whose items are shared out among ranks: the same training, and nothing that grows with the items sent.

Each rank holds its items' rows of the embedding and of the output layer, with their Adam state; the
middle is small, and each rank has all of it. A step is then the usual one on a rank's own items, but
for two sums over items, which are made over the ranks where the network makes them:

    item_sum    (batch, emb_dim)        on the way up
    grad_hidden (batch, hidden_dim)     on the way down, and the loss, a number

From equal sums each rank computes the same BatchNorm over the whole batch, draws the same dropout
masks from the same keys, and moves its copy of the middle in the same way. Compared with one rank
only the order of those sums is another.

To rank items, each rank finds the best of its own and the ranks merge what they found.

Source
    Amazon's DSSTNE shards such layers over GPUs; Megatron-LM calls it tensor parallelism. Masks by
    counters are Salmon et al. 2011 (Philox).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.layers import SigmoidBCE
from autoenc.networks.autoencoder import Network
from autoenc.scale.shards import Shard


class ShardedNetwork:
    """One rank's network as a scorer of all items, and as a part of the training of all.

    Training and scoring are called by all ranks at once, with the same users and all of their likes.

    Parameters
    ----------
    model : FusedNetwork or PlainNetwork
        Of this rank's items.
    shard : Shard
        Which those are.

    Raises
    ------
    ValueError
        If it isn't the task's network with its loss: others have more sums over items.
    """

    def __init__(self, model, shard: Shard):
        network = model.network
        if type(network) is not Network or not isinstance(network.loss, SigmoidBCE):
            raise ValueError("ranks can share out the items of the task's network with loss='bce' alone; train on one")
        network.communicator = shard.communicator
        self.model, self.shard = model, shard
        self.network, self.adam = network, model.adam
        self.n_items = shard.n_items

    @property
    def users_at_once(self) -> int:
        """How many users `ranking` has scored at a time: as many on each rank, whatever its processors."""
        return 2048 if hasattr(self.model, "top_n") else 256

    def train_step(self, user_items: sparse.csr_array, key: tuple[int, int, int]) -> float:
        """One minibatch (batch, n_items). Returns the loss over all items."""
        return self.model.train_step(self.shard.own(user_items), key)

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        """Every item's logit for each user, in evaluation: (batch, n_items), on each rank."""
        scores: np.ndarray = np.zeros((user_items.shape[0], self.n_items), self.network.dtype)
        scores[:, self.shard.items] = self.model.score(self.shard.own(user_items))
        return self.shard.communicator.sum(scores)

    def encode(self, user_items: sparse.csr_array) -> np.ndarray:
        """What the output layer gets for each user, in evaluation: (batch, hidden_dim)."""
        return self.model.encode(self.shard.own(user_items))

    def top_n(self, user_items: sparse.csr_array, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n best items of each user, liked ones struck, and their logits: (batch, n) each, on each rank."""
        own = self.shard.own(user_items)
        if hasattr(self.model, "top_n"):
            items, scores = self.model.top_n(own, n)
        else:
            items, scores = top_n_of_scores(self.model.score(own), own, n)
        items = np.where(items >= 0, self.shard.items[items], -1).astype(np.int32)
        items_of_ranks, scores_of_ranks = zip(*self.shard.communicator.gather((items, scores)))
        return merge_top_n(np.concatenate(items_of_ranks, axis=1), np.concatenate(scores_of_ranks, axis=1), n)

    def current_state(self) -> dict[str, np.ndarray]:
        """This rank's part of the state as of the last step."""
        return self.model.current_state()

    def settle(self) -> None:
        """Bring every row that lags behind to the last step."""
        self.model.settle()

    def training_arrays(self) -> dict[str, np.ndarray]:
        """What this rank's part of a checkpoint needs besides the network's arrays and Adam's."""
        return self.model.training_arrays()

    def set_training_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what `training_arrays` gave."""
        self.model.set_training_arrays(arrays)


def merge_top_n(items: np.ndarray, scores: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n best of candidates, (batch, n_candidates) each, of which item -1 is padding: (batch, n) each.

    Best first; of equal scores the lower item comes first, and padding last.
    """
    last = np.where(items >= 0, items, np.iinfo(np.int32).max)
    best = np.lexsort((last, -scores), axis=1)[:, :n]
    return np.take_along_axis(items, best, axis=1), np.take_along_axis(scores, best, axis=1)


class RowsOfRanks:
    """An array with a row an item whose rows are spread over the ranks, in the order of the items.

    Looks like an array to `model_file.write_safetensors`, which asks for its `blocks`: all ranks do
    so at once, and the talker gets them.
    """

    def __init__(self, own: np.ndarray, shard: Shard, rows_at_once: int = 4096):
        self.own, self.shard, self.rows_at_once = own, shard, rows_at_once
        self.dtype, self.shape = own.dtype, (shard.n_items, *own.shape[1:])
        self.nbytes = self.dtype.itemsize * int(np.prod(self.shape))

    def blocks(self):
        """The rows in blocks; empty ones on ranks that are not the talker."""
        ranks = self.shard.communicator
        for first in range(0, self.shape[0], self.rows_at_once):
            start, stop = np.searchsorted(self.shard.items, (first, first + self.rows_at_once))
            counts = ranks.gather(int(stop - start))
            items = ranks.gather_rows(self.shard.items[start:stop], counts)
            rows = ranks.gather_rows(self.own[start:stop], counts)
            if items is None or rows is None:
                yield self.own[:0]
                continue
            block = np.empty_like(rows)
            block[items - first] = rows
            yield block
