"""RecVAE (Shenbin et al. 2020, arXiv 1912.11160) and Mult-VAE (Liang et al. 2018) in PyTorch.

The architectures are those of the papers. Users are dense rows of likes, which suits a GPU or small data. `fit` trains
until the validation value has not improved for 12 epochs, and restores the best epoch.

RecVAE differs from Mult-VAE in
    the encoder: five layers of 600 units with swish and layer normalization; the outputs of all earlier layers are
        added before swish
    the decoder: a single linear layer
    the prior: a mixture of the standard normal (3/20), the previous epoch's encoder (3/4) and a normal of variance
        e**10 (1/10)
    the weight of the KL divergence: gamma times the user's number of likes
    training: three epochs of the encoder, with dropout, then one of the decoder, without
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

HIDDEN, CODE = 600, 200
DROPOUT = 0.5
PATIENCE = 12  # epochs


class Encoder(nn.Module):
    def __init__(self, n_items: int):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(n_items, HIDDEN), *(nn.Linear(HIDDEN, HIDDEN) for _ in range(4))])
        self.norms = nn.ModuleList([nn.LayerNorm(HIDDEN, eps=0.1) for _ in range(5)])
        self.mean, self.log_var = nn.Linear(HIDDEN, CODE), nn.Linear(HIDDEN, CODE)

    def forward(self, x: torch.Tensor, dropout: float) -> tuple[torch.Tensor, torch.Tensor]:
        x = F.dropout(F.normalize(x), dropout, self.training)
        hidden: list[torch.Tensor] = []
        for layer, norm in zip(self.layers, self.norms):
            hidden.append(norm(F.silu(layer(hidden[-1] if hidden else x) + sum(hidden))))
        return self.mean(hidden[-1]), self.log_var(hidden[-1])


class RecVae(nn.Module):
    def __init__(self, n_items: int, gamma: float):
        super().__init__()
        self.encoder, self.decoder = Encoder(n_items), nn.Linear(CODE, n_items)
        self.old_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.gamma = gamma

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(x, 0)[0])

    def loss(self, x: torch.Tensor, dropout: float) -> torch.Tensor:
        mean, log_var = self.encoder(x, dropout)
        z = sample(mean, log_var)
        likelihood = (F.log_softmax(self.decoder(z), dim=1) * x).sum(1)
        zero = torch.zeros((), device=x.device)
        parts = ((3 / 20, zero, zero), (3 / 4, *self.old_encoder(x, 0)), (1 / 10, zero, zero + 10))
        prior = torch.stack([log_density(z, m, v) + math.log(share) for share, m, v in parts]).logsumexp(0)
        kl = (log_density(z, mean, log_var) - prior).sum(1)
        return (self.gamma * x.sum(1) * kl - likelihood).mean()

    def epoch(self, batches: Callable, of_encoder, of_decoder) -> None:
        for _ in range(3):
            one_epoch(self, batches(), [of_encoder], DROPOUT)
        self.old_encoder.load_state_dict(self.encoder.state_dict())
        one_epoch(self, batches(), [of_decoder], 0)


class MultVae(nn.Module):
    def __init__(self, n_items: int, beta: float):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(n_items, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 2 * CODE))
        self.decoder = nn.Sequential(nn.Linear(CODE, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, n_items))
        self.beta, self.steps = beta, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(F.normalize(x)).chunk(2, dim=1)[0])

    def loss(self, x: torch.Tensor, dropout: float) -> torch.Tensor:
        self.steps += 1
        mean, log_var = self.encoder(F.dropout(F.normalize(x), dropout, self.training)).chunk(2, dim=1)
        likelihood = (F.log_softmax(self.decoder(sample(mean, log_var)), dim=1) * x).sum(1)
        kl = 0.5 * (log_var.exp() + mean**2 - 1 - log_var).sum(1)
        return (min(self.beta, self.steps / 1000) * kl - likelihood).mean()

    def epoch(self, batches: Callable, *optimizers) -> None:
        one_epoch(self, batches(), list(optimizers), DROPOUT)


def sample(mean: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
    return mean + torch.exp(log_var / 2) * torch.randn_like(mean)


def log_density(z: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
    return -0.5 * (log_var + math.log(2 * math.pi) + (z - mean) ** 2 / log_var.exp())


def one_epoch(network: nn.Module, batches, optimizers: list, dropout: float) -> None:
    for x in batches:
        network.zero_grad(set_to_none=True)
        network.loss(x.float(), dropout).backward()
        for optimizer in optimizers:
            optimizer.step()


def fit(network: nn.Module, likes: torch.Tensor, value_of: Callable, seconds: float, seed: int) -> float:
    """Train on likes (n_users, n_items), uint8, for at most so many seconds; return the best of value_of(network)."""
    rng = np.random.default_rng(seed)
    size = 500 if len(likes) > 3000 else 100
    optimizers = [torch.optim.Adam(part.parameters(), lr=5e-4) for part in (network.encoder, network.decoder)]

    def batches():
        order = torch.from_numpy(rng.permutation(len(likes))).to(likes.device)
        return (likes[some] for some in order.split(size))

    best, since_best, state = -math.inf, 0, {}
    started = time.perf_counter()
    while since_best < PATIENCE and (not state or time.perf_counter() - started < seconds):
        network.train()
        network.epoch(batches, *optimizers)
        network.eval()
        since_best += 1
        if (value := value_of(network)) > best:
            best, since_best = value, 0
            state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(state)
    return best
