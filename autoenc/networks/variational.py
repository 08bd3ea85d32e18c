"""A variational autoencoder of likes, as layers: a user is a normal distribution over codes.

    u = dropped(x) / sqrt(max(1, its number of likes))         dropped: input dropout, not scaled up
    h1 = tanh(u @ W_embedding + b)
    mean, log_var = h1 @ W_encoder + B_encoder
    z = mean + exp(log_var / 2) * noise                        in evaluation z = mean
    h2 = tanh(z @ W_decoder + B_decoder)
    h3 = softmax(h2 @ W_output + B_output)
    loss = -sum(x * log(h3)) + beta * KL(Normal(mean, exp(log_var)) || Normal(0, 1))

beta rises from 0 to its value within the first `anneal_steps` steps of a training.
"""

from __future__ import annotations

import numpy as np

from autoenc.layers import GaussianSample, InputDropout, InputNormalization, Linear, SparseEmbedding, Tanh
from autoenc.networks.base import ItemNetwork, arrays_of, draw_xavier, loss_named


def initial_state(
    n_items: int, hidden_dim: int = 600, latent_dim: int = 200, seed: int = 0, dtype=np.float32
) -> dict[str, np.ndarray]:
    """Draw the network's arrays: Xavier's normal weights, and biases of 0.

    The draws are made in float32 whatever `dtype` is.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    state = {
        "embedding.weight": draw_xavier(rng, n_items, hidden_dim),
        "normalization.bias": np.zeros(hidden_dim),
        "encoder.weight": draw_xavier(rng, 2 * latent_dim, hidden_dim),
        "encoder.bias": np.zeros(2 * latent_dim),
        "decoder.weight": draw_xavier(rng, hidden_dim, latent_dim),
        "decoder.bias": np.zeros(hidden_dim),
        "output.weight": draw_xavier(rng, n_items, hidden_dim),
        "output.bias": np.zeros(n_items),
    }
    return {name: array.astype(dtype, copy=False) for name, array in state.items()}


def shapes_of_state(n_items: int, hidden_dim: int, latent_dim: int) -> dict[str, tuple[int, ...]]:
    """The names of a network's arrays and the shape that each has."""
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


class VariationalNetwork(ItemNetwork):
    """The variational autoencoder.

    Parameters
    ----------
    state : dict of str to array
        The parameters, by the names that `initial_state` gives them; held, not copied.
    input_dropout : float
        The probability with which training hides a like from the network, though not from the loss.
    beta : float
        The weight of the KL.
    anneal_steps : int
        How many steps of a training it takes to rise to that; 0: none.

    Raises
    ------
    ValueError
        If input_dropout is not in [0, 1), or beta or anneal_steps is negative.
    """

    def __init__(
        self, state: dict[str, np.ndarray], input_dropout: float = 0.5, beta: float = 0.2, anneal_steps: int = 0
    ):
        if not (0 <= beta < np.inf and anneal_steps >= 0):
            raise ValueError(f"beta and anneal_steps must be 0 or more, got {beta} and {anneal_steps}")
        self.state = state
        self.settings = {"input_dropout": input_dropout, "beta": beta, "anneal_steps": anneal_steps}

        self.input_dropout = InputDropout(input_dropout)
        self.embedding = SparseEmbedding(state["embedding.weight"])
        self.normalization = InputNormalization(**arrays_of(state, "normalization"))
        self.tanh1 = Tanh()
        self.encoder = Linear(**arrays_of(state, "encoder"))
        self.sample = GaussianSample(beta)
        self.decoder = Linear(**arrays_of(state, "decoder"))
        self.tanh2 = Tanh()

        self.output = Linear(**arrays_of(state, "output"))
        self.loss = loss_named("multinomial")

    def drop_input(self, user_items, key):
        return self.input_dropout.forward(user_items, True, (*key, 1))

    def middle(self, item_sum, n_likes, training, key=(0, 0, 0)):
        h1 = self.tanh1.forward(self.normalization.forward(item_sum, n_likes))
        z = self.sample.forward(self.encoder.forward(h1), training, (*key, 2))  # (batch, latent_dim)
        return self.tanh2.forward(self.decoder.forward(z))  # (batch, hidden_dim)

    def middle_backward(self, grad_h2):
        grad_z = self.decoder.backward(self.tanh2.backward(grad_h2))
        grad_h1 = self.encoder.backward(self.sample.backward(grad_z))
        return self.normalization.backward(self.tanh1.backward(grad_h1))

    @property
    def penalty(self):
        return self.sample.penalty

    def anneal(self, step_count):
        beta, anneal_steps = self.settings["beta"], self.settings["anneal_steps"]
        self.sample.beta = beta * min(1.0, step_count / anneal_steps) if anneal_steps else beta
