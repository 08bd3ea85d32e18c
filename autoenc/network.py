"""The autoencoder as layers: the task's three lines forwards, and the same lines backwards.

    h1 = dropout(batchnorm(relu(x @ W_embedding)))
    h2 = dropout(batchnorm(relu(h1 @ W_bottleneck + B_bottleneck)))
    h3 = sigmoid(h2 @ W_output + B_output)
    loss = -sum(x * log(h3) + (1 - x) * log(1 - h3))

With loss="multinomial" a softmax stands in the sigmoid's place and loss = -sum(x * log(h3)).

This module is the definition of the network, in NumPy alone; `fused.py` is the same step made of
kernels, on the same arrays.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from autoenc.layers import BatchNorm1d, Dropout, Linear, Multinomial, ReLU, SigmoidBCE, SparseEmbedding
from autoenc.optim import Adam

LOSSES: dict[str, type[SigmoidBCE] | type[Multinomial]] = {"bce": SigmoidBCE, "multinomial": Multinomial}


def initial_state(
    n_items: int, emb_dim: int = 800, hidden_dim: int = 400, bias_offset: float = -10.0, seed: int = 0, dtype=np.float32
) -> dict[str, np.ndarray]:
    """Draw the network's arrays as the task initializes them.

    The draws are made in float32 whatever `dtype` is, so a float64 network starts at the same
    numbers. Returns the arrays by the names of the model file, as `Network` takes them.
    """
    rng = np.random.Generator(np.random.Philox(seed))

    def uniform(out_features, in_features):
        scale = np.float32(1 / np.sqrt(in_features))
        return (rng.random((out_features, in_features), np.float32) * 2 - 1) * scale

    state = {
        "embedding.weight": rng.standard_normal((n_items, emb_dim), np.float32) * np.float32(0.01),
        "batchnorm1.weight": np.ones(emb_dim),
        "batchnorm1.bias": np.zeros(emb_dim),
        "batchnorm1.running_mean": np.zeros(emb_dim),
        "batchnorm1.running_var": np.ones(emb_dim),
        "bottleneck.weight": uniform(hidden_dim, emb_dim),
        "bottleneck.bias": np.zeros(hidden_dim),
        "batchnorm2.weight": np.ones(hidden_dim),
        "batchnorm2.bias": np.zeros(hidden_dim),
        "batchnorm2.running_mean": np.zeros(hidden_dim),
        "batchnorm2.running_var": np.ones(hidden_dim),
        "output.weight": uniform(n_items, hidden_dim),
        "output.bias": np.full(n_items, bias_offset),
    }
    return {name: array.astype(dtype, copy=False) for name, array in state.items()}


def shapes_of_state(n_items: int, emb_dim: int, hidden_dim: int) -> dict[str, tuple[int, ...]]:
    """The names of a network's arrays and the shape that each has."""
    return {
        "embedding.weight": (n_items, emb_dim),
        **{f"batchnorm1.{key}": (emb_dim,) for key in ("weight", "bias", "running_mean", "running_var")},
        "bottleneck.weight": (hidden_dim, emb_dim),
        "bottleneck.bias": (hidden_dim,),
        **{f"batchnorm2.{key}": (hidden_dim,) for key in ("weight", "bias", "running_mean", "running_var")},
        "output.weight": (n_items, hidden_dim),
        "output.bias": (n_items,),
    }


