"""MultVAE: a variational autoencoder, in which likes are draws from a multinomial distribution.

Training, of a user's likes x
    u = (x * m) / sqrt(max(1, sum(x * m)))                 m ~ Bernoulli(1 - input_dropout)
    mean, log_var = tanh(u @ W_embedding + b) @ W_encoder + B_encoder
    z = mean + exp(log_var / 2) * noise                    noise ~ Normal(0, 1)
    y = tanh(z @ W_decoder + B_decoder) @ W_output + B_output
    loss = -sum(x * log_softmax(y)) + beta * KL(Normal(mean, exp(log_var)) || Normal(0, 1))
Score
    y, of u = x / sqrt(max(1, n_likes)) and z = mean

With beta = 1 the loss is a bound on the likelihood; a smaller beta gives up on generating users but
ranks better. Beta is increased from 0, so that the code is in use before the KL term takes effect.

Explaining
    By exact leave-one-out: the sum loses a row, and its scale changes from sqrt(n) to sqrt(n - 1).

Source
    Liang, Krishnan, Hoffman and Jebara 2018, Variational Autoencoders for Collaborative Filtering
    (arXiv 1802.05814): hidden width 600, code width 200, beta up to 0.2, Adam with learning rate 0.001,
    batches of 500. Differences: dropout comes before the normalization of the input, not after it with
    scaling; biases start at 0, not from a normal distribution with standard deviation 0.001; beta
    increases over half of the training, not over 40,000 steps; the loss is summed over the batch, a
    scale to which Adam is invariant.

Example
    >>> likes = [[0, 1], [0, 1, 2], [1, 2], [3, 4], [3, 4, 5], [4, 5]] * 8
    >>> model = MultVAE(hidden_dim=16, latent_dim=4, batch_size=16, epochs=60, lr=0.02).fit(likes)
    >>> items, _ = model.recommend([[0], [3, 5]], N=1)         # what goes with 0? and with 3 and 5?
    >>> items.ravel()
    array([1, 4], dtype=int32)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from autoenc.models.network_model import NetworkRecommender, check_widths
from autoenc.networks.variational import VariationalNetwork, initial_state, shapes_of_state
from autoenc.training.callbacks import Callback
from autoenc.training.trainer import Trainer


@dataclass(eq=False, repr=False, kw_only=True)
class MultVAE(NetworkRecommender):
    """A variational autoencoder with multinomial likelihood.

    Parameters
    ----------
    hidden_dim, latent_dim : int
        Widths of the two tanh layers and of the code between them.
    input_dropout : float
        Probability of hiding a like from the input in training; the loss still includes it.
    beta : float
        Weight of the KL term.
    anneal : float
        Fraction of the training steps over which the weight increases from 0 to `beta`.
    epochs : int, optional
        By default enough for 240 steps, and at least 12.
    batch_size, lr, schedule, schedule_length, early_stopping, validation_fraction, patience
        As in `AutoEncoder`.
    random_state, backend, threads, half_life, weighted_input
        As in `AutoEncoder`.

    Attributes
    ----------
    network_ : VariationalNetwork
    history_, seed_
        As in `AutoEncoder`.
    """

    default_steps = 240
    default_epochs = 12

    hidden_dim: int = 600
    latent_dim: int = 200
    input_dropout: float = 0.5
    beta: float = 0.2
    anneal: float = 0.5
    batch_size: int = 500
    lr: float = 0.001

    def _widths(self) -> tuple[int, int]:
        check_widths(self, "hidden_dim", "latent_dim")
        return self.hidden_dim, self.hidden_dim

    def _initial_state(self, n_items: int) -> dict[str, np.ndarray]:
        return initial_state(n_items, self.hidden_dim, self.latent_dim, self.seed_)

    def _network_on(self, state: dict[str, np.ndarray]) -> VariationalNetwork:
        if not 0 <= self.anneal <= 1:
            raise ValueError(f"anneal must be a fraction from 0 to 1, got {self.anneal}")
        return VariationalNetwork(state, self.input_dropout, self.beta)

    def _callbacks_of(self, n_steps: int) -> list[Callback]:
        return [BetaAnnealing(self.beta, round(self.anneal * n_steps))]

    def _shapes(self, n_items: int, emb_dim: int, hidden_dim: int) -> dict[str, tuple[int, ...]]:
        return shapes_of_state(n_items, hidden_dim, self.latent_dim)


class BetaAnnealing(Callback):
    """Increases the weight of a VariationalNetwork's KL term from 0 to `beta` over the first `n_steps` steps."""

    def __init__(self, beta: float, n_steps: int):
        self.beta, self.n_steps = beta, n_steps

    def on_step_begin(self, trainer: Trainer) -> None:
        share = min(1.0, trainer.adam.step_count / self.n_steps) if self.n_steps else 1.0
        network = trainer.engine.network
        assert isinstance(network, VariationalNetwork)
        network.sample.beta = self.beta * share

    def state_dict(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"beta": self.beta, "n_steps": self.n_steps}, {}

    def load_state_dict(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        if facts != self.state_dict()[0]:
            raise ValueError(f"the checkpoint anneals with {facts}, but this training with {self.state_dict()[0]}")
