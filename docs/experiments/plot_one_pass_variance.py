"""
Variance in one pass
======================

The variance of 1,000 float32 numbers around an increasing mean, as mean(x²) - mean(x)² and as mean((x - mean)²).
"""

import matplotlib.pyplot as plt
import numpy as np

noise = np.random.default_rng(0).standard_normal(1000)
means = np.logspace(0, 5, 60)
errors = {"mean(x²) - mean(x)²": [], "mean((x - mean)²)": []}
for mean in means:
    x = (noise + mean).astype(np.float32)
    true = x.astype(np.float64).var()
    one_pass = (x * x).mean() - x.mean() ** 2
    centered = x - x.mean()
    for name, var in zip(errors, (one_pass, (centered * centered).mean())):
        errors[name].append(max(abs(var - true) / true, 1e-8))

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
for (name, values), color in zip(errors.items(), ("#e6550d", "#3182bd")):
    axes.loglog(means, values, color=color, label=name)
axes.axhline(1, linestyle=":", color="#888888")
axes.set(xlabel="mean of x, where its standard deviation is 1", ylabel="relative error of the variance")
axes.grid(alpha=0.4)
axes.legend(framealpha=0)
