"""The arrays of a training step at the task's sizes, for both layers and kernels."""

from __future__ import annotations

import functools

import numpy as np
from scipy import sparse

from autoenc.kernels.adam import Trained, rates_at
from autoenc.kernels.normalize import Mask, Normalizer
from autoenc.layers import BatchNorm1d, Dropout
from autoenc.layers.dropout import draw_mask
from autoenc.networks.autoencoder import initial_state
from autoenc.optim import Adam

KEY = (0, 0, 0, 1)


class Problem:
    """The arrays of a step during training, drawn in float32 so that they have the same values in any dtype."""

    def __init__(self, batches: list[sparse.csr_array], emb_dim: int, hidden_dim: int, dtype="float32"):
        self.dtype = np.dtype(dtype)
        self.batches = [batch.astype(dtype) for batch in batches]
        self.user_items = self.batches[0]
        self.batch, self.n_items = self.user_items.shape
        self.emb_dim, self.hidden_dim = emb_dim, hidden_dim
        self.state = initial_state(self.n_items, emb_dim, hidden_dim, bias_offset=-5.0, dtype=dtype)
        self.item_sum = self.draw(1, self.batch, emb_dim)
        self.h1 = self.draw(2, self.batch, emb_dim)
        self.h2 = self.draw(3, self.batch, hidden_dim)
        self.grad_h1 = self.draw(4, self.batch, emb_dim)
        self.grad_z2 = self.draw(5, self.batch, hidden_dim)
        self.dropout = Dropout(0.5)

    @functools.cache  # noqa: B019  a problem lives as long as the measuring
    def draw(self, seed: int, *shape: int) -> np.ndarray:
        return np.random.default_rng(seed).standard_normal(shape, np.float32).astype(self.dtype)

    def adam(self, params: dict[str, np.ndarray]) -> Adam:
        """Adam with copies of `params` after a hundred steps, as its first steps are close to sign(gradient)."""
        adam = Adam({name: w.copy() for name, w in params.items()})
        adam.step_count = 100
        for seed, (name, w) in enumerate(params.items()):
            adam.first_moment[name][:] = self.draw(10 + seed, *w.shape)
            adam.second_moment[name][:] = 1 + self.draw(20 + seed, *w.shape) ** 2
        return adam

    def layer(self, name: str) -> dict[str, np.ndarray]:
        """The arrays of one layer."""
        prefix = name + "."
        return {key.removeprefix(prefix): w for key, w in self.state.items() if key.startswith(prefix)}

    def normalizing(self, name: str = "batchnorm1") -> tuple[BatchNorm1d, Adam]:
        parts = {key: w.copy() for key, w in self.layer(name).items()}
        adam = self.adam({key: parts[key] for key in ("weight", "bias")})
        return BatchNorm1d(**parts | adam.params), adam

    def normalizer(self, batchnorm: BatchNorm1d) -> Normalizer:
        number = self.dtype.type
        return Normalizer(
            *batchnorm.params.values(), *batchnorm.buffers.values(), number(batchnorm.eps), number(batchnorm.momentum)
        )

    def mask(self, features: int) -> Mask:
        mask = draw_mask((self.batch, features), self.dropout.threshold, KEY)
        return Mask(mask, self.dtype.type(self.dropout.scale))


def trained(adam: Adam, name: str) -> Trained:
    return Trained(adam.params[name], adam.first_moment[name], adam.second_moment[name])


def next_rates(adam: Adam):
    adam.step_count += 1
    return rates_at(adam)
