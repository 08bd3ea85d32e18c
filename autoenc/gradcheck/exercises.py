"""Exercises: a layer's file with its backward left blank, and what is wrong with a backward that somebody wrote.

A wrong gradient is compared with those of typical mistakes (`mistakes`) on the same numbers, which often
tells where to look.

Example
    >>> class Mine(layers.ReLU):
    ...     def backward(self, grad_output):
    ...         return grad_output
    >>> [answer] = check_yours("relu", Mine)
    >>> answer.check.passed, answer.mistakes
    (False, ['negative inputs pass too'])
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import re
import runpy
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from autoenc import layers
from autoenc.gradcheck.cases import CASES, names_of
from autoenc.gradcheck.check import TensorCheck, check_backward, gradients_of
from autoenc.gradcheck.mutants import wrong_gradients
from autoenc.safeguards import constructor_arguments

BLANK = 'raise NotImplementedError("this backward is still to be written")'


class Answer(NamedTuple):
    """The check of one tensor's gradient, and the mistakes that give the same numbers, as "when ..." goes on."""

    check: TensorCheck
    mistakes: list[str]


def exercise_names() -> list[str]:
    """The layers that have an exercise, in the order of the lessons."""
    return [name for name in CASES if type(_drawn(name)).__name__ in layers.__all__]


def exercise(name: str) -> str:
    """The source of a layer's file without its backward, and without what the docstring says of it.

    `name` is the layer's as `autoenc gradcheck` has it, or its class's. Raises ValueError if there is no
    such exercise.
    """
    layer = _drawn(_name_of_exercise(name))
    source = inspect.getsource(sys.modules[type(layer).__module__])
    source = re.sub(r"\n+Backward.*?\n(?=\nShapes: )", "\n", source, count=1, flags=re.DOTALL)
    source = re.sub(r'\n\nExample\n.*?\n"""', '\n"""', source, count=1, flags=re.DOTALL)
    lines = source.splitlines()
    backward = _method(source, type(layer).__name__, "backward")
    [input_name, *_] = inspect.signature(layer.forward).parameters
    wanted = [f'fill self.grads["{name}"]' for name in layer.params]
    wanted += [f"return the gradient of {input_name}"] * (input_name != "user_items")
    blank = [f"# Your turn: {' and '.join(wanted)}.", BLANK]
    lines[backward.body[0].end_lineno : backward.end_lineno] = [" " * 8 + line for line in blank]
    return "\n".join(lines) + "\n"


def load_class(path: str | Path, name: str) -> type:
    """The class for the exercise `name` in a file of Python, which is run.

    Raises ValueError if the file is no Python or has no such class, OSError if it can't be read.
    """
    wanted = type(_drawn(_name_of_exercise(name))).__name__
    try:
        found = runpy.run_path(str(path)).get(wanted)
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from error
    if not inspect.isclass(found):
        raise ValueError(f"{path} has no class {wanted}; `autoenc exercise {name} > FILE` writes one")
    return found


def check_yours(name: str, layer_class: type, seed: int = 0) -> list[Answer]:
    """Check the backward of a class that was written for the exercise `name`, on that layer's case.

    Raises ValueError if its forward, which is given, is not the layer's. What its methods raise is passed on.
    """
    name = _name_of_exercise(name)
    rng = np.random.default_rng(seed)
    reference, *args = CASES[name](rng)
    yours = layer_class(**constructor_arguments(reference))
    if not np.array_equal(yours.forward(*args), reference.forward(*args)):
        raise ValueError(f"the forward of {layer_class.__name__} is not the layer's; leave it as `exercise` wrote it")

    upstream = rng.standard_normal(np.shape(reference.forward(*args)))
    grads, grad_output = gradients_of(yours, *args, upstream=lambda shape: upstream)
    wrong = wrong_gradients(name, reference, args, grad_output)

    def mistakes_in(tensor: str) -> list[str]:
        gave = ((mistake, of_tensor[tensor]) for mistake, of_tensor in wrong.items() if tensor in of_tensor)
        return [mistake for mistake, grad in gave if np.allclose(grads[tensor], grad, rtol=1e-6, atol=1e-9)]

    checks = check_backward(yours, *args, upstream=lambda shape: upstream)
    return [Answer(check, [] if check.passed else mistakes_in(check.tensor)) for check in checks]


def _name_of_exercise(name: str) -> str:
    with contextlib.suppress(ValueError):
        [name] = names_of(name)
    if name not in exercise_names():
        raise ValueError(f"there are exercises for {', '.join(exercise_names())}, none for {name!r}")
    return name


def _drawn(name: str) -> Any:
    return CASES[name](np.random.default_rng(0))[0]


def _method(source: str, class_name: str, name: str) -> ast.FunctionDef:
    """The definition of a class's method in a module's source."""
    [found] = (
        method
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == class_name
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name == name
    )
    return found
