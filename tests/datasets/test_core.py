"""Users and items with few likes are left out, repeatedly until nothing changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoenc import datasets
from autoenc.datasets import core
from autoenc.interactions import Interactions


def by_definition(pairs: set[tuple[int, int]], per_user: int, per_item: int) -> set[tuple[int, int]]:
    while True:
        users, items = [u for u, _ in pairs], [i for _, i in pairs]
        kept = {(u, i) for u, i in pairs if users.count(u) >= per_user and items.count(i) >= per_item}
        if kept == pairs:
            return kept
        pairs = kept


def pairs_of(likes):
    rows, columns = likes.user_items.nonzero()
    return set(zip(likes.user_ids[rows].tolist(), likes.item_ids[columns].tolist()))


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1), st.integers(0, 4), st.integers(0, 4))
def test_what_stays_is_what_the_definition_leaves(pairs, per_user, per_item):
    users, items = zip(*sorted(pairs))
    times = np.arange(len(users))
    likes = Interactions.from_pairs(
        users, items, times=times, weights=times + 1.0, titles={i: f"t{i}" for i in range(7)}
    )
    wanted = by_definition(pairs, max(per_user, 1), max(per_item, 1))
    if not wanted:
        with pytest.raises(ValueError, match="no likes are left if each user must have"):
            core(likes, per_user, per_item)
        return
    found = core(likes, per_user, per_item)
    assert pairs_of(found) == wanted
    assert found.times.tolist() == [n for n, pair in enumerate(sorted(pairs)) if pair in wanted]
    assert found.weights.tolist() == [time + 1 for time in found.times.tolist()]
    assert found.titles.tolist() == [f"t{i}" for i in found.item_ids.tolist()]
    assert (found is likes) == (wanted == pairs) and ("left out" in found.source) == (found is not likes)


def test_it_is_said_what_was_left_out():
    likes = Interactions.from_pairs([1, 1, 2, 2, 3], [7, 8, 7, 8, 9], source="read as CSV")
    assert core(likes, 2).source == (
        "read as CSV\nleft out 1 of 3 users and 1 of 3 items, with 1 likes, so that each user has 2 or more and each "
        "item 1 or more"
    )


def test_load_leaves_out_in_every_kind_of_data(tmp_path, ratings):
    (tmp_path / "a.csv").write_text("user,item,rating\n1,7,5\n1,8,5\n2,7,4\n2,8,4\n3,9,5\n4,7,1\n")
    few = datasets.load(path=tmp_path / "a.csv", min_rating=4, min_likes_per_user=2)
    assert (few.user_ids.tolist(), few.item_ids.tolist()) == ([1, 2], [7, 8])
    assert few.source.splitlines()[1:] == [
        "left out 1 of 6 rows, with a rating below 4",
        "left out 1 of 3 users and 1 of 3 items, with 1 likes, so that each user has 2 or more and each item 1 or more",
    ]
    enough = np.diff(ratings.user_items.indptr) >= 100
    assert datasets.load(min_likes_per_user=100).user_ids.tolist() == ratings.user_ids[enough].tolist()
