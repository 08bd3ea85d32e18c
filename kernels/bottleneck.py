"""The bottleneck in training: the linear layer and the layers after it, one block of features at a time.

Definition: autoenc.layers.Linear, then ReLU, BatchNorm1d and Dropout; in the backward, Linear, then the
Dropout, BatchNorm1d and ReLU before it, with autoenc.optim.Adam.step.

Bound by arithmetic: three products of 0.16 GFLOP at the task's sizes. In the forward, multiplication,
normalization and dropout are applied to one block of hidden features while it is in the cache. In the
backward, the gradient of one block of embedding features is computed and passed back through the
normalization, and the corresponding columns of the weight get their gradient and a step of Adam. The blocks,
and with them the order of every sum, depend on the sizes alone.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from autoenc.kernels.adam import adam_row, adam_slice
from autoenc.kernels.jit import kernel
from autoenc.kernels.normalize import Kept, backward_columns, block_of_columns, n_blocks, normalize_columns


@kernel(parallel=True)
def bottleneck(x, weight, bias, mask, norm):
    """Linear, ReLU, BatchNorm and dropout: return output (batch, hidden_dim) and Kept; update the running statistics.

    x is (batch, emb_dim), weight (hidden_dim, emb_dim), bias (hidden_dim,).
    """
    batch, features = len(x), len(weight)
    output = np.empty((batch, features), x.dtype)
    kept = Kept(np.empty_like(output), np.empty_like(output), np.empty(features, x.dtype))
    for block in prange(n_blocks(features)):
        first, last = block_of_columns(block, features)
        linear_columns(x, weight, bias, kept.x, first, last)
        normalize_columns(kept, mask, norm, output, first, last)
    return output, kept


@kernel
def linear_columns(x, weight, bias, output, first, last):
    """The columns first .. last of x @ weight.T + bias."""
    product = np.empty((len(x), last - first), x.dtype)  # (batch, block)
    np.dot(x, weight[first:last].T, product)
    for u in range(len(output)):
        for j in range(last - first):
            output[u, first + j] = product[u, j] + bias[first + j]


@kernel(parallel=True)
def bottleneck_backward(grad_z, weight, bias, kept, mask, scale, shift, rates):
    """The backward of the linear layer and of the normalization before it, with a step of Adam.

    grad_z (batch, hidden_dim) is the gradient of the linear layer's output; weight and bias are its parameters,
    as Traineds. kept and mask are those of the normalization before it, from which the input of the linear
    layer is computed again; scale and shift are its weight and bias, as Traineds. Returns grad_input (batch,
    emb_dim), the gradient of the normalization's input.
    """
    features, hidden_dim = kept.x.shape[1], grad_z.shape[1]
    grad_input = np.empty_like(kept.x)
    grad_scale, grad_shift = np.zeros(features, grad_z.dtype), np.zeros(features, grad_z.dtype)
    blocks = n_blocks(features)
    for block in prange(blocks):
        first, last = block_of_columns(block, features)
        x = input_columns(kept, mask, scale.weight, shift.weight, first, last)
        linear_backward_columns(grad_z, x, weight, grad_input, rates, first, last)
        backward_columns(grad_input, kept, mask, scale.weight, grad_scale, grad_shift, first, last)
        adam_slice(scale, first, last, grad_scale[first:last], rates)
        adam_slice(shift, first, last, grad_shift[first:last], rates)
        first_hidden, last_hidden = block * hidden_dim // blocks, (block + 1) * hidden_dim // blocks
        adam_slice(bias, first_hidden, last_hidden, sum_of_users(grad_z, first_hidden, last_hidden), rates)
    return grad_input


@kernel
def input_columns(kept, mask, scale, shift, first, last):
    """The columns first .. last (batch, block) of the linear layer's input, the output of the normalization."""
    x = np.empty((len(kept.x), last - first), kept.x.dtype)
    for u in range(len(x)):
        hat, passes = kept.x_hat[u, first:last], mask.mask[u, first:last]
        for j in range(last - first):
            factor = mask.scale if passes[j] else x.dtype.type(0)
            x[u, j] = (scale[first + j] * hat[j] + shift[first + j]) * factor
    return x


@kernel
def linear_backward_columns(grad_output, x, weight, grad_x, rates, first, last):
    """The columns first .. last of grad_x = grad_output @ weight, and Adam on those of weight; x is (batch, block)."""
    out_features = grad_output.shape[1]
    weight_columns = np.empty((out_features, last - first), x.dtype)
    grad_weight = np.empty_like(weight_columns)
    for j in range(out_features):
        for i in range(last - first):
            weight_columns[j, i] = weight.weight[j, first + i]
    grad_columns = np.empty_like(x)
    np.dot(grad_output, weight_columns, grad_columns)
    for u in range(len(x)):
        for i in range(last - first):
            grad_x[u, first + i] = grad_columns[u, i]
    np.dot(grad_output.T, x, grad_weight)
    for j in range(out_features):
        m, v = weight.first_moment[j, first:last], weight.second_moment[j, first:last]
        adam_row(weight.weight[j, first:last], m, v, grad_weight[j], rates)


@kernel
def sum_of_users(x, first, last):
    """The sums over the batch of the columns first .. last."""
    total = np.zeros(last - first, x.dtype)
    for u in range(len(x)):
        for j in range(len(total)):
            total[j] += x[u, first + j]
    return total
