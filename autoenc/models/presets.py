"""Ready-made models: the task's network, the best ranking, and a fast one.

A preset is a model with a one-line description, and suits any likes: what should differ between
data sets is chosen in `fit`, on validation users that it holds out itself.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

from autoenc.models.autoencoder import AutoEncoder
from autoenc.models.base import Recommender
from autoenc.models.blend import Blend
from autoenc.models.denoising import DenoisingAutoEncoder
from autoenc.models.ease import EASE
from autoenc.models.elsa import ELSA
from autoenc.models.ials import IALS
from autoenc.models.item_knn import ItemKNN


class Preset(NamedTuple):
    """An unfitted model and its one-line description."""

    description: str
    model: Recommender

    @property
    def validates(self) -> bool:
        """Whether `fit` chooses anything on validation users."""
        return bool(getattr(self.model, "candidates", None))


EASE_L2 = [50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0]
IALS_L2 = [0.5, 1.0, 2.0, 4.0, 8.0]

PRESETS = {
    "task": Preset("the task's network, with the task's settings", AutoEncoder()),
    "best": Preset(
        "the best ranking, in minutes: a denoising network, EASE, ELSA and IALS, with weights from validation",
        Blend(
            [DenoisingAutoEncoder(bias_offset=-3.0, schedule_length=1.25), EASE(), ELSA(), IALS(emb_dim=128)],
            validation="weak",
            standardize=True,
            candidates={"ease__l2": EASE_L2, "ials__l2": IALS_L2},
            stop_every=30,
            fallback=[ItemKNN(k=200), IALS(emb_dim=1024), ELSA()],  # a network takes too long for so many items
        ),
    ),
    "fast": Preset(
        "a good ranking from a closed form: EASE",
        Blend(
            [EASE()],
            validation="weak",
            candidates={"ease__l2": EASE_L2, "ials__l2": IALS_L2},
            fallback=[IALS()],
        ),
    ),
}
"""The presets by name. If an items x items matrix doesn't fit in memory, `fast` is IALS and `best` a blend with it."""


def preset(name: str) -> Recommender:
    """The unfitted model of a preset; its hyperparameters can be changed like those of any model.

    Parameters
    ----------
    name : "task", "best" or "fast"

    Raises
    ------
    ValueError
        If there is no preset of that name.

    Examples
    --------
    >>> preset("fast").fit([[0, 1], [0, 1], [1, 2]]).recommend([[0]], N=1)[0]
    array([[1]], dtype=int32)
    >>> preset("best").set_params(validation="strong").validation      # for recommending to new users
    'strong'
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; pass one of {', '.join(PRESETS)}.")
    return copy.deepcopy(PRESETS[name].model)
