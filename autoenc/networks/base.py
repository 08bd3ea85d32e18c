"""Base class of the networks: the arrays of their layers by name. It has no forward or backward code."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from scipy import sparse

Key = tuple[int, int, int]
"""(seed, epoch, step): the key of the random numbers of a training step."""


class Layer(Protocol):
    """The interface of all layers. The arguments of forward and backward differ."""

    params: dict[str, np.ndarray]
    grads: dict[str, Any]
    kept: Any


class Loss(Layer, Protocol):
    """A network's last layer, which compares logits with likes, both (batch, n_items)."""

    def forward(self, logits: np.ndarray, user_items: sparse.csr_array, /) -> float: ...

    def backward(self) -> np.ndarray: ...


class Network:
    """A network from likes to one score per item.

    A subclass creates its layers in its constructor, in the order of the forward. The attribute name of
    a layer is its name in the model file.

    Attributes
    ----------
    state : dict of str to array
        The parameters and the running statistics. They are not copied: training updates them in place,
        so `state` always holds what there is to save.
    loss : Loss
    settings : dict
        Settings that are not part of the state, with values that JSON can represent.
    """

    state: dict[str, np.ndarray]
    settings: dict[str, Any]
    embedding: Any
    output: Any
    loss: Loss

    def forward(self, user_items: sparse.csr_array, key: Key = (0, 0, 0)) -> float:
        """The loss of a batch in training, summed over its users and items."""
        raise NotImplementedError

    def backward(self) -> None:
        """Fill `grads` with the gradient of the last forward's loss."""
        raise NotImplementedError

    def encode(self, user_items: sparse.csr_array, training: bool = False, key: Key = (0, 0, 0)) -> np.ndarray:
        """The input of the output layer for each user: (batch, hidden_dim)."""
        raise NotImplementedError

    def encode_sums(
        self, item_sum: np.ndarray, n_likes: np.ndarray, training: bool = False, key: Key = (0, 0, 0)
    ) -> np.ndarray:
        """The same from sums of embedding rows (batch, emb_dim) and the number of rows in each sum (batch,)."""
        raise NotImplementedError

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        """The logits of all items for each user, in evaluation: (batch, n_items).

        Sigmoid and softmax are increasing, so the ranking is the same without them.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        layers = "".join(f"    {name}: {layer!r}\n" for name, layer in self.layers.items())
        return f"{type(self).__name__}(\n{layers})"

    @property
    def n_items(self) -> int:
        return self.state["embedding.weight"].shape[0]

    @property
    def emb_dim(self) -> int:
        return self.state["embedding.weight"].shape[1]

    @property
    def hidden_dim(self) -> int:
        return self.state["output.weight"].shape[1]

    @property
    def dtype(self) -> np.dtype:
        return self.state["embedding.weight"].dtype

    @property
    def dense_weights(self) -> list[np.ndarray]:
        """The weight matrices of the layers after the embedding."""
        return [w for name, w in self.params.items() if w.ndim == 2 and name != "embedding.weight"]

    @property
    def layers(self) -> dict[str, Layer]:
        """The layers by name, in the order of the forward."""
        return {name: layer for name, layer in vars(self).items() if hasattr(layer, "forward")}

    @property
    def params(self) -> dict[str, np.ndarray]:
        """The trained parameters by their names in the model file."""
        return {f"{name}.{key}": w for name, layer in self.layers.items() for key, w in layer.params.items()}

    @property
    def grads(self) -> dict[str, np.ndarray]:
        """The gradients of the last backward, by the names of `params`."""
        return {f"{name}.{key}": g for name, layer in self.layers.items() for key, g in layer.grads.items()}


def arrays_of(state: dict[str, np.ndarray], layer: str) -> dict[str, Any]:
    """The arrays of one layer in a network's state."""
    prefix = layer + "."
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}


def xavier_state(shapes: dict[str, tuple[int, ...]], seed: int, dtype: type = np.float32) -> dict[str, np.ndarray]:
    """Arrays of these shapes: matrices of normal numbers, drawn in this order, and vectors of zeros.

    The variance of a matrix is 2 / (rows + columns): Glorot and Bengio 2010. The numbers are drawn in
    float32 whatever `dtype` is.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    state: dict[str, np.ndarray] = {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
    for name, shape in shapes.items():
        if len(shape) == 2:
            weight = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / sum(shape)))
            state[name] = weight.astype(dtype, copy=False)
    return state
