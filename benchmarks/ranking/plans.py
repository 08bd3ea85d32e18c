"""The models, and for each data set the hyperparameters to tune."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from autoenc import models, preset


def _als(**params):
    from benchmarks.peers.implicit_als import Als

    return Als(**params)


def _torch_mult_vae(**params):
    from benchmarks.peers.mult_vae import MultVae

    return MultVae(**params)


# Unfitted models with given hyperparameters, which have `fit` and are scorers once fitted.
MODELS: dict[str, Callable] = {
    "best": partial(preset, "best"),
    "fast": partial(preset, "fast"),
    "EASE": models.EASE,
    "EDLAE": models.EDLAE,
    "ELSA": models.ELSA,
    "IALS": models.IALS,
    "ItemKNN": models.ItemKNN,
    "AutoEncoder": partial(models.AutoEncoder, schedule="cosine"),
    "DenoisingAutoEncoder": models.DenoisingAutoEncoder,
    "MultVAE": models.MultVAE,
    "DeepRecommender": models.DeepRecommender,
    "Popular": models.Popular,
    "implicit's ALS": _als,
    "PyTorch's Mult-VAE": _torch_mult_vae,
}

Space = Mapping[str, Sequence]


class Plan(NamedTuple):
    """The runs on a data set: the hyperparameters to tune by model, and the reference model."""

    spaces: dict[str, Space]
    reference: str
    seeds: tuple[int, ...]
    strong_seeds: tuple[int, ...] | None = None  # under strong generalization, if different
    test_users: float = 0.1  # the share held out under strong generalization
    cpu_minutes: float | None = None  # for tuning and the last fit; None: until no value is better

    def seeds_of(self, protocol: str) -> tuple[int, ...]:
        return self.strong_seeds if protocol == "strong" and self.strong_seeds else self.seeds


EASE_L2 = {"l2": [50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0]}
FACTORS = {"l2": [0.5, 1.0, 2.0, 4.0, 8.0], "unobserved_weight": [0.003, 0.01, 0.03, 0.1, 0.3]}
NEIGHBOURS = {"k": [20, 50, 100, 200, 500, 1000, 2000], "shrink": [0.0, 5.0, 20.0, 100.0, 300.0]}

PLANS = {
    "ml-latest-small": Plan(
        {
            "EASE": EASE_L2,
            "best": {},
            "fast": {},
            "EDLAE": {"l2": [50.0, 100.0, 200.0, 300.0, 500.0, 1000.0], "dropout": [0.1, 0.2, 0.33, 0.5, 0.7]},
            "ELSA": {},
            "IALS": FACTORS,
            "ItemKNN": NEIGHBOURS,
            "AutoEncoder": {"epochs": [10, 20, 40, 80, 160]},
            "DenoisingAutoEncoder": {},
            "MultVAE": {},
            "DeepRecommender": {},
            "Popular": {},
        },
        reference="EASE",
        seeds=(0, 1, 2),
        strong_seeds=(0, 1, 2, 3, 4),  # a fifth of the users five times, in total as many as there are
        test_users=0.2,
    ),
    "lastfm-2k": Plan(
        {"EASE": EASE_L2, "best": {}, "fast": {}, "ELSA": {}, "ItemKNN": NEIGHBOURS, "Popular": {}},
        reference="EASE",
        seeds=(0,),
        test_users=0.2,
    ),
    "citeulike": Plan(
        {"EASE": EASE_L2, "best": {}, "fast": {}, "ELSA": {}, "ItemKNN": NEIGHBOURS, "Popular": {}},
        reference="EASE",
        seeds=(0,),
        test_users=0.2,
    ),
    "pinterest": Plan(
        {
            "EASE": EASE_L2,
            "best": {},
            "fast": {},
            "EDLAE": {"l2": [150.0, 300.0, 600.0, 1000.0, 2000.0], "dropout": [0.2, 0.33, 0.5, 0.7]},
            "ELSA": {},
            "IALS": FACTORS,
            "ItemKNN": NEIGHBOURS,
            "AutoEncoder": {"epochs": [1, 2, 4, 8]},
            "DenoisingAutoEncoder": {},
            "MultVAE": {},
            "Popular": {},
        },
        reference="EASE",
        seeds=(0,),
    ),
    "gowalla": Plan(
        {
            "ItemKNN": NEIGHBOURS,
            "best": {},
            "IALS": FACTORS | {"emb_dim": [1024]},
            "implicit's ALS": {
                "alpha": [3.0, 10.0, 30.0, 100.0, 300.0],
                "regularization": [0.1, 1.0, 10.0, 100.0, 1000.0],
                "factors": [128, 256, 512, 1024],
            },
            "PyTorch's Mult-VAE": {"lr": [5e-4, 1e-3, 2e-3, 5e-3], "epochs": [2, 4, 8]},
            "Popular": {},
        },
        reference="ItemKNN",
        seeds=(0,),
        cpu_minutes=38,
    ),
}
