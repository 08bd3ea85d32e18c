"""The networks, forwards and backwards, each of the layers in `autoenc.layers`."""
