"""A denoising autoencoder with one wide hidden layer.

    u = dropped(x) / sqrt(max(1, its number of likes))         dropped: input dropout, not scaled up
    h = dropout(tanh(u @ W_embedding + b))
    y = h @ W_output + B_output
    loss = sum of w * (softplus(y) - x * y),   w = 1 if x is 1, else negative_weight

With the multinomial loss and without dropout of h it is the Mult-DAE of Liang et al. 2018.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from autoenc.layers import Dropout, InputDropout, InputNormalization, Linear, SparseEmbedding, Tanh, WeightedBCE
from autoenc.networks.base import Key, Loss, Network, arrays_of, xavier_state


def shapes_of_state(n_items: int, hidden_dim: int) -> dict[str, tuple[int, ...]]:
    """The shape of each of the network's arrays, by its name in the model file."""
    return {
        "embedding.weight": (n_items, hidden_dim),
        "normalization.bias": (hidden_dim,),
        "output.weight": (n_items, hidden_dim),
        "output.bias": (n_items,),
    }


def initial_state(
    n_items: int, hidden_dim: int = 600, bias_offset: float = -2.0, seed: int = 0, dtype: type = np.float32
) -> dict[str, np.ndarray]:
    """The initial arrays: Xavier weights, and biases of 0 except for the output's, which are bias_offset."""
    state = xavier_state(shapes_of_state(n_items, hidden_dim), seed, dtype)
    state["output.bias"] += bias_offset
    return state


class DenoisingNetwork(Network):
    """The denoising autoencoder.

    Parameters
    ----------
    state : dict of str to array
        As returned by `initial_state`; not copied.
    input_dropout : float
        Probability of hiding a like from the input in training; the loss still includes it.
    dropout : float
        Probability of dropping a value of h in training.
    loss : layer, optional
        WeightedBCE(0.3) by default.

    Raises
    ------
    ValueError
        If a dropout is not in [0, 1).
    """

    def __init__(
        self,
        state: dict[str, np.ndarray],
        input_dropout: float = 0.5,
        dropout: float = 0.5,
        loss: Loss | None = None,
    ):
        self.state = state
        self.settings = {"input_dropout": input_dropout, "dropout": dropout}

        self.input_dropout = InputDropout(input_dropout)
        self.embedding = SparseEmbedding(state["embedding.weight"])
        self.normalization = InputNormalization(**arrays_of(state, "normalization"))
        self.tanh = Tanh()
        self.dropout = Dropout(dropout)

        self.output = Linear(**arrays_of(state, "output"))
        self.loss = WeightedBCE(0.3) if loss is None else loss

    def forward(self, user_items: sparse.csr_array, key: Key = (0, 0, 0)) -> float:
        h = self.encode(user_items, True, key)
        logits = self.output.forward(h)  # (batch, n_items)
        return self.loss.forward(logits, user_items)

    def encode(self, user_items: sparse.csr_array, training: bool = False, key: Key = (0, 0, 0)) -> np.ndarray:
        shown = self.shown(user_items, training, key)
        item_sum = self.embedding.forward(shown, training)  # (batch, hidden_dim)
        return self.encode_sums(item_sum, np.diff(shown.indptr), training, key)

    def shown(self, user_items: sparse.csr_array, training: bool, key: Key) -> sparse.csr_array:
        """The likes to feed to the embedding; the targets are all of them."""
        return self.input_dropout.forward(user_items, training, (*key, 1))

    def encode_sums(
        self, item_sum: np.ndarray, n_likes: np.ndarray, training: bool = False, key: Key = (0, 0, 0)
    ) -> np.ndarray:
        """h from sums of n_likes (batch,) embedding rows each: (batch, hidden_dim)."""
        u = self.normalization.forward(item_sum, n_likes, training)
        h = self.tanh.forward(u, training)
        return self.dropout.forward(h, training, (*key, 2))  # (batch, hidden_dim)

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        return self.output.forward(self.encode(user_items), training=False)  # (batch, n_items)

    def backward(self) -> None:
        grad_h = self.output.backward(self.loss.backward())  # (batch, hidden_dim)
        self.embedding.backward(self.backward_to_sums(grad_h))

    def backward_to_sums(self, grad_h: np.ndarray) -> np.ndarray:
        """The gradient of item_sum, (batch, hidden_dim)."""
        grad_h = self.tanh.backward(self.dropout.backward(grad_h))
        return self.normalization.backward(grad_h)
