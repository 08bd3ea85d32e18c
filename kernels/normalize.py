"""ReLU, BatchNorm and dropout in one pass, one block of columns at a time.

Definition: autoenc.layers.ReLU, BatchNorm1d, Dropout, one after the other; in the backward with
autoenc.optim.Adam.step for BatchNorm's weight and bias.

All three treat each feature separately, so a block of columns (at most 256 x 64 floats at the task's
sizes) goes through all of them while it is in the second-level cache. Bound by memory: 0.8 MB read and
1.6 MB written for the wider of the two layers. The sums of a column are computed in the order of the
batch, on one thread.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from autoenc.kernels.adam import adam_slice
from autoenc.kernels.jit import kernel

MOST_BLOCKS = 16  # one for each of 16 threads; more would make rows so short that few threads lose time
LINE = 16  # numbers of a cache line in float32: blocks begin at a multiple


class Normalizer(NamedTuple):
    """A BatchNorm1d layer's arrays, each (features,), and its constants."""

    weight: np.ndarray
    bias: np.ndarray
    running_mean: np.ndarray
    running_var: np.ndarray
    eps: np.floating
    momentum: np.floating


class Mask(NamedTuple):
    """A dropout's mask (batch, features), bool, and the factor for the values that are kept."""

    mask: np.ndarray
    scale: np.floating


class Kept(NamedTuple):
    """What the forward keeps for the backward: its input x, x_hat (batch, features), and inv_std (features,)."""

    x: np.ndarray
    x_hat: np.ndarray
    inv_std: np.ndarray


@kernel
def n_blocks(features):
    """Number of blocks of the features, by their number alone; a block has at least one line, if possible."""
    return max(1, min(MOST_BLOCKS, features // LINE))


@kernel
def block_of_columns(block, features):
    """The first column of a block, and one past its last; blocks have about equal numbers of lines."""
    blocks, lines = n_blocks(features), (features + LINE - 1) // LINE
    return block * lines // blocks * LINE, min(features, (block + 1) * lines // blocks * LINE)


@kernel(parallel=True)
def normalize(x, mask, norm):
    """Return output (batch, features) and Kept; update the running statistics.

    x (batch, features) is the input of ReLU.
    """
    features = x.shape[1]
    output = np.empty_like(x)  # (batch, features)
    kept = Kept(x, np.empty_like(x), np.empty(features, x.dtype))
    for block in prange(n_blocks(features)):
        first, last = block_of_columns(block, features)
        normalize_columns(kept, mask, norm, output, first, last)
    return output, kept


@kernel
def normalize_columns(kept, mask, norm, output, first, last):
    """Fill the columns first .. last of output, kept.x_hat and kept.inv_std."""
    x = kept.x
    batch, number = len(x), x.dtype.type
    mean, var = np.zeros(last - first, x.dtype), np.zeros(last - first, x.dtype)
    for u in range(batch):
        row = x[u, first:last]
        for j in range(len(row)):
            mean[j] += max(row[j], number(0))
    for j in range(len(mean)):
        mean[j] /= number(batch)
    for u in range(batch):
        row = x[u, first:last]
        for j in range(len(row)):
            centered = max(row[j], number(0)) - mean[j]
            var[j] += centered * centered
    inv, weight, bias = kept.inv_std[first:last], norm.weight[first:last], norm.bias[first:last]
    for j in range(len(var)):
        var[j] /= number(batch)
        inv[j] = number(1) / np.sqrt(var[j] + norm.eps)
    for u in range(batch):
        row, hat, out = x[u, first:last], kept.x_hat[u, first:last], output[u, first:last]
        passes = mask.mask[u, first:last]
        for j in range(len(row)):
            hat[j] = (max(row[j], number(0)) - mean[j]) * inv[j]
            factor = mask.scale if passes[j] else number(0)
            out[j] = (weight[j] * hat[j] + bias[j]) * factor
    running_mean, running_var = norm.running_mean[first:last], norm.running_var[first:last]
    for j in range(len(mean)):
        running_mean[j] += norm.momentum * (mean[j] - running_mean[j])
        running_var[j] += norm.momentum * (var[j] * number(batch / (batch - 1)) - running_var[j])


@kernel(parallel=True)
def normalize_backward(grad, kept, mask, weight, bias, rates):
    """Turn grad (batch, features) from grad_output into grad_x, with a step of Adam on the Traineds weight and bias."""
    features, dtype = kept.x.shape[1], kept.x.dtype
    grad_weight, grad_bias = np.zeros(features, dtype), np.zeros(features, dtype)  # (features,)
    for block in prange(n_blocks(features)):
        first, last = block_of_columns(block, features)
        backward_columns(grad, kept, mask, weight.weight, grad_weight, grad_bias, first, last)
        adam_slice(weight, first, last, grad_weight[first:last], rates)
        adam_slice(bias, first, last, grad_bias[first:last], rates)


@kernel
def backward_columns(grad, kept, mask, weight, grad_weight, grad_bias, first, last):
    """Turn grad_output into grad_x in place and fill grad_weight and grad_bias, in the columns first .. last."""
    batch, number = len(grad), grad.dtype.type
    grad_w, grad_b = grad_weight[first:last], grad_bias[first:last]
    for u in range(batch):
        row, hat, passes = grad[u, first:last], kept.x_hat[u, first:last], mask.mask[u, first:last]
        for j in range(len(row)):
            row[j] *= mask.scale if passes[j] else number(0)
            grad_b[j] += row[j]
            grad_w[j] += row[j] * hat[j]
    w, inv, n = weight[first:last], kept.inv_std[first:last], number(batch)
    for u in range(batch):
        row, hat, relu_input = grad[u, first:last], kept.x_hat[u, first:last], kept.x[u, first:last]
        for j in range(len(row)):
            through = w[j] * inv[j] * (row[j] - grad_b[j] / n - hat[j] * (grad_w[j] / n))
            row[j] = through if relu_input[j] > 0 else number(0)


@kernel(parallel=True)
def normalize_eval(x, norm):
    """ReLU and BatchNorm in evaluation, with the running statistics, in place on x (batch, features)."""
    scale, shift = np.empty_like(norm.weight), np.empty_like(norm.weight)  # (features,)
    for j in range(len(scale)):
        scale[j] = norm.weight[j] / np.sqrt(norm.running_var[j] + norm.eps)
        shift[j] = norm.bias[j] - norm.running_mean[j] * scale[j]
    for u in prange(len(x)):
        relu_affine(x[u], scale, shift)


@kernel
def relu_affine(row, scale, shift):
    for j in range(len(row)):
        row[j] = max(row[j], row.dtype.type(0)) * scale[j] + shift[j]
