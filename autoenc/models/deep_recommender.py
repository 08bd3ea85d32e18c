"""DeepRecommender: an autoencoder of SELU layers, whose output is fed to it again.

Training, of a user's likes x
    h1 = selu(x @ W_embedding + b)                       as wide as the first of hidden_dims
    h2 = selu(h1 @ W_dense1 + B_dense1)                  the second, ..., down to the code
    dropout of the code; then by the same widths up again to hk
    y  = hk @ W_output + B_output
    loss = sum over all items of softplus(y) - x * y
and with refeed a second step on f(x) = sigmoid(y), as input and as target.
Score
    y, without dropout

Their loss, the squared error where something was rated, can't be had of likes: they are ratings of
1, all of them, and a network that says 1 everywhere would have loss 0. So on likes it is the binary
cross-entropy over all items. On ratings `rating_predictor.RatingPredictor` is the paper's own.

Does refeeding pay
    Not beyond doubt, and not for what it costs: over 4 seeds of ml-latest-small, paired, it changes
    the RMSE of a random tenth of the ratings by +0.004 ± 0.004, where training twice as long as
    without it changes it by -0.007 ± 0.002, that of the latest tenth by -0.009 ± 0.002 (-0.013 twice
    as long, and the items' means are ahead of all three), and on likes of 2,000 items p@1 by +0.016 ±
    0.010 and nDCG@100 by +0.004 ± 0.003 (`python -m benchmarks.refeeding`, untuned settings).

Explaining
    By leaving out, exactly: the first layer's sum loses a row.

Source
    Kuchaiev and Ginsburg 2017, Training Deep AutoEncoders for Collaborative Filtering (arXiv
    1708.01715): 512 and 512 wide, a code of 1024, dropout of it at 0.8, refeeding.
    Differences: Adam, where theirs is SGD with momentum 0.9, and refeeding goes on with the same
    moments; normal numbers for their uniform ones of the same variance at the start, and no weight
    decay; BCE on likes.

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
    """The deep autoencoder of likes.

    Parameters
    ----------
    hidden_dims : sequence of int, or their text, "512, 256"
        The widths of the encoder, from the items to the code; the decoder has them mirrored.
    dropout : float
        The share of the code that training drops.
    refeed : bool
        Whether each step is followed by one on the output. The kernels do not serve that: it is
        trained by the plain layers, whatever the backend, which then scores. The likes must all
        count 1.
    bias_offset : float
        Where the output's bias starts.
    epochs : int, optional
        By default as many as make 240 steps, and at least 12.
    batch_size, lr, schedule, schedule_length, early_stopping, validation_fraction, patience
        As AutoEncoder has them.
    random_state, backend, threads, half_life, weighted_input
        As AutoEncoder has them.

    Attributes
    ----------
    network_ : DeepNetwork
    history_, seed_
        As AutoEncoder has them.
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
            raise ValueError("refeed=True takes likes that all count 1; leave weights and half_life out, or refeed.")
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
    """The layers as they are, with a second step on the network's own answer."""

    def train_step(self, user_items: sparse.csr_array, key: Key) -> float:
        assert isinstance(self.network, DeepNetwork) and self.adam is not None
        with compute_threads():
            return refeeding_step(self.network, self.adam, user_items, key)


def refeeding_step(network: DeepNetwork, adam: Adam, x: sparse.csr_array, key: Key) -> float:
    """One minibatch, likes or ratings, and the refed one: two steps of Adam. Returns the first's loss before it."""
    y = network.logits(x, key)
    loss: float = network.loss.forward(y, x)
    network.backward()
    adam.step(network.grads)
    network.forward_refed(network.answer(y), key)
    network.backward_refed()
    adam.step(network.grads)
    return loss


def widths_of(hidden_dims: Sequence[int] | str) -> tuple[int, ...]:
    """The encoder's widths, from a sequence of whole numbers or their text. Raises ValueError for anything else."""
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
