"""The engine of compiled kernels, which work on the arrays of a network and an Adam.

Parameters, buffers, dropout masks and arithmetic are the same as with the layers, but nothing large is
stored: one tile of items at a time goes through the output layer's matrix products, sigmoid, gradient
and Adam while it is in the cache, and an embedding row is touched only if a batch contains its item.

Networks differ in what is between the embedding and the output layer. The task's network has kernels
for this middle part (KernelMiddle); in others it is computed by the layers, on one thread (LayerMiddle).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import sparse

from autoenc.batch_invariant import BLOCK_SIZES, by_fixed_rows
from autoenc.kernels.adam import Rates, Trained, rates_at
from autoenc.kernels.bottleneck import bottleneck, bottleneck_backward
from autoenc.kernels.gather_sum import balanced_blocks, gather_sum
from autoenc.kernels.linear import linear
from autoenc.kernels.log_normalizer import log_normalizer
from autoenc.kernels.normalize import Mask, Normalizer, normalize, normalize_backward, normalize_eval
from autoenc.kernels.output_tile import Targets, output_tile
from autoenc.kernels.scatter_add import PastSteps, catch_up, flush, scatter_add
from autoenc.kernels.top_n import top_n
from autoenc.layers import (
    ConfidenceBCE,
    ConfidenceMultinomial,
    GaussianSample,
    Multinomial,
    SigmoidBCE,
    WeightedBCE,
)
from autoenc.layers.batchnorm import check_batch
from autoenc.layers.dropout import Dropout, draw_mask
from autoenc.machine import compute_threads, kernel_threads
from autoenc.networks.autoencoder import AutoEncoderNetwork
from autoenc.networks.base import Key, Network, arrays_of
from autoenc.optim import Adam

LOSSES = (SigmoidBCE, WeightedBCE, Multinomial, ConfidenceBCE, ConfidenceMultinomial)


class FusedEngine:
    """Trains and scores with compiled kernels; see `engine.Engine`.

    Between steps, embedding rows whose items were not in recent batches are outdated.

    Parameters
    ----------
    network : Network
        Its state is trained in place.
    adam : Adam or None
        The optimizer of the network's params; None for an engine that only scores.
    """

    def __init__(self, network: Network, adam: Adam | None = None):
        self.network = network
        self.adam = adam
        self.n_items = network.n_items
        if adam is not None and type(network.loss) not in LOSSES:
            raise ValueError(
                f"the kernels support the losses {', '.join(loss.__name__ for loss in LOSSES)}, but the network has "
                f"{type(network.loss).__name__}; train it with backend='numpy'"
            )
        if isinstance(network, AutoEncoderNetwork) and type(network) is not AutoEncoderNetwork:
            raise ValueError(
                f"the kernels support AutoEncoderNetwork, and {type(network).__name__} may compute something else; "
                "use backend='numpy'"
            )
        self._middle: KernelMiddle | LayerMiddle = (
            KernelMiddle(network, adam) if isinstance(network, AutoEncoderNetwork) else LayerMiddle(network, adam)
        )
        self._lags = False
        self._output_is_finite: bool | None = None
        self._embedding_now: np.ndarray | None = network.state["embedding.weight"]
        if adam is None:
            return
        self.last_step = np.full(self.n_items, adam.step_count, np.int64)  # up to which each row is updated
        self._drift = DriftTable(adam)
        self._embedding = trained("embedding.weight", adam)
        self._output = trained("output.weight", adam), trained("output.bias", adam)

    @property
    def users_at_once(self) -> int:
        return 4 * BLOCK_SIZES[-1] * kernel_threads()  # at least four blocks of `top_n` per thread

    def train_step(self, user_items: sparse.csr_array, key: Key) -> float:
        with compute_threads():
            return self._train_step(user_items, key)

    def _train_step(self, user_items: sparse.csr_array, key: Key) -> float:
        adam = self.adam
        assert adam is not None
        self._middle.check_batch(user_items.shape[0])
        shown = self._middle.shown(user_items, key)  # to the embedding; the targets are all likes
        item_users = user_items.tocsc()
        item_users_shown = item_users if shown is user_items else shown.tocsc()
        self._catch_up(item_users_shown)

        item_sum = self.item_sums(shown, self._embedding.weight)  # (batch, emb_dim)
        hidden = self._middle.forward(item_sum, np.diff(shown.indptr), key)  # (batch, hidden_dim)

        adam.step_count += 1
        self._drift.advance()
        rates = rates_at(adam)
        loss, grad_hidden = self.output_step(hidden, item_users, rates)
        grad_item_sum = self._middle.backward(grad_hidden, rates)  # (batch, emb_dim)
        scatter_add(
            item_users_shown.indptr,
            item_users_shown.indices,
            grad_item_sum,
            self._embedding,
            self.last_step,
            self._drift.history(),
            rates,
            balanced_blocks(item_users_shown.indptr),
        )
        self._lags, self._embedding_now, self._output_is_finite = True, None, None
        return loss + self._middle.penalty

    def _catch_up(self, item_users: sparse.csc_array) -> None:
        """Update the embedding rows of a batch's items to the last step; `scatter_add` updates their moments."""
        if self._lags:
            items = np.flatnonzero(np.diff(item_users.indptr))
            history = self._drift.history()
            items = items[self.last_step[items] < history.step]
            catch_up(items, self._embedding, self.last_step, history, self._embedding.weight)

    def item_sums(self, user_items: sparse.csr_array, weight: np.ndarray) -> np.ndarray:
        """user_items @ weight: (batch, emb_dim), the sum over items in the forward pass."""
        return gather_sum(user_items.indptr, user_items.indices, weight, balanced_blocks(user_items.indptr))

    def output_step(self, hidden: np.ndarray, item_users: sparse.csc_array, rates: Rates) -> tuple[float, np.ndarray]:
        """Forward, backward and Adam of the output layer: the loss, and the gradient of `hidden`, of the same shape.

        The gradient is the sum over items in the backward pass.
        """
        loss = self.network.loss
        log_z = confidence = np.empty(0, hidden.dtype)
        if isinstance(loss, Multinomial):
            log_z = log_normalizer(self.network.state["output.weight"], self.network.state["output.bias"], hidden)
        if isinstance(loss, (ConfidenceBCE, ConfidenceMultinomial)):
            confidence = item_users.data.astype(hidden.dtype, copy=False)
        negative_weight = loss.negative_weight if isinstance(loss, WeightedBCE) else 1.0
        targets = Targets(item_users.indptr, item_users.indices, confidence, log_z, negative_weight)
        return output_tile(*self._output, hidden, targets, rates)

    def flush(self) -> None:
        """Update all embedding rows and their moments to the last step, in place, at the end of training.

        Training may continue afterwards: correctly, but with other bits than in a run without the flush.
        """
        if self._lags:
            flush(self._embedding, self.last_step, self._drift.history())
            self._lags, self._embedding_now = False, self._embedding.weight

    def training_arrays(self) -> dict[str, np.ndarray]:
        return {"last_step": self.last_step, "drift": self._drift.tables}

    def load_training_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        self.last_step[:] = arrays["last_step"]
        self._drift.tables = arrays["drift"].copy()
        self._lags, self._embedding_now = True, None

    def state_dict(self) -> dict[str, np.ndarray]:
        """The network's state after the last step, with a copy of the embedding if some of its rows are outdated."""
        if self._embedding_now is None:
            self._embedding_now = np.empty_like(self._embedding.weight)
            all_items = np.arange(self.n_items)
            catch_up(all_items, self._embedding, self.last_step, self._drift.history(), self._embedding_now)
        return {**self.network.state, "embedding.weight": self._embedding_now}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.flush()
        for name, array in self.network.state.items():
            array[:] = state[name]
        self._output_is_finite = None

    def encode(self, user_items: sparse.csr_array) -> np.ndarray:
        weight = self.state_dict()["embedding.weight"]
        with compute_threads():
            return self._middle.encode(self.item_sums(user_items, weight), np.diff(user_items.indptr))

    def encode_sums(self, item_sum: np.ndarray, n_likes: np.ndarray) -> np.ndarray:
        with compute_threads():
            return self._middle.encode(item_sum.copy(), n_likes)

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        h2 = self.encode(user_items)
        with compute_threads():
            return linear(h2, self.network.state["output.weight"], self.network.state["output.bias"])

    def top_n(self, user_items: sparse.csr_array, n: int) -> tuple[np.ndarray, np.ndarray]:
        h2 = self.encode(user_items)
        state = self.network.state
        if self._output_is_finite is None:  # checked once after training; it costs as much as ranking one user
            self._output_is_finite = all(np.isfinite(state[f"output.{key}"]).all() for key in ("weight", "bias"))
        if not (self._output_is_finite and np.isfinite(h2).all()):
            raise ValueError("the network's scores are NaN, as its training diverged; train it with a lower lr")
        with compute_threads():
            return top_n(h2, state["output.weight"], state["output.bias"], user_items.indptr, user_items.indices, n)


