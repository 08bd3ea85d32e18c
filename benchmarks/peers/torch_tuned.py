"""The task in PyTorch, tuned: EmbeddingBag, BCEWithLogitsLoss and the fused Adam.

The same network, initialization and settings as `torch_plain`. It is faster because it has no padded
lists, whose rows would need gigabytes, and no separate sigmoid; it runs Adam in one pass over each array,
uses the arrays of SciPy's batch without a copy, and finds the top n with torch.topk on the logits.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy import sparse
from torch import nn

from benchmarks.peers import torch_plain


class Autoencoder(nn.Module):
    def __init__(self, n_items, emb_dim=800, hidden_dim=400, bias_offset=-10.0, dropout=0.5):
        super().__init__()
        self.n_items = n_items
        self.embedding = nn.EmbeddingBag(n_items, emb_dim, mode="sum", include_last_offset=True)
        self.batchnorm1 = nn.BatchNorm1d(emb_dim)
        self.bottleneck = nn.Linear(emb_dim, hidden_dim)
        self.batchnorm2 = nn.BatchNorm1d(hidden_dim)
        self.output = nn.Linear(hidden_dim, n_items)
        self.dropout = nn.Dropout(dropout)
        torch_plain.initialize(self, bias_offset)

    def forward(self, items, offsets):
        """Concatenated item ids (n_likes,), and each user's start (batch + 1,), to logits (batch, n_items)."""
        h1 = self.dropout(self.batchnorm1(F.relu(self.embedding(items, offsets))))
        h2 = self.dropout(self.batchnorm2(F.relu(self.bottleneck(h1))))
        return self.output(h2)


def logits(model: Autoencoder, user_items: sparse.csr_array) -> torch.Tensor:
    """Logits, with the arrays of a CSR matrix as EmbeddingBag's input."""
    return model(torch.from_numpy(user_items.indices), torch.from_numpy(user_items.indptr))


def new(n_items: int, seed: int = 0, **sizes) -> tuple[Autoencoder, torch.optim.Adam]:
    torch.manual_seed(seed)
    model = Autoencoder(n_items, **sizes)
    return model, torch.optim.Adam(model.parameters(), lr=0.01, fused=True)


def loss_of(model: Autoencoder, user_items: sparse.csr_array) -> torch.Tensor:
    targets = torch.from_numpy(user_items.toarray())
    return F.binary_cross_entropy_with_logits(logits(model, user_items), targets, reduction="sum")


def step(model: Autoencoder, adam: torch.optim.Adam, user_items: sparse.csr_array) -> float:
    """Train on one minibatch, a CSR matrix of float32 ones (batch, n_items); return its summed loss."""
    adam.zero_grad()
    loss = loss_of(model, user_items)
    loss.backward()
    adam.step()
    return loss.item()


class Scorer(torch_plain.Scorer):
    @torch.inference_mode()
    def forward(self, user_items: sparse.csr_array) -> torch.Tensor:
        self.model.eval()
        return logits(self.model, user_items)


def train(
    user_items: sparse.csr_array,
    epochs: int = 1,
    seed: int = 0,
    on_epoch=None,
    batch_size: int = 256,
    step=step,
    make_scorer=Scorer,
) -> torch_plain.Scorer:
    """Train on all users with `step`; on_epoch(epoch, scorer) is called after each epoch, numbered from 1."""
    model, adam = new(user_items.shape[1], seed)
    return torch_plain.fit(model, adam, step, make_scorer(model), user_items, epochs, on_epoch, batch_size)