class Network:
    """The task's autoencoder.

    Parameters
    ----------
    state : dict of str to array
        The parameters and the running statistics, by the names that `initial_state` gives them.
        They are held, not copied: training updates them in place, and so `state` is at any time
        what there is to save.
    dropout : float
        The probability with which training drops a value of h1 or of h2.
    loss : "bce" or "multinomial"
        The task's, or that of Mult-DAE.

    Raises
    ------
    ValueError
        If there is no such loss, or dropout is not in [0, 1).
    """

    def __init__(self, state: dict[str, np.ndarray], dropout: float = 0.5, loss: str = "bce"):
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {loss!r}")
        self.state = state
        self.dropout = dropout

        self.embedding = SparseEmbedding(state["embedding.weight"])
        self.relu1 = ReLU()
        self.batchnorm1 = BatchNorm1d(**_arrays_of(state, "batchnorm1"))
        self.dropout1 = Dropout(dropout)

        self.bottleneck = Linear(**_arrays_of(state, "bottleneck"))
        self.relu2 = ReLU()
        self.batchnorm2 = BatchNorm1d(**_arrays_of(state, "batchnorm2"))
        self.dropout2 = Dropout(dropout)

        self.output = Linear(**_arrays_of(state, "output"))
        self.loss = LOSSES[loss]()

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
    def layers(self) -> dict:
        """The layers by name, in the order of the forward."""
        return {name: layer for name, layer in vars(self).items() if hasattr(layer, "forward")}

    @property
    def params(self) -> dict[str, np.ndarray]:
        """What is trained, by the names of the model file."""
        return {f"{name}.{key}": w for name, layer in self.layers.items() for key, w in layer.params.items()}

    @property
    def grads(self) -> dict[str, np.ndarray]:
        """The gradients that the last backward left, by the names of `params`."""
        return {f"{name}.{key}": g for name, layer in self.layers.items() for key, g in layer.grads.items()}

    def logits(self, user_items: sparse.csr_array, training: bool, key=(0, 0, 0)) -> np.ndarray:
        """The forward up to the loss: (batch, n_items).

        key = (seed, epoch, step) names the dropout masks; evaluation ignores it.
        """
        h1 = self.embedding.forward(user_items)  # (batch, emb_dim)
        h2 = self.middle(h1, training, key)  # (batch, hidden_dim)
        return self.output.forward(h2)  # (batch, n_items)

    def middle(self, h1: np.ndarray, training: bool, key=(0, 0, 0)) -> np.ndarray:
        """From the embedding's sums (batch, emb_dim) to what the output layer gets, (batch, hidden_dim)."""
        h1 = self.batchnorm1.forward(self.relu1.forward(h1), training)
        h1 = self.dropout1.forward(h1, training, (*key, 1))

        h2 = self.bottleneck.forward(h1)
        h2 = self.batchnorm2.forward(self.relu2.forward(h2), training)
        return self.dropout2.forward(h2, training, (*key, 2))

    def forward(self, user_items: sparse.csr_array, key=(0, 0, 0)) -> float:
        """The loss of a batch in training, summed over its users and items."""
        return self.loss.forward(self.logits(user_items, True, key), user_items)

    def backward(self) -> None:
        """Fill `grads` with the gradient of the last forward's loss: the same lines, from the last."""
        grad_logits = self.loss.backward()  # (batch, n_items)
        grad_h2 = self.output.backward(grad_logits)  # (batch, hidden_dim)

        grad_h2 = self.dropout2.backward(grad_h2)
        grad_h2 = self.relu2.backward(self.batchnorm2.backward(grad_h2))
        grad_h1 = self.bottleneck.backward(grad_h2)  # (batch, emb_dim)

        grad_h1 = self.dropout1.backward(grad_h1)
        grad_h1 = self.relu1.backward(self.batchnorm1.backward(grad_h1))
        self.embedding.backward(grad_h1)

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        """Every item's logit for each user, in evaluation: (batch, n_items).

        Sigmoid and softmax rise with the logit, so the ranking is the same without them.
        """
        return self._forgetting(self.logits(user_items, training=False))

    def encode(self, user_items: sparse.csr_array) -> np.ndarray:
        """The bottleneck of each user, in evaluation: (batch, hidden_dim)."""
        return self.encode_sums(self.embedding.forward(user_items))

    def encode_sums(self, item_sums: np.ndarray) -> np.ndarray:
        """The same from the embedding's sums, (batch, emb_dim)."""
        return self._forgetting(self.middle(item_sums, training=False))

    def _forgetting(self, output):
        """`output`, with nothing kept for a backward that evaluation doesn't have."""
        for layer in self.layers.values():
            layer.kept = None
        return output


def train_step(network: Network, adam: Adam, user_items: sparse.csr_array, key: tuple[int, int, int]) -> float:
    """One minibatch: forward, backward, Adam. Returns the batch's summed loss before the step."""
    loss = network.forward(user_items, key)
    network.backward()
    adam.step(network.grads)
    return loss


def _arrays_of(state: dict[str, np.ndarray], layer: str) -> dict[str, np.ndarray]:
    prefix = layer + "."
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
