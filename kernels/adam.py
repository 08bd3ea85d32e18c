"""Adam inside the kernels: `optim.Adam.step` on some of the weights, right after their gradient is computed.

Definition: autoenc.optim.Adam.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from autoenc.kernels.jit import kernel


class Trained(NamedTuple):
    """A parameter and its two moments, three arrays of the same shape."""

    weight: np.ndarray
    first_moment: np.ndarray
    second_moment: np.ndarray


class Rates(NamedTuple):
    """The factors of Adam's step t, in the weights' dtype, so that float32 is not promoted to float64."""

    one_minus_beta1: np.floating
    one_minus_beta2: np.floating
    step_size: np.floating  # lr / (1 - beta1**t)
    inv_root: np.floating  # 1 / sqrt(1 - beta2**t)
    eps: np.floating


def rates_at(adam) -> Rates:
    """The rates of step `adam.step_count`, which has just begun."""
    beta1, beta2 = adam.betas
    dtype = next(iter(adam.params.values())).dtype.type
    step_size = adam.lr / (1 - beta1**adam.step_count)
    inv_root = (1 - beta2**adam.step_count) ** -0.5
    return Rates(*map(dtype, (1 - beta1, 1 - beta2, step_size, inv_root, adam.eps)))


@kernel
def adam_row(w, m, v, grad_w, rates):
    """Adam on 1-D arrays of the same length, in place. Bound by memory: 24 bytes and 10 flops per weight."""
    for i in range(len(w)):
        m[i] += rates.one_minus_beta1 * (grad_w[i] - m[i])
        v[i] += rates.one_minus_beta2 * (grad_w[i] * grad_w[i] - v[i])
        w[i] -= rates.step_size * m[i] / (np.sqrt(v[i]) * rates.inv_root + rates.eps)


@kernel
def adam_slice(trained, first, last, grad_w, rates):
    """Adam on the entries first .. last of a Trained of 1-D arrays; grad_w has only these entries."""
    m, v = trained.first_moment[first:last], trained.second_moment[first:last]
    adam_row(trained.weight[first:last], m, v, grad_w, rates)


@kernel
def adam_rows(trained, first, last, grad_w, rates):
    """Adam on the rows first .. last of a Trained of 2-D arrays; grad_w (last - first, columns)."""
    for j in range(first, last):
        adam_row(trained.weight[j], trained.first_moment[j], trained.second_moment[j], grad_w[j - first], rates)
