"""
The position of Adam's eps
==========================

The first step of Adam, divided by lr, against the size of the gradient: eps added after or before the bias correction.
"""

import matplotlib.pyplot as plt
import numpy as np

from autoenc.optim import Adam

gradients = np.logspace(-11, -3, 200)
w = np.zeros_like(gradients)
Adam({"w": w}, lr=1.0).step({"w": gradients})
after = -w

# the same step with eps added to sqrt(v), before v is corrected, as in scikit-learn
beta1, beta2, eps = 0.9, 0.999, 1e-8
m, v = (1 - beta1) * gradients, (1 - beta2) * gradients**2
before = np.sqrt(1 - beta2) / (1 - beta1) * m / (np.sqrt(v) + eps)

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.loglog(gradients, after, color="#3182bd", label="eps after the correction (here, PyTorch)")
axes.loglog(gradients, before, color="#e6550d", label="eps before it (scikit-learn)")
axes.set(xlabel="gradient", ylabel="first step / lr")
axes.grid(alpha=0.4)
axes.legend(framealpha=0)
