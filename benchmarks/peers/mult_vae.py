"""Mult-VAE (Liang et al. 2018, arXiv 1802.05814) in PyTorch, written for speed.

    mean, log_var = tanh(bag(x)) @ W + B                   600 wide, a code of 200
    y             = tanh(z @ W + B) @ W_output + B_output
    loss          = -sum(x * log_softmax(y)) + beta * KL, averaged over users

The input, likes divided by the root of their number with a dropout of one half, is a weighted
EmbeddingBag, without a dense row of items. beta rises to its value over the first half of the steps.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import nn

from benchmarks.peers import torch_plain

HIDDEN, CODE = 600, 200


class Network(nn.Module):
    def __init__(self, n_items: int):
        super().__init__()
        self.bag = nn.EmbeddingBag(n_items, HIDDEN, mode="sum", include_last_offset=True)
        self.bag_bias = nn.Parameter(torch.empty(HIDDEN).normal_(std=0.001))
        self.encoder = nn.Linear(HIDDEN, 2 * CODE)
        self.decoder = nn.Linear(CODE, HIDDEN)
        self.output = nn.Linear(HIDDEN, n_items)
        nn.init.xavier_normal_(self.bag.weight)
        for layer in (self.encoder, self.decoder, self.output):
            nn.init.xavier_normal_(layer.weight)
            nn.init.normal_(layer.bias, std=0.001)

    def forward(self, user_items: sparse.csr_array):
        """Logits (batch, n_items), and the code's mean and log_var (batch, CODE)."""
        n_likes = torch.from_numpy(np.diff(user_items.indptr))
        values = n_likes.clamp(min=1).rsqrt().repeat_interleave(n_likes)  # (nnz,)
        values = F.dropout(values, 0.5, self.training)
        items, offsets = torch.from_numpy(user_items.indices), torch.from_numpy(user_items.indptr)
        hidden = torch.tanh(self.bag(items, offsets, values) + self.bag_bias)
        mean, log_var = self.encoder(hidden).chunk(2, dim=1)
        z = mean + torch.exp(log_var / 2) * torch.randn_like(mean) if self.training else mean
        return self.output(torch.tanh(self.decoder(z))), mean, log_var


def loss_of(network: Network, user_items: sparse.csr_array, beta: float) -> torch.Tensor:
    logits, mean, log_var = network(user_items)
    users, items = (torch.from_numpy(index.astype(np.int64)) for index in user_items.nonzero())
    n_likes = torch.from_numpy(np.diff(user_items.indptr))
    likelihood = logits[users, items].sum() - (n_likes * logits.logsumexp(dim=1)).sum()
    kl = 0.5 * (log_var.exp() + mean**2 - 1 - log_var).sum()
    return (beta * kl - likelihood) / user_items.shape[0]


class MultVae:
    def __init__(
        self, epochs: int = 20, lr: float = 1e-3, beta: float = 0.2, batch_size: int = 500, random_state: int = 0
    ):
        self.epochs, self.lr, self.beta, self.batch_size = epochs, lr, beta, batch_size
        self.random_state = random_state

    def fit(self, user_items: sparse.csr_array) -> MultVae:
        torch.manual_seed(self.random_state)
        self.n_items = user_items.shape[1]
        self.network = Network(self.n_items)
        adam = torch.optim.Adam(self.network.parameters(), lr=self.lr, fused=True)
        users = np.flatnonzero(np.diff(user_items.indptr))
        n_steps = self.epochs * -(-len(users) // self.batch_size)
        step = 0
        self.network.train()
        for _ in range(self.epochs):
            for batch in torch_plain.minibatches(len(users), self.batch_size):
                step += 1
                adam.zero_grad()
                loss_of(self.network, user_items[users[batch]], self.beta * min(1, 2 * step / n_steps)).backward()
                adam.step()
        self.network.eval()
        return self

    @torch.inference_mode()
    def score(self, user_items: sparse.csr_array) -> np.ndarray:
        return self.network(user_items)[0].numpy()  # (batch, n_items)
