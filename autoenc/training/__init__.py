"""Training a network: the steps in NumPy and in kernels, the loop, and what watches it."""
