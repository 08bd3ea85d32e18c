"""The classes that a model file may name, and loading a model of any class."""

from __future__ import annotations

import os

from autoenc.models.autoencoder import AutoEncoder
from autoenc.models.base import KNOWN, Recommender
from autoenc.models.blend import Blend
from autoenc.models.deep_recommender import DeepRecommender
from autoenc.models.denoising import DenoisingAutoEncoder
from autoenc.models.ease import EASE
from autoenc.models.edlae import EDLAE
from autoenc.models.elsa import ELSA
from autoenc.models.ials import IALS
from autoenc.models.item_knn import ItemKNN
from autoenc.models.mult_vae import MultVAE
from autoenc.models.popular import Popular

MODELS: dict[str, type[Recommender]] = {
    model.__name__: model
    for model in (
        AutoEncoder,
        Blend,
        DeepRecommender,
        DenoisingAutoEncoder,
        EASE,
        EDLAE,
        ELSA,
        IALS,
        ItemKNN,
        MultVAE,
        Popular,
    )
}
"""The classes that a model file may name."""


KNOWN.update(MODELS)


def load_model(path: str | os.PathLike[str]) -> Recommender:
    """Load the fitted model that `Recommender.save` wrote to `path`; its scores are the same to the bit.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a valid model file: truncated, of another format, of a later version, of an unknown
        model, or with an array that is missing, of another shape, or not finite.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "popular.safetensors")
    >>> Popular().fit([[0, 2], [2], [1, 2]]).save(path)
    >>> load_model(path).recommend([[2]], N=1)
    (array([[0]], dtype=int32), array([[1.]], dtype=float32))
    """
    return Recommender.load(path)
