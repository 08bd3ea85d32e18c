"""AutoEncoder: the task's network behind the face that every recommender has.

Score
    h1 = batchnorm(relu(x @ W_embedding))                  x: the user's likes
    h2 = batchnorm(relu(h1 @ W_bottleneck + B_bottleneck))
    score = h2 @ W_output + B_output                       the logit: its sigmoid ranks the same

A user is nothing but a row of likes, so a newcomer is scored like anybody, without a new fit.

Explaining
    The first layer is a sum, so a user without the like j has x @ W_embedding - W_embedding[j]:
    one batch of as many rows as there are likes scores every leave-one-out exactly, at the cost of
    the small layers and of one row of W_output.

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
        The widths of the embedding and of the bottleneck.
    dropout : float
        The share of values that training drops after each of the two.
    bias_offset : float
        Where the output's bias starts: sigmoid(-10) says that hardly anything is liked.
    loss : "bce" or "multinomial"
        The task's, or that of Mult-DAE (Liang et al. 2018), under which items compete.
    epochs : int, optional
        Passes over the users. By default as many as make 60 steps or more: 1 for MovieLens 10M.
    batch_size : int
    lr : float
        Adam's rate.
    schedule : "constant" or "cosine"
        Whether the rate stays or falls to 0 by the last epoch.
    schedule_length : float
        At how many times `epochs` the cosine would reach 0, 1 or more: at 1.5 training ends at a
        quarter of `lr`.
    early_stopping : str, optional
        A metric of `autoenc.evaluate`, such as "ndcg@100". Then `validation_fraction` of the users
        are not trained on but validated after each epoch; training ends after `patience` epochs
        without a new best, and the best weights are kept.
    validation_fraction : float
    patience : int
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None
        Names all that is random; the same int gives the same bits. None: another each time.
    backend : "numba" or "numpy"
    threads : int, optional
        How many compute; by default as many as numba has. The bits don't depend on it.
    half_life : float, optional
        In how many days a like counts half in the loss. By default every like counts by its weight
        alone, or 1 where likes have no weights.
    weighted_input : bool
        Whether likes count so in the input too, each by its share of its user's. The kernels don't
        serve that: the network is then trained, and scores, by the plain layers.

    Attributes
    ----------
    network_ : Network
        The layers, to look into.
    history_ : list of dict
        epoch, loss, lr and the validation's metric, an epoch each.
    seed_ : int
        What `random_state` came to.
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
