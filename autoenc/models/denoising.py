"""DenoisingAutoEncoder: one wide hidden layer, trained to predict all likes from half of them.

Training, of a user's likes x
    u = (x * m) / sqrt(max(1, sum(x * m)))                 m ~ Bernoulli(1 - input_dropout)
    h = dropout(tanh(u @ W_embedding + b))
    y = h @ W_output + B_output
    loss = sum over all items of w * (softplus(y) - x * y),   w = 1 where liked, negative_weight elsewhere
Score
    y, of u = x / sqrt(max(1, n_likes)) and without dropout

A held-out like is a negative in training. Four things keep the network from learning it as one: the
loss includes likes hidden from the input, dropout of h prevents it from memorizing users, the terms
of items not liked have a small weight, and training stops while the learning rate is still above 0.

Mult-DAE (Liang et al. 2018) is
    DenoisingAutoEncoder(hidden_dim=200, dropout=0.0, loss="multinomial", bias_offset=0.0, lr=1e-3)

Explaining
    By exact leave-one-out: the sum loses a row, and its scale changes from sqrt(n) to sqrt(n - 1).

Source
    Vincent et al. 2008, denoising autoencoders; Wu et al. 2016, Collaborative denoising
    auto-encoders, for likes; the normalized input: Liang et al. 2018 (arXiv 1802.05814).

Example
    >>> likes = [[0, 1], [0, 1, 2], [1, 2], [3, 4], [3, 4, 5], [4, 5]] * 8
    >>> model = DenoisingAutoEncoder(hidden_dim=16, batch_size=16, epochs=60, lr=0.02).fit(likes)
    >>> items, _ = model.recommend([[0], [3, 5]], N=1)         # what goes with 0? and with 3 and 5?
    >>> items.ravel()
    array([1, 4], dtype=int32)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoenc.models.network_model import NetworkRecommender, check_widths, loss_named
from autoenc.networks.denoising import DenoisingNetwork, initial_state, shapes_of_state


@dataclass(eq=False, repr=False, kw_only=True)
class DenoisingAutoEncoder(NetworkRecommender):
    """A wide tanh layer with dropout of the input and of the hidden layer.

    Parameters
    ----------
    hidden_dim : int
    input_dropout : float
        Probability of hiding a like from the input in training; the loss still includes it.
    dropout : float
        Probability of dropping a hidden value in training.
    bias_offset : float
        Initial value of the output biases.
    loss : "bce" or "multinomial"
    negative_weight : float
        Weight in the BCE of an item that isn't liked; a liked one has weight 1.
    epochs : int, optional
        By default enough for 240 steps, and at least 3.
    batch_size, lr, schedule, schedule_length
        As in `AutoEncoder`.
    early_stopping, validation_fraction, patience
        As in `AutoEncoder`.
    random_state, backend, threads, half_life, weighted_input
        As in `AutoEncoder`.

    Attributes
    ----------
    network_ : DenoisingNetwork
    history_, seed_
        As in `AutoEncoder`.
    """

    default_steps = 240
    default_epochs = 3

    hidden_dim: int = 600
    input_dropout: float = 0.5
    dropout: float = 0.5
    bias_offset: float = -2.0
    loss: str = "bce"
    negative_weight: float = 0.3
    lr: float = 0.005
    schedule: str = "cosine"
    schedule_length: float = 1.5

    def _widths(self) -> tuple[int, int]:
        check_widths(self, "hidden_dim")
        return self.hidden_dim, self.hidden_dim

    def _initial_state(self, n_items: int) -> dict[str, np.ndarray]:
        return initial_state(n_items, self.hidden_dim, self.bias_offset, self.seed_)

    def _network_on(self, state: dict[str, np.ndarray]) -> DenoisingNetwork:
        loss = loss_named(self.loss, self.negative_weight)
        network = DenoisingNetwork(state, self.input_dropout, self.dropout, loss)
        network.settings |= {"loss": self.loss, "negative_weight": self.negative_weight}
        return network

    def _shapes(self, n_items: int, emb_dim: int, hidden_dim: int) -> dict[str, tuple[int, ...]]:
        return shapes_of_state(n_items, hidden_dim)
