"""Networks with weighted likes: layers that replace those in which every like counts 1.

    SigmoidBCE, WeightedBCE    ConfidenceBCE: the term of a like is multiplied by c
    Multinomial                ConfidenceMultinomial: a user's like is drawn c times
    SparseEmbedding            ConfidenceEmbedding: a like counts relative to the user's others, or 1

c is the confidence of a like (`models.weighting`). A batch is then a CSR of c in place of ones. The
kernels support both losses; only the plain layers support a weighted input.
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
    """The network, changed to take batches of confidences."""
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
    """The matrix to draw minibatches from: a float32 CSR of c, or the likes themselves if every one counts 1."""
    counts = confidences(user_items, half_life)
    if counts is None:
        return user_items
    arrays = counts.astype(np.float32), user_items.indices, user_items.indptr
    return sparse.csr_array(arrays, shape=user_items.shape)


class WeightedInputEngine(PlainEngine):
    """The plain layers with a weighted input.

    Parameters
    ----------
    network : Network
        A result of `weighing`.
    adam : Adam or None
    half_life : float or None
        In days, for scoring likes that have times.
    """

    def __init__(self, network: Network, adam: Adam | None, half_life: float | None):
        super().__init__(network, adam)
        self.half_life = half_life

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        return super().score(weighted_input(user_items, self.half_life))

    def encode(self, user_items: sparse.csr_array) -> np.ndarray:
        return super().encode(weighted_input(user_items, self.half_life))
