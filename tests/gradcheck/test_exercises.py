"""Each exercise is the layer without its answer, the layer's own backward solves it, and mistakes are named."""

from __future__ import annotations

import inspect
import re
import textwrap

import numpy as np
import pytest

from autoenc import layers
from autoenc.cli import main
from autoenc.gradcheck import CASES
from autoenc.gradcheck.exercises import BLANK, check_yours, exercise, exercise_names, load_class
from autoenc.gradcheck.mutants import break_backward, mutants_of

EXERCISES = exercise_names()


def class_of(name):
    return type(CASES[name](np.random.default_rng(0))[0])


def solved(name):
    """The exercise with the layer's own backward, below what unpacks what forward kept."""
    solution = textwrap.dedent(inspect.getsource(class_of(name).backward)).splitlines()[2:]
    lines = exercise(name).splitlines()
    at = next(n for n, line in enumerate(lines) if BLANK in line)
    return "\n".join([*lines[: at - 1], *(f"    {line}" for line in solution), *lines[at + 1 :]]) + "\n"


def test_every_layer_that_has_a_gradient_has_an_exercise():
    assert {class_of(name).__name__ for name in EXERCISES} == {*layers.__all__, "AutoEncoderNetwork"} - {"InputDropout"}


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_is_the_layer_without_its_answer(name):
    text = exercise(name)
    source = inspect.getsource(inspect.getmodule(class_of(name)))
    backward = inspect.getsource(class_of(name).backward).splitlines()[2:]
    forward = inspect.getsource(class_of(name).forward)
    code = [line for line in backward if not line.strip().startswith("#") and line not in forward.splitlines()]
    assert [line for line in code if line in text.splitlines()] == []
    assert "\nBackward" not in text and ">>>" not in text
    kept = [line for line in text.splitlines() if BLANK not in line and "# Your turn: " not in line]
    assert [line for line in kept if line not in source.splitlines()] == []
    assert text.count(BLANK) == 1
    assert forward in text


@pytest.mark.parametrize("name", EXERCISES)
def test_the_layer_itself_is_the_solution(name, tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(solved(name), encoding="utf-8")
    assert main(["gradcheck", "--layer", name, "--yours", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(" 0 wrong (an error of 1e-06 or more)")


@pytest.mark.parametrize(
    "mutant", [m for m in mutants_of() if m.layer in EXERCISES], ids=lambda m: f"{m.layer}: {m.name}"
)
def test_a_mistake_is_named(mutant):
    class Mine(class_of(mutant.layer)):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            break_backward(self, mutant)

    wrong = [answer for answer in check_yours(mutant.layer, Mine) if not answer.check.passed]
    assert wrong and all(answer.mistakes == [mutant.name] for answer in wrong)


def test_an_unknown_mistake_shows_both_numbers(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(solved("linear").replace("grad_output.T @ x", "3 * grad_output.T @ x"), encoding="utf-8")
    assert main(["gradcheck", "--layer", "Linear", "--yours", str(file)]) == 1
    out = capsys.readouterr().out
    assert re.search(r"WRONG at \d, \d: backward has ", out) and "this is what you get when" not in out


def test_what_is_still_blank_says_so(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(exercise("batchnorm"), encoding="utf-8")
    assert main(["gradcheck", "--layer", "batchnorm", "--yours", str(file)]) == 1
    assert "RAISED NotImplementedError: BatchNorm1d.backward: this backward is still to be" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("class ReLU(:\n", ", line 1: invalid syntax"),
        ("x = 1\n", " has no class ReLU; `autoenc exercise relu > FILE` writes one"),
        ("ReLU = 1\n", " has no class ReLU"),
    ],
)
def test_a_file_without_the_class_is_refused(text, sentence, tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(text, encoding="utf-8")
    assert main(["gradcheck", "--layer", "relu", "--yours", str(file)]) == 2
    out, err = capsys.readouterr()
    assert (out, sentence in err, err.count("\n")) == ("", True, 1)


def test_a_forward_that_was_changed_is_named(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(solved("relu").replace("np.maximum(x, 0)", "2 * np.maximum(x, 0)"), encoding="utf-8")
    with pytest.raises(ValueError, match="the forward of ReLU differs from the layer's; keep what"):
        check_yours("relu", load_class(file, "relu"))


@pytest.mark.parametrize("name", ["elsa", "full_size", "gelu"])
def test_there_is_no_such_exercise(name, capsys):
    assert main(["exercise", name]) == 2
    assert capsys.readouterr().err.startswith(f"autoenc exercise: there is no exercise for {name!r}; there are ")


def test_the_command(capsys):
    assert main(["exercise"]) == 0
    assert capsys.readouterr().out.splitlines() == EXERCISES
    assert main(["exercise", "BatchNorm1d"]) == 0
    assert capsys.readouterr().out == exercise("batchnorm")
