"""Held-out likes in four parts, by the activity of users or the popularity of items.

A quartile has a quarter of the users, or items that together have a quarter of the likes. With a quarter
of the items, as most are liked by few, nearly all likes would be in one part.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from autoenc.evaluation.splits import keep
from autoenc.interactions import UserItemsLike, as_user_items, likes_per_item

BY = ("activity", "popularity")


def quartiles(train: UserItemsLike, held_out: UserItemsLike, by: str) -> dict[str, sparse.csr_array]:
    """The held-out likes of each quartile of users by activity, or of items by popularity.

    `evaluate` on one part measures how good a model is for these users, or at predicting these items; the
    rankings are the same for all parts. Users or items with equally many likes are in the same part.
    Parts with nothing held out are left out.

    Parameters
    ----------
    train, held_out : (n_users, n_items), anything that `as_user_items` accepts
        Activity and popularity are counted in `train`. Users without held-out likes, and items that
        nobody likes, belong to no quartile.
    by : "activity" or "popularity"

    Returns
    -------
    dict of str to csr_array (n_users, n_items)
        The parts by description, such as "users with 20 to 35 likes", from few to many.

    Raises
    ------
    ValueError
        If `by` is neither of the two.

    Examples
    --------
    >>> train = [[0], [1], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    >>> parts = quartiles(as_user_items(train, 5), as_user_items([[4]] * 5, 5), "activity")
    >>> [held_out.nnz for held_out in parts.values()], list(parts)[0]
    ([2, 1, 1, 1], 'users with 1 like')
    """
    if by not in BY:
        raise ValueError(f"by is {by!r}; pass one of {', '.join(BY)}.")
    train = as_user_items(train)
    held_out = as_user_items(held_out, train.shape[1])
    if by == "activity":
        what, n_likes = "users", np.diff(train.indptr)  # (n_users,)
        of_held_out = np.repeat(np.arange(train.shape[0]), np.diff(held_out.indptr))
        counted = np.diff(held_out.indptr) > 0
    else:
        what, n_likes = "items", likes_per_item(train)  # (n_items,)
        of_held_out = held_out.indices
        counted = n_likes > 0
    ranked = n_likes[counted] if by == "activity" else np.repeat(n_likes, n_likes)
    bounds = np.quantile(ranked, [0.25, 0.5, 0.75], method="inverted_cdf") if len(ranked) else np.zeros(3)
    quartile = np.searchsorted(bounds, n_likes)  # a bound belongs to the quartile below
    parts = {}
    for number in range(4):
        inside = counted & (quartile == number)
        part = keep(held_out, inside[of_held_out])
        if part.nnz:
            parts[f"{what} with {_range(int(n_likes[inside].min()), int(n_likes[inside].max()))}"] = part
    return parts


def _range(least: int, most: int) -> str:
    """A range of numbers of likes in words, such as "20 to 35 likes"."""
    if least < most:
        return f"{least:,} to {most:,} likes"
    return f"{least:,} like{'s' * (least != 1)}"
