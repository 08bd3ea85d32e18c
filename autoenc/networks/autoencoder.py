"""The autoencoder as layers: the task's three lines forwards, and the same lines backwards.

    h1 = dropout(batchnorm(relu(x @ W_embedding)))
    h2 = dropout(batchnorm(relu(h1 @ W_bottleneck + B_bottleneck)))
    h3 = sigmoid(h2 @ W_output + B_output)
    loss = -sum(x * log(h3) + (1 - x) * log(1 - h3))

With loss="multinomial" a softmax stands in the sigmoid's place and loss = -sum(x * log(h3)).

This module is the definition of the network, in NumPy alone; `training/fused.py` is the same step made of
kernels, on the same arrays. The products with W_embedding and W_output and the loss, which every
network has, are called in base.py; what is between them is here.
"""

from __future__ import annotations

import numpy as np

from autoenc.layers import BatchNorm1d, Dropout, Linear, ReLU, SparseEmbedding
from autoenc.networks.base import ItemNetwork, arrays_of, loss_named

ROWS_AT_ONCE = 4096


def initial_state(
    n_items: int,
    emb_dim: int = 800,
    hidden_dim: int = 400,
    bias_offset: float = -10.0,
    seed: int = 0,
    dtype=np.float32,
    items: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Draw the network's arrays as the task initializes them.

    The draws are made in float32 whatever `dtype` is, so a float64 network starts at the same
    numbers. Returns the arrays by the names of the model file, as `Network` takes them. With `items`,
    ascending, only these have rows: the same numbers as among all, which are never there at once.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    items = np.arange(n_items) if items is None else items

    def normal(shape):
        return rng.standard_normal(shape, np.float32) * np.float32(0.01)

    def uniform(shape):
        scale = np.float32(1 / np.sqrt(shape[1]))
        return (rng.random(shape, np.float32) * 2 - 1) * scale

    state = {
        "embedding.weight": draw_rows(normal, n_items, emb_dim, items, dtype),
        "batchnorm1.weight": np.ones(emb_dim),
        "batchnorm1.bias": np.zeros(emb_dim),
        "batchnorm1.running_mean": np.zeros(emb_dim),
        "batchnorm1.running_var": np.ones(emb_dim),
        "bottleneck.weight": uniform((hidden_dim, emb_dim)),
        "bottleneck.bias": np.zeros(hidden_dim),
        "batchnorm2.weight": np.ones(hidden_dim),
        "batchnorm2.bias": np.zeros(hidden_dim),
        "batchnorm2.running_mean": np.zeros(hidden_dim),
        "batchnorm2.running_var": np.ones(hidden_dim),
        "output.weight": draw_rows(uniform, n_items, hidden_dim, items, dtype),
        "output.bias": np.full(len(items), bias_offset),
    }
    return {name: array.astype(dtype, copy=False) for name, array in state.items()}


def draw_rows(draw, n_rows: int, columns: int, kept: np.ndarray, dtype) -> np.ndarray:
    """The rows `kept`, ascending, of what `draw` gives for (n_rows, columns), drawn a block at a time."""
    rows = np.empty((len(kept), columns), dtype)
    for first in range(0, n_rows, ROWS_AT_ONCE):
        last = min(n_rows, first + ROWS_AT_ONCE)
        start, stop = np.searchsorted(kept, (first, last))
        rows[start:stop] = draw((last - first, columns))[kept[start:stop] - first]
    return rows


def shapes_of_state(n_items: int, emb_dim: int, hidden_dim: int) -> dict[str, tuple[int, ...]]:
    """The names of a network's arrays and the shape that each has."""
    return {
        "embedding.weight": (n_items, emb_dim),
        **{f"batchnorm1.{key}": (emb_dim,) for key in ("weight", "bias", "running_mean", "running_var")},
        "bottleneck.weight": (hidden_dim, emb_dim),
        "bottleneck.bias": (hidden_dim,),
        **{f"batchnorm2.{key}": (hidden_dim,) for key in ("weight", "bias", "running_mean", "running_var")},
        "output.weight": (n_items, hidden_dim),
        "output.bias": (n_items,),
    }


class Network(ItemNetwork):
    """The task's autoencoder.

    Parameters
    ----------
    state : dict of str to array
        The parameters and the running statistics, by the names that `initial_state` gives them.
        They are held, not copied: training updates them in place, and so `state` is at any time
        what there is to save.
    dropout : float
        The probability with which training drops a value of h1 or of h2.
    loss : "bce" or "multinomial"
        The task's, or that of Mult-DAE.

    Raises
    ------
    ValueError
        If there is no such loss, or dropout is not in [0, 1).
    """

    def __init__(self, state: dict[str, np.ndarray], dropout: float = 0.5, loss: str = "bce"):
        self.state = state
        self.dropout = dropout
        self.settings = {"dropout": dropout, "loss": loss}

        self.embedding = SparseEmbedding(state["embedding.weight"])
        self.relu1 = ReLU()
        self.batchnorm1 = BatchNorm1d(**arrays_of(state, "batchnorm1"))
        self.dropout1 = Dropout(dropout)

        self.bottleneck = Linear(**arrays_of(state, "bottleneck"))
        self.relu2 = ReLU()
        self.batchnorm2 = BatchNorm1d(**arrays_of(state, "batchnorm2"))
        self.dropout2 = Dropout(dropout)

        self.output = Linear(**arrays_of(state, "output"))
        self.loss = loss_named(loss)

    def middle(self, item_sum, n_likes, training, key=(0, 0, 0)):
        h1 = self.batchnorm1.forward(self.relu1.forward(item_sum), training)
        h1 = self.dropout1.forward(h1, training, (*key, 1))  # (batch, emb_dim)

        h2 = self.bottleneck.forward(h1)
        h2 = self.batchnorm2.forward(self.relu2.forward(h2), training)
        return self.dropout2.forward(h2, training, (*key, 2))  # (batch, hidden_dim)

    def middle_backward(self, grad_h2):
        grad_h2 = self.dropout2.backward(grad_h2)
        grad_h2 = self.relu2.backward(self.batchnorm2.backward(grad_h2))
        grad_h1 = self.bottleneck.backward(grad_h2)  # (batch, emb_dim)

        grad_h1 = self.dropout1.backward(grad_h1)
        return self.relu1.backward(self.batchnorm1.backward(grad_h1))
