"""The complete training step of the output layer, one tile of items at a time.

Definition: autoenc.layers.Linear.forward, SigmoidBCE.forward and backward (or those of WeightedBCE,
Multinomial, ConfidenceBCE or ConfidenceMultinomial), Linear.backward and autoenc.optim.Adam.step, one
after the other.

Nine tenths of a step's arithmetic is here: three matrix products of 2.2 GFLOP at the task's sizes.
Separate layers would write and read logits and grad_logits of 11 MB and a grad_weight of 17 MB; here one
tile of items goes through all of it while it is in the second-level cache:

    logits      = weight[tile] @ h2.T                   (tile, batch)
    grad_logits = sigmoid(logits + bias[tile]) - targets      times negative_weight where the target is 0,
                                                              and times the confidence where it is 1
    grad_h2    += grad_logits.T @ weight[tile]          (batch, hidden_dim)
    grad_weight = grad_logits @ h2                      (tile, hidden_dim), then Adam

With the multinomial loss grad_logits is n * exp(logits + bias[tile] - log_z) - confidence, with log_z
from an earlier pass over the same tiles in `log_normalizer`: a fourth matrix product.

Tiles are divided into a fixed number of parts with separate partial sums of grad_h2 and the loss, which
are added in order, for some rows of users at a time. So the bits don't depend on the number of threads,
and while one thread waits for memory in Adam another one multiplies.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from autoenc.kernels.adam import adam_rows, adam_slice
from autoenc.kernels.exp import exp_of_negative
from autoenc.kernels.jit import FASTMATH, kernel

PARTS = 32  # at most, so that 16 threads have two each; more would make the sum of grad_h2 slow
LEAST = 128  # items of a part, if there are fewer than PARTS * LEAST
TILE = 336  # items at most: a product of this many numbers from 1 to 2 fits into a float64,
RUN = 64  # and one of this many into a float32
USERS = 16  # number of rows of grad_h2 to sum together


class Targets(NamedTuple):
    """The targets of the losses; floating arrays have the dtype of the logits."""

    item_indptr: np.ndarray  # (n_items + 1,), of the batch's CSC
    item_users: np.ndarray  # (n_likes,)
    confidence: np.ndarray  # (n_likes,), or empty if every like counts 1
    log_z: np.ndarray  # (batch,), from `log_normalizer` for the multinomial loss, or empty for BCE
    negative_weight: float  # weight of items that are not liked, in BCE


@kernel(parallel=True)
def output_tile(weight, bias, h2, targets, rates):
    """One training step of the output layer, in place.

    weight is a Trained of (n_items, hidden_dim), bias one of (n_items,), h2 (batch, hidden_dim), and targets
    a Targets. Returns the summed loss and grad_h2 (batch, hidden_dim).
    """
    n_items, batch = len(weight.weight), len(h2)
    n_parts = parts_of(n_items)
    losses = np.zeros(n_parts)
    grad_parts = np.empty((n_parts, batch, h2.shape[1]), h2.dtype)
    likes = likes_of_users(targets, h2)
    for part in prange(n_parts):
        bounds = part * n_items // n_parts, (part + 1) * n_items // n_parts
        losses[part] = output_part(weight, bias, h2, (targets, likes), rates, bounds, grad_parts[part])
    for block in prange((batch + USERS - 1) // USERS):
        sum_parts(grad_parts, block * USERS, min(batch, (block + 1) * USERS))
    return sum_in_order(losses), grad_parts[0]


@kernel
def sum_parts(parts, first, last):
    """Add the other parts to the first, in order, in the rows first .. last."""
    for u in range(first, last):
        for part in range(1, len(parts)):
            for j in range(parts.shape[2]):
                parts[0, u, j] += parts[part, u, j]


@kernel
def sum_in_order(numbers):
    """The sum in order; inside a parallel kernel numba would distribute np.sum over threads."""
    total = 0.0
    for number in numbers:
        total += number
    return total


@kernel
def parts_of(n_items):
    """Number of parts of the items, which depends on their number alone."""
    return max(1, min(PARTS, n_items // LEAST))


@kernel
def output_part(weight, bias, h2, targets_and_likes, rates, bounds, grad_h2):
    """Process the items bounds[0] .. bounds[1] in tiles of about equal size; fill grad_h2 and return their loss."""
    targets, likes = targets_and_likes
    part_first, part_last = bounds
    size = tile_size(part_last - part_first)
    logits_buffer, grad_buffer = np.empty(size * len(h2), h2.dtype), np.empty(size * h2.shape[1], h2.dtype)
    grad_bias = np.empty(size, h2.dtype)  # (tile,)
    more = np.empty_like(grad_h2)
    loss = 0.0
    for first in range(part_first, part_last, size):
        last = min(part_last, first + size)
        n = last - first
        logits = logits_buffer[: n * len(h2)].reshape(n, len(h2))  # (tile, batch)
        np.dot(weight.weight[first:last], h2.T, logits)
        if len(targets.log_z) == 0:
            loss += sigmoid_bce(logits, bias.weight[first:last], targets, first, grad_bias[:n])
        else:
            loss += multinomial(logits, bias.weight[first:last], targets, likes, first, grad_bias[:n])
        grad_logits = logits
        if first == part_first:
            np.dot(grad_logits.T, weight.weight[first:last], grad_h2)
        else:
            np.dot(grad_logits.T, weight.weight[first:last], more)
            add_to(grad_h2, more)
        grad_weight = grad_buffer[: n * h2.shape[1]].reshape(n, h2.shape[1])  # (tile, hidden_dim)
        np.dot(grad_logits, h2, grad_weight)
        adam_rows(weight, first, last, grad_weight, rates)
        adam_slice(bias, first, last, grad_bias, rates)
    return loss


@kernel
def add_to(total, more):
    """total += more, for 2-D arrays."""
    for i in range(len(total)):
        for j in range(total.shape[1]):
            total[i, j] += more[i, j]


@kernel
def tile_size(n_items):
    """Number of items in a tile of a part of n_items."""
    n_tiles = (n_items + TILE - 1) // TILE
    return (n_items + n_tiles - 1) // n_tiles


@kernel(fastmath=FASTMATH | {"reassoc"})
def sum_of(row):
    """The sum of a 1-D array, in an order that suits vector instructions and is fixed when compiled."""
    total = row.dtype.type(0)
    for i in range(len(row)):
        total += row[i]
    return total


@kernel
def likes_of_users(targets, h2):
    """The number of likes of each user, or the sum of their confidences: (batch,), in h2's dtype."""
    likes = np.zeros(len(h2), h2.dtype)
    for k in range(len(targets.item_users)):
        likes[targets.item_users[k]] += confidence_of(targets, k)
    return likes


