"""A variational autoencoder for likes: a user is represented by a normal distribution over codes.

u = dropped(x) / sqrt(max(1, its number of likes))         dropped: input dropout, not scaled up
h1 = tanh(u @ W_embedding + b)
mean, log_var = h1 @ W_encoder + B_encoder
z = mean + exp(log_var / 2) * noise                        in evaluation z = mean
h2 = tanh(z @ W_decoder + B_decoder)
h3 = softmax(h2 @ W_output + B_output)
loss = -sum(x * log(h3)) + beta * KL(Normal(mean, exp(log_var)) || Normal(0, 1))
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from autoenc.layers import GaussianSample, InputDropout, InputNormalization, Linear, Multinomial, SparseEmbedding, Tanh
from autoenc.networks.base import Key, Network, arrays_of, xavier_state


def shapes_of_state(n_items: int, hidden_dim: int, latent_dim: int) -> dict[str, tuple[int, ...]]:
    """The shape of each of the network's arrays, by its name in the model file."""
    return {
        "embedding.weight": (n_items, hidden_dim),
        "normalization.bias": (hidden_dim,),
        "encoder.weight": (2 * latent_dim, hidden_dim),
        "encoder.bias": (2 * latent_dim,),
        "decoder.weight": (hidden_dim, latent_dim),
        "decoder.bias": (hidden_dim,),
        "output.weight": (n_items, hidden_dim),
        "output.bias": (n_items,),
    }


def initial_state(
    n_items: int, hidden_dim: int = 600, latent_dim: int = 200, seed: int = 0, dtype: type = np.float32
) -> dict[str, np.ndarray]:
    """The initial arrays: Xavier weights, and biases of 0."""
    return xavier_state(shapes_of_state(n_items, hidden_dim, latent_dim), seed, dtype)


class VariationalNetwork(Network):
    """The variational autoencoder.

    Parameters
    ----------
    state : dict of str to array
        As returned by `initial_state`; not copied.
    input_dropout : float
        Probability of hiding a like from the input in training; the loss still includes it.
    beta : float
        Weight of the KL term.

    Raises
    ------
    ValueError
        If input_dropout is not in [0, 1), or beta is negative.
    """

    def __init__(self, state: dict[str, np.ndarray], input_dropout: float = 0.5, beta: float = 0.2):
        if not 0 <= beta < np.inf:
            raise ValueError(f"beta must be a finite number of 0 or more, got {beta}")
        self.state = state
        self.settings = {"input_dropout": input_dropout, "beta": beta}

        self.input_dropout = InputDropout(input_dropout)
        self.embedding = SparseEmbedding(state["embedding.weight"])
        self.normalization = InputNormalization(**arrays_of(state, "normalization"))
        self.tanh1 = Tanh()
        self.encoder = Linear(**arrays_of(state, "encoder"))
        self.sample = GaussianSample(beta)
        self.decoder = Linear(**arrays_of(state, "decoder"))
        self.tanh2 = Tanh()

        self.output = Linear(**arrays_of(state, "output"))
        self.loss = Multinomial()

    def forward(self, user_items: sparse.csr_array, key: Key = (0, 0, 0)) -> float:
        h2 = self.encode(user_items, True, key)
        logits = self.output.forward(h2)  # (batch, n_items)
        return self.loss.forward(logits, user_items) + self.sample.penalty

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
        """h2 from sums of n_likes (batch,) embedding rows each: (batch, hidden_dim)."""
        u = self.normalization.forward(item_sum, n_likes, training)
        h1 = self.tanh1.forward(u, training)
        mean_and_log_var = self.encoder.forward(h1, training)  # (batch, 2 * latent_dim)
        z = self.sample.forward(mean_and_log_var, training, (*key, 2))  # (batch, latent_dim)
        return self.tanh2.forward(self.decoder.forward(z, training), training)  # (batch, hidden_dim)

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        return self.output.forward(self.encode(user_items), training=False)  # (batch, n_items)

    def backward(self) -> None:
        grad_h2 = self.output.backward(self.loss.backward())  # (batch, hidden_dim)
        self.embedding.backward(self.backward_to_sums(grad_h2))

    def backward_to_sums(self, grad_h2: np.ndarray) -> np.ndarray:
        """The gradient of item_sum, (batch, hidden_dim)."""
        grad_z = self.decoder.backward(self.tanh2.backward(grad_h2))
        grad_h1 = self.encoder.backward(self.sample.backward(grad_z))
        return self.normalization.backward(self.tanh1.backward(grad_h1))
