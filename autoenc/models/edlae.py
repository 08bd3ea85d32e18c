"""EDLAE: EASE trained with dropout of the input, in closed form.

Problem
    minimize E[ (1 - m) * (X - (X * m) @ W)**2 ], summed over users and items, + the l2 below
    m is a mask of the shape of X, with entries 0 with probability p = dropout and 1 otherwise. The
    emphasis 1 - m counts the error of an item only where it was dropped, so W's diagonal never
    matters: no item is learned from itself. The expectation over all masks is, with B = (1 - p) * W,

    minimize |X - X @ B|**2 + |L**(1/2) @ B|**2 over B with a diagonal of zeros

Solution
    G = X.T @ X                       how many users like both of two items
    L = p / (1 - p) * diag(G) + l2    one penalty per item, larger for popular items
    P = inverse of (G + L)
    B[i, j] = -P[i, j] / P[j, j]      for i != j, and B[j, j] = 0
    This is EASE with one penalty per item in place of a single one; with dropout 0 it is EASE.

Score, weights and times, shapes and cost
    As in EASE; only L differs.

Source
    Steck 2020, Autoencoders that don't overfit towards the Identity (NeurIPS 33), the full-rank
    model, equations 8 and 9, with the emphasis a = 1, b = 0 that eliminates the overfitting completely.

Example
    >>> edlae = EDLAE(l2=1.0, dropout=0.5).fit([[0, 1], [0, 1], [1]])   # G + L = [[5, 2], [2, 7]]
    >>> edlae.item_weights_.round(3)                                    # 2 / 5 and 2 / 7
    array([[0.   , 0.4  ],
           [0.286, 0.   ]], dtype=float32)
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from numbers import Real

import numpy as np

from autoenc.models.ease import EASE


@dataclass(eq=False, repr=False)
class EDLAE(EASE):
    """The emphasized denoising linear autoencoder of full rank.

    Parameters
    ----------
    l2 : float
        Penalty common to all items, above 0.
    dropout : float
        p above, in [0, 1). The paper uses .33 with an l2 of 300 and 500, and .25 with 70.
    max_memory : float, optional
        Number of bytes that `fit` may use, as in `EASE`.
    half_life : float, optional
        As in `EASE`.

    Attributes
    ----------
    item_weights_ : array (n_items, n_items), float32
        B above: row i is what a like of item i adds to each score.
    """

    l2: float = 300.0
    _: KW_ONLY
    dropout: float = 0.33

    def _check_hyperparameters(self) -> None:
        super()._check_hyperparameters()
        if not (isinstance(self.dropout, Real) and 0 <= self.dropout < 1):
            raise ValueError(f"dropout is {self.dropout!r}; pass the fraction of likes to drop, 0 or more and below 1.")

    def _penalty(self, counts: np.ndarray) -> np.ndarray:
        return self.dropout / (1 - self.dropout) * counts + self.l2
