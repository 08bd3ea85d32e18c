"""Synthetic likes: their exact size, their tails, and that their tastes can be learned."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from autoenc.datasets.synthetic import synthetic
from autoenc.evaluation.splits import holdout_per_user


def likes_per_user(likes):
    return np.diff(likes.user_items.indptr)


def likes_per_item(likes):
    return np.bincount(likes.user_items.indices, minlength=likes.n_items)


@pytest.fixture(scope="module")
def likes():
    """A tenth of the default shape each way."""
    return synthetic(n_users=6_988, n_items=1_068, n_likes=700_000, seed=1)


def test_the_shape_is_exact(likes):
    assert (likes.n_users, likes.n_items, likes.n_likes) == (6_988, 1_068, 700_000)
    assert (likes.user_ids[[0, -1]].tolist(), likes.item_ids[[0, -1]].tolist()) == ([1, 6_988], [1, 1_068])
    assert likes.name == "synthetic" and likes.titles is None


@pytest.mark.parametrize(
    ("n_users", "n_items", "n_likes"),
    [
        (1, 1, 1),
        (1, 9, 4),
        (5, 1, 5),
        (7, 11, 7),
        (7, 11, 8),
        (7, 11, 76),
        (7, 11, 77),
        (30, 3, 60),
        (100, 10_000, 150),
    ],
)
def test_any_shape_is_exact(n_users, n_items, n_likes):
    likes = synthetic(n_users, n_items, n_likes)
    assert (likes.n_users, likes.n_items, likes.n_likes) == (n_users, n_items, n_likes)
    assert likes_per_user(likes).min() >= 1


@pytest.mark.parametrize(("n_users", "n_items", "n_likes"), [(3, 4, 13), (3, 4, 2), (0, 4, 0), (3, 0, 0)])
def test_impossible_shapes(n_users, n_items, n_likes):
    sentence = f"n_likes is {n_likes} for {n_users} users and {n_items} items; pass a number from n_users to"
    with pytest.raises(ValueError, match=sentence):
        synthetic(n_users, n_items, n_likes)


def test_users_and_items_have_long_tails(likes):
    per_user, per_item = likes_per_user(likes), np.sort(likes_per_item(likes))[::-1]
    assert per_user.min() == 20
    assert per_user.max() <= 0.7 * likes.n_items + 1
    assert per_user.mean() > 1.4 * np.median(per_user)
    assert per_item[: likes.n_items // 20].sum() > 0.2 * likes.n_likes
    assert per_item[likes.n_items // 2 :].sum() < 0.25 * likes.n_likes


def test_tastes_can_be_learnt(likes):
    """Who likes what goes with what: neighbours are well ahead of popularity.

    Of ten items, as one alone is too few to tell: whether the most popular item fits decides there.
    On seeds 1 to 4, two splits each, neighbours had 1.26 to 1.5 times popularity's precision.
    """
    train, held_out = holdout_per_user(likes)
    together = (train.T @ train).toarray()
    popularity = together.diagonal().copy()
    np.fill_diagonal(together, 0)
    struck, hits = train.toarray() > 0, held_out.toarray()

    def precision_at_10(scores):
        scores = np.where(struck, -np.inf, scores)
        top = np.argpartition(scores, -10, axis=1)[:, -10:]
        return np.take_along_axis(hits, top, axis=1).mean()

    by_popularity = precision_at_10(popularity)
    by_neighbours = precision_at_10(train @ (together / np.sqrt(np.outer(popularity + 1, popularity + 1))))
    assert by_neighbours > 1.15 * by_popularity > 0.2


def test_the_seed_decides_and_threads_do_not(likes):
    for threads in (1, 2):
        with threadpool_limits(threads):
            again = synthetic(n_users=6_988, n_items=1_068, n_likes=700_000, seed=1)
        np.testing.assert_array_equal(again.user_items.indices, likes.user_items.indices)
        np.testing.assert_array_equal(again.user_items.indptr, likes.user_items.indptr)
    other = synthetic(n_users=6_988, n_items=1_068, n_likes=700_000, seed=2)
    assert (other.user_items != likes.user_items).nnz > likes.n_likes


def test_memory_holds_a_block_of_users_at_a_time():
    tracemalloc.start()
    synthetic(n_users=30_000, n_items=1_000, n_likes=300_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 110 * 2**20, "the whole matrix takes 120 MB, and four such are needed"


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="resource is Unix'")
def test_ten_million_likes_in_under_2_gb():
    program = """
import resource, sys
import numpy as np
from autoenc.datasets import load
likes = load("synthetic")
unit = 1 if sys.platform == "darwin" else 1024
print(*likes.user_items.shape, likes.n_likes, np.diff(likes.user_items.indptr).min())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    shape, peak = ran.stdout.splitlines()
    assert shape == "69878 10677 10000054 20"
    assert int(peak) < 2 * 2**30
