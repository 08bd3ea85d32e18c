"""The task's autoencoder: three lines forward, and the same three backward.

    h1 = dropout(batchnorm(relu(x @ W_embedding)))
    h2 = dropout(batchnorm(relu(h1 @ W_bottleneck + B_bottleneck)))
    h3 = sigmoid(h2 @ W_output + B_output)
    loss = -sum(x * log(h3) + (1 - x) * log(1 - h3))

x is a batch of users, with a one for each item that a user likes. Each layer has its own file in
`autoenc.layers`; this file puts them together. Lesson: docs/network.md
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from autoenc.layers import BatchNorm1d, Dropout, Linear, ReLU, SigmoidBCE, SparseEmbedding
from autoenc.networks.base import Key, Loss, Network, arrays_of


def shapes_of_state(n_items: int, emb_dim: int, hidden_dim: int) -> dict[str, tuple[int, ...]]:
    """The shape of each of the network's arrays, by its name in the model file."""
    return {
        "embedding.weight": (n_items, emb_dim),
        **{f"batchnorm1.{key}": (emb_dim,) for key in ("weight", "bias", "running_mean", "running_var")},
        "bottleneck.weight": (hidden_dim, emb_dim),
        "bottleneck.bias": (hidden_dim,),
        **{f"batchnorm2.{key}": (hidden_dim,) for key in ("weight", "bias", "running_mean", "running_var")},
        "output.weight": (n_items, hidden_dim),
        "output.bias": (n_items,),
    }


def initial_state(
    n_items: int,
    emb_dim: int = 800,
    hidden_dim: int = 400,
    bias_offset: float = -10.0,
    seed: int = 0,
    dtype: type = np.float32,
) -> dict[str, np.ndarray]:
    """The network's arrays by name, initialized as in the task.

    The numbers are drawn in float32 whatever `dtype` is, so a float64 network starts from the same values.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    shapes = shapes_of_state(n_items, emb_dim, hidden_dim)
    state: dict[str, np.ndarray] = {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
    state["embedding.weight"] = draw_normal(rng, (n_items, emb_dim))
    state["bottleneck.weight"] = draw_uniform(rng, (hidden_dim, emb_dim))
    state["output.weight"] = draw_uniform(rng, (n_items, hidden_dim))
    state["output.bias"] += bias_offset
    for name in ("batchnorm1.weight", "batchnorm1.running_var", "batchnorm2.weight", "batchnorm2.running_var"):
        state[name] += 1
    return {name: array.astype(dtype, copy=False) for name, array in state.items()}


def draw_normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Normal numbers with mean 0 and standard deviation 0.01."""
    return rng.standard_normal(shape, np.float32) * np.float32(0.01)


def draw_uniform(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Uniform numbers between -1 / sqrt(in_features) and 1 / sqrt(in_features), for (out, in)_features."""
    return (rng.random(shape, np.float32) * 2 - 1) * np.float32(1 / np.sqrt(shape[1]))


class AutoEncoderNetwork(Network):
    """The task's network.

    Parameters
    ----------
    state : dict of str to array
        As returned by `initial_state`. The arrays are not copied: training updates them in place.
    dropout : float
        Probability of dropping a value of h1 or h2 in training, in [0, 1).
    loss : layer, optional
        By default sigmoid and cross-entropy; or another layer with the same two methods.
    """

    def __init__(self, state: dict[str, np.ndarray], dropout: float = 0.5, loss: Loss | None = None):
        self.state = state
        self.settings = {"dropout": dropout}

        self.embedding = SparseEmbedding(state["embedding.weight"])
        self.relu1 = ReLU()
        self.batchnorm1 = BatchNorm1d(**arrays_of(state, "batchnorm1"))
        self.dropout1 = Dropout(dropout)

        self.bottleneck = Linear(**arrays_of(state, "bottleneck"))
        self.relu2 = ReLU()
        self.batchnorm2 = BatchNorm1d(**arrays_of(state, "batchnorm2"))
        self.dropout2 = Dropout(dropout)

        self.output = Linear(**arrays_of(state, "output"))
        self.loss = SigmoidBCE() if loss is None else loss

    def forward(self, user_items: sparse.csr_array, key: Key = (0, 0, 0)) -> float:
        h2 = self.encode(user_items, True, key)
        logits = self.output.forward(h2)  # (batch, n_items)
        return self.loss.forward(logits, user_items)  # SigmoidBCE: h3 = sigmoid(logits), and its cross-entropy

    def encode(self, user_items: sparse.csr_array, training: bool = False, key: Key = (0, 0, 0)) -> np.ndarray:
        return self.encode_sums(self.embedding.forward(user_items, training), None, training, key)

    def encode_sums(
        self, item_sum: np.ndarray, n_likes: np.ndarray | None = None, training: bool = False, key: Key = (0, 0, 0)
    ) -> np.ndarray:
        """h2 from item_sum = x @ W_embedding, (batch, emb_dim). The numbers of likes are not used here."""
        z1 = item_sum  # x @ W_embedding
        h1 = self.batchnorm1.forward(self.relu1.forward(z1, training), training)
        h1 = self.dropout1.forward(h1, training, (*key, 1))  # (batch, emb_dim)

        z2 = self.bottleneck.forward(h1, training)  # h1 @ W_bottleneck + B_bottleneck
        h2 = self.batchnorm2.forward(self.relu2.forward(z2, training), training)
        return self.dropout2.forward(h2, training, (*key, 2))  # (batch, hidden_dim)

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        return self.output.forward(self.encode(user_items), training=False)  # (batch, n_items)

    def backward(self) -> None:
        grad_logits = self.loss.backward()  # (batch, n_items)
        grad_h2 = self.output.backward(grad_logits)  # (batch, hidden_dim)
        grad_z2 = self.relu2.backward(self.batchnorm2.backward(self.dropout2.backward(grad_h2)))
        grad_h1 = self.bottleneck.backward(grad_z2)  # (batch, emb_dim)
        grad_z1 = self.relu1.backward(self.batchnorm1.backward(self.dropout1.backward(grad_h1)))
        self.embedding.backward(grad_z1)
