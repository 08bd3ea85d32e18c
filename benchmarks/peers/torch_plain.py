"""The task written in PyTorch directly from its description: summed nn.Embedding of padded lists, dense cross-entropy.

The three lines of the network and its settings are the task's. `torch_tuned` is the same network, optimized
for speed.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import nn

PAD = 0  # the items count from 1


class Autoencoder(nn.Module):
    def __init__(self, n_items, emb_dim=800, hidden_dim=400, bias_offset=-10.0, dropout=0.5):
        super().__init__()
        self.n_items = n_items
        self.embedding = nn.Embedding(n_items + 1, emb_dim, padding_idx=PAD)
        self.batchnorm1 = nn.BatchNorm1d(emb_dim)
        self.bottleneck = nn.Linear(emb_dim, hidden_dim)
        self.batchnorm2 = nn.BatchNorm1d(hidden_dim)
        self.output = nn.Linear(hidden_dim, n_items)
        self.dropout = nn.Dropout(dropout)
        initialize(self, bias_offset)
        with torch.no_grad():
            self.embedding.weight[PAD] = 0

    def forward(self, items):
        """Padded item lists (batch, longest) to the probability of every item (batch, n_items)."""
        h1 = self.embedding(items).sum(dim=1)
        h1 = self.dropout(self.batchnorm1(F.relu(h1)))
        h2 = self.dropout(self.batchnorm2(F.relu(self.bottleneck(h1))))
        return torch.sigmoid(self.output(h2))


def initialize(model: nn.Module, bias_offset: float) -> None:
    """The task's initialization: N(0, 0.01) for the embedding, U(±1 / sqrt(fan_in)), biases 0 and bias_offset."""
    nn.init.normal_(model.embedding.weight, std=0.01)
    for layer in (model.bottleneck, model.output):
        scale = layer.in_features**-0.5
        nn.init.uniform_(layer.weight, -scale, scale)
    nn.init.zeros_(model.bottleneck.bias)
    nn.init.constant_(model.output.bias, bias_offset)


def pad(user_items: sparse.csr_array) -> torch.Tensor:
    """A list of item ids for each user, padded to the longest with PAD: int64 (batch, longest)."""
    lists = np.split(torch.from_numpy(user_items.indices.astype(np.int64) + 1), user_items.indptr[1:-1])
    return nn.utils.rnn.pad_sequence(lists, batch_first=True, padding_value=PAD)


def new(n_items: int, seed: int = 0, **sizes) -> tuple[Autoencoder, torch.optim.Adam]:
    torch.manual_seed(seed)
    model = Autoencoder(n_items, **sizes)
    return model, torch.optim.Adam(model.parameters(), lr=0.01)


def step(model: Autoencoder, adam: torch.optim.Adam, user_items: sparse.csr_array) -> float:
    """Train on one minibatch, a CSR matrix of float32 ones (batch, n_items); return its summed loss."""
    targets = torch.from_numpy(user_items.toarray())
    adam.zero_grad()
    loss = F.binary_cross_entropy(model(pad(user_items)), targets, reduction="sum")
    loss.backward()
    adam.step()
    return loss.item()


def train(user_items: sparse.csr_array, epochs: int = 1, seed: int = 0, on_epoch=None, batch_size: int = 256) -> Scorer:
    """Train on all users; on_epoch(epoch, scorer) is called after each epoch, numbered from 1."""
    model, adam = new(user_items.shape[1], seed)
    return fit(model, adam, step, Scorer(model), user_items, epochs, on_epoch, batch_size)


def fit(model, adam, step, scorer, user_items, epochs, on_epoch, batch_size):
    """Run the epochs, also for `torch_tuned`: shuffle, step through the minibatches, call back."""
    for epoch in range(1, epochs + 1):
        model.train()
        for users in minibatches(user_items.shape[0], batch_size):
            step(model, adam, user_items[users])
        if on_epoch is not None:
            on_epoch(epoch, scorer)
    return scorer


def minibatches(n_users: int, batch_size: int) -> list[np.ndarray]:
    """The users in random order, in batches; a last batch of one user, on which BatchNorm raises, is left out."""
    pieces = torch.randperm(n_users).split(batch_size)
    return [users.numpy() for users in pieces if len(users) > 1]


class Scorer:
    """A scorer for `autoenc.evaluate`: every item's probability, and the best n of those not yet liked."""

    def __init__(self, model: Autoencoder):
        self.model = model
        self.n_items = model.n_items

    @torch.inference_mode()
    def forward(self, user_items: sparse.csr_array) -> torch.Tensor:
        self.model.eval()
        return self.model(pad(user_items))

    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        return self.forward(user_items).numpy()

    def top_n(self, user_items: sparse.csr_array, n: int) -> tuple[np.ndarray, np.ndarray]:
        scores = self.forward(user_items)
        scores.numpy()[user_items.nonzero()] = -np.inf
        top = scores.topk(n, dim=1)
        return top.indices.numpy().astype(np.int32), top.values.numpy()
