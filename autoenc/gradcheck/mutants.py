"""Backwards broken on purpose: does the gradient check notice?

A check that has never failed has proved nothing. Each mutant is an edit of one backward's source,
as a tired programmer might have made it; forward stays as it is. All must be caught.

Two easier checks stand beside ours, with what they miss:

    an upstream gradient of ones    BatchNorm's output sums to the same whatever its input is, so
                                    the true grad_input is 0, and so is any error that multiplies
                                    it; whoever forgets to multiply by the upstream multiplies by 1
    agreement to one decimal        differences up to 0.15 pass, and many mistakes are smaller
                                    (numbers around 1 are assumed, as CASES has them)

Source: numpy-ml (commit 41e6a32) checks its BatchNorm1D so, by ones and to one decimal.

Example
    >>> verdict = try_mutant(Mutant("relu", "passes all", "grad_output * active", "grad_output"))
    >>> verdict.caught
    True
"""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from autoenc.gradcheck.cases import CASES
from autoenc.gradcheck.check import check_backward

ONE_DECIMAL = 1.5e-1  # what numpy.testing.assert_almost_equal(decimal=1) lets pass


class Mutant(NamedTuple):
    """The edit of a backward's source that replaces `old`, which stands there once, by `new`."""

    layer: str
    name: str
    old: str
    new: str


