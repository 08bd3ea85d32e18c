"""The tuned network in bfloat16 with autocast, as recommended in PyTorch's documentation.

The forward and the loss are computed inside autocast, the backward and Adam outside. The products of
the linear layers are bfloat16; weights, gradients and Adam's moments stay float32.
"""

from __future__ import annotations

import functools

import torch
from scipy import sparse

from benchmarks.peers import torch_tuned

new = torch_tuned.new


def autocast() -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16)


def step(model: torch_tuned.Autoencoder, adam: torch.optim.Adam, user_items: sparse.csr_array) -> float:
    """Train on one minibatch, a CSR matrix of float32 ones (batch, n_items); return its summed loss."""
    adam.zero_grad()
    with autocast():
        loss = torch_tuned.loss_of(model, user_items)
    loss.backward()
    adam.step()
    return loss.item()


class Scorer(torch_tuned.Scorer):
    @torch.inference_mode()
    def forward(self, user_items: sparse.csr_array) -> torch.Tensor:
        with autocast():
            return super().forward(user_items).float()


train = functools.partial(torch_tuned.train, step=step, make_scorer=Scorer)
