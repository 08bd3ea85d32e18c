"""Exercises: a layer's file with its backward left blank, and feedback on a learner's backward.

A wrong gradient is compared with those of typical mistakes (`mistakes`) on the same numbers, which often
shows where to look.

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
from autoenc.gradcheck.cases import CASES, Case, names_of
from autoenc.gradcheck.check import TensorCheck, check_backward, gradients_of
from autoenc.gradcheck.mutants import break_backward, mutants_of
from autoenc.gradcheck.verdicts import message_of, verdict_of
from autoenc.networks.base import Network
from autoenc.safeguards import constructor_arguments

BLANK = 'raise NotImplementedError("this backward is still to be written")'


class Answer(NamedTuple):
    """The check of one tensor's gradient, and the mistakes that give the same numbers, phrased to follow "when"."""

    check: TensorCheck
    mistakes: list[str]


def exercise_names() -> list[str]:
    """The names of all exercises: the layers in the order of the lessons, and the task's network."""
    return [name for name in CASES if name == "network" or type(_drawn(name)).__name__ in layers.__all__]


def exercise(name: str) -> str:
    """The source of a layer's file without its backward, and without the docstring's section about it.

    `name` is the layer's name in `autoenc gradcheck`, or its class's. Raises ValueError if there is no such
    exercise.
    """
    layer = _drawn(_name_of_exercise(name))
    source = inspect.getsource(sys.modules[type(layer).__module__])
    source = re.sub(r"\n+Backward.*?\n(?=\nShapes: )", "\n", source, count=1, flags=re.DOTALL)
    source = re.sub(r'\n\nExample\n.*?\n"""', '\n"""', source, count=1, flags=re.DOTALL)
    lines = source.splitlines()
    backward = _method(source, type(layer).__name__, "backward")
    lines[backward.body[0].end_lineno : backward.end_lineno] = [" " * 8 + line for line in (_hint(layer), BLANK)]
    return "\n".join(lines) + "\n"


def _hint(layer: Any) -> str:
    """A comment that says what the backward has to do."""
    if isinstance(layer, Network):
        return "# Your turn: call the backward of each layer, from the last to the first."
    [input_name, *_] = inspect.signature(layer.forward).parameters
    fill = " and ".join(f'self.grads["{name}"]' for name in layer.params)
    wanted = [f"fill {fill}"] * bool(fill) + [f"return the gradient of {input_name}"] * (input_name != "user_items")
    return f"# Your turn: {', and '.join(wanted)}."


def load_class(path: str | Path, name: str) -> type:
    """The class for the exercise `name` in a Python file, which is executed.

    Raises ValueError if the file is not valid Python or has no such class, OSError if it can't be read.
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
    """Check the backward of a class written for the exercise `name`, on the case of that layer.

    Parameters
    ----------
    name : str
        One of `exercise_names()`, or the name of the layer's class.
    layer_class : type
        The class, with the constructor and the forward of the layer.
    seed : int
        Seed for the random arrays.

    Returns
    -------
    list of Answer, one for each parameter and the input.

    Raises
    ------
    ValueError
        If there is no such exercise, or the class's forward differs from the layer's.
    Exception
        Any error that the class's methods raise.
    """
    name = _name_of_exercise(name)
    reference, *args = _drawn_case(name, seed)
    output = reference.forward(*args)
    yours = layer_class(**constructor_arguments(reference))
    if not np.array_equal(yours.forward(*args), output):
        raise ValueError(f"the forward of {layer_class.__name__} differs from the layer's; keep what `exercise` wrote")

    upstream = np.random.default_rng(seed + 1).standard_normal(np.shape(output))
    grads, _ = gradients_of(yours, *args, upstream=lambda shape: upstream)
    checks = check_backward(yours, *args, upstream=lambda shape: upstream)
    wrong: dict[str, dict[str, np.ndarray]] = {}
    if not all(check.passed for check in checks):
        for mutant in mutants_of(name):
            broken, *args = _drawn_case(name, seed)
            break_backward(broken, mutant)
            wrong[mutant.name], _ = gradients_of(broken, *args, upstream=lambda shape: upstream)

    def mistakes_in(tensor: str) -> list[str]:
        return [mistake for mistake, gave in wrong.items() if np.allclose(grads[tensor], gave[tensor], 1e-6, 1e-9)]

    return [Answer(check, [] if check.passed else mistakes_in(check.tensor)) for check in checks]


def grade(name: str, layer_class: type) -> None:
    """Print the result of `check_yours`, or the error, as `autoenc gradcheck --yours` does; for notebooks."""
    try:
        answers = check_yours(name, layer_class)
    except Exception as error:  # any error in the learner's code
        print(message_of(error))
        return
    for check, mistakes in answers:
        print(f"{check.tensor:<22} {verdict_of(check)}")
        for mistake in mistakes:
            print(f"{'':<22} this is what you get when {mistake}")


def _name_of_exercise(name: str) -> str:
    with contextlib.suppress(ValueError):
        [name] = names_of(name)
    if name not in exercise_names():
        raise ValueError(f"there is no exercise for {name!r}; there are exercises for {', '.join(exercise_names())}")
    return name


def _drawn_case(name: str, seed: int) -> Case:
    return CASES[name](np.random.default_rng(seed))


def _drawn(name: str) -> Any:
    return _drawn_case(name, 0)[0]


def _method(source: str, class_name: str, name: str) -> ast.FunctionDef:
    """The definition of a method of a class in a module's source."""
    [found] = (
        method
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == class_name
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name == name
    )
    return found
