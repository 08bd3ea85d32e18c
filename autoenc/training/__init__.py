"""Training a network: steps in NumPy and in compiled kernels, the training loop, and callbacks."""
