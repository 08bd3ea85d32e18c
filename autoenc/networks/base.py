"""What every network has in common: a row an item at both ends, and something small between.

    item_sum = embedding(drop_input(x))               (batch, emb_dim)      a sum of the liked items' rows
    hidden   = middle(item_sum, n_likes)              (batch, hidden_dim)   dense layers, small
    loss     = loss(output(hidden), x) + penalty      (batch, n_items)      a row an item again
    and backwards: output, middle, embedding

Nearly all numbers of a network are in its two ends and nearly all arithmetic is in the output's,
so `training/fused.py` has kernels for those, and any middle between them.

A network is a subclass that makes its layers and says what its middle is. The layers' names in it
are the names in the model file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from autoenc.layers import Linear, Multinomial, SigmoidBCE, SparseEmbedding, WeightedBCE
from autoenc.scale.ranks import ALONE, Communicator

LOSSES: dict[str, type[SigmoidBCE] | type[Multinomial]] = {"bce": SigmoidBCE, "multinomial": Multinomial}


class ItemNetwork:
    """A network from likes to a score an item.

    Attributes
    ----------
    state : dict of str to array
        The parameters and the running statistics, held and not copied: training updates them in
        place, and so `state` is at any time what there is to save.
    embedding, output, loss
        The layers at the ends.
    settings : dict
        What makes two networks on the same state differ, as JSON holds it.
    communicator : Communicator
        The ranks that hold the other items, where a network has only one rank's rows of the ends.
    """

    state: dict[str, np.ndarray]
    embedding: SparseEmbedding
    output: Linear
    loss: SigmoidBCE | WeightedBCE | Multinomial
    settings: dict[str, Any]
    communicator: Communicator = ALONE

    def drop_input(self, user_items: sparse.csr_array, key) -> sparse.csr_array:
        """Which likes the embedding is shown in training; the loss's targets are all. Here the same."""
        return user_items

    def middle(self, item_sum: np.ndarray, n_likes: np.ndarray, training: bool, key=(0, 0, 0)) -> np.ndarray:
        """From the sums (batch, emb_dim) of n_likes (batch,) rows each to what the output gets, (batch, hidden_dim).

        key = (seed, epoch, step) names what is random; evaluation ignores it.
        """
        raise NotImplementedError

    def middle_backward(self, grad_hidden: np.ndarray) -> np.ndarray:
        """The gradient of item_sum from that of what `middle` returned; fills the middle's `grads`."""
        raise NotImplementedError

    @property
    def penalty(self) -> float:
        """What the layers of the middle themselves added to the last loss."""
        return 0.0

    def anneal(self, step_count: int) -> None:
        """Set what changes by itself in training to its value after so many steps. Here nothing does."""

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
        """The forward up to the loss: (batch, n_items)."""
        shown = self.drop_input(user_items, key) if training else user_items
        item_sum = self.communicator.sum(self.embedding.forward(shown))  # (batch, emb_dim)
        hidden = self.middle(item_sum, np.diff(shown.indptr), training, key)  # (batch, hidden_dim)
        return self.output.forward(hidden)

    def forward(self, user_items: sparse.csr_array, key=(0, 0, 0)) -> float:
        """The loss of a batch in training, summed over its users and this network's items."""
        return self.loss.forward(self.logits(user_items, True, key), user_items) + self.penalty

    def backward(self) -> None:
        """Fill `grads` with the gradient of the last forward's loss."""
        grad_logits = self.loss.backward()  # (batch, n_items)
        grad_hidden = self.communicator.sum(self.output.backward(grad_logits))  # (batch, hidden_dim)
        grad_item_sum = self.middle_backward(grad_hidden)  # (batch, emb_dim)
        self.embedding.backward(grad_item_sum)

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        """Every item's logit for each user, in evaluation: (batch, n_items).

        Sigmoid and softmax rise with the logit, so the ranking is the same without them.
        """
        return self._forgetting(self.logits(user_items, training=False))

    def encode(self, user_items: sparse.csr_array) -> np.ndarray:
        """What the output layer gets for each user, in evaluation: (batch, hidden_dim)."""
        item_sum = self.communicator.sum(self.embedding.forward(user_items))
        return self.encode_sums(item_sum, np.diff(user_items.indptr))

    def encode_sums(self, item_sum: np.ndarray, n_likes: np.ndarray) -> np.ndarray:
        """The same from the embedding's sums, (batch, emb_dim), and how many rows each is of, (batch,)."""
        return self._forgetting(self.middle(item_sum, n_likes, training=False))

    def _forgetting(self, output):
        """`output`, with nothing kept for a backward that evaluation doesn't have."""
        for layer in self.layers.values():
            layer.kept = None
        return output


def loss_named(loss: str, negative_weight: float = 1.0) -> SigmoidBCE | WeightedBCE | Multinomial:
    """The loss layer of that name; the weight is the BCE's. Raises ValueError if there is none."""
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {loss!r}")
    if loss == "multinomial":
        return Multinomial()
    return SigmoidBCE() if negative_weight == 1 else WeightedBCE(negative_weight)


def arrays_of(state: dict[str, np.ndarray], layer: str) -> dict[str, np.ndarray]:
    """One layer's arrays out of a network's state."""
    prefix = layer + "."
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}


def draw_xavier(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Normal numbers of variance 2 / (rows + columns), float32 (Glorot and Bengio 2010)."""
    return rng.standard_normal((rows, columns), np.float32) * np.float32(np.sqrt(2 / (rows + columns)))
