"""Gradient checks: is a backward really the derivative of its forward?

A backward that is wrong raises nothing and often even trains. So each is held against central
differences of its forward, in float64, one number at a time:

    numerical[i] = (loss(x[i] + step) - loss(x[i] - step)) / (2 * step)
    loss         = sum(output * upstream)

The upstream gradient is random. Ones would be easier, and would prove less: under BatchNorm all
terms cancel then, and a backward that forgets to multiply by the upstream would pass.

The step: a central difference is wrong by a sixth of step**2 times the third derivative, and by
the loss's rounding, 1e-16 of it, over the step. Around 1e-5 the two meet, both far below 1e-6.

What goes wrong
    Across ReLU's corner a difference measures neither side, so inputs are kept away from it.
    A gradient that is truly 0 has no relative error: below SMALLEST errors are relative to that.

Add a layer to `cases.CASES`, and `autoenc gradcheck` and the tests check it too.

Example
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> [check] = gradient_check(lambda: (x**3).sum(), {"x": x}, {"x": 3 * x**2})
    >>> check.passed
    True
    >>> [check] = gradient_check(lambda: (x**3).sum(), {"x": x}, {"x": 3 * x})
    >>> check.passed, check.worst, round(check.error, 3)       # at x = 3: 9 where 27 is right
    (False, (2,), 0.667)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

STEP = 1e-5
TOLERANCE = 1e-6
SMALLEST = 1e-3  # rounding puts a difference off by up to 1e-9: of a smaller gradient, more than TOLERANCE


@dataclass(frozen=True)
class TensorCheck:
    """How far one tensor's gradient is from its central differences.

    Attributes
    ----------
    tensor : str
        The parameter's name, or `input`.
    difference : float
        The largest difference between the two gradients.
    error : float
        `difference` over the larger of the two gradients' largest elements (at least SMALLEST).
    element_error : float
        The largest of the differences, each over the larger of its own two elements, among the
        elements above a thousandth of the largest (and above SMALLEST).
    step : float
    worst : tuple of int
        Where: the index of what makes the larger of the two errors.
    grad, numerical : float
        The two gradients there.
    passed : bool
        Whether both errors are under 1e-6. NaN is not.
    """

    tensor: str
    difference: float
    error: float
    element_error: float
    step: float
    worst: tuple[int, ...]
    grad: float
    numerical: float

    @property
    def passed(self) -> bool:
        return self.error < TOLERANCE and self.element_error < TOLERANCE


def compare(tensor: str, grad: np.ndarray, numerical: np.ndarray, step: float) -> TensorCheck:
    """Measure `grad` against `numerical`, arrays of one shape. See `TensorCheck`."""
    difference = np.abs(grad - numerical)
    size = np.maximum(np.abs(grad), np.abs(numerical))
    largest = np.maximum(size.max(), SMALLEST)
    counts = size > np.maximum(largest / 1000, SMALLEST)
    errors = difference / np.where(counts, size, largest)
    worst = tuple(int(i) for i in np.unravel_index(errors.argmax(), errors.shape))
    return TensorCheck(
        tensor=tensor,
        difference=float(difference.max()),
        error=float(difference.max() / largest),
        element_error=float(errors.max(where=counts, initial=0)),
        step=step,
        worst=worst,
        grad=float(grad[worst]),
        numerical=float(numerical[worst]),
    )


def gradient_check(
    function: Callable[[], np.ndarray | float],
    arrays: Mapping[str, np.ndarray],
    grads: Mapping[str, np.ndarray],
    upstream: np.ndarray | float = 1.0,
    step: float = STEP,
) -> list[TensorCheck]:
    """Check gradients of sum(function() * upstream) by central differences.

    Parameters
    ----------
    function : callable without arguments
        Computes its output, an array or a number, from `arrays`, again at each call.
    arrays : dict of str to array, float64
        What to differentiate by. Each number is moved by `step` in place, and put back.
    grads : dict of str to array
        The gradients to check, by the names of `arrays` and of their shapes.
    upstream : array of the output's shape, or a number
    step : float
        The default suits numbers around 1; scale it with them.

    Returns
    -------
    list of TensorCheck, in the order of `arrays`.

    Raises
    ------
    TypeError
        If an array is not float64, whose rounding would hide what is sought.
    ValueError
        If a gradient is missing or has another shape.
    """
    for name, array in arrays.items():
        if array.dtype != np.float64:
            raise TypeError(f"a gradient check needs float64, got {array.dtype} in {name}; convert it with astype")
        if grads.get(name) is None:
            raise ValueError(f"grads holds no gradient of {name}; run backward first, and have it fill one")
        if grads[name].shape != array.shape:
            raise ValueError(f"the gradient of {name} has shape {grads[name].shape}, want {name}'s, {array.shape}")

    checks = []
    for name, array in arrays.items():
        numerical = np.empty_like(array)
        for i in np.ndindex(array.shape):
            value = array[i]
            array[i] = value + step
            above = np.array(function())
            array[i] = value - step
            below = np.array(function())
            array[i] = value
            # subtracted before they are summed, so that the sum's rounding doesn't matter
            numerical[i] = ((above - below) * upstream).sum() / (2 * step)
        checks.append(compare(name, grads[name], numerical, step))
    return checks


def check_backward(layer: Any, *args: Any, upstream: Callable[..., np.ndarray]) -> list[TensorCheck]:
    """Check what `layer.backward` says of `layer.forward(*args)`: every parameter, and the input.

    `upstream` makes the upstream gradient for a shape: a generator's `standard_normal`, say. It
    isn't asked where the output is a number, a loss. A layer's `penalty`, where it has one, is part
    of the loss. The input is args[0], if it is an array; ValueError is raised where its gradient is not returned.
    """
    grads, grad_output = gradients_of(layer, *args, upstream=upstream)
    arrays = dict(layer.params)
    if isinstance(args[0], np.ndarray):
        arrays["input"] = args[0]
        if "input" not in grads:
            raise ValueError("backward returned None; return the gradient of its input")
    if not hasattr(layer, "penalty") or np.ndim(grad_output) == 0:
        return gradient_check(lambda: layer.forward(*args), arrays, grads, grad_output)

    def output_and_penalty() -> np.ndarray:
        output = layer.forward(*args)
        return np.append(output, layer.penalty)

    return gradient_check(output_and_penalty, arrays, grads, np.append(grad_output, 1.0))


def gradients_of(
    layer: Any, *args: Any, upstream: Callable[..., np.ndarray]
) -> tuple[dict[str, np.ndarray], np.ndarray | float]:
    """Run a forward and a backward; return the gradients by name, `input` among them, and the upstream gradient."""
    output = layer.forward(*args)
    grad_output = 1.0 if np.ndim(output) == 0 else upstream(output.shape)
    grad_input = layer.backward() if np.ndim(output) == 0 else layer.backward(grad_output)
    return dict(layer.grads) | ({} if grad_input is None else {"input": grad_input}), grad_output
