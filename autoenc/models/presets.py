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
from autoenc.models.item_knn import ItemKNN


class Preset(NamedTuple):
    """A model, not fitted, and what it is for, in a line."""

    description: str
    model: Recommender

    @property
    def validates(self) -> bool:
        """Whether its fit chooses anything, on validation users."""
        return bool(getattr(self.model, "candidates", None))


EASE_L2 = [50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0]

PRESETS = {
    "task": Preset("the task's network, with the task's settings", AutoEncoder()),
    "best": Preset(
        "the best ranking, in minutes: a denoising network, EASE and ELSA, blended as validates best",
        Blend(
            [DenoisingAutoEncoder(bias_offset=-3.0, schedule_length=1.25), EASE(), ELSA()],
            validation="weak",
            standardize=True,
            candidates={"ease__l2": EASE_L2},
            stop_every=30,
            fallback={"ease": ItemKNN()},
        ),
    ),
    "fast": Preset(
        "a good ranking in seconds: EASE, a closed form",
        Blend([EASE()], validation="weak", candidates={"ease__l2": EASE_L2}, fallback={"ease": ItemKNN()}),
    ),
}
"""By name. `best` and `fast` take ItemKNN in place of EASE where items squared don't fit into memory.

Beside either, ELSA adds what neither has: on a validation split of pinterest (nDCG@100, ± paired) a
blend with it is ahead of one without by .0087 ± .0003. Alone in EASE's place it does as well as
ItemKNN, in five times the time.
"""


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
