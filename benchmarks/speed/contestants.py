"""The contestants, with a common interface: train(user_items, clock), which returns recommend(users).

Training calls the clock when it starts, after the model is created, and after each step; it ends when the
clock returns True. recommend(users) takes a slice of the training users and returns the 10 best items that
they haven't liked.

A contestant's imports are in its __init__, so that a worker can measure them.
"""

from __future__ import annotations

import importlib
import importlib.util

import numpy as np

BATCH = 256
N = 10


class Autoenc:
    """autoenc: the kernels, or the plain layers (backend "numpy")."""

    def __init__(self, backend: str):
        import autoenc.training.trainer

        if backend == "numba":
            import autoenc.training.fused
        self.autoenc, self.backend = autoenc, backend

    def train(self, user_items, clock):
        class Tick(self.autoenc.training.callbacks.Callback):
            def on_step_end(self, trainer):
                trainer.stop = clock.tick()

        network = self.autoenc.AutoEncoderNetwork(self.autoenc.initial_state(user_items.shape[1]))
        trainer = self.autoenc.Trainer(network, batch_size=BATCH, backend=self.backend, callbacks=[Tick()])
        clock.start()
        model = trainer.fit(user_items).engine
        return lambda users: model.top_n(user_items[users], N)


class Torch:
    """The same network in PyTorch, from the given file in peers/."""

    def __init__(self, peer: str):
        self.peer = importlib.import_module(f"benchmarks.peers.{peer}")
        self.minibatches = importlib.import_module("benchmarks.peers.torch_plain").minibatches
        self.peer.new(1)  # PyTorch imports much of itself when the first optimizer is created

    def train(self, user_items, clock):
        model, adam = self.peer.new(user_items.shape[1])
        model.train()
        clock.start()
        for users in self.minibatches(user_items.shape[0], BATCH):
            self.peer.step(model, adam, user_items[users])
            if clock.tick():
                break
        scorer = self.peer.Scorer(model)
        return lambda users: scorer.top_n(user_items[users], N)


class ImplicitAls:
    """implicit's alternating least squares with its defaults; a step is one of its 15 iterations."""

    def __init__(self):
        from benchmarks.peers import implicit_als

        self.peer = implicit_als

    def train(self, user_items, clock):
        model = self.peer.new()
        clock.start()
        self.peer.train(model, user_items, clock.tick)
        return lambda users: self.peer.top_n(model, np.arange(users.start, users.stop), user_items[users], N)


class NumpyMatmul:
    """Not a recommender: the speed of NumPy's BLAS on this machine, in a large square matmul."""

    def __init__(self, size: int = 4096):
        self.a, self.b, self.out = np.ones((3, size, size), np.float32)
        self.flops = 2 * size**3

    def multiply(self) -> None:
        np.matmul(self.a, self.b, self.out)


class TorchMatmul(NumpyMatmul):
    """The same for PyTorch's BLAS."""

    def __init__(self, size: int = 4096):
        import torch

        super().__init__(size)
        self.matmul = torch.matmul
        self.a, self.b, self.out = map(torch.from_numpy, (self.a, self.b, self.out))

    def multiply(self) -> None:
        self.matmul(self.a, self.b, out=self.out)


# name: its label in tables, the package that it needs, and its constructor
CONTESTANTS = {
    "autoenc": ("autoenc", "numba", lambda: Autoenc("numba")),
    "autoenc-numpy": ("autoenc, NumPy alone", "numpy", lambda: Autoenc("numpy")),
    "torch-tuned": ("PyTorch, tuned", "torch", lambda: Torch("torch_tuned")),
    "torch-bfloat16": ("PyTorch, bfloat16", "torch", lambda: Torch("torch_bfloat16")),
    "torch-plain": ("PyTorch, as described", "torch", lambda: Torch("torch_plain")),
    "implicit-als": ("implicit's ALS", "implicit", ImplicitAls),
    "numpy-matmul": ("NumPy's BLAS", "numpy", NumpyMatmul),
    "torch-matmul": ("PyTorch's BLAS", "torch", TorchMatmul),
}


def label(name: str) -> str:
    return CONTESTANTS[name][0]


def missing_package(name: str) -> str | None:
    """The package that a contestant needs, if it isn't installed, otherwise None."""
    package = CONTESTANTS[name][1]
    return None if importlib.util.find_spec(package) else package
