"""The effect of layers in the lessons: the figures given in docs/lessons under "The problem".

    python -m benchmarks.lessons                about 10 minutes on one core

Networks with and without a layer are trained on the same splits of the bundled ratings, 80% of each user's
likes, from the same initial weights. The figures are means over the seeds with their standard deviations.
"""

from __future__ import annotations

import argparse

import numpy as np

from autoenc import datasets
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.splits import holdout_per_user
from autoenc.models.autoencoder import AutoEncoder
from autoenc.models.denoising import DenoisingAutoEncoder
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.optim import Adam
from autoenc.training.plain import PlainEngine, train_step
from benchmarks.tables import as_text

METRICS = ("precision@1", "precision@10", "ndcg@10")
EPOCHS, BATCH_SIZE, LR = 20, 256, AutoEncoder().lr


class Identity:
    """A layer that replaces one that is left out."""

    def __init__(self):
        self.params, self.grads = {}, {}

    def forward(self, x, training=True):
        return x

    def backward(self, grad_output):
        return grad_output


def of_network(train, seed, batchnorm=True, dropout=0.5, lr=LR):
    """The task's network, optionally without some of its layers."""
    network = AutoEncoderNetwork(initial_state(train.shape[1], seed=seed), dropout)
    if not batchnorm:
        network.batchnorm1 = network.batchnorm2 = Identity()
    adam, rng = Adam(network.params, lr), np.random.default_rng(seed)
    likes = train.astype(np.float32)
    for epoch in range(EPOCHS):
        users = rng.permutation(len(likes.indptr) - 1)
        for step, start in enumerate(range(0, len(users), BATCH_SIZE)):
            train_step(network, adam, likes[users[start : start + BATCH_SIZE]], (seed, epoch, step))
    return PlainEngine(network)


def of_denoising(train, seed, **params):
    return DenoisingAutoEncoder(random_state=seed, **params).fit(train)


ROWS = {
    "the task's network": (of_network, {}),
    "without BatchNorm": (of_network, {"batchnorm": False}),
    "with three times the learning rate": (of_network, {"lr": 3 * LR}),
    "the same without BatchNorm": (of_network, {"lr": 3 * LR, "batchnorm": False}),
    "without dropout": (of_network, {"dropout": 0.0}),
    "the denoising network": (of_denoising, {}),
    "without input dropout": (of_denoising, {"input_dropout": 0.0}),
    "with a negative_weight of 1": (of_denoising, {"negative_weight": 1.0}),
}


def main(argv=None):
    parser = argparse.ArgumentParser(
        "python -m benchmarks.lessons", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2, help="number of seeds (default: %(default)s)")
    args = parser.parse_args(argv)
    user_items = datasets.load().user_items
    rows = [["", *METRICS]]
    for name, (train_one, params) in ROWS.items():
        found = []
        for seed in range(args.seeds):
            train, held_out = holdout_per_user(user_items, 0.2, seed)
            report = evaluate(train_one(train, seed, **params), train, held_out)
            found.append([report[metric] for metric in METRICS])
        means, spreads = np.mean(found, axis=0), np.std(found, axis=0)
        rows.append([name, *(f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(means, spreads))])
        print(as_text(rows[-1:]), flush=True)
    print(f"\n{as_text(rows)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
