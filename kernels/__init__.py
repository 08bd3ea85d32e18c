"""The kernels: compiled versions of layers, or of compositions of layers, imported as `autoenc.kernels`."""
