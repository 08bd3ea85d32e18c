"""Items named on the command line, and files of items."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoenc.cli.common import say

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from scipy import sparse

    from autoenc.models.base import Recommender

OFFERS = ("items", "filter_items", "items_per_user", "filter_items_per_user")


def names(model: Recommender, columns: Iterable[int]) -> list[str]:
    """The titles of a model's items, or their ids if there are no titles."""
    return [model.title_index.titles[int(column)] for column in columns]


def row_of(model: Recommender, typed: list[str]) -> sparse.csr_array:
    """The likes (1, n_items) given on the command line; reports the titles that inexact names were taken for."""
    from autoenc.models.export import ids_of

    for name in typed:
        columns = model.row_of([name]).indices
        [meant] = names(model, columns)
        if name not in (meant, str(ids_of(model)[columns[0]])):
            say(f"{name} is taken to mean {meant}")
    return model.row_of(typed)


def check_offer(args: argparse.Namespace) -> None:
    """Raise ValueError if the flags for what may be recommended can't be combined."""
    given = ["--" + name.replace("_", "-") for name in OFFERS if getattr(args, name) is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} can't be combined; pass one of them")
    if given and args.engine == "dask":
        raise ValueError(f"{given[0]} cannot be combined with --engine dask; leave it out")
    if given and given[0].endswith("-per-user") and args.users is None:
        other = given[0].removesuffix("-per-user")
        raise ValueError(f"{given[0]} needs --users; with --liked, pass {other}")


def offer_of(args: argparse.Namespace, model: Recommender, user_ids: np.ndarray | None) -> dict[str, Any]:
    """The arguments `items` or `filter_items` of `recommend` for these users, read from the file given, if any."""
    from autoenc import datasets
    from autoenc.models.export import columns_known, on_users_of

    for name in OFFERS:
        path = getattr(args, name)
        if path is None:
            continue
        argument = name.removesuffix("_per_user")
        if name != argument:
            assert user_ids is not None
            return {argument: on_users_of(datasets.load(path=path), model, user_ids)}
        columns, n_unknown = columns_known(model, lines_of(path))
        if n_unknown:
            say(f"left out {n_unknown:,} lines of {path} that name no item of the model, or more than one")
        if not len(columns):
            raise ValueError(f"{path} names no item of the model; write one id or title per line")
        return {argument: columns}
    return {}


def lines_of(path: str) -> list[str]:
    """The lines of a text file, stripped, without blank ones."""
    from autoenc.storage.reading import reading

    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    with reading(path):
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    return [line.strip() for line in lines if line.strip()]