MUTANTS = [
    Mutant(
        "embedding",
        "an item that two users share counted once",
        'self.grads["weight"] = user_items.T @ grad_output',
        'self.grads["weight"] = np.zeros_like(self.params["weight"])\n    '
        'self.grads["weight"][user_items.indices] += np.repeat(grad_output, np.diff(user_items.indptr), axis=0)',
    ),
    Mutant("embedding", "averaged over the batch", "T @ grad_output", "T @ grad_output / len(grad_output)"),
    Mutant("embedding", "users in reverse", "T @ grad_output", "T @ grad_output[::-1]"),
    Mutant("relu", "passes all", "grad_output * active", "grad_output"),
    Mutant("relu", "upstream forgotten", "grad_output * active", "1.0 * active"),
    Mutant("batchnorm", "mean's term dropped", " - grad_bias / batch", ""),
    Mutant("batchnorm", "var's term dropped", " - x_hat * (grad_weight / batch)", ""),
    Mutant("batchnorm", "mean's 1/n forgotten", "grad_bias / batch", "grad_bias"),
    Mutant("batchnorm", "var's 1/n forgotten", "grad_weight / batch", "grad_weight"),
    Mutant("batchnorm", "n - 1 for n", "batch = len(x_hat)", "batch = len(x_hat) - 1"),
    Mutant("batchnorm", "weight forgotten", 'self.params["weight"] * inv_std', "inv_std"),
    Mutant("batchnorm", "1/std forgotten", 'self.params["weight"] * inv_std', 'self.params["weight"]'),
    Mutant("batchnorm", "weight's gradient averaged", "* x_hat).sum(axis=0)", "* x_hat).mean(axis=0)"),
    Mutant("dropout", "mask not rescaled", " * self.scale", ""),
    Mutant("dropout", "mask forgotten", " * mask", ""),
    Mutant("dropout", "another mask than forward's", "mask * self.scale", "mask[::-1] * self.scale"),
    Mutant("dropout", "upstream forgotten", "grad_output * mask", "1.0 * mask"),
    Mutant("linear", "bias's gradient averaged", "grad_output.sum(axis=0)", "grad_output.mean(axis=0)"),
    Mutant("linear", "weight's gradient averaged", "grad_output.T @ x", "grad_output.T @ x / len(x)"),
    Mutant("linear", "weight's users in reverse", "grad_output.T @ x", "grad_output[::-1].T @ x"),
    Mutant(
        "sigmoid_bce",
        "sigmoid's slope applied twice",
        "return h - targets",
        "return (h - targets) * h * (1 - h)",
    ),
    Mutant("sigmoid_bce", "targets forgotten", "h - targets", "h"),
    Mutant("sigmoid_bce", "averaged over the batch", "return h - targets", "return (h - targets) / len(logits)"),
    Mutant("weighted_bce", "a like weighted as the others are", "h[liked] - 1", "grad_logits[liked] - 1"),
    Mutant("weighted_bce", "negative_weight forgotten", "self.negative_weight * h", "1.0 * h"),
    Mutant("weighted_bce", "targets forgotten", "grad_logits[liked] = h[liked] - 1", "pass"),
    Mutant("multinomial", "number of likes forgotten", "n * np.exp(log_p)", "np.exp(log_p)"),
    Mutant("multinomial", "targets forgotten", "grad_logits[user_items.nonzero()] -= 1", "pass"),
    Mutant(
        "multinomial",
        "softmax over the batch",
        "n * np.exp(log_p)",
        "n * np.exp(log_p) / np.exp(log_p).sum(axis=0)",
    ),
    Mutant("network", "dropout left out", "self.dropout1.backward(grad_h1)", "grad_h1"),
    Mutant(
        "network",
        "ReLU before BatchNorm, as in the forward",
        "self.relu2.backward(self.batchnorm2.backward(self.dropout2.backward(grad_h2)))",
        "self.batchnorm2.backward(self.relu2.backward(self.dropout2.backward(grad_h2)))",
    ),
    Mutant("input_normalization", "scale forgotten", "grad_output / size", "grad_output"),
    Mutant("input_normalization", "bias scaled too", "grad_output.sum(axis=0)", "(grad_output / size).sum(axis=0)"),
    Mutant("input_normalization", "bias's gradient averaged", "grad_output.sum", "grad_output.mean"),
    Mutant("tanh", "slope without the square", "output * output", "output"),
    Mutant("tanh", "slope taken at the output", "output * output", "np.tanh(output) ** 2"),
    Mutant("tanh", "upstream forgotten", "grad_output * (1", "1.0 * (1"),
    Mutant("gaussian_sample", "noise forgotten", "grad_output * noise * std", "grad_output * std"),
    Mutant("gaussian_sample", "log_var taken for log_std", "noise * std / 2", "noise * std"),
    Mutant("gaussian_sample", "mean's KL dropped", " + self.beta * mean", ""),
    Mutant("gaussian_sample", "log_var's KL dropped", " + self.beta * (std * std - 1) / 2", ""),
    Mutant("gaussian_sample", "beta forgotten", "self.beta * mean", "mean"),
    Mutant("gaussian_sample", "halves exchanged", "[grad_mean, grad_log_var]", "[grad_log_var, grad_mean]"),
    Mutant("selu", "scale forgotten where x is above 0", "output.dtype.type(SCALE)", "1.0"),
    Mutant("selu", "slope below 0 without the constant", "output + SCALE * ALPHA", "output"),
    Mutant("selu", "slope below 0 of an ELU", "output + SCALE * ALPHA", "output + ALPHA"),
    Mutant("selu", "upstream forgotten", "grad_output * slope", "slope"),
    Mutant("masked_squared_error", "the 2 forgotten", "(2 / max", "(1 / max"),
    Mutant("masked_squared_error", "averaged over all items", "difference.size", "grad_output.size"),
    Mutant("masked_squared_error", "averaged over the batch", "difference.size", "len(grad_output)"),
    Mutant("soft_bce", "targets forgotten", " - targets", ""),
    Mutant("soft_bce", "targets rounded to likes", " - targets", " - targets.round()"),
    Mutant("denoising_network", "dropout left out", "self.dropout.backward(grad_h)", "grad_h"),
    Mutant(
        "denoising_network",
        "tanh left out",
        "self.tanh.backward(self.dropout.backward(grad_h))",
        "self.dropout.backward(grad_h)",
    ),
    Mutant("variational_network", "the second tanh left out", "self.tanh2.backward(grad_h2)", "grad_h2"),
    Mutant("variational_network", "the first tanh left out", "self.tanh1.backward(grad_h1)", "grad_h1"),
    Mutant(
        "deep_network",
        "dropout left out",
        "reversed(self.stack)",
        "reversed([x for x in self.stack if x is not self.dropout])",
    ),
    Mutant("deep_network", "the first SELU left out", "reversed(self.stack)", "reversed([self.bias, *self.stack[2:]])"),
    Mutant("elsa", "averaged over the items", "batch = len(sums)", "batch = len(rows)"),
    Mutant("elsa", "X's term in Y dropped", " - 2 * sums", ""),
    Mutant("elsa", "pull of |Y| forgotten", "2 * pull * (through_gram - 2 * sums) - 4", "-4"),
    Mutant("elsa", "the 2 of M's square forgotten", "2 * (rows @ grad_gram)", "rows @ grad_gram"),
    Mutant("elsa", "M's gradient dropped", " + 2 * (rows @ grad_gram)", ""),
    Mutant("elsa", "what makes a row longer left in", "grad_rows -= ", "_ = "),
    Mutant("elsa", "the rows' lengths forgotten", "grad_rows /= lengths[items]", "pass"),
]


