"""A deep autoencoder of SELU layers for likes or ratings.

    h1 = selu(x @ W_embedding + b)
    h2 = selu(h1 @ W_dense1 + B_dense1)             and so on, down to the code, to which dropout is
    hk = selu(...)                                  applied, and through the same widths in reverse
    y  = hk @ W_output + B_output
    f(x) = sigmoid(y) for likes, y for ratings
    loss = sum of softplus(y) - x * y for likes, mean of (y - x)**2 over the rated entries for ratings

Dense refeeding: f(x) predicts all of a user's likes, and an ideal autoencoder would leave it unchanged:
f(f(x)) = f(x). So each step on x is followed by one with f(x), one number per item, as both input and
target, and the same loss, over all items.

`SparseEmbedding` computes the product with W_embedding both for x, which is sparse, and for f(x), which
is dense.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from autoenc.layers import SELU, Dropout, Linear, MaskedSquaredError, SigmoidBCE, SoftBCE, SparseEmbedding
from autoenc.layers.sigmoid_bce import sigmoid
from autoenc.networks.base import Key, Network, arrays_of, xavier_state


def dense_shapes(widths: Sequence[int]) -> list[tuple[int, int]]:
    """(out_features, in_features) of the layers from the first width to the code and back.

    >>> dense_shapes([512, 256, 128])
    [(256, 512), (128, 256), (256, 128), (512, 256)]
    """
    mirrored = [*widths, *reversed(widths[:-1])]
    return list(zip(mirrored[1:], mirrored[:-1]))


def initial_state(
    n_items: int, widths: Sequence[int] = (512, 256), bias_offset: float = -2.0, seed: int = 0, dtype: type = np.float32
) -> dict[str, np.ndarray]:
    """The initial arrays: Xavier weights, and biases of 0 except for the output's, which are bias_offset.

    widths are those of the encoder, from the items to the code.
    """
    state = xavier_state(shapes_of_state(n_items, widths), seed, dtype)
    state["output.bias"] += bias_offset
    return state


def shapes_of_state(n_items: int, widths: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The shape of each of the network's arrays, by its name in the model file."""
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (n_items, widths[0]), "bias.bias": (widths[0],)}
    for i, shape in enumerate(dense_shapes(widths), start=1):
        shapes |= {f"dense{i}.weight": shape, f"dense{i}.bias": shape[:1]}
    return shapes | {"output.weight": (n_items, widths[0]), "output.bias": (n_items,)}


class Bias:
    """Add a bias, which the embedding does not have."""

    def __init__(self, bias: np.ndarray):
        self.params: dict[str, np.ndarray] = {"bias": bias}
        self.grads: dict[str, Any] = {"bias": None}
        self.kept: Any = None

    def forward(self, x: np.ndarray, training: bool = True) -> np.ndarray:
        return x + self.params["bias"]

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        self.grads["bias"] = grad_output.sum(axis=0)  # (features,)
        return grad_output


class DeepNetwork(Network):
    """The deep autoencoder.

    Parameters
    ----------
    state : dict of str to array
        As returned by `initial_state`; not copied.
    dropout : float
        Probability of dropping a value of the code in training.
    loss : "bce" or "squared"
        For likes, or for ratings.

    Raises
    ------
    ValueError
        If the loss is unknown, or dropout is not in [0, 1).
    """

    def __init__(self, state: dict[str, np.ndarray], dropout: float = 0.5, loss: str = "bce"):
        if loss not in ("bce", "squared"):
            raise ValueError(f"loss must be one of bce, squared, got {loss!r}")
        self.state = state
        self.settings = {"dropout": dropout, "loss": loss}

        self.embedding = SparseEmbedding(state["embedding.weight"])
        self.bias = Bias(**arrays_of(state, "bias"))
        self.selu = SELU()
        self.dropout = Dropout(dropout)
        self.n_dense = sum(name.startswith("dense") for name in state) // 2
        for i in range(1, self.n_dense + 1):
            setattr(self, f"dense{i}", Linear(**arrays_of(state, f"dense{i}")))
            setattr(self, f"selu{i}", SELU())
        self.output = Linear(**arrays_of(state, "output"))
        self.loss = SigmoidBCE() if loss == "bce" else MaskedSquaredError()
        self.refed_loss = SoftBCE() if loss == "bce" else MaskedSquaredError()

    @property
    def stack(self) -> list[Any]:
        """The layers between the sums and the output, in order, with the code's dropout halfway."""
        dense = [getattr(self, f"{kind}{i}") for i in range(1, self.n_dense + 1) for kind in ("dense", "selu")]
        return [self.bias, self.selu, *dense[: self.n_dense], self.dropout, *dense[self.n_dense :]]

    def forward(self, user_items: sparse.csr_array, key: Key = (0, 0, 0)) -> float:
        """The loss of a batch in training, likes or ratings."""
        return self.loss.forward(self.logits(user_items, key), user_items)

    def logits(self, user_items: sparse.csr_array, key: Key = (0, 0, 0)) -> np.ndarray:
        """y in training: (batch, n_items)."""
        y: np.ndarray = self.output.forward(self.encode(user_items, True, key))
        return y

    def encode(self, user_items: sparse.csr_array, training: bool = False, key: Key = (0, 0, 0)) -> np.ndarray:
        return self.encode_sums(self.embedding.forward(user_items, training), None, training, key)

    def shown(self, user_items: sparse.csr_array, training: bool, key: Key) -> sparse.csr_array:
        """The likes to feed to the embedding: all of them."""
        return user_items

    def encode_sums(
        self,
        item_sum: np.ndarray,
        n_likes: np.ndarray | None = None,
        training: bool = False,
        key: Key = (0, 0, 0),
        pass_number: int = 1,
    ) -> np.ndarray:
        """hk from x @ W_embedding, (batch, widths[0]). `n_likes` is not used here."""
        h = item_sum
        for layer in self.stack:
            h = layer.forward(h, training, (*key, pass_number)) if layer is self.dropout else layer.forward(h, training)
        return h  # (batch, widths[0])

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        return self.output.forward(self.encode(user_items), training=False)  # (batch, n_items)

    def backward(self) -> None:
        grad_h = self.output.backward(self.loss.backward())  # (batch, widths[0])
        self.embedding.backward(self.backward_to_sums(grad_h))

    def backward_to_sums(self, grad_h: np.ndarray) -> np.ndarray:
        """The gradient of item_sum, (batch, widths[0])."""
        for layer in reversed(self.stack):
            grad_h = layer.backward(grad_h)
        return grad_h

    def answer(self, y: np.ndarray) -> np.ndarray:
        """f(x) from the y that `logits` returned: (batch, n_items), the completed input."""
        return sigmoid(y) if self.settings["loss"] == "bce" else y

    def forward_refed(self, answer: np.ndarray, key: Key = (0, 0, 0)) -> float:
        """The loss with f(x) (batch, n_items) as both input and target; its dropout differs from that of forward."""
        item_sum = self.embedding.forward(answer)  # (batch, widths[0]), a dense product
        y = self.output.forward(self.encode_sums(item_sum, None, True, key, pass_number=2))
        if isinstance(self.refed_loss, SoftBCE):
            return self.refed_loss.forward(y, answer)
        return self.refed_loss.forward_dense(y, answer)

    def backward_refed(self) -> None:
        """Fill `grads` with the gradient of the last forward_refed's loss."""
        grad_h = self.output.backward(self.refed_loss.backward())  # (batch, widths[0])
        self.embedding.backward(self.backward_to_sums(grad_h))
