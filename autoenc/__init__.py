"""autoenc: a recommender based on an autoencoder of likes, readable in NumPy and fast with numba.

Public names are imported when first used, so that `import autoenc` and `autoenc --help` are fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoenc import datasets as datasets
    from autoenc import layers as layers
    from autoenc.evaluation import metrics as metrics
    from autoenc.evaluation import plots as plots
    from autoenc.evaluation.compare import compare as compare
    from autoenc.evaluation.evaluate import evaluate as evaluate
    from autoenc.evaluation.ranking import rank as rank
    from autoenc.evaluation.splits import holdout_by_time as holdout_by_time
    from autoenc.evaluation.splits import holdout_last as holdout_last
    from autoenc.evaluation.splits import holdout_per_user as holdout_per_user
    from autoenc.evaluation.splits import holdout_users as holdout_users
    from autoenc.interactions import Interactions as Interactions
    from autoenc.interactions import as_user_items as as_user_items
    from autoenc.models.autoencoder import AutoEncoder as AutoEncoder
    from autoenc.models.blend import Blend as Blend
    from autoenc.models.deep_recommender import DeepRecommender as DeepRecommender
    from autoenc.models.denoising import DenoisingAutoEncoder as DenoisingAutoEncoder
    from autoenc.models.ease import EASE as EASE
    from autoenc.models.edlae import EDLAE as EDLAE
    from autoenc.models.elsa import ELSA as ELSA
    from autoenc.models.ials import IALS as IALS
    from autoenc.models.item_knn import ItemKNN as ItemKNN
    from autoenc.models.mult_vae import MultVAE as MultVAE
    from autoenc.models.popular import Popular as Popular
    from autoenc.models.presets import preset as preset
    from autoenc.models.registry import load_model as load_model
    from autoenc.models.tuning import tune as tune
    from autoenc.networks.autoencoder import AutoEncoderNetwork as AutoEncoderNetwork
    from autoenc.networks.autoencoder import initial_state as initial_state
    from autoenc.training import callbacks as callbacks
    from autoenc.training.trainer import Trainer as Trainer

__version__ = "0.1.0"

_MODULE_OF = {
    "Interactions": "interactions",
    "as_user_items": "interactions",
    "load_model": "models.registry",
    "AutoEncoder": "models.autoencoder",
    "Blend": "models.blend",
    "DeepRecommender": "models.deep_recommender",
    "DenoisingAutoEncoder": "models.denoising",
    "EASE": "models.ease",
    "EDLAE": "models.edlae",
    "ELSA": "models.elsa",
    "IALS": "models.ials",
    "ItemKNN": "models.item_knn",
    "MultVAE": "models.mult_vae",
    "Popular": "models.popular",
    "AutoEncoderNetwork": "networks.autoencoder",
    "initial_state": "networks.autoencoder",
    "preset": "models.presets",
    "compare": "evaluation.compare",
    "evaluate": "evaluation.evaluate",
    "rank": "evaluation.ranking",
    "holdout_by_time": "evaluation.splits",
    "holdout_last": "evaluation.splits",
    "holdout_per_user": "evaluation.splits",
    "holdout_users": "evaluation.splits",
    "Trainer": "training.trainer",
    "tune": "models.tuning",
}

_MODULES = {
    "callbacks": "training.callbacks",
    "datasets": "datasets",
    "layers": "layers",
    "metrics": "evaluation.metrics",
    "plots": "evaluation.plots",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        module = globals()[name] = importlib.import_module(f"autoenc.{_MODULES[name]}")
        return module
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'autoenc' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"autoenc.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
