"""The models, all with one face: what `base.Recommender` promises."""

from autoenc.models.base import NotFittedError, Recommender
from autoenc.models.ease import EASE
from autoenc.models.item_knn import ItemKNN
from autoenc.models.popular import Popular

__all__ = ["EASE", "ItemKNN", "NotFittedError", "Popular", "Recommender"]
