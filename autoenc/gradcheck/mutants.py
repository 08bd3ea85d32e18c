"""Mutants: backwards broken on purpose, to test the gradient check itself.

A check that has never failed has proved nothing. Each mutant is a layer whose backward returns the result
of a typical mistake (`mistakes`), or a network in which a layer's backward is left out; its forward is
unchanged. All must be caught.

Two weaker checks are compared with ours:

    an upstream gradient of ones    The sum of BatchNorm's output does not depend on its input, so the
                                    true grad_input is 0, and so is any multiple of it; and forgetting
                                    to multiply by the upstream gradient changes nothing.
    agreement to one decimal        Differences up to 0.15 pass, and many mistakes are smaller
                                    (for numbers around 1, as in CASES).

Source: numpy-ml (commit 41e6a32) checks its BatchNorm1D with ones and to one decimal.

Example
    >>> mutant = mutants_of("relu")[0]
    >>> mutant.name, try_mutant(mutant).caught
    ('negative inputs pass too', True)
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from autoenc.gradcheck.cases import CASES, names_of
from autoenc.gradcheck.check import check_backward, gradients_of
from autoenc.gradcheck.mistakes import MISTAKES, Wrong

ONE_DECIMAL = 1.5e-1  # the largest difference that numpy.testing.assert_almost_equal(decimal=1) accepts


class Mutant(NamedTuple):
    """A mistake in the backward of the case `layer` of CASES."""

    layer: str
    name: str


def _without(layer: str) -> Callable[[Any], None]:
    """A function that makes a network's backward skip one of its layers."""

    def leave_out(network: Any) -> None:
        getattr(network, layer).backward = lambda grad_output: grad_output

    return leave_out


def _exchange_relu_and_batchnorm(network: Any) -> None:
    relu, batchnorm = network.relu2, network.batchnorm2
    relu.backward, batchnorm.backward = batchnorm.backward, relu.backward


OF_NETWORKS: dict[str, dict[str, Callable[[Any], None]]] = {
    "network": {
        "dropout is left out": _without("dropout1"),
        "ReLU comes before BatchNorm, as in forward": _exchange_relu_and_batchnorm,
    },
    "denoising_network": {"dropout is left out": _without("dropout"), "tanh is left out": _without("tanh")},
    "variational_network": {
        "the second tanh is left out": _without("tanh2"),
        "the first tanh is left out": _without("tanh1"),
    },
    "deep_network": {"dropout is left out": _without("dropout"), "the first SELU is left out": _without("selu")},
}


def mutants_of(layer: str | None = None) -> list[Mutant]:
    """The mutants of one layer, by its name or its class's, or of all. Raises ValueError if there are none."""
    names = [*MISTAKES, *OF_NETWORKS]
    chosen = names if layer is None else names_of(layer)
    if not set(chosen) <= set(names):
        raise ValueError(f"there are no mutants of {layer!r}; there are mutants of {', '.join(names)}")
    return [Mutant(name, mistake) for name in chosen for mistake in _mistakes_of(name)]


@functools.cache
def _mistakes_of(layer: str) -> tuple[str, ...]:
    if layer in OF_NETWORKS:
        return tuple(OF_NETWORKS[layer])
    drawn, *args = CASES[layer](np.random.default_rng(0))
    _, grad_output = gradients_of(drawn, *args, upstream=np.ones)
    return tuple(wrong_gradients(layer, drawn, args, grad_output))


def wrong_gradients(name: str, layer: Any, args: Any, grad_output: Any) -> Wrong:
    """The wrong gradients for these arguments of forward and upstream gradient, by mistake and tensor."""
    given = inspect.signature(layer.forward).bind(*args).arguments
    return MISTAKES[name](layer, **given, grad_output=grad_output)


def break_backward(layer: Any, mutant: Mutant) -> None:
    """Replace the backward of `layer`, this object only, by one with the mutant's mistake."""
    if mutant.layer in OF_NETWORKS:
        OF_NETWORKS[mutant.layer][mutant.name](layer)
        return
    forward, backward = layer.forward, layer.backward
    last: list[Any] = []

    @functools.wraps(forward)
    def recording(*args: Any) -> Any:
        last[:] = args
        return forward(*args)

    def broken(*grad_output: Any) -> Any:
        grad_input = backward(*grad_output)
        wrong = wrong_gradients(mutant.layer, layer, last, *(grad_output or [None]))[mutant.name]
        layer.grads.update({name: grad for name, grad in wrong.items() if name != "input"})
        return wrong.get("input", grad_input)

    layer.forward, layer.backward = recording, broken


@dataclass(frozen=True)
class Verdict:
    """The checks that caught a mutant.

    Attributes
    ----------
    error : float
        Largest relative error over the layer's tensors.
    caught : bool
        Whether our check caught it: a random upstream gradient, 1e-6 relative.
    caught_by_ones : bool or None
        Whether the same check with an upstream gradient of ones caught it. None if the output is the
        loss itself, which has no upstream gradient.
    caught_to_one_decimal : bool
        Whether our check would catch it if only differences of at least 0.15 counted.
    """

    error: float
    caught: bool
    caught_by_ones: bool | None
    caught_to_one_decimal: bool


def try_mutant(mutant: Mutant, seed: int = 0) -> Verdict:
    """Break the backward of a new layer and check it."""
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