class KernelMiddle:
    """The middle of the task's network in compiled kernels, with a step of Adam in its backward."""

    penalty = 0.0  # no term of the loss comes from the middle

    def __init__(self, network: AutoEncoderNetwork, adam: Adam | None):
        self.network = network
        self.kept: Any = None
        self.norm1, self.norm2 = self.normalizer("batchnorm1"), self.normalizer("batchnorm2")
        if adam is not None:
            self.scale1 = trained("batchnorm1.weight", adam), trained("batchnorm1.bias", adam)
            self.scale2 = trained("batchnorm2.weight", adam), trained("batchnorm2.bias", adam)
            self.bottleneck = trained("bottleneck.weight", adam), trained("bottleneck.bias", adam)

    def check_batch(self, batch: int) -> None:
        check_batch(batch)

    def shown(self, user_items: sparse.csr_array, key: Key) -> sparse.csr_array:
        """The likes to feed to the embedding in training: all of them."""
        return user_items

    def forward(self, item_sum: np.ndarray, n_likes: np.ndarray, key: Key) -> np.ndarray:
        weight, bias = self.network.bottleneck.params.values()
        mask1 = self.mask(self.network.dropout1, item_sum.shape, (*key, 1))
        mask2 = self.mask(self.network.dropout2, (len(item_sum), len(bias)), (*key, 2))
        h1, kept1 = normalize(item_sum, mask1, self.norm1)
        h2, kept2 = bottleneck(h1, weight, bias, mask2, self.norm2)  # h2 (batch, hidden_dim)
        self.kept = kept1, mask1, kept2, mask2
        return h2

    def backward(self, grad_h2: np.ndarray, rates: Rates) -> np.ndarray:
        """Return the gradient of item_sum; grad_h2 is overwritten."""
        (kept1, mask1, kept2, mask2), self.kept = self.kept, None
        normalize_backward(grad_h2, kept2, mask2, *self.scale2, rates)
        return bottleneck_backward(grad_h2, *self.bottleneck, kept1, mask1, *self.scale1, rates)

    def encode(self, item_sum: np.ndarray, n_likes: np.ndarray) -> np.ndarray:
        """h2 in evaluation; item_sum is overwritten."""
        weight, bias = self.network.bottleneck.params.values()
        normalize_eval(item_sum, self.norm1)
        h2 = linear(item_sum, weight, bias)
        normalize_eval(h2, self.norm2)
        return h2

    def normalizer(self, layer: str) -> Normalizer:
        batchnorm, number = getattr(self.network, layer), self.network.dtype.type
        arrays = arrays_of(self.network.state, layer)
        return Normalizer(**arrays, eps=number(batchnorm.eps), momentum=number(batchnorm.momentum))

    def mask(self, dropout: Dropout, shape: tuple[int, int], key: tuple[int, int, int, int]) -> Mask:
        return Mask(draw_mask(shape, dropout.threshold, key), self.network.dtype.type(dropout.scale))