def mutants_of(layer: str | None = None) -> list[Mutant]:
    """The mutants of one layer, or all. Raises ValueError if a layer has none."""
    mutants = [mutant for mutant in MUTANTS if layer in (None, mutant.layer)]
    if not mutants:
        layers = ", ".join(dict.fromkeys(mutant.layer for mutant in MUTANTS))
        raise ValueError(f"there are mutants of {layers}, none of {layer!r}")
    return mutants


def break_backward(layer: Any, mutant: Mutant) -> None:
    """Give `layer`, this one object, the backward that the mutant's edit makes, or the part of it.

    Raises ValueError if what it replaces doesn't stand exactly once in the source of the layer's
    backward methods: the layer was rewritten, and the mutant must follow.
    """
    backwards = [method for name, method in inspect.getmembers(type(layer), inspect.isfunction) if "backward" in name]
    sources = {method: textwrap.dedent(inspect.getsource(method)) for method in backwards}
    found = sum(source.count(mutant.old) for source in sources.values())
    if found != 1:
        raise ValueError(
            f"the mutant {mutant.name!r} edits {mutant.old!r}, which stands {found} times in "
            f"{', '.join(method.__qualname__ for method in backwards)}, want once; adapt MUTANTS to the layer"
        )
    [(backward, source)] = [(method, source) for method, source in sources.items() if mutant.old in source]
    names = dict(backward.__globals__)
    exec(source.replace(mutant.old, mutant.new), names)
    setattr(layer, backward.__name__, names[backward.__name__].__get__(layer))


@dataclass(frozen=True)
class Verdict:
    """Who caught a mutant.

    Attributes
    ----------
    error : float
        The check's largest relative error over the layer's tensors.
    caught : bool
        By our check: a random upstream gradient, 1e-6 relative.
    caught_by_ones : bool or None
        By the same check with an upstream gradient of ones. None where the output is the loss
        itself, which has no upstream gradient.
    caught_to_one_decimal : bool
        By our check's differences, if only those of 0.15 and more counted.
    """

    error: float
    caught: bool
    caught_by_ones: bool | None
    caught_to_one_decimal: bool


def try_mutant(mutant: Mutant, seed: int = 0) -> Verdict:
    """Break a fresh layer's backward and check it."""
    rng = np.random.default_rng(seed)
    layer, *args = CASES[mutant.layer](rng)
    is_loss = np.ndim(layer.forward(*args)) == 0
    break_backward(layer, mutant)
    by_random = check_backward(layer, *args, upstream=rng.standard_normal)
    by_ones = check_backward(layer, *args, upstream=np.ones)
    return Verdict(
        error=max(check.error for check in by_random),
        caught=not all(check.passed for check in by_random),
        caught_by_ones=None if is_loss else not all(check.passed for check in by_ones),
        caught_to_one_decimal=any(check.difference >= ONE_DECIMAL for check in by_random),
    )
