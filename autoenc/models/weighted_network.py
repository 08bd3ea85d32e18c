"""Networks that weigh likes: the layers that they have in place of those that count every like once.

    SigmoidBCE, WeightedBCE    ConfidenceBCE: a like's term counts c
    Multinomial                ConfidenceMultinomial: a user's like is drawn c times
    SparseEmbedding            ConfidenceEmbedding: a like counts its share of the user's, or 1

c is what a like counts in `models.weighting`, of all that the network learns from. A batch is then a
CSR of c in place of ones. The kernels have both losses; a weighted input is the plain layers' alone.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from autoenc.interactions import UserItems
from autoenc.layers import (
    ConfidenceBCE,
    ConfidenceEmbedding,
    ConfidenceMultinomial,
    Multinomial,
    SigmoidBCE,
    WeightedBCE,
)
from autoenc.models.weighting import confidences, weighted_input
from autoenc.networks.base import Loss, Network
from autoenc.optim import Adam
from autoenc.training.plain import PlainEngine


def weighing(network: Network, is_input_weighted: bool) -> Network:
    """The network, which now takes a batch of confidences."""
    network.loss = _with_confidence(network.loss)
    network.embedding = ConfidenceEmbedding(network.state["embedding.weight"], is_input_weighted)
    network.settings["weighted_input"] = is_input_weighted
    return network


def is_weighing(network: Network) -> bool:
    return isinstance(network.embedding, ConfidenceEmbedding)


def _with_confidence(loss: Loss) -> Loss:
    if type(loss) is Multinomial:
        return ConfidenceMultinomial()
    if type(loss) in (SigmoidBCE, WeightedBCE):
        return ConfidenceBCE(getattr(loss, "negative_weight", 1.0))
    raise ValueError(f"the loss {type(loss).__name__} counts every like once; leave weights and half_life out.")


def batches_of(user_items: UserItems, half_life: float | None) -> sparse.csr_array:
    """What minibatches are rows of: a CSR of c, float32, or the likes themselves where every one counts 1."""
    counts = confidences(user_items, half_life)
    if counts is None:
        return user_items
    arrays = counts.astype(np.float32), user_items.indices, user_items.indptr
    return sparse.csr_array(arrays, shape=user_items.shape)


class WeightedInputEngine(PlainEngine):
    """The layers as they are, shown what a user's likes count as input.

    Parameters
    ----------
    network : Network
        Made by `weighing`.
    adam : Adam or None
    half_life : float or None
        In days, of likes that are scored and have times.
    """

    def __init__(self, network: Network, adam: Adam | None, half_life: float | None):
        super().__init__(network, adam)
        self.half_life = half_life

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        return super().score(weighted_input(user_items, self.half_life))

    def encode(self, user_items: sparse.csr_array) -> np.ndarray:
        return super().encode(weighted_input(user_items, self.half_life))
