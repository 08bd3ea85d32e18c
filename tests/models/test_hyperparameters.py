"""Hyperparameters of any size and type are accepted, or refused with one sentence, never an arithmetic error."""

from __future__ import annotations

import pytest

import autoenc
from tests.helpers.bounds import limited_memory

LIKES = [[0, 1], [1, 2], [0, 2], [0, 1, 2]]
QUICK = {"epochs": 1, "batch_size": 2}
MODELS = {
    "AutoEncoder": {"emb_dim": 2, "hidden_dim": 2, "backend": "numpy", **QUICK},
    "DenoisingAutoEncoder": {"hidden_dim": 2, "backend": "numpy", **QUICK},
    "MultVAE": {"hidden_dim": 2, "latent_dim": 2, "backend": "numpy", **QUICK},
    "DeepRecommender": {"hidden_dims": [2, 2], "backend": "numpy", **QUICK},
    "ELSA": {"emb_dim": 2, **QUICK},
    "IALS": {"emb_dim": 2, "epochs": 1, "backend": "numpy"},
    "EASE": {},
    "EDLAE": {},
    "ItemKNN": {},
    "Blend": {"models": [autoenc.EASE(), autoenc.ItemKNN()], "validation": "weak"},
}
VALUES = [10**30, 10**400, -(10**5000), 2**63, 1e308, 1e400, float("nan"), "9" * 5000, "x", b"x", [], {}, None]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, where a number is beyond float32
@pytest.mark.parametrize("name", MODELS)
def test_any_value(name):
    params = sorted(set(getattr(autoenc, name)().get_params(deep=False)) - {"models", "threads"})
    for param in params:
        for value in VALUES:
            validating = {"early_stopping": "ndcg@2"} if param in ("patience", "validation_fraction") else {}
            if name == "Blend":
                validating = {}
            try:
                with limited_memory(2**29):
                    getattr(autoenc, name)(**{**MODELS[name], **validating, param: value}).fit(LIKES)
            except (ValueError, TypeError) as error:
                told = str(error)
                assert len(told) < 300 and "\n" not in told
                assert not any(
                    words in told for words in ("not supported between", "unsupported operand", "the limit (")
                )
            except FloatingPointError as error:
                assert "; train with a lower lr than" in str(error)
