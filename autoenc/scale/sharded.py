"""A network whose items are divided among ranks: the same training, without communicating
anything whose size grows with the number of items.

Each rank holds its items' rows of the embedding and of the output layer, with their Adam state. The
middle layers are small, and each rank has all of them. A step is then the usual one on a rank's own
items, except that two sums over items are extended over the ranks:

    item_sum    (batch, emb_dim)        in forward, after the embedding
    grad_hidden (batch, hidden_dim)     in backward, after the output layer; and the loss, a number

As the sums are equal, each rank computes the same BatchNorm over the whole batch, draws the same dropout
masks from the same keys, and updates its copy of the middle layers in the same way. Only the order of
summation differs from training in one process.

To rank items, each rank finds the best of its own, and the ranks merge them.

Source
    Shoeybi et al. 2019, Megatron-LM (arXiv 1909.08053), section 3: tensor parallelism, whose f and g
    are SummedBackward and SummedForward here. Amazon's DSSTNE shards such layers over GPUs. For
    counter-based masks, see Salmon et al. 2011 (Philox).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from scipy import sparse

from autoenc.batch_invariant import by_fixed_rows
from autoenc.layers import Linear, SigmoidBCE, SparseEmbedding
from autoenc.networks.autoencoder import AutoEncoderNetwork, draw_normal, draw_uniform, initial_state
from autoenc.networks.base import Key, Network
from autoenc.optim import Adam
from autoenc.scale.ranks import Communicator
from autoenc.scale.shards import Shard
from autoenc.training.engine import Engine, MakeEngine, check_backend
from autoenc.training.plain import PlainEngine

ROWS_AT_ONCE = 4096


def initial_shard(
    shard: Shard,
    emb_dim: int = 800,
    hidden_dim: int = 400,
    bias_offset: float = -10.0,
    seed: int = 0,
    dtype: type = np.float32,
) -> dict[str, np.ndarray]:
    """One rank's rows of what `autoencoder.initial_state` draws for all items, without holding all of them."""
    state = initial_state(1, emb_dim, hidden_dim, bias_offset, seed, dtype)  # arrays without a row per item are kept
    rng = np.random.Generator(np.random.Philox(seed))
    state["embedding.weight"] = _own_rows(partial(draw_normal, rng), emb_dim, shard).astype(dtype, copy=False)
    state["bottleneck.weight"] = draw_uniform(rng, (hidden_dim, emb_dim)).astype(dtype, copy=False)
    state["output.weight"] = _own_rows(partial(draw_uniform, rng), hidden_dim, shard).astype(dtype, copy=False)
    state["output.bias"] = np.full(len(shard.items), bias_offset, dtype)
    return state


def _own_rows(draw: Callable[[tuple[int, int]], np.ndarray], columns: int, shard: Shard) -> np.ndarray:
    """The shard's rows of what `draw` gives for (n_items, columns), drawn some rows at a time."""
    rows = np.empty((len(shard.items), columns), np.float32)
    for first in range(0, shard.n_items, ROWS_AT_ONCE):
        last = min(shard.n_items, first + ROWS_AT_ONCE)
        start, stop = np.searchsorted(shard.items, (first, last))
        rows[start:stop] = draw((last - first, columns))[shard.items[start:stop] - first]
    return rows


class SummedForward:
    """A layer whose output is summed over the ranks; its gradient is the same on each rank."""

    def __init__(self, layer: SparseEmbedding, ranks: Communicator):
        self.layer, self.ranks = layer, ranks
        self.params, self.grads = layer.params, layer.grads

    def forward(self, x: sparse.csr_array, training: bool = True) -> np.ndarray:
        return self.ranks.all_reduce(self.layer.forward(x, training))

    def backward(self, grad_output: np.ndarray) -> None:
        self.layer.backward(grad_output)


class SummedBackward:
    """A layer whose input's gradient is summed over the ranks; its input is the same on each rank."""

    def __init__(self, layer: Linear, ranks: Communicator):
        self.layer, self.ranks = layer, ranks
        self.params, self.grads = layer.params, layer.grads

    def forward(self, x: np.ndarray, training: bool = True) -> np.ndarray:
        return self.layer.forward(x, training)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        return self.ranks.all_reduce(self.layer.backward(grad_output))


class PlainShard(PlainEngine):
    """The layers on one rank's items, with the two sums over the ranks."""

    def __init__(self, network: AutoEncoderNetwork, adam: Adam | None, ranks: Communicator):
        super().__init__(network, adam)
        network.embedding = SummedForward(network.embedding, ranks)
        network.output = SummedBackward(network.output, ranks)
        self.ranks = ranks

    def train_step(self, user_items: sparse.csr_array, key: Key) -> float:
        return self.ranks.all_reduce_number(super().train_step(user_items, key))

    def encode(self, user_items: sparse.csr_array) -> np.ndarray:
        # Summed over the ranks once, not for each block of rows, as ranks may have different blocks.
        item_sum = self.network.embedding.forward(user_items, training=False)
        n_likes = np.diff(user_items.indptr)
        return by_fixed_rows(self.network.encode_sums, item_sum, n_likes, weights=self.network.dense_weights)

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        logits_of = partial(self.network.output.forward, training=False)
        return by_fixed_rows(logits_of, self.encode(user_items), weights=self.network.dense_weights)


