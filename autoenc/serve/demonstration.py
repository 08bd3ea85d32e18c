"""The models served by default: EASE for ranking, and a network trained on the same ratings to look into.

EASE is fitted at each start, in seconds. The network is trained when its view is first opened, and then stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from autoenc import __version__, datasets
from autoenc.datasets.cache import cache_folder
from autoenc.interactions import Interactions, as_user_items
from autoenc.models import EASE, AutoEncoder, Recommender, load_model
from autoenc.serve.on_demand import Report
from autoenc.training.callbacks import Callback
from autoenc.training.trainer import Trainer

NETWORK: dict[str, Any] = {
    "emb_dim": 200, "hidden_dim": 100, "dropout": 0.3, "batch_size": 128, "epochs": 4, "lr": 0.005,
    "schedule": "cosine", "backend": "numpy",
}  # fmt: skip
"""The network uses the plain layers, as compiling the kernels would take as long as training."""
PIECE = 12
BUNDLED = Path(datasets.__file__).parent / "bundled" / "ml-latest-small.zip"


def ranking() -> Recommender:
    """EASE, fitted on all of the bundled ratings.

    For short lists of likes it ranks better than the network: given four likes of users who were not in the training
    data, a share of 0.486 of its ten best items are among their other likes, compared with 0.443 for the network
    (python -m benchmarks.serving --demonstration). A larger l2 has a higher share, 0.515 at 2,000, as it recommends
    more popular items, but its lists depend less on the likes.
    """
    return EASE().fit(datasets.load())


def network(report: Report, say: Callable[[str], object]) -> Recommender:
    """An autoencoder fitted on all of the bundled ratings: trained once, then read from `network_file`.

    `report` is called with the progress of training, and `say` with the path of the file.
    """
    try:
        path = network_file()
    except OSError as error:
        say(f"training a network on the bundled ratings, for its view; it can't be saved: {error}")
        return trained_network(report)
    if path.is_file():
        try:
            return load_model(path)
        except ValueError:
            say(f"{path} was not written by this version of autoenc, so the network is trained again")
    say(f"training a network on the bundled ratings, for its view, once; it is saved in {path}")
    model = trained_network(report)
    try:
        model.save(path)
    except OSError as error:
        say(f"the network can't be saved for the next time: {error}")
    return model


def trained_network(report: Report) -> Recommender:
    return AutoEncoder(**NETWORK).fit(in_pieces(datasets.load()), callbacks=[_Reporting(report)])


class _Reporting(Callback):
    def __init__(self, report: Report):
        self.report = report

    def on_step_end(self, trainer: Trainer) -> None:
        self.report((trainer.epoch + trainer.users_done / trainer.n_users) / trainer.epochs)


def network_file() -> Path:
    """The file of the network, under AUTOENC_CACHE_DIR or else in the platform's cache folder.

    Its name contains a digest of everything it depends on: the ratings, the settings and the version.
    Raises OSError if no folder is known.
    """
    made_of = hashlib.sha256(BUNDLED.read_bytes())
    made_of.update(json.dumps([NETWORK, PIECE, __version__]).encode())
    return cache_folder() / f"{BUNDLED.stem}-{made_of.hexdigest()[:12]}.safetensors"


def in_pieces(ratings: Interactions) -> Interactions:
    """All users' likes, both complete and cut at random into lists of about twelve, as short as those on the page.

    A network trained only on long lists has the batch statistics of long lists.
    """
    rng = np.random.default_rng(0)
    whole = np.split(ratings.user_items.indices, ratings.user_items.indptr[1:-1])
    cut = [piece for likes in whole for piece in np.array_split(rng.permutation(likes), max(1, len(likes) // PIECE))]
    lists = as_user_items([*whole, *map(np.sort, cut)], ratings.n_items)
    return Interactions.from_csr(lists, item_ids=ratings.item_ids, titles=ratings.titles, name=ratings.name)
