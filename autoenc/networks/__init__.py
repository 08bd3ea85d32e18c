"""The networks, forward and backward, built from the layers in `autoenc.layers`."""
