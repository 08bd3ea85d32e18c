"""Gradient checks: is a backward really the derivative of its forward?

A wrong backward raises no error and often even trains. So each is compared with central differences
of its forward, in float64, one number at a time:

    numerical[i] = (loss(x[i] + step) - loss(x[i] - step)) / (2 * step)
    loss         = sum(output * upstream)

The upstream gradient is random. Ones would be simpler but prove less: with BatchNorm all terms would
cancel, and a backward that forgets to multiply by the upstream gradient would pass.

The step: a central difference has a truncation error of step**2 / 6 times the third derivative, and a
rounding error of 1e-16 times the loss divided by the step. Around 1e-5 the two are about equal, and
both far below 1e-6.

What goes wrong
    A difference across the corner of a ReLU measures neither side, so inputs are kept away from it.
    A gradient of exactly 0 has no relative error, so below SMALLEST errors are relative to SMALLEST.

A layer that is added to `cases.CASES` is checked by `autoenc gradcheck` and by the tests.

Example
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> [check] = gradient_check(lambda: (x**3).sum(), {"x": x}, {"x": 3 * x**2})
    >>> check.passed
    True
    >>> [check] = gradient_check(lambda: (x**3).sum(), {"x": x}, {"x": 3 * x})
    >>> check.passed, check.worst, round(check.error, 3)       # at x = 3: 9 instead of 27
    (False, (2,), 0.667)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

STEP = 1e-5
TOLERANCE = 1e-6
SMALLEST = 1e-3  # differences have rounding errors up to 1e-9, more than TOLERANCE for smaller gradients


@dataclass(frozen=True)
class TensorCheck:
    """The comparison of one tensor's gradient with central differences.

    Attributes
    ----------
    tensor : str
        Name of the parameter, or `input`.
    difference : float
        Largest absolute difference between the two gradients.
    error : float
        `difference` relative to the largest element of the two gradients (at least SMALLEST).
    element_error : float
        Largest relative difference of single elements, among those above a thousandth of the largest
        element (and above SMALLEST).
    step : float
    worst : tuple of int
        Index of the element with the larger of the two errors.
    grad, numerical : float
        The two gradients at that index.
    passed : bool
        Whether both errors are below 1e-6; False for NaN.
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
    """Compare `grad` with `numerical`, an array of the same shape. See `TensorCheck`."""
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
        Computes its output, an array or a number, from the current values of `arrays`.
    arrays : dict of str to array, float64
        The variables. Each number is changed by `step` in place, and restored.
    grads : dict of str to array
        The gradients to check, with the names and shapes of `arrays`.
    upstream : array of the output's shape, or a number
    step : float
        The default suits numbers around 1; scale it with them.

    Returns
    -------
    list of TensorCheck, in the order of `arrays`.

    Raises
    ------
    TypeError
        If an array is not float64, as larger rounding errors would hide mistakes.
    ValueError
        If a gradient is missing or has another shape.
    """
    for name, array in arrays.items():
        if array.dtype != np.float64:
            raise TypeError(f"a gradient check needs float64, got {array.dtype} in {name}; convert it with astype")
        if grads.get(name) is None:
            raise ValueError(f"grads has no gradient of {name}; backward must store one")
        if grads[name].shape != array.shape:
            raise ValueError(f"the gradient of {name} must have its shape {array.shape}, got {grads[name].shape}")

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
            # subtracted before summing, so that the rounding of the sum doesn't matter
            numerical[i] = ((above - below) * upstream).sum() / (2 * step)
        checks.append(compare(name, grads[name], numerical, step))
    return checks


def check_backward(layer: Any, *args: Any, upstream: Callable[..., np.ndarray]) -> list[TensorCheck]:
    """Check `layer.backward` against `layer.forward(*args)`: the gradients of all parameters and of the input.

    `upstream` returns the upstream gradient for a shape, such as a generator's `standard_normal`. It isn't
    called if the output is a number, a loss. The loss includes the layer's `penalty`, if it has one. The
    input is args[0], if it is an array; ValueError is raised if backward does not return its gradient.
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
    """Run forward and backward; return the gradients by name, including `input`, and the upstream gradient."""
    output = layer.forward(*args)
    grad_output = 1.0 if np.ndim(output) == 0 else upstream(output.shape)
    grad_input = layer.backward() if np.ndim(output) == 0 else layer.backward(grad_output)
    return dict(layer.grads) | ({} if grad_input is None else {"input": grad_input}), grad_output
