"""The data sets of the benchmarks, by name.

Those in LIGHTGCN can't be redistributed: they are read from the folder AUTOENC_TEST_DATA, in LightGCN's
text format, and left out if they are not there.
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
    """All pairs in FOLDER/name/*.txt, whose lines are `user item item ...`; the split into files is ignored."""
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
    """The names of the data sets that can be loaded on this machine."""
    return [name for name in LOADERS if name not in LIGHTGCN or (FOLDER / name).is_dir()]


def load(name: str) -> Interactions:
    return LOADERS[name]()
