"""ConfidenceBCE: the weighted cross-entropy in which each like counts by its confidence.

Forward
    h    = sigmoid(logits)
    w    = confidence where an item is liked, negative_weight elsewhere
    loss = -sum(w * (targets * log(h) + (1 - targets) * log(1 - h)))
         = sum(w * softplus(logits)) - sum(confidence * logits of the likes)     the same, without log(0)
    softplus(z) = log(1 + exp(z))
    The sums run over all users and items of the batch. targets is 1 where user_items has an entry.

Backward
    grad_logits = w * (h - targets)

Shapes: logits and grad_logits (batch, n_items); user_items (batch, n_items), sparse CSR of confidences, above 0;
    loss a float, summed in float64.
Kept for backward: logits and user_items.
Source: torch.nn.functional.binary_cross_entropy_with_logits(weight=w, reduction="sum"), PyTorch 2.13.
    Differences: only the order of the sum. Johnson 2014, Logistic Matrix Factorization (NIPS workshop),
    uses alpha * plays as the confidence, and also counts each liked item once as not liked.
Lesson: docs/lessons/confidence_bce.md

Example
    >>> confidence_bce = ConfidenceBCE(negative_weight=0.25)
    >>> loss = confidence_bce.forward(np.array([[0.0, 1000.0]]), sparse.csr_array(np.array([[3, 0]])))
    >>> round(loss, 4)  # three times log(2), and a quarter of 1000
    252.0794
    >>> confidence_bce.backward()
    array([[-1.5 ,  0.25]])
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from autoenc.layers.sigmoid_bce import sigmoid
from autoenc.layers.weighted_bce import WeightedBCE


class ConfidenceBCE(WeightedBCE):
    """Binary cross-entropy of sigmoid(logits) with the batch itself as target, weighted by confidence and summed.

    Parameters
    ----------
    negative_weight : float
        Weight of the terms whose target is 0; above 0 and finite.

    Raises
    ------
    ValueError
        If negative_weight is not above 0 and finite.
    """

    def forward(self, logits: np.ndarray, user_items: sparse.csr_array) -> float:
        self.kept = logits, user_items
        softplus = np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits)))  # (batch, n_items)
        liked, confidence = user_items.nonzero(), user_items.data  # (n_likes,)
        loss = self.negative_weight * softplus.sum(dtype=np.float64)
        loss += ((confidence - self.negative_weight) * softplus[liked]).sum(dtype=np.float64)
        return float(loss - (confidence * logits[liked]).sum(dtype=np.float64))

    def backward(self) -> np.ndarray:
        (logits, user_items), self.kept = self.kept, None
        liked, confidence = user_items.nonzero(), user_items.data  # (n_likes,)
        h = sigmoid(logits)  # (batch, n_items)
        grad_logits = self.negative_weight * h  # (batch, n_items)
        grad_logits[liked] = confidence * (h[liked] - 1)
        return grad_logits