class LayerMiddle:
    """The middle of any other network, computed by its layers.

    The network must have `shown`, which selects the likes for the embedding, and `encode_sums` and
    `backward_to_sums`, the forward and backward of its middle.
    """

    def __init__(self, network: Any, adam: Adam | None):
        self.network, self.adam = network, adam
        self.layers = {
            name: layer for name, layer in network.layers.items() if layer not in (network.embedding, network.output)
        }

    def check_batch(self, batch: int) -> None:
        """No restriction."""

    def shown(self, user_items: sparse.csr_array, key: Key) -> sparse.csr_array:
        shown: sparse.csr_array = self.network.shown(user_items, True, key)
        return shown

    @property
    def penalty(self) -> float:
        return sum(layer.penalty for layer in self.layers.values() if isinstance(layer, GaussianSample))

    def forward(self, item_sum: np.ndarray, n_likes: np.ndarray, key: Key) -> np.ndarray:
        return self.network.encode_sums(item_sum, n_likes, True, key)

    def backward(self, grad_hidden: np.ndarray, rates: Rates) -> np.ndarray:
        """Take a step of Adam and return the gradient of item_sum."""
        assert self.adam is not None
        grad_item_sum = self.network.backward_to_sums(grad_hidden)
        for name, layer in self.layers.items():
            for key, grad in layer.grads.items():
                self.adam.move(f"{name}.{key}", grad)
        return grad_item_sum

    def encode(self, item_sum: np.ndarray, n_likes: np.ndarray) -> np.ndarray:
        return by_fixed_rows(self.network.encode_sums, item_sum, n_likes, weights=self.network.dense_weights)


