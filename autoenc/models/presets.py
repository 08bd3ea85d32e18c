"""Models by what they are for: the task's, the best ranking, and one that takes seconds.

A preset is a model and a line that describes it, and one serves any likes: what has to differ
from one set of likes to another is chosen in `fit`, on validation users of its own.
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


class Preset(NamedTuple):
    """A model, not fitted, and what it is for, in a line."""

    description: str
    model: Recommender

    @property
    def validates(self) -> bool:
        """Whether its fit chooses anything, on validation users."""
        return bool(getattr(self.model, "candidates", None))


EASE_L2 = [50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0]
IALS_L2 = [0.5, 1.0, 2.0, 4.0, 8.0]

PRESETS = {
    "task": Preset("the task's network, with the task's settings", AutoEncoder()),
    "best": Preset(
        "the best ranking, in a minute or two: a denoising network, EASE and ELSA, blended as validates best",
        Blend(
            [DenoisingAutoEncoder(bias_offset=-3.0, schedule_length=1.25), EASE(), ELSA()],
            validation="weak",
            standardize=True,
            candidates={"ease__l2": EASE_L2, "ials__l2": IALS_L2},
            stop_every=30,
            fallback={"ease": IALS(emb_dim=512, epochs=6)},
        ),
    ),
    "fast": Preset(
        "a good ranking in seconds: EASE, a closed form",
        Blend(
            [EASE()],
            validation="weak",
            candidates={"ease__l2": EASE_L2, "ials__l2": IALS_L2},
            fallback={"ease": IALS()},
        ),
    ),
}
"""By name. `best` and `fast` take IALS in place of EASE where items squared don't fit into memory."""


def preset(name: str) -> Recommender:
    """The model of a preset, unfitted; its hyperparameters can be changed as any model's.

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
    >>> preset("best").set_params(validation="strong").validation      # to be asked about new users
    'strong'
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; take one of {', '.join(PRESETS)}.")
    return copy.deepcopy(PRESETS[name].model)
