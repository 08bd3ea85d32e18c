"""AutoEncoder: the task's network as a recommender.

Score
    h1 = batchnorm(relu(x @ W_embedding))                  x: the user's likes
    h2 = batchnorm(relu(h1 @ W_bottleneck + B_bottleneck))
    score = h2 @ W_output + B_output                       the logit: its sigmoid ranks the same

A user is represented only by a row of likes, so new users can be scored without fitting again.

Explaining
    The first layer is a sum, so without the like j it is x @ W_embedding - W_embedding[j]. A batch with
    one row per like scores every leave-one-out exactly, at the cost of the small layers and one row of
    W_output.

Source
    The task; the network's ancestor is Kuchaiev and Ginsburg 2017 (arXiv 1708.01715).

Example
    >>> likes = [[0, 1], [0, 1, 2], [1, 2], [3, 4], [3, 4, 5], [4, 5]] * 8
    >>> model = AutoEncoder(emb_dim=16, hidden_dim=8, bias_offset=-2, epochs=40, batch_size=16).fit(likes)
    >>> items, _ = model.recommend([[0], [3, 5]], N=1)         # what goes with 0? and with 3 and 5?
    >>> items.ravel()
    array([1, 4], dtype=int32)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoenc.models.network_model import NetworkRecommender, check_widths, loss_named
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state, shapes_of_state


@dataclass(eq=False, repr=False, kw_only=True)
class AutoEncoder(NetworkRecommender):
    """The task's autoencoder; its defaults are the task's hyperparameters.

    Parameters
    ----------
    emb_dim, hidden_dim : int
        Widths of the embedding and the bottleneck.
    dropout : float
        Probability of dropping a value after each of these two layers in training.
    bias_offset : float
        Initial value of the output biases: sigmoid(-10) says that hardly anything is liked.
    loss : "bce" or "multinomial"
        The task's loss, or the loss of Mult-DAE (Liang et al. 2018), in which items compete.
    epochs : int, optional
        Passes over the users. By default enough for at least 60 steps: 1 for MovieLens 10M.
    batch_size : int
    lr : float
        Adam's learning rate.
    schedule : "constant" or "cosine"
        Whether the learning rate stays constant or falls to 0 by the last epoch.
    schedule_length : float
        Where the cosine would reach 0, as a multiple of `epochs`, at least 1. With 1.5, training ends at
        a quarter of `lr`.
    early_stopping : str, optional
        A metric of `autoenc.evaluate`, such as "ndcg@100", to evaluate after each epoch on
        `validation_fraction` of the users, which are then left out of training. Training stops after
        `patience` epochs without improvement, and the best weights are kept.
    validation_fraction : float
    patience : int
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None
        Seed for initialization, dropout and shuffling. The same int gives the same bits; None gives a
        different model each time.
    backend : "numba" or "numpy"
    threads : int, optional
        Number of threads. By default as many as numba has. The result does not depend on it.
    half_life : float, optional
        Number of days after which a like counts half in the loss. By default every like counts by its
        weight alone, or 1 if likes have no weights.
    weighted_input : bool
        Whether weights and half-life apply to the input too, relative to the user's other likes. The
        kernels do not support this, so the plain layers train the network and score.

    Attributes
    ----------
    network_ : Network
        The layers.
    history_ : list of dict
        epoch, loss, lr and the validation metric, one dict per epoch.
    seed_ : int
        Seed drawn from `random_state`.
    """

    emb_dim: int = 800
    hidden_dim: int = 400
    dropout: float = 0.5
    bias_offset: float = -10.0
    loss: str = "bce"

    def _widths(self) -> tuple[int, int]:
        check_widths(self, "emb_dim", "hidden_dim")
        return self.emb_dim, self.hidden_dim

    def _initial_state(self, n_items: int) -> dict[str, np.ndarray]:
        return initial_state(n_items, self.emb_dim, self.hidden_dim, self.bias_offset, self.seed_)

    def _network_on(self, state: dict[str, np.ndarray]) -> AutoEncoderNetwork:
        network = AutoEncoderNetwork(state, self.dropout, loss_named(self.loss))
        network.settings["loss"] = self.loss
        return network

    def _shapes(self, n_items: int, emb_dim: int, hidden_dim: int) -> dict[str, tuple[int, ...]]:
        return shapes_of_state(n_items, emb_dim, hidden_dim)