def fused_shard(network: AutoEncoderNetwork, adam: Adam | None, ranks: Communicator) -> Engine:
    """The kernels on one rank's items, with the two sums over the ranks."""
    from autoenc.scale.fused_shard import FusedShard  # imports numba
    from autoenc.training.warm_up import compile_kernels

    with ranks.root_first():  # compiled kernels are cached on disk
        compile_kernels()
    return FusedShard(network, adam, ranks)


class ShardedEngine:
    """One rank's engine, with the interface of an engine of all items; see `training.engine.Engine`.

    All ranks call its methods together, with the same users and all of their likes.

    Parameters
    ----------
    network : AutoEncoderNetwork
        The network of this rank's items, with the task's loss.
    adam : Adam or None
    shard : Shard
        This rank's items.
    backend : "numba" or "numpy"

    Raises
    ------
    ValueError
        If it isn't the task's network with its loss; others have more sums over items.
    """

    network: Network

    def __init__(self, network: Network, adam: Adam | None, shard: Shard, backend: str = "numba"):
        if type(network) is not AutoEncoderNetwork or not isinstance(network.loss, SigmoidBCE):
            raise ValueError("only AutoEncoder with loss='bce' can be trained on several ranks; train with one process")
        check_backend(backend)
        make_own = PlainShard if backend == "numpy" else fused_shard
        self.own: Engine = make_own(network, adam, shard.ranks)
        self.network, self.adam, self.shard = network, adam, shard
        self.n_items = shard.n_items
        # The same number on each rank, whatever its processors.
        self.users_at_once = 256 if backend == "numpy" else 2048

    def train_step(self, user_items: sparse.csr_array, key: Key) -> float:
        return self.own.train_step(self.shard.own(user_items), key)

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        """Every item's logit for each user, in evaluation: (batch, n_items), on each rank."""
        scores: np.ndarray = np.zeros((user_items.shape[0], self.n_items), self.network.dtype)
        scores[:, self.shard.items] = self.own.score(self.shard.own(user_items))
        return self.shard.ranks.all_reduce(scores)

    def encode(self, user_items: sparse.csr_array) -> np.ndarray:
        return self.own.encode(self.shard.own(user_items))

    def encode_sums(self, item_sum: np.ndarray, n_likes: np.ndarray) -> np.ndarray:
        return self.own.encode_sums(item_sum, n_likes)

    def top_n(self, user_items: sparse.csr_array, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n best items of each user, liked ones left out, and their logits: (batch, n) each, on each rank."""
        items, scores = self.own.top_n(self.shard.own(user_items), n)
        items = np.where(items >= 0, self.shard.items[items], -1).astype(np.int32)
        items_of_ranks, scores_of_ranks = zip(*self.shard.ranks.all_gather((items, scores)))
        return best_of_candidates(np.concatenate(items_of_ranks, axis=1), np.concatenate(scores_of_ranks, axis=1), n)

    def state_dict(self) -> dict[str, np.ndarray]:
        """This rank's part of the state after the last step."""
        return self.own.state_dict()

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.own.load_state_dict(state)

    def flush(self) -> None:
        self.own.flush()

    def training_arrays(self) -> dict[str, np.ndarray]:
        """What this rank's part of a checkpoint needs besides the network's arrays and Adam's."""
        return self.own.training_arrays()

    def load_training_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        self.own.load_training_arrays(arrays)


def sharded_by(shard: Shard, backend: str = "numba") -> MakeEngine:
    """The argument `make_engine` of a Trainer that trains one rank's part of a network."""

    def make_engine(network: Network, adam: Adam) -> Engine:
        return ShardedEngine(network, adam, shard, backend)

    return make_engine


def best_of_candidates(items: np.ndarray, scores: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n best candidates and their scores, (batch, n) each.

    `items` and `scores` are (batch, n_candidates) each; the item -1 is padding. The result is sorted by score,
    and by item among equal scores, with padding at the end.
    """
    last = np.where(items >= 0, items, np.iinfo(np.int32).max)
    best = np.lexsort((last, -scores), axis=1)[:, :n]
    return np.take_along_axis(items, best, axis=1), np.take_along_axis(scores, best, axis=1)


class RowsOfRanks:
    """An array with one row per item, whose rows are distributed over the ranks, in the order of the items.

    It has the interface that `model_file.write_safetensors` needs. All ranks must iterate over its `blocks`
    together; the root gets the rows.
    """

    def __init__(self, own: np.ndarray, shard: Shard, rows_at_once: int = 4096):
        self.own, self.shard, self.rows_at_once = own, shard, rows_at_once
        self.dtype, self.shape = own.dtype, (shard.n_items, *own.shape[1:])
        self.nbytes = self.dtype.itemsize * int(np.prod(self.shape))

    def blocks(self) -> Iterator[np.ndarray]:
        """The rows in blocks, which are empty on all ranks except the root."""
        ranks = self.shard.ranks
        for first in range(0, self.shape[0], self.rows_at_once):
            start, stop = np.searchsorted(self.shard.items, (first, first + self.rows_at_once))
            counts = ranks.all_gather(int(stop - start))
            items = ranks.gather_rows(self.shard.items[start:stop], counts)
            rows = ranks.gather_rows(self.own[start:stop], counts)
            if items is None or rows is None:
                yield self.own[:0]
                continue
            block = np.empty_like(rows)
            block[items - first] = rows
            yield block
