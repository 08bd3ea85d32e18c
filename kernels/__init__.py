"""The kernels: numba twins of the layers, or of compositions of them, imported as `autoenc.kernels`."""
