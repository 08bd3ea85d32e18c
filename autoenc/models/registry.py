"""Reading a model file: which classes one may name, and the model that it holds. `Recommender.save` writes one."""

from __future__ import annotations

import os

from autoenc.models.autoencoder import AutoEncoder
from autoenc.models.base import Recommender
from autoenc.models.blend import Blend
from autoenc.models.deep_recommender import DeepRecommender
from autoenc.models.denoising import DenoisingAutoEncoder
from autoenc.models.ease import EASE
from autoenc.models.edlae import EDLAE
from autoenc.models.elsa import ELSA
from autoenc.models.item_knn import ItemKNN
from autoenc.models.mult_vae import MultVAE
from autoenc.models.names import catalogue_of
from autoenc.models.popular import Popular
from autoenc.storage.model_file import ModelFile, read_model_file
from autoenc.storage.reading import FAULTS, reading

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
        ItemKNN,
        MultVAE,
        Popular,
    )
}
"""The classes that a model file may name."""


def load_model(path: str | os.PathLike[str]) -> Recommender:
    """The fitted model that `Recommender.save` wrote to `path`: it scores to the same bits.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such a file: truncated, foreign, of a later version, of a model that is not
        known here, or with an array missing, of another shape, or not finite.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "popular.safetensors")
    >>> Popular().fit([[0, 2], [2], [1, 2]]).save(path)
    >>> load_model(path).recommend([[2]], N=1)
    (array([[0]], dtype=int32), array([[1.]], dtype=float32))
    """
    content = read_model_file(path)
    with reading(path):
        return _model_of(content, path)


def _model_of(content: ModelFile, path: str | os.PathLike[str]) -> Recommender:
    if content.model not in MODELS:
        raise ValueError(
            f"{path} holds a model {content.model!r}, and this autoenc has {', '.join(MODELS)}; "
            "use the autoenc that wrote it"
        )
    try:
        model = MODELS[content.model]._of_file_params(content.params, MODELS)
        n_items = model._set_arrays(content.arrays)
        if n_items < 1:
            raise ValueError("it has no items")
        for name, values in (("item_ids", content.item_ids), ("titles", content.titles)):
            if values is not None and len(values) != n_items:
                raise ValueError(f"{name} has {len(values):,} entries for {n_items:,} items")
        catalogue = None if content.item_ids is None else catalogue_of(n_items, content.item_ids, content.titles)
    except FAULTS as error:
        raise ValueError(f"{path}: {str(error).rstrip('.')}; write it again") from None
    model.n_items_, model.catalogue_, model.about_ = n_items, catalogue, content.about
    return model
