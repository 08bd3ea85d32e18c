"""The gradient check: it accepts what is right, finds what is wrong, and says where; and its command."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest

from autoenc import layers
from autoenc.cli import gradcheck as command
from autoenc.cli import main
from autoenc.gradcheck import (
    CASES,
    cases,
    check_backward,
    check_direction,
    check_layer,
    compare,
    gradient_check,
    names_of,
)
from autoenc.gradcheck import mutants as mutants_module
from autoenc.gradcheck.mistakes import MISTAKES
from autoenc.gradcheck.mutants import break_backward, mutants_of, try_mutant
from autoenc.layers import BatchNorm1d, ReLU, Tanh

MUTANTS = mutants_of()


def cubes(x, grad, **options):
    """The check of sum(x**3) with this gradient."""
    [check] = gradient_check(lambda: (x**3).sum(), {"x": x}, {"x": grad}, **options)
    return check


# What is measured


def test_errors_are_as_defined():
    grad = np.array([[100.0, 2.0], [0.04, 0.0]])
    numerical = np.array([[100.0, 2.1], [0.01, -0.02]])
    check = compare("w", grad, numerical, step=1e-5)
    assert check.difference == pytest.approx(0.1)
    assert check.error == pytest.approx(0.1 / 100)
    assert check.element_error == pytest.approx(0.1 / 2.1)  # 0.04 and below are no thousandth of 100
    assert check.worst == (0, 1)
    assert not check.passed


@pytest.mark.parametrize(("wrong", "passed"), [(0.9e-6, True), (1.1e-6, False)])
def test_both_errors_must_be_under_a_millionth(wrong, passed):
    of_the_largest = compare("w", np.array([10.0, 0.0]), np.array([10.0, 10 * wrong]), 1e-5)
    assert (of_the_largest.element_error, of_the_largest.worst) == (0, (1,))
    assert of_the_largest.passed is passed
    of_its_own = compare("w", np.array([10.0, 0.1]), np.array([10.0, 0.1 * (1 - wrong)]), 1e-5)
    assert of_its_own.error < 1e-7
    assert of_its_own.worst == (1,)
    assert of_its_own.passed is passed


def test_a_gradient_that_is_truly_zero_passes_but_for_rounding():
    zeros = np.zeros(3)
    assert compare("w", zeros, np.array([0, 1e-11, -1e-10]), 1e-5).passed
    assert not compare("w", zeros, np.array([0, 1e-8, 0]), 1e-5).passed


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("of_grad", [True, False])
def test_what_is_not_finite_does_not_pass(bad, of_grad):
    broken, whole = np.array([1.0, bad]), np.ones(2)
    with np.errstate(invalid="ignore"):
        check = compare("w", *((broken, whole) if of_grad else (whole, broken)), 1e-5)
    assert not check.passed


def test_right_and_wrong_gradients_of_a_function():
    x = np.array([1.0, 2.0, 3.0])
    assert cubes(x, 3 * x**2).passed
    wrong = cubes(x, 3 * x**2 + [0, 1e-3, 0])
    assert not wrong.passed
    assert wrong.worst == (1,)
    assert wrong.error == pytest.approx(1e-3 / 27, rel=1e-3)


def test_the_step_decides():
    """A difference is off by step**2 for a large step, and by rounding for a small one: the default is between."""
    x = np.array([1.0, 2.0, 3.0])
    errors = {step: cubes(x, 3 * x**2, step=step).error for step in (1e-1, 1e-5, 1e-12)}
    assert errors[1e-1] == pytest.approx(0.1**2 / 27.01, rel=1e-6)  # step**2 exactly, for x**3
    assert errors[1e-12] > 1e-6
    assert errors[1e-5] < 1e-9


def test_an_output_that_is_an_array_meets_its_upstream_gradient():
    x, upstream = np.array([1.0, 2.0]), np.array([5.0, -7.0])
    [check] = gradient_check(lambda: x**2, {"x": x}, {"x": 2 * x * upstream}, upstream)
    assert check.passed
    [check] = gradient_check(lambda: x**2, {"x": x}, {"x": 2 * x}, upstream)
    assert not check.passed


def test_a_function_may_return_what_is_moved():
    x = np.array([1.0, 2.0])
    [check] = gradient_check(lambda: x, {"x": x}, {"x": np.array([3.0, 4.0])}, np.array([3.0, 4.0]))
    assert check.passed


def test_arrays_are_put_back():
    x = np.random.default_rng(0).standard_normal(50)
    before = x.copy()
    cubes(x, 3 * x**2)
    np.testing.assert_array_equal(x, before)


def test_float32_is_refused():
    x = np.ones(2, np.float32)
    with pytest.raises(TypeError, match="needs float64, got float32 in x; convert it with astype"):
        cubes(x, x)


@pytest.mark.parametrize("grads", [{}, {"x": None}])
def test_a_missing_gradient_is_named(grads):
    x = np.ones(2)
    with pytest.raises(ValueError, match="grads has no gradient of x; backward must store one"):
        gradient_check(lambda: x.sum(), {"x": x}, grads)


def test_a_gradient_of_another_shape_is_named():
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"the gradient of x must have its shape \(2, 3\), got \(3, 2\)"):
        gradient_check(lambda: x.sum(), {"x": x}, {"x": np.ones((3, 2))})


# The layers' table


def test_every_layer_has_its_case_and_its_mutants():
    rng = np.random.default_rng(0)
    drawn = {type(draw(rng)[0]).__name__ for draw in CASES.values()}
    networks = {"AutoEncoderNetwork", "DenoisingNetwork", "VariationalNetwork", "DeepNetwork", "CosineOfProduct"}
    assert drawn == {*layers.__all__, *networks} - {"InputDropout"}  # whose input is ids, and has no slope
    assert all(len(mutants_of(name)) >= 2 for name in CASES)


@pytest.mark.parametrize("name", CASES)
def test_every_parameter_and_the_input_are_checked(name):
    layer, *args = CASES[name](np.random.default_rng(0))
    has_input = isinstance(args[0], np.ndarray)
    assert [check.tensor for check in check_layer(name)] == [*layer.params, *["input"] * has_input]
    assert has_input or name == "elsa" or name.endswith(("embedding", "network"))


def test_an_unknown_layer_is_refused():
    with pytest.raises(
        ValueError, match=r"layer must be one of embedding, linear, .*network, elsa, full_size, got 'gelu'"
    ):
        check_layer("gelu")


# Mutants


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.layer}: {mutant.name}")
def test_a_mutant_is_caught(mutant):
    assert all(try_mutant(mutant, seed).caught for seed in range(2))


def test_what_easier_checks_miss():
    verdicts = {f"{mutant.layer}: {mutant.name}": try_mutant(mutant) for mutant in MUTANTS}
    assert {name for name, verdict in verdicts.items() if verdict.caught_by_ones is False} == {
        "embedding: the users are in reverse order",
        "linear: the users of grad_weight are in reverse order",
        "relu: the upstream gradient is forgotten",
        "batchnorm: the term through var is dropped",
        "batchnorm: the term through var is missing its 1/n",
        "batchnorm: weight is forgotten",
        "batchnorm: 1/std is forgotten",
        "batchnorm: grad_weight is averaged",
        "dropout: the upstream gradient is forgotten",
        "tanh: the upstream gradient is forgotten",
        "selu: the upstream gradient is forgotten",
    }
    assert {name for name, verdict in verdicts.items() if not verdict.caught_to_one_decimal} == {
        "batchnorm: the term through mean is dropped",
        "batchnorm: n - 1 is used in place of n",
        "selu: scale is forgotten above 0",
        "elsa: the items are averaged",
        "elsa: the pull of |Y| is forgotten",
        "elsa: the 2 of M's square is forgotten",
        "elsa: M's gradient is dropped",
    }
    without_upstream = {name.partition(":")[0] for name, verdict in verdicts.items() if verdict.caught_by_ones is None}
    drawn = {name: draw(np.random.default_rng(0)) for name, draw in CASES.items()}
    assert without_upstream == {name for name, (layer, *args) in drawn.items() if np.ndim(layer.forward(*args)) == 0}


@pytest.mark.parametrize("name", CASES)
def test_ones_pass_what_is_right(name):
    """So that each check misses or catches a mutant for its own reason."""
    assert all(check.passed for check in check_layer(name, upstream=np.ones))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.layer}: {mutant.name}")
def test_a_mutant_changes_one_object_and_no_forward(mutant):
    layer, *args = CASES[mutant.layer](np.random.default_rng(0))
    output, before = layer.forward(*args), dict(vars(type(layer)))
    break_backward(layer, mutant)
    np.testing.assert_array_equal(layer.forward(*args), output)
    assert dict(vars(type(layer))) == before


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_apart(name):
    """No two of them give the same gradients, so that a learner is shown only one."""
    layer, *args = CASES[name](np.random.default_rng(0))
    rng = np.random.default_rng(1)
    _, grad_output = mutants_module.gradients_of(layer, *args, upstream=rng.standard_normal)
    wrong = mutants_module.wrong_gradients(name, layer, args, grad_output)
    found = [(tensor, grad.tobytes()) for of_tensor in wrong.values() for tensor, grad in of_tensor.items()]
    assert len(set(found)) == len(found)


def test_mutants_work_on_a_layer_that_was_written_otherwise(monkeypatch):
    def rewritten(self, grad_output):
        (normalized, factor), self.kept = self.kept, None
        self.grads = {"weight": np.einsum("ij,ij->j", grad_output, normalized), "bias": sum(grad_output)}
        centered = grad_output - grad_output.mean(axis=0)
        return (centered - normalized * (grad_output * normalized).mean(axis=0)) * factor * self.params["weight"]

    monkeypatch.setattr(BatchNorm1d, "backward", rewritten)
    assert all(check.passed for check in check_layer("batchnorm"))
    assert all(try_mutant(mutant).caught for mutant in mutants_of("batchnorm"))


@pytest.mark.parametrize("name", ["batchnorm", "BatchNorm1d", "batchnorm1D"])
def test_a_layer_is_named_by_its_class_too(name):
    assert names_of(name) == ["batchnorm"]
    assert {mutant.layer for mutant in mutants_of(name)} == {"batchnorm"}


def test_no_mutants_of_the_full_size():
    with pytest.raises(
        ValueError, match=r"there are no mutants of 'full_size'; there are mutants of embedding, .*_network"
    ):
        mutants_of("full_size")


# Along one direction, as at full size


def along_a_direction(seed=0, mutant=None):
    rng = np.random.default_rng(seed)
    network, user_items, key = CASES["network"](rng)
    if mutant is not None:
        place = {"network": network, "sigmoid_bce": network.loss}.get(mutant.layer) or getattr(network, mutant.layer)
        break_backward(place, mutant)
    return check_direction(network, user_items, key, rng)


@pytest.mark.parametrize("seed", range(5))
def test_a_direction_passes(seed):
    assert along_a_direction(seed).passed


def test_a_direction_leaves_the_parameters_but_for_rounding():
    rng = np.random.default_rng(0)
    network, user_items, key = CASES["network"](rng)
    before = {name: w.copy() for name, w in network.params.items()}
    check_direction(network, user_items, key, rng)
    for name, w in network.params.items():
        np.testing.assert_allclose(w, before[name], rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    "mutant",
    [m for m in MUTANTS if m.layer in ("network", "embedding", "sigmoid_bce")],
    ids=lambda mutant: mutant.name,
)
def test_a_direction_catches_mutants(mutant):
    assert not along_a_direction(mutant=mutant).passed


def test_a_direction_that_crosses_a_corner_is_drawn_again(monkeypatch):
    """With a step that often crosses one, the error is no larger than on a smooth loss."""
    rng = np.random.default_rng(0)
    network, user_items, key = CASES["network"](rng)
    forwards = []
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda *args: forwards.append(args) or forward(*args))
    for _ in range(20):
        assert check_direction(network, user_items, key, rng, step=5e-3).error < 2e-3
    assert len(forwards) > 20 * 3  # each takes one for backward and two for its direction, if that is the first


# The command


def run(capsys, *arguments):
    code = main(["gradcheck", *arguments])
    out, err = capsys.readouterr()
    assert err == ""
    return code, out.splitlines()


@pytest.fixture
def broken_relu(monkeypatch):
    monkeypatch.setattr(ReLU, "backward", lambda self, grad_output: grad_output)


def test_the_command_checks_all_up_to_full_size(capsys):
    code, (header, *lines) = run(capsys)
    assert code == 0
    assert header.split() == ["layer", "tensor", "error", "by", "element", "step"]
    rows = [line.split() for line in lines[:-2]]
    drawn = [draw(np.random.default_rng(0)) for draw in CASES.values()]
    tensors = [len(layer.params) + isinstance(args[0], np.ndarray) for layer, *args in drawn]  # and one at full size
    assert lines[-1] == f"{sum(tensors) + 1} gradients checked, 0 wrong (an error of 1e-06 or more)"
    assert list(dict.fromkeys(row[0] for row in rows)) == names_of()
    assert {row[-1] for row in rows} == {"ok"}
    assert rows[-1][:3] == ["full_size", "one", "direction"]


def test_the_example_runs(capsys):
    program, name, *arguments = shlex.split(command.EPILOG.splitlines()[-1])
    assert (program, name) == ("autoenc", "gradcheck")
    code, (_, *lines) = run(capsys, *arguments)
    assert code == 0
    assert [line.split()[:2] for line in lines[:3]] == [["batchnorm", name] for name in ("weight", "bias", "input")]


def test_a_wrong_gradient_exits_1(capsys, broken_relu):
    code, lines = run(capsys, "--layer", "relu")
    assert code == 1
    backward, differences = re.search(r"WRONG at \d, \d: backward has (\S+), the differences (\S+)$", lines[1]).groups()
    assert float(backward) != 0 and float(differences) == pytest.approx(0, abs=1e-9)  # of a negative input
    assert lines[-1].startswith("1 gradient checked, 1 wrong")


def test_a_layer_that_raises_is_named_and_the_others_are_checked(capsys, monkeypatch):
    def backward(self, grad_output):
        raise IndexError("no such column")

    monkeypatch.setattr(Tanh, "backward", backward)
    quick = cases.check_layer("relu")
    monkeypatch.setattr(cases, "check_full_size", lambda seed: quick[0])
    code, (_, *lines) = run(capsys)
    assert code == 1
    raised = [line.split(maxsplit=1) for line in lines if "RAISED" in line]
    assert raised == [[name, "RAISED IndexError: Tanh.backward: no such column"] for name in (
        "tanh", "denoising_network", "variational_network")]  # fmt: skip
    assert {line.split()[0] for line in lines[:-2]} == set(names_of())
    code, [line] = run(capsys, "--layer", "tanh", "--json")
    assert json.loads(line)["checks"] == [{"layer": "tanh", "passed": False, "raised": "Tanh.backward: no such column"}]
    monkeypatch.setattr(Tanh, "forward", lambda self, x, training=True: x[:, None][5])
    _, (_, line, *_) = run(capsys, "--layer", "tanh")
    assert line.split(maxsplit=1)[1].startswith("RAISED")


def test_a_wrong_number_of_gradients_is_named(capsys, monkeypatch):
    monkeypatch.setattr(ReLU, "backward", lambda self, grad_output: grad_output[:1])
    code, (_, line, *_) = run(capsys, "--layer", "ReLU")
    assert code == 1
    assert line.split(maxsplit=1)[1].startswith(
        "RAISED ValueError: the gradient of input must have its shape (7, 5), got (1"
    )


def test_checks_as_json(capsys, broken_relu):
    code, [line] = run(capsys, "--layer", "relu", "--json", "--seed", "3")
    report = json.loads(line)
    [check] = report.pop("checks")
    assert (code, report) == (1, {"status": "FAIL", "seed": 3})
    assert (check["layer"], check["tensor"], check["step"], check["passed"]) == ("relu", "input", 1e-5, False)
    assert len(check["worst"]) == 2
    assert check["error"] > 0.1


def test_seeds_draw_other_numbers(capsys):
    tables = [run(capsys, "--layer", "linear", "--seed", seed) for seed in ("0", "0", "1")]
    assert tables[0] == tables[1] != tables[2]


def test_mutants_table(capsys):
    code, lines = run(capsys, "--mutate")
    assert code == 0
    assert lines[0].startswith("Each line is a mistake put into a backward;")
    assert lines[-1] == f"{len(MUTANTS)} mutants, 0 missed; ones would have missed 11, one decimal 7"
    [line] = [line for line in lines if "the term through var is dropped" in line]
    assert line.split()[-3:] == ["yes", "MISSED", "yes"]


def test_mutants_as_json(capsys):
    code, [line] = run(capsys, "--mutate", "--layer", "relu", "--json")
    report = json.loads(line)
    assert (code, report["status"]) == (0, "PASS")
    assert [mutant["name"] for mutant in report["mutants"]] == [
        "negative inputs pass too",
        "the upstream gradient is forgotten",
    ]
    assert [mutant["caught_by_ones"] for mutant in report["mutants"]] == [True, False]


def test_a_missed_mutant_exits_1(capsys, monkeypatch):
    def harmless(layer, x, grad_output, **_):
        return {"nothing is wrong": {"input": (x > 0) * grad_output}}

    monkeypatch.setitem(MISTAKES, "relu", harmless)
    mutants_module._mistakes_of.cache_clear()
    code, lines = run(capsys, "--mutate", "--layer", "relu")
    mutants_module._mistakes_of.cache_clear()
    assert code == 1
    assert lines[-3].split()[-3:] == ["MISSED", "MISSED", "MISSED"]
    assert lines[-1].startswith("1 mutants, 1 missed")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--layer", "gelu"], "layer must be one of embedding, linear,"),
        (["--layer", "gelu", "--mutate"], "layer must be one of embedding, linear,"),
        (
            ["--layer", "full_size", "--mutate"],
            "there are no mutants of 'full_size'; there are mutants of embedding, linear,",
        ),
        (["--yours", "mine.py"], "--yours checks one layer; pass --layer as well"),
        (["--seed", "-1"], "--seed must be 0 or more, got -1"),
    ],
)
def test_bad_input_exits_2_and_prints_no_table(capsys, arguments, sentence):
    assert main(["gradcheck", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"autoenc gradcheck: {sentence}")
    assert err.count("\n") == 1


def test_a_layer_is_checked_by_its_object_too():
    checks = check_backward(ReLU(), np.array([[1.0, -2.0]]), upstream=np.random.default_rng(0).standard_normal)
    assert all(check.passed for check in checks)


def test_a_backward_that_returns_nothing_is_told_to_return_the_gradient_of_its_input():
    layer = ReLU()
    layer.backward = lambda grad_output: None
    with pytest.raises(ValueError, match=r"^backward returned None; return the gradient of its input$"):
        check_backward(layer, np.ones((2, 3)), upstream=np.ones)
