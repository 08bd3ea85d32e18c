"""Adam against its docstring, computed by hand. For PyTorch, see test_oracle.py."""

from __future__ import annotations

import numpy as np
import pytest

from autoenc.optim import Adam


def adam_of(w, **options):
    w = np.array(w)
    return w, Adam({"w": w}, **options)


@pytest.mark.parametrize("size", [1e6, 1.0, 1e-4])
def test_the_first_step_is_lr_whatever_the_gradients_size(size):
    w, adam = adam_of([1.0, 1.0])
    adam.step({"w": np.array([size, -size])})
    np.testing.assert_allclose(w, [0.99, 1.01], rtol=1e-5)


def test_twenty_steps_are_the_equations():
    rng = np.random.default_rng(0)
    w, adam = adam_of(rng.standard_normal((4, 3)), lr=0.1, betas=(0.8, 0.95), eps=1e-3)
    expected, m, v = w.copy(), 0, 0
    for t in range(1, 21):
        grad_w = rng.standard_normal((4, 3)) * 10.0 ** rng.integers(-6, 3, (4, 3))
        m = 0.8 * m + 0.2 * grad_w
        v = 0.95 * v + 0.05 * grad_w**2
        expected = expected - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
        adam.step({"w": grad_w})
        np.testing.assert_allclose(w, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(adam.first_moment["w"], m, rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(adam.second_moment["w"], v, rtol=1e-12)
    assert adam.step_count == 20


def test_eps_is_added_after_the_bias_correction():
    """At a gradient of 1e-9 the order matters: with eps added earlier, the step would be a 29th of this one."""
    w, adam = adam_of([0.0])
    adam.step({"w": np.array([1e-9])})
    assert w[0] == pytest.approx(-0.01 * 1e-9 / (1e-9 + 1e-8), rel=1e-9)
    before = -0.01 * np.sqrt(1 - 0.999) / (1 - 0.9) * (0.1 * 1e-9) / (np.sqrt(0.001 * 1e-18) + 1e-8)
    assert w[0] / before == pytest.approx(29, abs=0.5)


def test_the_defaults_are_the_tasks():
    adam = Adam({})
    assert (adam.lr, adam.betas, adam.eps) == (0.01, (0.9, 0.999), 1e-8)


def test_without_a_gradient_the_first_moment_still_moves_the_weight():
    w, adam = adam_of([1.0, 1.0])
    adam.step({"w": np.array([1.0, 0.0])})
    after_one = w.copy()
    adam.step({"w": np.zeros(2)})
    assert w[0] < after_one[0]
    assert w[1] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_array_keeps_its_dtype_and_its_place(dtype):
    params = {"w": np.ones((3, 2), dtype), "b": np.ones(3)}
    arrays = dict(params)
    adam = Adam(params)
    adam.step({"w": np.full((3, 2), 0.5, dtype), "b": np.full(3, 0.5)})
    for name, array in arrays.items():
        assert adam.params[name] is array
        assert (array < 1).all()
        assert adam.first_moment[name].dtype == adam.second_moment[name].dtype == array.dtype
    assert params["w"].dtype == dtype


def test_gradients_are_read_alone():
    _, adam = adam_of([1.0, 2.0])
    grads = {"w": np.array([3.0, -4.0])}
    adam.step(grads)
    np.testing.assert_array_equal(grads["w"], [3, -4])


def test_it_finds_a_minimum():
    target = np.array([3.0, -2.0, 0.5])
    w, adam = adam_of(np.zeros(3), lr=0.1)
    for _ in range(500):
        adam.step({"w": 2 * (w - target) * [1, 100, 0.01]})
    np.testing.assert_allclose(w, target, atol=0.01)
