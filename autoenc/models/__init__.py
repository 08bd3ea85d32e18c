"""The models. All have the methods that `base.Recommender` describes."""

from autoenc.models.autoencoder import AutoEncoder
from autoenc.models.base import Recommender
from autoenc.models.blend import Blend
from autoenc.models.deep_recommender import DeepRecommender
from autoenc.models.denoising import DenoisingAutoEncoder
from autoenc.models.ease import EASE
from autoenc.models.edlae import EDLAE
from autoenc.models.elsa import ELSA
from autoenc.models.estimator import NotFittedError
from autoenc.models.ials import IALS
from autoenc.models.item_knn import ItemKNN
from autoenc.models.mult_vae import MultVAE
from autoenc.models.popular import Popular
from autoenc.models.registry import MODELS, load_model

__all__ = [
    "EASE",
    "EDLAE",
    "ELSA",
    "IALS",
    "MODELS",
    "AutoEncoder",
    "Blend",
    "DeepRecommender",
    "DenoisingAutoEncoder",
    "ItemKNN",
    "MultVAE",
    "NotFittedError",
    "Popular",
    "Recommender",
    "load_model",
]
