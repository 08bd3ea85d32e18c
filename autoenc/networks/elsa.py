"""ELSA's only layer and its loss: the cosine distance between user_items @ (A @ A.T - I) and user_items.

Forward, for a batch X of user_items
    A     = weight, each row divided by its length
    Y     = X @ A @ A.T - X
    loss  = mean over users of |Y / |Y| - X / |X||**2 = 2 - 2 * cosine(Y, X)

The same without Y, which would be dense
    With Z = X @ A, M = A.T @ A, and for each user n = |X|**2, the number of likes, and a = |Z|**2:
    dot(Y, X) = a - n
    |Y|**2    = dot(Z, Z @ M) - 2 * a + n
    cosine    = (a - n) / (|Y| * sqrt(n))

Backward
    pull        = (a - n) / (|Y|**3 * sqrt(n)) / batch                               (batch,)
    grad_Z      = 2 * pull * (Z @ M - 2 * Z) - 4 / (|Y| * sqrt(n)) / batch * Z       (batch, emb_dim)
    grad_M      = Z.T @ (pull * Z)                                                   (emb_dim, emb_dim)
    grad_A      = X.T @ grad_Z + 2 * A @ grad_M                                      (n_items, emb_dim)
    grad_weight = (grad_A - dot(grad_A, A) * A) / |weight|
    The last line removes the component along each row, which would change only the row's length.

Shapes
    weight, A     (n_items, emb_dim)
    user_items    (batch, n_items)  sparse CSR of ones, at least one like in each row
    loss          a float, in float64

What goes wrong
    |Y|**2 is a difference, and may be nothing but rounding error (for a user with one like, of an
    item unlike any other), so it is kept above ten rounding errors of its largest term.

Source
    Vančura, Alves, Kasalický and Kordík 2022, Scalable Linear Shallow Autoencoder for Collaborative
    Filtering (RecSys), and their package elsarec. Difference: Y, an array (batch, n_items), is not computed.

Example
    >>> layer = CosineOfProduct(np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
    >>> round(layer.forward(sparse.csr_array(np.array([[1.0, 1.0, 0.0]]))), 4)    # Y is .7071 * [1, 1, 1]
    0.367
    >>> layer.backward()
    >>> layer.grads["weight"].round(4)
    array([[ 0.    ,  0.0752],
           [-0.5443,  0.5443],
           [ 0.6571,  0.    ]])
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import sparse

from autoenc.safeguards import safeguarded


@safeguarded
class CosineOfProduct:
    """The loss as a function of `weight`, and its gradient, for all items or for one block at a time.

    Parameters
    ----------
    weight : array (n_items, emb_dim), floating
        One row per item. Not copied: the optimizer updates it in place.
    """

    def __init__(self, weight: np.ndarray):
        self.params = self.state = {"weight": weight}
        self.grads: dict[str, np.ndarray] = {}
        self.kept: Any = None

    @property
    def n_items(self) -> int:
        return len(self.params["weight"])

    def item_embeddings(self, items: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """These rows of A, and the lengths (n_rows, 1) of the same rows of weight."""
        weight = self.params["weight"][items]
        lengths = np.sqrt(np.einsum("ij,ij->i", weight, weight))[:, None]
        return weight / lengths, lengths

    def forward(self, user_items: sparse.csr_array) -> float:
        """The loss for these users (batch, n_items), each with at least one like."""
        rows, lengths = self.item_embeddings()  # A
        return self.forward_from(user_items, rows, lengths, rows.T @ rows)

    def forward_from(
        self, user_items: sparse.csr_array, rows: np.ndarray, lengths: np.ndarray, gram: np.ndarray
    ) -> float:
        """`forward`, given what `item_embeddings` returns and M (emb_dim, emb_dim)."""
        sums = user_items @ rows  # Z
        through_gram = sums @ gram
        n_likes = np.diff(user_items.indptr).astype(sums.dtype)
        squares = np.einsum("ij,ij->i", sums, sums)  # a
        product_squares = np.einsum("ij,ij->i", sums, through_gram)  # |X @ A @ A.T|**2
        rounding = np.finfo(sums.dtype).eps * product_squares
        output_squares = np.maximum(product_squares - 2 * squares + n_likes, 10 * rounding)  # |Y|**2
        scale = 1 / np.sqrt(output_squares * n_likes)
        cosine = (squares - n_likes) * scale
        self.kept = user_items, rows, lengths, sums, through_gram, scale, cosine / output_squares
        return float(2 - 2 * cosine.mean(dtype=np.float64))

    def backward(self) -> None:
        """Fill `grads` with the gradient of the last forward's loss."""
        self.backward_sums()
        self.grads["weight"] = self.backward_rows(slice(None))
        self.kept = None

    def backward_sums(self) -> None:
        """The first half of `backward`: grad_Z and grad_M, which the gradients of all items need."""
        user_items, rows, lengths, sums, through_gram, scale, pull = self.kept
        batch = len(sums)
        pull, scale = pull[:, None] / batch, scale[:, None] / batch
        grad_sums = 2 * pull * (through_gram - 2 * sums) - 4 * scale * sums  # (batch, emb_dim)
        grad_gram = sums.T @ (pull * sums)  # (emb_dim, emb_dim)
        self.kept = user_items.T.tocsr(), rows, lengths, grad_sums, grad_gram

    def backward_rows(self, items: slice) -> np.ndarray:
        """The second half of `backward`, for these rows of weight: (n_rows, emb_dim).

        Training calls it for one block of items at a time, so that the gradient stays in the cache.
        """
        item_users, rows, lengths, grad_sums, grad_gram = self.kept
        rows = rows[items]
        grad_rows = item_users[items] @ grad_sums + 2 * (rows @ grad_gram)
        grad_rows -= np.einsum("ij,ij->i", grad_rows, rows)[:, None] * rows
        grad_rows /= lengths[items]
        return grad_rows


def initial_weight(n_items: int, emb_dim: int, seed: int) -> np.ndarray:
    """Xavier uniform initialization: (n_items, emb_dim) float32."""
    rng = np.random.Generator(np.random.Philox(seed))
    bound = math.sqrt(6 / (n_items + emb_dim))
    return rng.uniform(-bound, bound, (n_items, emb_dim)).astype(np.float32)
