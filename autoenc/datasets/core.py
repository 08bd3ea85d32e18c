"""The users and items with enough likes: a k-core, as in many published data sets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from autoenc.interactions import Interactions, as_user_items


def core(likes: Interactions, min_likes_per_user: int = 0, min_likes_per_item: int = 0) -> Interactions:
    """Leave out users and items with too few likes, repeatedly until nothing changes.

    Parameters
    ----------
    likes : Interactions
    min_likes_per_user, min_likes_per_item : int
        The smallest number of likes of a user and of an item among the likes that are kept.

    Returns
    -------
    Interactions
        `likes` itself if all are kept. The end of `source` says what was left out.

    Raises
    ------
    ValueError
        If no likes are left.

    Examples
    --------
    >>> likes = core(Interactions.from_pairs([1, 1, 2, 2, 3], [7, 8, 7, 8, 9]), min_likes_per_item=2)
    >>> likes.user_ids, likes.item_ids
    (array([1, 2]), array([7, 8]))
    >>> likes.source
    'left out 1 of 3 users and 1 of 3 items, with 1 likes, so that each user has 1 or more and each item 2 or more'
    """
    n_users, n_items = likes.n_users, likes.n_items
    least_user, least_item = max(min_likes_per_user, 1), max(min_likes_per_item, 1)
    items = likes.user_items.indices
    users = np.repeat(np.arange(n_users, dtype=np.int32), np.diff(likes.user_items.indptr))
    entries = np.arange(len(items))
    while True:
        is_user = np.bincount(users, minlength=n_users) >= least_user
        is_item = np.bincount(items, minlength=n_items) >= least_item
        stays = is_user[users] & is_item[items]
        if stays.all():
            break
        users, items, entries = users[stays], items[stays], entries[stays]
    if not len(entries):
        raise ValueError(
            f"no likes are left if each user must have {least_user:,} or more and each item {least_item:,} or more; "
            "lower min_likes_per_user or min_likes_per_item."
        )
    if is_user.all() and is_item.all():
        return likes
    rows, columns = np.cumsum(is_user)[users] - 1, np.cumsum(is_item)[items] - 1
    ones = np.ones(len(rows), np.float32)
    shape = int(is_user.sum()), int(is_item.sum())
    told = (
        f"left out {n_users - shape[0]:,} of {n_users:,} users and {n_items - shape[1]:,} of {n_items:,} items, with "
        f"{likes.n_likes - len(entries):,} likes, so that each user has {least_user:,} or more and each item "
        f"{least_item:,} or more"
    )
    return replace(
        likes,
        user_items=as_user_items(sparse.csr_array((ones, (rows, columns)), shape=shape)),
        user_ids=likes.user_ids[is_user],
        item_ids=likes.item_ids[is_item],
        titles=None if likes.titles is None else likes.titles[is_item],
        times=None if likes.times is None else likes.times[entries],
        weights=None if likes.weights is None else likes.weights[entries],
        source="\n".join(filter(None, (likes.source, told))),
    )
