"""
The step of a finite difference
===============================

The error of central differences and complex steps for BatchNorm, compared with its hand-written gradient, by step size.
"""

import matplotlib.pyplot as plt
import numpy as np

from autoenc.layers import BatchNorm1d

rng = np.random.default_rng(0)
x, upstream = rng.standard_normal((64, 3)), rng.standard_normal((64, 3))
weight, bias = rng.uniform(0.5, 2, 3), rng.standard_normal(3)


def loss(x):
    statistics = np.zeros(3, x.dtype), np.ones(3, x.dtype)
    return (BatchNorm1d(weight, bias, *statistics).forward(x, training=True) * upstream).sum()


def central(i, step):
    above, below = x.copy(), x.copy()
    above[i] += step
    below[i] -= step
    return (loss(above) - loss(below)) / (2 * step)


def complex_step(i, step):
    beside = x.astype(complex)
    beside[i] += 1j * step
    return loss(beside).imag / step


batchnorm = BatchNorm1d(weight, bias, np.zeros(3), np.ones(3))
batchnorm.forward(x, training=True)
grad_x = batchnorm.backward(upstream)


def error(slope, step):
    """The largest error among the first eight rows, relative to the largest gradient."""
    rows = [(row, column) for row in range(8) for column in range(3)]
    return max(abs(slope(i, step) - grad_x[i]) for i in rows) / np.abs(grad_x).max()


steps = np.logspace(-1, -12, 45)
errors = {slope.__name__: np.array([error(slope, step) for step in steps]) for slope in (central, complex_step)}

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.loglog(steps, errors["central"], color="#3182bd", label="central difference")
axes.loglog(steps, errors["complex_step"], color="#e6550d", label="complex step")
axes.loglog(steps, steps**2 * errors["central"][0] / steps[0] ** 2, ":", color="#888888", label="falls as step²")
axes.loglog(steps, 1e-16 / steps, "--", color="#888888", label="1e-16 / step: rounding")
axes.set(xlabel="step", ylabel="relative error of the slope", ylim=(1e-17, 1e-1), xlim=(1e-1, 1e-12))
axes.grid(alpha=0.4)
axes.legend(framealpha=0)