@kernel
def confidence_of(targets, k):
    """The confidence of the k-th like, in the logits' dtype."""
    return targets.confidence[k] if len(targets.confidence) > 0 else targets.confidence.dtype.type(1)


@kernel
def sigmoid_bce(logits, bias, targets, first_item, grad_bias):
    """Turn logits (items, batch), without bias, into grad_logits; return the summed loss.

    The first of the items is first_item; bias and grad_bias are (items,).
    softplus(z) = max(z, 0) + log(1 + exp(-|z|)), and a sum of logs is the log of a product: one log for a
    whole column of the tile. This gives all items negative_weight; the difference for liked items, whose
    weight is their confidence, is added separately.
    """
    n_items, batch = logits.shape
    number, negative_weight = logits.dtype.type, targets.negative_weight
    indptr, item_users = targets.item_indptr[first_item:], targets.item_users
    weight = number(negative_weight)
    product, positive = np.ones(batch), np.zeros(batch)  # float64 (batch,)
    run_product, run_positive = np.empty(batch, logits.dtype), np.empty(batch, logits.dtype)
    liked = 0.0
    for run in range(0, n_items, RUN):
        run_product[:] = 1
        run_positive[:] = 0
        for i in range(run, min(n_items, run + RUN)):
            for k in range(indptr[i], indptr[i + 1]):
                confidence, logit = confidence_of(targets, k), logits[i, item_users[k]] + bias[i]
                liked += confidence * logit
                if confidence != negative_weight:
                    liked -= (confidence - negative_weight) * softplus(logit)
            sigmoid_row(logits[i], bias[i], weight, run_product, run_positive)
            for k in range(indptr[i], indptr[i + 1]):
                u = item_users[k]
                logits[i, u] = confidence_of(targets, k) * (logits[i, u] / weight - number(1))
            grad_bias[i] = sum_of(logits[i])
        for u in range(batch):
            product[u] *= run_product[u]
            positive[u] += run_positive[u]
    loss = -liked
    for u in range(batch):
        loss += negative_weight * (np.log(product[u]) + positive[u])
    return loss


@kernel
def softplus(z):
    """log(1 + exp(z)), in float64."""
    return max(z, 0.0) + np.log1p(np.exp(-abs(np.float64(z))))


@kernel
def sigmoid_row(z, bias, weight, product, positive):
    """z[:] = weight * sigmoid(z + bias); product *= 1 + exp(-|z + bias|), positive += max(z + bias, 0)."""
    number = z.dtype.type
    for u in range(len(z)):
        logit = z[u] + bias
        e = exp_of_negative(-abs(logit))
        one_plus_e = number(1) + e
        z[u] = (number(1) if logit >= 0 else e) / one_plus_e * weight
        product[u] *= one_plus_e
        positive[u] += max(logit, number(0))


@kernel
def multinomial(logits, bias, targets, likes, first_item, grad_bias):
    """The same for the multinomial loss; likes (batch,) is the result of `likes_of_users`."""
    indptr, item_users = targets.item_indptr[first_item:], targets.item_users
    loss = 0.0
    for i in range(len(logits)):
        for k in range(indptr[i], indptr[i + 1]):
            u = item_users[k]
            loss += confidence_of(targets, k) * (targets.log_z[u] - (logits[i, u] + bias[i]))
        softmax_row(logits[i], bias[i], targets.log_z, likes)
        for k in range(indptr[i], indptr[i + 1]):
            logits[i, item_users[k]] -= confidence_of(targets, k)
        grad_bias[i] = sum_of(logits[i])
    return loss


@kernel
def softmax_row(z, bias, log_z, likes):
    """z[:] = likes * exp(z + bias - log_z)."""
    for u in range(len(z)):
        z[u] = likes[u] * exp_of_negative(z[u] + bias - log_z[u])
