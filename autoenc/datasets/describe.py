"""Describe a set of likes before training on it: counts, distributions, and times."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from autoenc.datasets import NAMES, interactions_of, load, load_path, name_of, with_enough_likes
from autoenc.datasets.formats import read
from autoenc.datasets.options import NO_OPTIONS, ReadOptions
from autoenc.datasets.prepared import is_prepared
from autoenc.interactions import Interactions, likes_per_item
from autoenc.messages import printable

MOST_LIKED = 10
"""Number of items listed."""

_QUARTILES = {"min": 0, "q1": 25, "median": 50, "q3": 75, "max": 100}
_WIDTH = 40  # of the longest bar, in characters


def describe(path: str | os.PathLike[str], options: ReadOptions = NO_OPTIONS) -> dict[str, Any]:
    """Describe the likes at a path.

    Parameters
    ----------
    path : str or Path
        A path that `autoenc.datasets.load` accepts, or the name of a data set.
    options : ReadOptions

    Returns
    -------
    dict
        The result of `describe_likes`, with `rows`, and `duplicates`, the rows that repeat a pair, if the likes come
        from rows.

    Raises
    ------
    ValueError, OSError
        As in `autoenc.datasets.load`.
    """
    if str(path) in NAMES and not os.path.exists(path):
        times = None if str(path) != "synthetic" else False
        return describe_likes(load(str(path), times=times, **vars(options)))
    if is_prepared(path):
        return describe_likes(load_path(path, options, times=None))
    ratings = read(path, options=options, times=None)
    likes = interactions_of(ratings, name_of(path), times=None)
    n_rows, n_pairs = len(ratings.users), likes.n_likes
    return describe_likes(with_enough_likes(likes, options)) | {"rows": n_rows, "duplicates": n_rows - n_pairs}


def describe_likes(likes: Interactions) -> dict[str, Any]:
    """Describe likes.

    Returns
    -------
    dict
        name, source, users, items, likes; density, the share of all pairs that are likes; likes_per_user and
        likes_per_item, with quartiles, mean and a histogram; times, the first and the last, and weights, with their
        quartiles, both None if there are none; and most_liked, the items with the most likes. All values can be
        written as JSON.

    Examples
    --------
    >>> found = describe_likes(Interactions.from_pairs([1, 1, 2], [7, 8, 7]))
    >>> found["density"], found["likes_per_item"]["histogram"], found["most_liked"][0]
    (0.75, [{'from': 1, 'to': 1, 'n': 1}, {'from': 2, 'to': 3, 'n': 1}], {'item': '7', 'likes': 2})
    """
    per_user, per_item = np.diff(likes.user_items.indptr), likes_per_item(likes.user_items)
    most = np.argsort(-per_item, kind="stable")[:MOST_LIKED]
    times = None
    if likes.times is not None:
        first, last = (str(np.datetime64(int(end), "s")) for end in (likes.times.min(), likes.times.max()))
        times = {"first": first, "last": last}
    return {
        "name": likes.name,
        "source": likes.source,
        "users": likes.n_users,
        "items": likes.n_items,
        "likes": likes.n_likes,
        "density": likes.n_likes / (likes.n_users * likes.n_items),
        "likes_per_user": _spread(per_user) | {"histogram": _histogram(per_user)},
        "likes_per_item": _spread(per_item) | {"histogram": _histogram(per_item)},
        "times": times,
        "weights": None if likes.weights is None else _spread(likes.weights),
        "most_liked": [
            {"item": name, "likes": int(n)} for name, n in zip(likes.item_names(most), per_item[most].tolist())
        ],
    }


def _spread(values: np.ndarray) -> dict[str, float]:
    quartiles = np.percentile(values, list(_QUARTILES.values()))
    return {name: float(value) for name, value in zip(_QUARTILES, quartiles)} | {"mean": float(values.mean())}


def _histogram(counts: np.ndarray) -> list[dict[str, int]]:
    """The numbers of users or items with 1, 2 to 3, 4 to 7, ... likes."""
    groups = np.bincount(np.log2(counts[counts > 0]).astype(np.int64))
    first = int(np.flatnonzero(groups)[0])
    return [{"from": 2**k, "to": 2 ** (k + 1) - 1, "n": int(groups[k])} for k in range(first, len(groups))]


def as_text(found: Mapping[str, Any]) -> str:
    """A description as readable text."""
    lines = [
        f"{printable(found['name'])}: {found['users']:,} users x {found['items']:,} items, {found['likes']:,} likes",
        f"  density       {found['density']:.3%} of all pairs of a user and an item",
    ]
    if "rows" in found:
        lines.append(f"  duplicates    {found['duplicates']:,} of {found['rows']:,} rows")
    times = found["times"]
    lines.append(f"  times         {times['first']} to {times['last']}" if times else "  times         none")
    weights = found["weights"]
    lines.append(
        f"  weights       {_in_words(weights)}" if weights else "  weights       none, all likes count equally"
    )
    for what, whose in (("likes_per_user", "user"), ("likes_per_item", "item")):
        lines += ["", f"likes per {whose}: {_in_words(found[what])}", *_bars(found[what]["histogram"])]
    lines += ["", "most liked"]
    lines += [f"  {row['likes']:>9,}  {printable(row['item'])}" for row in found["most_liked"]]
    return "\n".join(lines)


def _in_words(spread: Mapping[str, float]) -> str:
    quartiles = ", ".join(f"{name} {spread[name]:,.6g}" for name in _QUARTILES)
    return f"{quartiles}; mean {spread['mean']:,.4g}"


def _bars(histogram: list[dict[str, int]]) -> list[str]:
    most = max(row["n"] for row in histogram)
    labels = [
        f"{row['from']:,}" if row["from"] == row["to"] else f"{row['from']:,} to {row['to']:,}" for row in histogram
    ]
    width = max(map(len, labels))
    return [
        f"  {label:>{width}}  {row['n']:>9,}  {'#' * -(-_WIDTH * row['n'] // most)}".rstrip()
        for label, row in zip(labels, histogram)
    ]