def trained(name: str, adam: Adam) -> Trained:
    """A parameter and its moments in the form that the kernels expect."""
    return Trained(adam.params[name], adam.first_moment[name], adam.second_moment[name])


class DriftTable:
    """The updates that an embedding row has missed since any step: the sums described in `kernels.scatter_add`.

    Grows by a few numbers per step; a step takes as many additions as the horizon has steps.
    """

    def __init__(self, adam: Adam):
        beta1, beta2 = adam.betas
        self.adam = adam
        # If v decays as fast as m, missed steps don't become negligible and are applied one by one.
        self.dies_out = beta1 < beta2
        self.horizon = 2**62
        if self.dies_out:
            self.decay1, self.decay2 = beta1 / beta2**0.5, beta1 / beta2
            # After this many steps all but 1e-12 of a row's movement is done.
            self.horizon = math.ceil(math.log(1e-12) / math.log(self.decay2)) if beta1 > 0 else 1
        self.tables = np.zeros((4, 1024))  # of PastSteps: step_size, inv_root, drift1, drift2
        for step in range(1, adam.step_count + 1):
            self._advance_to(step)

    def advance(self) -> None:
        """Add step `adam.step_count`, which has just begun."""
        self._advance_to(self.adam.step_count)

    def _advance_to(self, step: int) -> None:
        if step == self.tables.shape[1]:
            self.tables = np.pad(self.tables, ((0, 0), (0, step)))
        step_size, inv_root, drift1, drift2 = self.tables
        beta1, beta2 = self.adam.betas
        step_size[step] = self.adam.lr / (1 - beta1**step)
        inv_root[step] = (1 - beta2**step) ** -0.5
        if not self.dies_out:
            return
        start = max(0, step - self.horizon)
        missed = np.arange(step - start, 0, -1)
        drift1[start:step] += step_size[step] / inv_root[step] * self.decay1**missed
        drift2[start:step] += step_size[step] / inv_root[step] ** 2 * self.decay2**missed

    def history(self) -> PastSteps:
        step_size, inv_root, drift1, drift2 = self.tables
        beta1, beta2 = self.adam.betas
        step, eps = self.adam.step_count, self.adam.eps
        return PastSteps(step, self.horizon, beta1, beta2, step_size, inv_root, drift1, drift2, eps)
