"""Argument checks and `__repr__` of all layers, so that their files contain only the mathematics.

`safeguarded` adds them to a class, and `autoenc.layers` applies it to all its layers. An invalid call
raises an error of one sentence. A call that fails, for whatever reason, leaves the layer unchanged.

The checks depend on the names of forward's arguments, which mean the same in all layers: the first is the
input, (batch, columns); `targets`, `ratings` and a second `user_items` have the input's shape; `n_likes` is
(batch,); and `key` is required in training.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from scipy import sparse

T = TypeVar("T")


def safeguarded(layer_class: type[T]) -> type[T]:
    """Add the checks and a `__repr__` to a layer's class, in place, and return the class.

    Its `forward` then raises TypeError if an argument is not the required kind of array, and ValueError
    if a shape does not match. Its `backward` raises ValueError if there was no forward in training before
    it, and either error if `grad_output` does not match the output.
    """
    methods: Any = vars(layer_class)
    added: dict[str, Any] = {"forward": _checked_forward(methods["forward"]), "__repr__": _shown}
    if "backward" in methods:
        added["backward"] = _checked_backward(methods["backward"])
    for name, method in added.items():
        setattr(layer_class, name, method)
    return layer_class


def constructor_arguments(layer: Any) -> dict[str, Any]:
    """The current values of a layer's or network's constructor arguments, by name."""
    held = vars(layer) | getattr(layer, "settings", {}) | getattr(layer, "buffers", {}) | layer.params
    return {name: held[name] for name in inspect.signature(type(layer)).parameters}


def _shown(layer: Any) -> str:
    arguments = (
        f"{name}: {value.shape} {value.dtype}" if isinstance(value, np.ndarray) else f"{name}={value!r}"
        for name, value in constructor_arguments(layer).items()
    )
    return f"{type(layer).__name__}({', '.join(arguments)})"


def _checked_forward(forward: Callable[..., Any]) -> Callable[..., Any]:
    _, *names = inspect.signature(forward).parameters

    @functools.wraps(forward)
    def checked_forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = dict(zip(names, args)) | kwargs
        training = given.get("training", True)
        if names[0] in given:  # otherwise Python raises the error
            check_arguments(self, given, names[0])
            if training and "key" in names:
                check_key(f"{type(self).__name__}.forward", given.get("key"))
        before = _snapshot(self)
        try:
            output = forward(self, *args, **kwargs)
        except BaseException:
            _restore(self, before)
            raise
        if training:
            self._output_shape = np.shape(output)
        return output

    return checked_forward


def _checked_backward(backward: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(backward)
    def checked_backward(self: Any, *args: Any, **kwargs: Any) -> Any:
        where = f"{type(self).__name__}.backward"
        if self.kept is None:
            raise ValueError(f"{where} needs what forward keeps in training; call forward before each backward")
        for array in (*args, *kwargs.values()):
            check_floats(where, "grad_output", array)
            _check_shape(where, "grad_output", array, getattr(self, "_output_shape", array.shape))
        before = _snapshot(self)
        try:
            return backward(self, *args, **kwargs)
        except BaseException:
            _restore(self, before)
            raise

    return checked_backward


def check_arguments(layer: Any, given: dict[str, Any], input_name: str) -> None:
    """Raise TypeError or ValueError if the arguments of `forward` do not match the layer or each other."""
    where, x = f"{type(layer).__name__}.forward", given[input_name]
    if input_name == "user_items" and not (isinstance(x, np.ndarray) and layer.params):  # embeddings accept both
        check_csr(where, input_name, x)
    else:
        check_floats(where, input_name, x)
    columns = columns_of(layer, input_name)
    if x.ndim != 2 or columns not in (None, x.shape[1]):
        raise ValueError(f"{where}: {input_name} must have shape (batch, {columns or 'features'}), got {x.shape}")

    for name in set(given) & {"user_items", "ratings", "targets"} - {input_name}:
        (check_floats if name == "targets" else check_csr)(where, name, given[name])
        _check_shape(where, name, given[name], x.shape)
    if "n_likes" in given:
        _check_shape(where, "n_likes", np.asarray(given["n_likes"]), x.shape[:1])


def columns_of(layer: Any, input_name: str) -> int | None:
    """The number of columns that the input must have; None for any number."""
    weights = list(layer.params.values())
    if not weights:
        return None
    return int(weights[0].shape[0 if input_name == "user_items" else -1])


def check_floats(where: str, name: str, array: Any) -> None:
    """Raise TypeError unless it is an array of floats, or of complex numbers, as in the complex-step method."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{where}: {name} must be a NumPy array of floats, got {type(array).__name__}")
    if array.dtype.kind not in "fc":
        raise TypeError(f"{where}: {name} must be an array of floats, got {array.dtype}; convert it with astype(float)")


def check_csr(where: str, name: str, array: Any) -> None:
    """Raise TypeError unless it is SciPy's csr_array."""
    if not isinstance(array, sparse.csr_array):
        is_matrix = sparse.issparse(array) or isinstance(array, np.ndarray)
        way_out = f"; convert it with scipy.sparse.csr_array({name})" if is_matrix else ""
        kind = "scipy.sparse.csr_array with one row per user and one column per item"
        raise TypeError(f"{where}: {name} must be a {kind}, got {type(array).__name__}{way_out}")


def check_key(where: str, key: Any) -> None:
    """Raise ValueError unless it is a sequence of four integers."""
    if not (isinstance(key, tuple) and len(key) == 4 and all(isinstance(part, (int, np.integer)) for part in key)):
        raise ValueError(
            f"{where} draws random numbers in training and needs key=(seed, epoch, step, layer), "
            f"four whole numbers, got {key!r}"
        )


def _check_shape(where: str, name: str, array: Any, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{where}: {name} must have shape {shape}, got {array.shape}")


Snapshot = tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]


def _snapshot(layer: Any) -> Snapshot:
    """A layer's attributes, gradients and running statistics."""
    buffers = {name: array.copy() for name, array in getattr(layer, "buffers", {}).items()}
    return dict(vars(layer)), dict(layer.grads), buffers


def _restore(layer: Any, before: Snapshot) -> None:
    attributes, grads, buffers = before
    vars(layer).update(attributes)
    layer.grads.update(grads)
    for name, array in buffers.items():
        layer.buffers[name][...] = array
