"""The small matmuls of the middle, in blocks that are fixed by the sizes alone.

Definition: autoenc.layers.Linear; in the backward with autoenc.optim.Adam.step.

Bound by arithmetic: 0.16 GFLOP each at the task's sizes. There are enough
blocks for a few threads, and as they are fixed, the order of every sum is too.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from autoenc.kernels.adam import adam_rows, adam_slice
from autoenc.kernels.jit import FASTMATH, kernel
from autoenc.kernels.matmul import matmul, transposed

USERS_PER_BLOCK = 128
OUTPUTS_PER_BLOCK = 100
WHOLE = 16  # a block begins at a multiple, so that only the last has columns that fill no vector


@kernel(parallel=True)
def linear(x, weight, bias):
    """x @ weight.T + bias: x (batch, in_features), weight (out_features, in_features)."""
    out_features = len(weight)
    output = np.empty((len(x), out_features), x.dtype)  # (batch, out_features)
    n_blocks = (out_features + OUTPUTS_PER_BLOCK - 1) // OUTPUTS_PER_BLOCK
    for block in prange(n_blocks):
        first = block * out_features // n_blocks // WHOLE * WHOLE
        last = (block + 1) * out_features // n_blocks // WHOLE * WHOLE if block + 1 < n_blocks else out_features
        linear_columns(x, weight, bias, output, first, last)
    return output


@kernel
def linear_columns(x, weight, bias, output, first, last):
    """The columns first .. last of output, whose weights are turned for it."""
    product = np.empty((len(x), last - first), x.dtype)  # (batch, block)
    matmul(x, transposed(weight[first:last]), product, False)
    for u in range(len(output)):
        row = output[u, first:last]
        for j in range(len(row)):
            row[j] = product[u, j] + bias[first + j]


@kernel(parallel=True)
def linear_backward_input(grad_output, weight):
    """grad_output @ weight, as (1, batch, in_features): a sum of one part for `normalize_backward`."""
    batch = len(grad_output)
    grad_input = np.empty((1, batch, weight.shape[1]), grad_output.dtype)
    for block in prange((batch + USERS_PER_BLOCK - 1) // USERS_PER_BLOCK):
        first, last = block * USERS_PER_BLOCK, min(batch, (block + 1) * USERS_PER_BLOCK)
        matmul(grad_output[first:last], weight, grad_input[0, first:last], False)
    return grad_input


@kernel(parallel=True)
def linear_backward_weight(grad_output, x, weight, bias, rates):
    """grad_output.T @ x and the sum of grad_output, each straight through Adam into its Trained."""
    out_features = grad_output.shape[1]
    for block in prange((out_features + OUTPUTS_PER_BLOCK - 1) // OUTPUTS_PER_BLOCK):
        first, last = block * OUTPUTS_PER_BLOCK, min(out_features, (block + 1) * OUTPUTS_PER_BLOCK)
        backward_weight_rows(grad_output, x, weight, bias, rates, first, last)


@kernel
def backward_weight_rows(grad_output, x, weight, bias, rates, first, last):
    grad_block = np.empty((last - first, len(x)), x.dtype)  # (block, batch)
    for u in range(len(x)):
        for j in range(first, last):
            grad_block[j - first, u] = grad_output[u, j]
    grad_weight = np.empty((last - first, x.shape[1]), x.dtype)  # (block, in_features)
    matmul(grad_block, x, grad_weight, False)
    grad_bias = np.empty(last - first, x.dtype)  # (block,)
    for j in range(len(grad_bias)):
        grad_bias[j] = sum_of(grad_block[j])
    adam_rows(weight, first, last, grad_weight, rates)
    adam_slice(bias, first, last, grad_bias, rates)


@kernel(fastmath=FASTMATH | {"reassoc"})
def sum_of(row):
    """The sum of a 1-D array, in the order that suits vector instructions: fixed when compiled."""
    total = row.dtype.type(0)
    for i in range(len(row)):
        total += row[i]
    return total
