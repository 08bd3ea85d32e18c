"""A denoising autoencoder of one wide hidden layer, as layers.

    u = dropped(x) / sqrt(max(1, its number of likes))         dropped: input dropout, not scaled up
    h = dropout(tanh(u @ W_embedding + b))
    y = h @ W_output + B_output
    loss = sum of w * (softplus(y) - x * y),   w = 1 where x is 1, negative_weight elsewhere

With loss="multinomial" and without dropout of h it is the Mult-DAE of Liang et al. 2018.
"""

from __future__ import annotations

import numpy as np

from autoenc.layers import Dropout, InputDropout, InputNormalization, Linear, SparseEmbedding, Tanh
from autoenc.networks.base import ItemNetwork, arrays_of, draw_xavier, loss_named


def initial_state(
    n_items: int, hidden_dim: int = 600, bias_offset: float = -2.0, seed: int = 0, dtype=np.float32
) -> dict[str, np.ndarray]:
    """Draw the network's arrays: Xavier's normal weights, and biases of 0 and of bias_offset in the output.

    The draws are made in float32 whatever `dtype` is.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    state = {
        "embedding.weight": draw_xavier(rng, n_items, hidden_dim),
        "normalization.bias": np.zeros(hidden_dim),
        "output.weight": draw_xavier(rng, n_items, hidden_dim),
        "output.bias": np.full(n_items, bias_offset),
    }
    return {name: array.astype(dtype, copy=False) for name, array in state.items()}


def shapes_of_state(n_items: int, hidden_dim: int) -> dict[str, tuple[int, ...]]:
    """The names of a network's arrays and the shape that each has."""
    return {
        "embedding.weight": (n_items, hidden_dim),
        "normalization.bias": (hidden_dim,),
        "output.weight": (n_items, hidden_dim),
        "output.bias": (n_items,),
    }


class DenoisingNetwork(ItemNetwork):
    """The denoising autoencoder.

    Parameters
    ----------
    state : dict of str to array
        The parameters, by the names that `initial_state` gives them; held, not copied.
    input_dropout : float
        The probability with which training hides a like from the network, though not from the loss.
    dropout : float
        The probability with which training drops a value of h.
    loss : "bce" or "multinomial"
    negative_weight : float
        What an item that is not liked counts in the BCE, where a liked one counts 1.

    Raises
    ------
    ValueError
        If there is no such loss, a dropout is not in [0, 1), or negative_weight not above 0.
    """

    def __init__(
        self,
        state: dict[str, np.ndarray],
        input_dropout: float = 0.5,
        dropout: float = 0.5,
        loss: str = "bce",
        negative_weight: float = 0.3,
    ):
        self.state = state
        self.settings = {
            "input_dropout": input_dropout,
            "dropout": dropout,
            "loss": loss,
            "negative_weight": negative_weight,
        }

        self.input_dropout = InputDropout(input_dropout)
        self.embedding = SparseEmbedding(state["embedding.weight"])
        self.normalization = InputNormalization(**arrays_of(state, "normalization"))
        self.tanh = Tanh()
        self.dropout = Dropout(dropout)

        self.output = Linear(**arrays_of(state, "output"))
        self.loss = loss_named(loss, negative_weight)

    def drop_input(self, user_items, key):
        return self.input_dropout.forward(user_items, True, (*key, 1))

    def middle(self, item_sum, n_likes, training, key=(0, 0, 0)):
        h = self.tanh.forward(self.normalization.forward(item_sum, n_likes))
        return self.dropout.forward(h, training, (*key, 2))  # (batch, hidden_dim)

    def middle_backward(self, grad_h):
        grad_h = self.tanh.backward(self.dropout.backward(grad_h))
        return self.normalization.backward(grad_h)
