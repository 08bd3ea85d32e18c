"""The cases of the gradient check: every layer, every network, and the task's network at full size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from autoenc.gradcheck.check import STEP, TensorCheck, check_backward
from autoenc.layers import (
    SELU,
    BatchNorm1d,
    ConfidenceBCE,
    ConfidenceEmbedding,
    ConfidenceMultinomial,
    Dropout,
    GaussianSample,
    InputNormalization,
    Linear,
    MaskedSquaredError,
    Multinomial,
    ReLU,
    SigmoidBCE,
    SoftBCE,
    SparseEmbedding,
    Tanh,
    WeightedBCE,
)
from autoenc.networks import deep, denoising, variational
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.networks.deep import DeepNetwork
from autoenc.networks.denoising import DenoisingNetwork
from autoenc.networks.elsa import CosineOfProduct
from autoenc.networks.variational import VariationalNetwork

Case = tuple[Any, ...]
"""A layer or network, and the arguments of its forward."""


def check_layer(name: str, seed: int = 0, upstream: Callable[..., np.ndarray] | None = None) -> list[TensorCheck]:
    """Check the case `name` of CASES on small random arrays; for "full_size" see `check_full_size`."""
    [name] = names_of(name)
    if name == "full_size":
        return [check_full_size(seed)]
    rng = np.random.default_rng(seed)
    layer, *args = CASES[name](rng)
    return check_backward(layer, *args, upstream=upstream or rng.standard_normal)


def names_of(layer: str | None = None) -> list[str]:
    """The names to check: `layer`, which may also be a class name such as BatchNorm1d, or all.

    Raises ValueError if the name is unknown.
    """
    names = [*CASES, "full_size"]
    if layer is None:
        return names
    if layer in names:
        return [layer]
    for name, draw in CASES.items():
        if type(draw(np.random.default_rng(0))[0]).__name__.lower() == layer.lower():
            return [name]
    raise ValueError(f"layer must be one of {', '.join(names)}, got {layer!r}")


# Each case draws a layer and the arguments of its forward: in float64, with numbers around 1, sizes that differ,
# and no values that hide mistakes (such as a BatchNorm weight of 1, or a dropout p of 0.5).


def _likes(rng: np.random.Generator) -> sparse.csr_array:
    """A batch of 7 users and 9 items: with shared items, an item that nobody likes, and a user without likes."""
    likes = rng.random((7, 9)) < 0.4
    likes[:3, 0] = True
    likes[:, 4] = False
    likes[5] = False
    return sparse.csr_array(likes.astype(np.float64))


def _embedding(rng: np.random.Generator) -> Case:
    return SparseEmbedding(rng.standard_normal((9, 5))), _likes(rng)


def _relu(rng: np.random.Generator) -> Case:
    return ReLU(), rng.uniform(0.1, 2, (7, 5)) * rng.choice([-1, 1], (7, 5))


def _batchnorm(rng: np.random.Generator) -> Case:
    """With more rows than other cases, so that errors of the order of 1/n are small, as in a real batch."""
    weight, bias = rng.uniform(0.5, 2, 3), rng.standard_normal(3)
    return BatchNorm1d(weight, bias, np.zeros(3), np.ones(3)), rng.standard_normal((64, 3)), True


def _dropout(rng: np.random.Generator) -> Case:
    return Dropout(p=0.3), rng.standard_normal((7, 5)), True, (0, 0, 0, 1)


def _linear(rng: np.random.Generator) -> Case:
    return Linear(rng.standard_normal((4, 5)), rng.standard_normal(4)), rng.standard_normal((7, 5))


def _sigmoid_bce(rng: np.random.Generator) -> Case:
    return SigmoidBCE(), 1.5 * rng.standard_normal((7, 9)), _likes(rng)


def _weighted_bce(rng: np.random.Generator) -> Case:
    return WeightedBCE(negative_weight=0.3), 1.5 * rng.standard_normal((7, 9)), _likes(rng)


def _multinomial(rng: np.random.Generator) -> Case:
    return Multinomial(), 1.5 * rng.standard_normal((7, 9)), _likes(rng)


def _confidences(rng: np.random.Generator) -> sparse.csr_array:
    """A batch of likes with confidences from 0.2 to 3."""
    likes = _likes(rng)
    likes.data = rng.uniform(0.2, 3, likes.nnz)
    return likes


def _confidence_bce(rng: np.random.Generator) -> Case:
    return ConfidenceBCE(negative_weight=0.3), 1.5 * rng.standard_normal((7, 9)), _confidences(rng)


def _confidence_multinomial(rng: np.random.Generator) -> Case:
    return ConfidenceMultinomial(), 1.5 * rng.standard_normal((7, 9)), _confidences(rng)


def _confidence_embedding(rng: np.random.Generator) -> Case:
    return ConfidenceEmbedding(rng.standard_normal((9, 5))), _confidences(rng)


def _input_normalization(rng: np.random.Generator) -> Case:
    """With a user without likes; the sums are random and independent of the likes."""
    return InputNormalization(rng.standard_normal(5)), rng.standard_normal((7, 5)), np.array([0, 1, 2, 3, 5, 9, 30])


def _tanh(rng: np.random.Generator) -> Case:
    return Tanh(), rng.standard_normal((7, 5))


def _gaussian_sample(rng: np.random.Generator) -> Case:
    return GaussianSample(beta=0.7), rng.standard_normal((7, 10)), True, (0, 0, 0, 2)


def _selu(rng: np.random.Generator) -> Case:
    return SELU(), rng.uniform(0.1, 2, (7, 5)) * rng.choice([-1, 1], (7, 5))


def _masked_squared_error(rng: np.random.Generator) -> Case:
    """Ratings at the positions of likes, some of them 0."""
    ratings = _likes(rng)
    ratings.data = rng.integers(0, 6, ratings.nnz).astype(np.float64)
    return MaskedSquaredError(), rng.standard_normal((7, 9)), ratings


def _soft_bce(rng: np.random.Generator) -> Case:
    return SoftBCE(), 1.5 * rng.standard_normal((7, 9)), rng.random((7, 9))


def _network(rng: np.random.Generator) -> Case:
    """The whole network with dropout, redrawn until no ReLU input is near 0 and no feature nearly constant.

    (BatchNorm divides by a feature's standard deviation, so the smaller it is, the less linear within a step.)
    """
    while True:
        state = initial_state(n_items=9, emb_dim=6, hidden_dim=5, bias_offset=-1.0, dtype=np.float64)
        for name, array in state.items():
            if "running" not in name:
                array += rng.uniform(-1, 1, array.shape)
        network, user_items, key = AutoEncoderNetwork(state, dropout=0.3), _likes(rng), (0, 0, 0)
        network.forward(user_items, key)
        kept = {name: layer.kept for name, layer in network.layers.items()}
        relu1_input = network.embedding.forward(kept["embedding"])
        relu2_input = network.bottleneck.forward(kept["bottleneck"])
        # the sum of an empty list is 0 whatever the weights are, so no step moves it
        nearest = min(np.abs(relu1_input[relu1_input != 0]).min(), np.abs(relu2_input).min())
        _, inv_std1 = kept["batchnorm1"]
        _, inv_std2 = kept["batchnorm2"]
        if nearest > 100 * STEP and max(inv_std1.max(), inv_std2.max()) < 5:
            return network, user_items, key


def _denoising_network(rng: np.random.Generator) -> Case:
    state = denoising.initial_state(n_items=9, hidden_dim=5, bias_offset=-1.0, dtype=np.float64)
    return DenoisingNetwork(_moved(state, rng), dropout=0.3), _likes(rng), (0, 0, 0)


def _variational_network(rng: np.random.Generator) -> Case:
    state = variational.initial_state(n_items=9, hidden_dim=5, latent_dim=3, dtype=np.float64)
    return VariationalNetwork(_moved(state, rng), beta=0.7), _likes(rng), (0, 0, 0)


def _deep_network(rng: np.random.Generator) -> Case:
    """Three dense layers and dropout, redrawn until no SELU input is near 0."""
    while True:
        state = deep.initial_state(n_items=9, widths=(6, 5, 3), bias_offset=-1.0, dtype=np.float64)
        network, user_items = DeepNetwork(_moved(state, rng), dropout=0.3), _likes(rng)
        network.forward(user_items, (0, 0, 0))
        selus = [layer for layer in network.stack if isinstance(layer, SELU)]
        if min(np.abs(selu.kept).min() for selu in selus) > 1000 * STEP:
            return network, user_items, (0, 0, 0)


def _elsa(rng: np.random.Generator) -> Case:
    """Every user has likes, as in ELSA's training; one likes a single item."""
    likes = _likes(rng).toarray()
    likes[likes.sum(axis=1) == 0, 3] = 1
    return CosineOfProduct(rng.standard_normal((9, 4))), sparse.csr_array(likes)


def _moved(state: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {name: array + rng.uniform(-1, 1, array.shape) for name, array in state.items()}


CASES: dict[str, Callable[[np.random.Generator], Case]] = {
    "embedding": _embedding,
    "linear": _linear,
    "relu": _relu,
    "batchnorm": _batchnorm,
    "dropout": _dropout,
    "sigmoid_bce": _sigmoid_bce,
    "input_normalization": _input_normalization,
    "tanh": _tanh,
    "weighted_bce": _weighted_bce,
    "multinomial": _multinomial,
    "confidence_bce": _confidence_bce,
    "confidence_multinomial": _confidence_multinomial,
    "confidence_embedding": _confidence_embedding,
    "gaussian_sample": _gaussian_sample,
    "selu": _selu,
    "masked_squared_error": _masked_squared_error,
    "soft_bce": _soft_bce,
    "network": _network,
    "denoising_network": _denoising_network,
    "variational_network": _variational_network,
    "deep_network": _deep_network,
    "elsa": _elsa,
}


def check_direction(
    network: AutoEncoderNetwork,
    user_items: sparse.csr_array,
    key: tuple[int, int, int],
    rng: np.random.Generator,
    step: float = 3e-7,
) -> TensorCheck:
    """Check all gradients of a network at once, along one random direction.

    By the chain rule the derivative of the loss along `direction` is the sum of grads * direction over all
    parameters. Two losses are enough to measure it, however many parameters there are. Each tensor moves
    by `step` relative to its size. The error is relative to the sum of the absolute values of the tensors'
    terms, as these may cancel. If the step moves an input of one of the 300,000 ReLUs across 0, another
    direction is drawn.
    """
    params = network.params
    network.forward(user_items, key)
    network.backward()
    grads = network.grads

    def loss_at(distance: float) -> tuple[float, np.ndarray, np.ndarray]:
        for name, w in params.items():
            w += distance * direction[name]
        loss = network.forward(user_items, key)
        for name, w in params.items():
            w -= distance * direction[name]
        return loss, network.relu1.kept, network.relu2.kept

    sizes = {name: np.sqrt(np.mean(w * w)) or 1.0 for name, w in params.items()}
    while True:
        direction = {name: sizes[name] * rng.standard_normal(w.shape) for name, w in params.items()}
        above, *sides_above = loss_at(step)
        below, *sides_below = loss_at(-step)
        if all(map(np.array_equal, sides_above, sides_below)):
            break
    shares = np.array([np.vdot(grads[name], direction[name]) for name in params])
    grad, numerical = float(shares.sum()), (above - below) / (2 * step)
    difference = abs(grad - numerical)
    error = difference / float(np.abs(shares).sum())
    return TensorCheck("one direction", difference, error, error, step, (), grad, numerical)


def check_full_size(seed: int = 0) -> TensorCheck:
    """`check_direction` at the task's sizes, from its initialization, on 256 users with about 115 likes each."""
    rng = np.random.default_rng(seed)
    n_items, batch_size, likes_per_user = 10_677, 256, 115
    network = AutoEncoderNetwork(initial_state(n_items, seed=seed, dtype=np.float64))
    likes = rng.random((batch_size, n_items)) < likes_per_user / n_items
    return check_direction(network, sparse.csr_array(likes.astype(np.float64)), (seed, 0, 0), rng)
