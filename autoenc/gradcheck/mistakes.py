"""The gradients that result from typical mistakes in the backward of each layer.

A function here takes a layer, the arguments of its forward by name and, unless the layer is a loss,
`grad_output`. It returns the wrong gradients by mistake and by tensor, where `input` is the result of
backward. They are computed from the layer's equations, not from its code, so they hold however it is
written. The name of a mistake follows the word "when".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autoenc.layers.dropout import draw_mask
from autoenc.layers.gaussian_sample import draw_noise
from autoenc.layers.selu import ALPHA, SCALE
from autoenc.layers.sigmoid_bce import sigmoid

Wrong = dict[str, dict[str, np.ndarray]]


def _embedding(layer: Any, user_items: Any, grad_output: Any, **_: Any) -> Wrong:
    counted_once = np.zeros_like(layer.params["weight"])
    counted_once[user_items.indices] += np.repeat(grad_output, np.diff(user_items.indptr), axis=0)
    return {
        "an item that two users share is counted once": {"weight": counted_once},
        "the batch is averaged": {"weight": user_items.T @ grad_output / len(grad_output)},
        "the users are in reverse order": {"weight": user_items.T @ grad_output[::-1]},
    }


def _linear(layer: Any, x: Any, grad_output: Any, **_: Any) -> Wrong:
    return {
        "grad_bias is averaged": {"bias": grad_output.mean(axis=0)},
        "grad_weight is averaged": {"weight": grad_output.T @ x / len(x)},
        "the users of grad_weight are in reverse order": {"weight": grad_output[::-1].T @ x},
        "x is used in place of weight": {"input": x},
    }


def _relu(layer: Any, x: Any, grad_output: Any, **_: Any) -> Wrong:
    return {
        "negative inputs pass too": {"input": grad_output},
        "the upstream gradient is forgotten": {"input": 1.0 * (x > 0)},
    }


def _batchnorm(layer: Any, x: Any, grad_output: Any, **_: Any) -> Wrong:
    n, weight = len(x), layer.params["weight"]
    inv_std = 1 / np.sqrt(x.var(axis=0) + layer.eps)
    x_hat = (x - x.mean(axis=0)) * inv_std
    grad_bias, grad_weight = grad_output.sum(axis=0), (grad_output * x_hat).sum(axis=0)

    def grad_input(scale: Any = weight * inv_std, mean: Any = grad_bias / n, var: Any = grad_weight / n) -> Any:
        return {"input": scale * (grad_output - mean - x_hat * var)}

    return {
        "the term through mean is dropped": grad_input(mean=0),
        "the term through var is dropped": grad_input(var=0),
        "mean and var are treated as constants": grad_input(mean=0, var=0),
        "the term through mean is missing its 1/n": grad_input(mean=grad_bias),
        "the term through var is missing its 1/n": grad_input(var=grad_weight),
        "n - 1 is used in place of n": grad_input(mean=grad_bias / (n - 1), var=grad_weight / (n - 1)),
        "weight is forgotten": grad_input(scale=inv_std),
        "1/std is forgotten": grad_input(scale=weight),
        "grad_weight is averaged": {"weight": grad_weight / n},
        "grad_bias is averaged": {"bias": grad_bias / n},
    }


def _dropout(layer: Any, x: Any, key: Any, grad_output: Any, **_: Any) -> Wrong:
    mask = draw_mask(x.shape, layer.threshold, key)
    return {
        "the mask is not rescaled": {"input": grad_output * mask},
        "the mask is forgotten": {"input": grad_output * layer.scale},
        "the mask is not forward's": {"input": grad_output * mask[::-1] * layer.scale},
        "the upstream gradient is forgotten": {"input": mask * layer.scale},
    }


def _sigmoid_bce(layer: Any, logits: Any, user_items: Any, **_: Any) -> Wrong:
    h, targets = sigmoid(logits), user_items.toarray()
    return {
        "the sigmoid's slope is applied twice": {"input": (h - targets) * h * (1 - h)},
        "the targets are forgotten": {"input": h},
        "the batch is averaged": {"input": (h - targets) / len(logits)},
        "the sign is wrong": {"input": targets - h},
    }


def _weighted_bce(layer: Any, logits: Any, user_items: Any, **_: Any) -> Wrong:
    h, targets, w = sigmoid(logits), user_items.toarray(), layer.negative_weight
    return {
        "likes are weighted like the other items": {"input": w * h - targets},
        "negative_weight is forgotten": {"input": h - targets},
        "the targets are forgotten": {"input": w * h},
    }


def _multinomial(layer: Any, logits: Any, user_items: Any, **_: Any) -> Wrong:
    e, targets = np.exp(logits), user_items.toarray()
    softmax, n = e / e.sum(axis=1, keepdims=True), targets.sum(axis=1, keepdims=True)
    return {
        "the number of likes is forgotten": {"input": softmax - targets},
        "the targets are forgotten": {"input": n * softmax},
        "the softmax is over the batch": {"input": n * softmax / softmax.sum(axis=0) - targets},
    }


def _confidence_bce(layer: Any, logits: Any, user_items: Any, **_: Any) -> Wrong:
    h, confidence, w = sigmoid(logits), user_items.toarray(), layer.negative_weight
    targets = confidence > 0
    return {
        "confidence is forgotten": {"input": np.where(targets, h - 1, w * h)},
        "confidence is used as the target": {"input": np.where(targets, h - confidence, w * h)},
        "negative_weight is forgotten": {"input": np.where(targets, confidence * (h - 1), h)},
    }


def _confidence_multinomial(layer: Any, logits: Any, user_items: Any, **_: Any) -> Wrong:
    e, confidence = np.exp(logits), user_items.toarray()
    softmax, n = e / e.sum(axis=1, keepdims=True), confidence.sum(axis=1, keepdims=True)
    n_likes = (confidence > 0).sum(axis=1, keepdims=True)
    return {
        "confidence is forgotten": {"input": n_likes * softmax - (confidence > 0)},
        "n is the number of likes": {"input": n_likes * softmax - confidence},
        "the targets are ones": {"input": n * softmax - (confidence > 0)},
        "n is forgotten": {"input": softmax - confidence},
    }


def _confidence_embedding(layer: Any, user_items: Any, grad_output: Any, **_: Any) -> Wrong:
    share = layer.share(user_items)
    return {
        "the shares are forgotten": {"weight": (share > 0).T @ grad_output},
        "confidences are used in place of shares": {"weight": user_items.T @ grad_output},
        "the batch is averaged": {"weight": share.T @ grad_output / len(grad_output)},
    }


def _input_normalization(layer: Any, n_likes: Any, grad_output: Any, **_: Any) -> Wrong:
    size = np.sqrt(np.maximum(1, n_likes))[:, None]
    return {
        "the scale is forgotten": {"input": grad_output},
        "the row is divided by n": {"input": grad_output / size**2},
        "grad_bias is scaled too": {"bias": (grad_output / size).sum(axis=0)},
        "grad_bias is averaged": {"bias": grad_output.mean(axis=0)},
    }


def _tanh(layer: Any, x: Any, grad_output: Any, **_: Any) -> Wrong:
    output = np.tanh(x)
    return {
        "the slope is missing the square": {"input": grad_output * (1 - output)},
        "the slope is taken at the output": {"input": grad_output * (1 - np.tanh(output) ** 2)},
        "the upstream gradient is forgotten": {"input": 1 - output**2},
    }


def _gaussian_sample(layer: Any, x: Any, key: Any, grad_output: Any, **_: Any) -> Wrong:
    mean, log_var = np.split(x, 2, axis=1)
    std, noise, beta = np.exp(log_var / 2), draw_noise(mean.shape, key), layer.beta

    def grad_input(of_mean: Any = grad_output + beta * mean, noise: Any = noise / 2, kl: Any = beta / 2) -> Any:
        return {"input": np.hstack([of_mean, grad_output * noise * std + kl * (std**2 - 1)])}

    return {
        "noise is forgotten": grad_input(noise=1 / 2),
        "log_var is treated as log_std": grad_input(noise=noise),
        "the penalty's gradient of mean is dropped": grad_input(of_mean=grad_output),
        "the penalty's gradient of log_var is dropped": grad_input(kl=0),
        "beta is forgotten for mean": grad_input(of_mean=grad_output + mean),
        "the halves are swapped": {"input": np.roll(grad_input()["input"], mean.shape[1], axis=1)},
    }


def _selu(layer: Any, x: Any, grad_output: Any, **_: Any) -> Wrong:
    curve = SCALE * ALPHA * np.exp(np.minimum(x, 0))  # the slope below 0
    slope = np.where(x > 0, SCALE, curve)
    return {
        "scale is forgotten above 0": {"input": grad_output * np.where(x > 0, 1.0, curve)},
        "the slope below 0 is missing its constant": {"input": grad_output * (slope - SCALE * ALPHA * (x <= 0))},
        "the slope below 0 is that of an ELU": {"input": grad_output * (slope + (ALPHA - SCALE * ALPHA) * (x <= 0))},
        "the upstream gradient is forgotten": {"input": slope},
    }


def _masked_squared_error(layer: Any, output: Any, ratings: Any, **_: Any) -> Wrong:
    users = np.repeat(np.arange(len(output)), np.diff(ratings.indptr))
    difference = np.zeros_like(output)
    difference[users, ratings.indices] = output[users, ratings.indices] - ratings.data
    return {
        "the 2 is forgotten": {"input": difference / ratings.nnz},
        "all items are averaged": {"input": 2 * difference / output.size},
        "the batch is averaged": {"input": 2 * difference / len(output)},
        "items without a rating count as 0": {"input": 2 * (output - ratings.toarray()) / ratings.nnz},
    }


def _soft_bce(layer: Any, logits: Any, targets: Any, **_: Any) -> Wrong:
    h = sigmoid(logits)
    return {
        "the targets are forgotten": {"input": h},
        "the targets are rounded to likes": {"input": h - targets.round()},
        "the sigmoid's slope is applied twice": {"input": (h - targets) * h * (1 - h)},
    }


def _elsa(layer: Any, user_items: Any, **_: Any) -> Wrong:
    rows, lengths = layer.item_embeddings()
    sums = user_items @ rows
    through_gram, n_likes = sums @ (rows.T @ rows), np.diff(user_items.indptr)[:, None]
    squares = (sums * sums).sum(axis=1, keepdims=True)
    output_squares = (sums * through_gram).sum(axis=1, keepdims=True) - 2 * squares + n_likes
    scale = 1 / np.sqrt(output_squares * n_likes)
    pull = (squares - n_likes) * scale / output_squares

    def grad_rows(batch: int = len(sums), of_y: float = 1, of_x: float = 1, of_gram: float = 2) -> Any:
        grad_sums = 2 * of_y * pull * (through_gram - 2 * of_x * sums) - 4 * scale * sums
        return (user_items.T @ grad_sums + of_gram * (rows @ (sums.T @ (pull * sums)))) / batch

    def grad_weight(grad_rows: Any) -> Any:
        return {"weight": (grad_rows - (grad_rows * rows).sum(axis=1, keepdims=True) * rows) / lengths}

    return {
        "the items are averaged": grad_weight(grad_rows(batch=len(rows))),
        "X's term in Y is dropped": grad_weight(grad_rows(of_x=0)),
        "the pull of |Y| is forgotten": grad_weight(grad_rows(of_y=0)),
        "the 2 of M's square is forgotten": grad_weight(grad_rows(of_gram=1)),
        "M's gradient is dropped": grad_weight(grad_rows(of_gram=0)),
        "the component along a row is not removed": {"weight": grad_rows() / lengths},
        "the rows' lengths are forgotten": {"weight": grad_weight(grad_rows())["weight"] * lengths},
    }


MISTAKES: dict[str, Callable[..., Wrong]] = {
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
    "elsa": _elsa,
}
