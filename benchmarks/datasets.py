"""The data sets that we are measured on, by name.

Those of LIGHTGCN are not ours to pass on: they are read where AUTOENC_TEST_DATA has them, in
LightGCN's text format, and left out where it hasn't.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from autoenc.datasets import load as load_movielens
from autoenc.datasets.synthetic import synthetic
from autoenc.interactions import Interactions

FOLDER = Path(os.environ.get("AUTOENC_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def from_lightgcn(name: str) -> Interactions:
    """All the pairs of FOLDER/name/*.txt, whose lines are `user item item ...`; their split is not ours."""
    users, items = [], []
    for path in sorted((FOLDER / name).glob("*.txt")):
        for line in path.read_text().splitlines():
            user, *liked = map(int, line.split())
            users += [user] * len(liked)
            items += liked
    return Interactions.from_pairs(users, items, name=name)


LIGHTGCN = ("lastfm-2k", "citeulike", "pinterest", "gowalla")

LOADERS = {
    "ml-latest-small": load_movielens,
    **{name: partial(from_lightgcn, name) for name in LIGHTGCN},
    "synthetic": synthetic,
}


def available() -> list[str]:
    """The names of those that can be loaded here."""
    return [name for name in LOADERS if name not in LIGHTGCN or (FOLDER / name).is_dir()]


def load(name: str) -> Interactions:
    return LOADERS[name]()
