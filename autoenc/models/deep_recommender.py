"""DeepRecommender: a deep autoencoder of SELU layers, optionally fed its own output.

Training, of a user's likes x
    h1 = selu(x @ W_embedding + b)                       of width hidden_dims[0]
    h2 = selu(h1 @ W_dense1 + B_dense1)                  hidden_dims[1], and so on to the code
    dropout of the code; then the same widths in reverse, up to hk
    y  = hk @ W_output + B_output
    loss = sum over all items of softplus(y) - x * y
With refeed, a second step follows with f(x) = sigmoid(y) as both input and target.
Score
    y, without dropout

The paper's loss, the squared error over rated items, is useless for likes: all of them are ratings of
1, and a network that predicts 1 everywhere would have loss 0. So for likes the loss is the binary
cross-entropy over all items. `rating_predictor.RatingPredictor` is the paper's model for ratings.

Does refeeding pay
    Not clearly, and not for its cost. Measured over 4 seeds of ml-latest-small, paired, with untuned
    settings (`python -m benchmarks.refeeding`): on a random tenth of the ratings it changes the RMSE by
    +0.004 ± 0.004, while training twice as long without it changes it by -0.007 ± 0.002. On the latest
    tenth the changes are -0.009 ± 0.002 and -0.013, but the items' means are better than all three. On
    likes of 2,000 items it changes p@1 by +0.016 ± 0.010 and nDCG@100 by +0.004 ± 0.003.

Explaining
    By exact leave-one-out: the first layer's sum loses a row.

Source
    Kuchaiev and Ginsburg 2017, Training Deep AutoEncoders for Collaborative Filtering (arXiv
    1708.01715): widths 512 and 512, a code of 1024, dropout of the code at 0.8, refeeding.
    Differences: Adam in place of SGD with momentum 0.9, with moments shared by both steps; normal
    instead of uniform initialization, with the same variance; no weight decay; BCE on likes.

Example
    >>> likes = [[0, 1], [0, 1, 2], [1, 2], [3, 4], [3, 4, 5], [4, 5]] * 8
    >>> model = DeepRecommender([16, 8], dropout=0.2, batch_size=16, epochs=60, lr=0.02).fit(likes)
    >>> items, _ = model.recommend([[0], [3, 5]], N=1)         # what goes with 0? and with 3 and 5?
    >>> items.ravel()
    array([1, 4], dtype=int32)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from scipy import sparse

from autoenc.interactions import UserItems, UserItemsLike
from autoenc.machine import compute_threads
from autoenc.models.network_model import NetworkRecommender
from autoenc.networks.base import Key
from autoenc.networks.deep import DeepNetwork, initial_state, shapes_of_state
from autoenc.optim import Adam
from autoenc.training.engine import MakeEngine, engine_for
from autoenc.training.plain import PlainEngine


@dataclass(eq=False, repr=False)
class DeepRecommender(NetworkRecommender):
    """A deep autoencoder for likes.

    Parameters
    ----------
    hidden_dims : sequence of int, or str
        Widths of the encoder, from the items to the code; the decoder mirrors them. May be given as text,
        "512, 256".
    dropout : float
        Probability of dropping a value of the code in training.
    refeed : bool
        Whether to follow each step by one on the output. The kernels do not support this, so the plain
        layers train the network; `backend` is used only for scoring. Weights and half_life are not
        supported with it.
    bias_offset : float
        Initial value of the output biases.
    epochs : int, optional
        By default enough for 240 steps, and at least 12.
    batch_size, lr, schedule, schedule_length, early_stopping, validation_fraction, patience
        As in `AutoEncoder`.
    random_state, backend, threads, half_life, weighted_input
        As in `AutoEncoder`.

    Attributes
    ----------
    network_ : DeepNetwork
    history_, seed_
        As in `AutoEncoder`.
    """

    default_steps = 240
    default_epochs = 12

    hidden_dims: Sequence[int] | str = (256, 128)
    _: KW_ONLY
    dropout: float = 0.5
    refeed: bool = False
    bias_offset: float = -2.0
    lr: float = 0.005
    schedule: str = "cosine"
    schedule_length: float = 1.5

    def _widths(self) -> tuple[int, int]:
        first = widths_of(self.hidden_dims)[0]
        return first, first

    def _initial_state(self, n_items: int) -> dict[str, np.ndarray]:
        return initial_state(n_items, widths_of(self.hidden_dims), self.bias_offset, self.seed_)

    def _network_on(self, state: dict[str, np.ndarray]) -> DeepNetwork:
        network = DeepNetwork(state, self.dropout)
        network.settings["refeed"] = bool(self.refeed)
        return network

    def _make_engine(self) -> MakeEngine | None:
        return RefeedingEngine if self.refeed else super()._make_engine()

    def _shapes(self, n_items: int, emb_dim: int, hidden_dim: int) -> dict[str, tuple[int, ...]]:
        return shapes_of_state(n_items, widths_of(self.hidden_dims))

    def _file_params(self) -> dict[str, Any]:
        return super()._file_params() | {"hidden_dims": ", ".join(map(str, widths_of(self.hidden_dims)))}

    def _fit(self, user_items: UserItems) -> None:
        if self.refeed and (self.weighted_input or self.half_life is not None or user_items.weights is not None):
            raise ValueError("refeed=True does not support weights or half_life; leave them out, or set refeed=False.")
        super()._fit(user_items)
        self._score_on_backend()

    def partial_fit(self, user_items: UserItemsLike, y: object = None, *, epochs: int = 1) -> Self:
        super().partial_fit(user_items, epochs=epochs)
        self._score_on_backend()
        return self

    def _score_on_backend(self) -> None:
        if self.refeed:
            self._engine = engine_for(self.backend, self.network_)


class RefeedingEngine(PlainEngine):
    """The plain layers, with a second step on the network's own output."""

    def train_step(self, user_items: sparse.csr_array, key: Key) -> float:
        assert isinstance(self.network, DeepNetwork) and self.adam is not None
        with compute_threads():
            return refeeding_step(self.network, self.adam, user_items, key)


def refeeding_step(network: DeepNetwork, adam: Adam, x: sparse.csr_array, key: Key) -> float:
    """Take a step of Adam on a minibatch of likes or ratings, and one on its output; return the loss before both."""
    y = network.logits(x, key)
    loss: float = network.loss.forward(y, x)
    network.backward()
    adam.step(network.grads)
    network.forward_refed(network.answer(y), key)
    network.backward_refed()
    adam.step(network.grads)
    return loss


def widths_of(hidden_dims: Sequence[int] | str) -> tuple[int, ...]:
    """The encoder's widths, from a sequence of integers or a text. Raises ValueError for anything else."""
    widths: Any = hidden_dims
    if isinstance(hidden_dims, str):
        widths = [int(part) if part.strip().isdecimal() else part for part in hidden_dims.split(",")]
    try:
        widths = tuple(widths)
    except TypeError:
        widths = ()
    if not widths or not all(isinstance(w, (int, np.integer)) and not isinstance(w, bool) and w >= 1 for w in widths):
        raise ValueError(f"hidden_dims must be widths of 1 or more, such as [512, 256], got {hidden_dims!r}")
    return tuple(int(width) for width in widths)
