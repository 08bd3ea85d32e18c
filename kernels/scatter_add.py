"""The embedding's gradient, one item's row at a time, with a step of Adam on each row.

Definition: autoenc.layers.SparseEmbedding.backward followed by autoenc.optim.Adam.step.

The gradient of an item's row is the sum of grad_output's rows over the users who liked it. It is summed
in the first-level cache and used at once; the (n_items, emb_dim) gradient is never stored. A row that
nobody in the batch liked has gradient 0, but Adam still moves it by its decaying moments:

    m = beta1 * m,   v = beta2 * v,   w = w - step_size * m / (sqrt(v) * inv_root + eps)

Such rows are not updated until they are needed again; `catch_up` then applies all missed steps s at once.
With m and v after step t0, and k = s - t0,

    w = w - sum over s of  step_size[s] * beta1**k * m / (sqrt(beta2**k * v) * inv_root[s] + eps)
      ~ w - m / sqrt(v) * (drift1[t0] - eps / sqrt(v) * drift2[t0])
    drift1[t0] = sum of step_size[s] / inv_root[s]    * (beta1 / sqrt(beta2))**k
    drift2[t0] = sum of step_size[s] / inv_root[s]**2 * (beta1 / beta2)**k

The two drifts depend only on the steps, so one table serves all rows. The second line is the expansion of
the first to second order in y = eps / (sqrt(v) * inv_root); if y is above 1e-3, and always in float64 or
if beta1 >= beta2, the sum is computed step by step.

Bound by memory: a row liked by n users costs 3.2 (n + 6) kB at emb_dim 800. Each row is computed by one
thread, in the order of the users, so the bits don't depend on the number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from autoenc.kernels.adam import adam_row
from autoenc.kernels.gather_sum import sum_rows
from autoenc.kernels.jit import kernel


class PastSteps(NamedTuple):
    """The data on past steps that a row needs to catch up; each array is indexed by step."""

    step: int  # t, the last step done
    horizon: int  # the number of missed steps after which m has become negligible
    beta1: float
    beta2: float
    step_size: np.ndarray  # lr / (1 - beta1**s), float64
    inv_root: np.ndarray  # 1 / sqrt(1 - beta2**s), float64
    drift1: np.ndarray  # float64, as above, up to t
    drift2: np.ndarray
    eps: float


@kernel(parallel=True)
def scatter_add(item_indptr, item_users, grad_output, embedding, last_step, history, rates, blocks):
    """Compute the gradient of the rows of the batch's items and take one step of Adam on them, in place.

    item_indptr (n_items + 1,) and item_users (n_likes,) are the batch's CSC; grad_output is (batch,
    emb_dim); embedding is a Trained of (n_items, emb_dim), with weights caught up to step t - 1 and moments
    as of last_step (n_items,); rates are those of step t, and history.step is t.
    """
    beta1, beta2 = history.beta1, history.beta2
    for block in prange(len(blocks) - 1):
        grad_row = np.empty(grad_output.shape[1], grad_output.dtype)  # (emb_dim,)
        for item in range(blocks[block], blocks[block + 1]):
            users = item_users[item_indptr[item] : item_indptr[item + 1]]
            if len(users) == 0:
                continue
            sum_rows(grad_output, users, grad_row)
            m, v = embedding.first_moment[item], embedding.second_moment[item]
            missed = history.step - 1 - last_step[item]
            if missed > 0:
                decay(m, beta1**missed)
                decay(v, beta2**missed)
            adam_row(embedding.weight[item], m, v, grad_row, rates)
            last_step[item] = history.step


@kernel(parallel=True)
def catch_up(items, embedding, last_step, history, weight):
    """Write the rows of `items`, updated to history.step, to `weight`.

    weight (n_items, emb_dim) may be embedding.weight itself; the moments stay as of last_step.
    """
    for k in prange(len(items)):
        item = items[k]
        w = weight[item]
        w[:] = embedding.weight[item]
        if last_step[item] < history.step:
            advance(w, embedding.first_moment[item], embedding.second_moment[item], last_step[item], history)


def flush(embedding, last_step, history):
    """Update all rows and their moments to history.step, in place."""
    catch_up(np.flatnonzero(last_step < history.step), embedding, last_step, history, embedding.weight)
    decay_rows(embedding, last_step, history)
    last_step[:] = history.step


@kernel
def decay_rows(embedding, last_step, history):
    """Apply to all moments the decay of the steps that their rows have missed."""
    for item in range(len(last_step)):
        missed = history.step - last_step[item]
        if missed > 0:
            decay(embedding.first_moment[item], history.beta1**missed)
            decay(embedding.second_moment[item], history.beta2**missed)


@kernel
def advance(w, m, v, t0, history):
    """Move a row from step t0 to history.step by its moments as of t0, which are not changed."""
    # Below this v the error of the expansion matters; in float64, or if v decays as fast as m, it always does.
    smallest = w.dtype.type(np.inf)
    if w.itemsize == 4 and history.beta1 < history.beta2:
        smallest = w.dtype.type((history.eps * 1e3 / history.inv_root[history.step]) ** 2)
    if not drift(w, m, v, t0, history, smallest):
        drift_by_steps(w, m, v, t0, history, smallest)


@kernel
def drift(w, m, v, t0, history, smallest):
    """Move the weights with v >= smallest by the two drifts; return whether these are all."""
    number = w.dtype.type
    drift1, drift2 = number(history.drift1[t0]), number(history.eps * history.drift2[t0])
    n_left = 0
    for i in range(len(w)):
        holds = v[i] >= smallest
        inv_size = number(1) / np.sqrt(v[i] if holds else number(1))
        move = m[i] * inv_size * (drift1 - inv_size * drift2)
        w[i] -= move if holds else number(0)
        n_left += not holds and m[i] != 0
    return n_left == 0


@kernel
def drift_by_steps(w, m, v, t0, history, smallest):
    """Move the weights with v < smallest, one missed step at a time."""
    beta1, beta2 = history.beta1, history.beta2
    last = min(history.step, t0 + history.horizon)
    for i in range(len(w)):
        if v[i] < smallest and m[i] != 0:
            decayed_m, decayed_v, moved = np.float64(m[i]), np.float64(v[i]), 0.0
            for s in range(t0 + 1, last + 1):
                decayed_m *= beta1
                decayed_v *= beta2
                moved += history.step_size[s] * decayed_m / (np.sqrt(decayed_v) * history.inv_root[s] + history.eps)
            w[i] -= w.dtype.type(moved)


@kernel
def decay(moment, factor):
    """moment *= factor, with subnormal results replaced by 0, as they are slow."""
    number = moment.dtype.type
    factor, tiny = number(factor), number(1e-37)
    for i in range(len(moment)):
        decayed = moment[i] * factor
        moment[i] = decayed if abs(decayed) > tiny else number(0)
