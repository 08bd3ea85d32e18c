"""The split per user, the split by users, the two splits by time, and the times that they need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from autoenc import datasets
from autoenc.evaluation.splits import holdout_by_time, holdout_last, holdout_per_user, holdout_users, united
from autoenc.interactions import Interactions, UserItems, as_user_items, carrying
from autoenc.storage import mapped


def likes_of(lengths, n_items=40):
    rng = np.random.Generator(np.random.Philox(1))
    return [rng.choice(n_items, length, replace=False) for length in lengths]


def counts(user_items):
    return np.diff(user_items.indptr)


def assert_halves(train, held_out, user_items):
    assert train.shape == held_out.shape == user_items.shape
    assert train.multiply(held_out).nnz == 0
    assert ((train + held_out) != user_items).nnz == 0
    for half in (train, held_out):
        assert (half.dtype, half.indices.dtype) == (np.float32, np.int32)
        assert sparse.csr_array((half.data, half.indices, half.indptr), shape=half.shape).has_canonical_format


def test_the_tasks_split_of_real_ratings(ratings, split):
    train, held_out = split
    assert_halves(train, held_out, ratings.user_items)
    assert held_out.nnz == round(0.2 * ratings.n_likes)
    assert (np.abs(counts(held_out) - 0.2 * counts(ratings.user_items)) < 1).all()


@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(any),
    holdout=st.sampled_from([0.01, 0.2, 0.29, 1 / 3, 0.5, 0.7, 0.99]),
    seed=st.integers(0, 2**32),
)
def test_each_users_share(lengths, holdout, seed):
    train, held_out = holdout_per_user(likes_of(lengths), holdout, seed)
    shares, wanted = counts(held_out), holdout * np.array(lengths)
    assert (counts(train) + shares == lengths).all()
    assert (shares >= np.floor(wanted + 1e-9)).all()
    assert (shares <= np.ceil(wanted - 1e-9)).all()
    assert (counts(train)[np.array(lengths) > 0] >= 1).all()
    # The whole comes out exactly, unless those whose last like would go are needed for it.
    can_round_up = np.minimum(np.ceil(wanted - 1e-9), np.maximum(np.array(lengths) - 1, 0)).astype(int)
    assert shares.sum() == min(round(holdout * sum(lengths)), can_round_up.sum())


def test_the_largest_remainders_are_rounded_up():
    # 0.2 of 6, 7, 8 and 9 likes leaves remainders .2, .4, .6 and .8; 30 likes make 6 in all
    _, held_out = holdout_per_user(likes_of([6, 7, 8, 9]), 0.2)
    assert counts(held_out).tolist() == [1, 1, 2, 2]


def test_ties_are_rounded_up_at_random_whatever_the_length():
    # 0.2 * 7 = 1.4 and 0.2 * 37 = 7.4 have the same remainder, though not in floating point
    lengths = [7, 37] * 5
    rounded_up = [counts(holdout_per_user(likes_of(lengths), 0.2, seed)[1]) - [1, 7] * 5 for seed in range(200)]
    assert {int(r.sum()) for r in rounded_up} == {44 - 40}
    assert (np.abs(np.sum(rounded_up, axis=0) - 80) < 5 * np.sqrt(200 * 0.4 * 0.6)).all()


def test_every_like_is_as_likely_to_be_held_out():
    times = sum(holdout_per_user(likes_of([10, 30]), 0.3, seed)[1] for seed in range(300))
    assert (np.abs(times.data - 90) < 5 * np.sqrt(300 * 0.3 * 0.7)).all()
    assert times.nnz == 40


def test_the_only_like_stays_in_training():
    train, held_out = holdout_per_user([[3], [2], [], [0, 1]], 0.9)
    assert counts(train).tolist() == [1, 1, 0, 1]
    assert counts(held_out).tolist() == [0, 0, 0, 1]

    # 2 of 10 likes would be held out, but 5 users have nothing to spare and the other is at its share
    _, held_out = holdout_per_user(likes_of([1, 1, 1, 1, 1, 5]), 0.2)
    assert counts(held_out).tolist() == [0, 0, 0, 0, 0, 1]


def test_the_seed_decides(ratings, split):
    again = holdout_per_user(ratings, seed=0)
    other = holdout_per_user(ratings, seed=1)
    for half, same, different in zip(split, again, other):
        np.testing.assert_array_equal(half.indices, same.indices)
        np.testing.assert_array_equal(half.indptr, same.indptr)
        assert (half != different).nnz > 0.2 * ratings.n_likes


def test_the_first_split_is_the_same_for_ever():
    _, held_out = holdout_per_user([range(20), range(10)], 0.2, seed=7)
    assert held_out.indices.tolist() == [0, 5, 10, 13, 3, 7]
    assert held_out.indptr.tolist() == [0, 4, 6]


@pytest.mark.parametrize("holdout", [0, 1, -0.2, 20, float("nan")])
def test_bad_shares(holdout):
    with pytest.raises(ValueError, match=f"holdout is {holdout}; pass the fraction to hold out, above 0 and below 1"):
        holdout_per_user([[0, 1]], holdout)


@pytest.mark.parametrize(("test_users", "n_test"), [(0.1, 67), (100, 100), (np.int64(100), 100), (0.5, 336)])
def test_held_out_users_of_real_ratings(ratings, test_users, n_test):
    train, fold_in, held_out, users = holdout_users(ratings, test_users, seed=3)
    assert len(users) == n_test and (np.diff(users) > 0).all()
    assert_halves(fold_in, held_out, ratings.user_items[users])
    assert held_out.nnz == round(0.2 * ratings.user_items[users].nnz)
    others = np.setdiff1d(np.arange(ratings.n_users), users)
    assert (train != ratings.user_items[others]).nnz == 0


def test_held_out_users_have_two_likes_and_depend_on_the_seed():
    likes = likes_of([1, 0, 5, 1, 6, 2, 7])
    chosen = [tuple(holdout_users(likes, 2, seed=seed).test_users.tolist()) for seed in range(60)]
    assert set(chosen) == {(2, 4), (2, 5), (2, 6), (4, 5), (4, 6), (5, 6)}
    assert chosen[0] == tuple(holdout_users(likes, 2, seed=0).test_users.tolist())


@pytest.mark.parametrize("test_users", [0, -1, 3, 0.01, 1.0, float("nan")])
def test_bad_numbers_of_users(test_users):
    sentence = f"test_users is {test_users}, which is .* of 4 users; pass .* at most the 2 users with two likes or more"
    with pytest.raises(ValueError, match=sentence):
        holdout_users([[0, 1], [0], [1, 2], [2]], test_users)


def test_one_user_is_left_to_train_on():
    with pytest.raises(ValueError, match=r"is 2 of 2 users; pass .* with at least one user left"):
        holdout_users([[0, 1], [1, 2]], 2)


@pytest.fixture(scope="module")
def timed():
    """The bundled ratings with their times."""
    return datasets.load(times=True)


def test_times_of_real_ratings_stand_beside_their_likes(timed, ratings):
    assert (timed.user_items != ratings.user_items).nnz == 0
    assert ratings.times is None
    raw = datasets.read(Path(datasets.__file__).parent / "bundled/ml-latest-small.zip", values=True)
    time_of = dict(zip(zip(raw.users.tolist(), raw.items.tolist()), raw.timestamps.tolist()))
    rows, columns = timed.user_items.nonzero()
    pairs = zip(timed.user_ids[rows].tolist(), timed.item_ids[columns].tolist())
    assert timed.times.tolist() == [time_of[pair] for pair in pairs]


def test_the_first_time_of_a_like_counts():
    likes = Interactions.from_pairs([2, 1, 2, 2, 1], [5, 5, 5, 4, 5], times=[30, 7, 10, 40, 8])
    assert likes.user_items.indices.tolist() == [1, 0, 1]
    assert likes.times.tolist() == [7, 40, 10]
    assert likes.with_user_items(likes.user_items[:, :]).times is None


def test_times_may_be_dates():
    dates = np.array(["2020-01-02T00:00:01.9", "1969-12-31T23:59:59"], "datetime64[ms]")
    assert Interactions.from_pairs([1, 2], [1, 1], times=dates).times.tolist() == [1_577_923_201, -1]


@pytest.mark.parametrize(
    ("times", "error", "sentence"),
    [
        ([1], ValueError, r"times has shape \(1,\) for 2 pairs; pass one time for each"),
        ([1.0, np.nan], ValueError, "times holds nan; drop likes without a time"),
        (np.array(["2020-01-01", "NaT"], "datetime64[s]"), ValueError, "times holds NaT; drop likes without a time"),
        (["noon", "now"], TypeError, "times has dtype <U4; pass seconds since 1970, or datetime64"),
    ],
)
def test_bad_times(times, error, sentence):
    with pytest.raises(error, match=sentence):
        Interactions.from_pairs([1, 2], [1, 1], times=times)


def test_times_need_a_matrix_in_their_order():
    with pytest.raises(ValueError, match="times need a canonical user_items; call as_user_items on it first"):
        Interactions(sparse.coo_array(np.eye(2)), [0, 1], [0, 1], times=[3, 4])


def test_a_data_set_without_times_says_so(tmp_path):
    (tmp_path / "likes.csv").write_text("user,item\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="likes has no known column of times; pass time="):
        datasets.load(path=tmp_path / "likes.csv", times=True)
    with pytest.raises(ValueError, match="the synthetic likes have no times; pass times=False"):
        datasets.load("synthetic", times=True)


def times_of(timed, half):
    """The times of the likes in `half`, a subset of `timed`."""
    everything = timed.user_items.copy()
    everything.data = np.arange(timed.n_likes) + 1.0
    return timed.times[everything.multiply(half).tocsr().data.astype(int) - 1]


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_the_cut_parts_real_ratings(timed, share):
    train, held_out, cut, n_newcomers, n_left_out = holdout_by_time(timed, share)
    assert times_of(timed, train).max() < cut <= times_of(timed, held_out).min()
    assert train.multiply(held_out).nnz == 0
    assert train.nnz + held_out.nnz + n_left_out == timed.n_likes
    # Ties at the cut are held out, so it is the share at least, and no more than the ties over it.
    n_late = (timed.times >= cut).sum()
    assert n_late - (timed.times == cut).sum() < round(share * timed.n_likes) <= n_late
    assert train.nnz == timed.n_likes - n_late
    newcomers = (counts(train) == 0) & (counts(timed.user_items) > 0)
    assert n_newcomers == newcomers.sum() > 0
    assert n_left_out == counts(timed.user_items)[newcomers].sum() > 0
    assert counts(held_out)[newcomers].sum() == 0 < held_out.nnz
    assert (counts(train) + counts(held_out))[~newcomers].tolist() == counts(timed.user_items)[~newcomers].tolist()
    for half in (train, held_out):
        assert (half.dtype, half.indices.dtype) == (np.float32, np.int32)
        assert sparse.csr_array((half.data, half.indices, half.indptr), shape=half.shape).has_canonical_format


def test_an_item_that_nobody_liked_before_the_cut_is_held_out():
    split = holdout_by_time(Interactions.from_pairs([1, 1, 2], [1, 2, 1], times=[1, 3, 2]), share=1 / 3)
    assert split.cut == 3
    assert split.held_out.toarray().tolist() == [[0, 1], [0, 0]]
    assert (split.n_newcomers, split.n_left_out) == (0, 0)


def test_what_has_no_split_by_time():
    with pytest.raises(TypeError, match="likes is a list; pass an Interactions with times"):
        holdout_by_time([[0, 1]])
    with pytest.raises(ValueError, match=r"likes has no times; pass likes from datasets.load\(times=True\)"):
        holdout_by_time(Interactions.from_pairs([1], [1]))
    likes = Interactions.from_pairs([1, 2], [1, 2], times=[0, 5])
    with pytest.raises(ValueError, match="share is 1; pass the fraction to hold out, above 0 and below 1"):
        holdout_by_time(likes, share=1)
    with pytest.raises(
        ValueError, match="no user has likes both before and after 1970-01-01T00:00:05, where the latest"
    ):
        holdout_by_time(likes, share=0.5)
    same = Interactions.from_pairs([1, 1], [1, 2], times=[5, 5])
    with pytest.raises(ValueError, match="no user has likes both before and after 1970-01-01T00:00:05"):
        holdout_by_time(same)


# Each user's latest like


@given(
    likes=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=40).filter(
        lambda likes: len({like[:2] for like in likes}) > len({user for user, _, _ in likes})
    )
)
def test_the_latest_like_of_each_user_is_held_out(likes):
    first_times = {}
    for user, item, time in sorted(likes, key=lambda like: -like[2]):
        first_times[user, item] = time
    interactions = Interactions.from_pairs(*zip(*first_times), times=list(first_times.values()))
    split = holdout_last(interactions)
    assert_halves(split.train, split.held_out, interactions.user_items)
    for row, user in enumerate(interactions.user_ids):
        of_user = sorted((time, item) for (liked_by, item), time in first_times.items() if liked_by == user)
        last = [interactions.index_of_items(of_user[-1][1]).item()] if len(of_user) > 1 else []
        assert split.held_out[[row]].indices.tolist() == last


def test_what_has_no_latest_like():
    with pytest.raises(TypeError, match="likes is a list; pass an Interactions with times"):
        holdout_last([[0, 1]])
    with pytest.raises(ValueError, match=r"likes has no times; pass likes from datasets.load\(times=True\)"):
        holdout_last(as_user_items([[0, 1]]))
    with pytest.raises(ValueError, match="no user has two likes, one to learn from and one to hold out; pass more"):
        holdout_last(Interactions.from_pairs([1, 2], [1, 1], times=[5, 5]))


# What the parts carry


def numbered(likes, on_disk=None):
    """Likes with times and weights that identify user and item, on disk if a folder is given."""
    rows, columns = likes.nonzero()
    if on_disk is not None:
        for name in ("data", "indices"):
            np.save(on_disk / f"{name}.npy", getattr(likes, name))
        arrays = (np.load(on_disk / f"{name}.npy", mmap_mode="r") for name in ("data", "indices"))
        likes = sparse.csr_array((*arrays, likes.indptr), likes.shape)
    return carrying(as_user_items(likes), 1000 * rows + columns, 1 + rows + columns / 1024)


def assert_own(part, rows):
    """Check that the likes have the same times and weights as in these rows of `numbered`."""
    users, items = part.nonzero()
    assert isinstance(part, UserItems) and part.checked
    np.testing.assert_array_equal(part.times, 1000 * rows[users] + items)
    np.testing.assert_array_equal(part.weights, (1 + rows[users] + items / 1024).astype(np.float32))


@pytest.mark.parametrize("is_mapped", [False, True])
def test_parts_carry_times_and_weights(tmp_path, monkeypatch, is_mapped):
    monkeypatch.setattr(mapped, "LIKES_AT_ONCE", 50)
    likes = numbered(as_user_items(likes_of(range(20)), 40), tmp_path if is_mapped else None)
    everybody = np.arange(20)
    for part in (*holdout_per_user(likes), *holdout_by_time(likes, 0.01)[:2], *holdout_last(likes)):
        assert_own(part, everybody)
    split = holdout_users(likes, 5)
    assert_own(split.train, np.setdiff1d(everybody, split.test_users))
    for part in (split.fold_in, split.held_out):
        assert_own(part, split.test_users)


def test_two_halves_are_united():
    likes = numbered(as_user_items(likes_of(range(20)), 40))
    united_again = united(*holdout_per_user(likes))
    assert (united_again != likes).nnz == 0
    assert_own(united_again, np.arange(20))
    bare = holdout_per_user(as_user_items(likes_of(range(20)), 40))
    assert united(*bare).carried == united(bare[0], holdout_per_user(likes)[1]).carried == {}


@pytest.mark.parametrize("rows", [slice(3, 9), slice(None, None, 2), [4, 4, 0], np.array([7]), np.arange(20) % 3 == 0])
def test_rows_carry_times_and_weights(rows):
    likes = numbered(as_user_items(likes_of(range(20)), 40))
    assert_own(likes[rows], np.arange(20)[rows])
    assert likes[:, :5].times is likes.copy().weights is None


def test_likes_with_other_likes_have_what_those_carry():
    likes = Interactions.from_pairs([1, 1, 2], [1, 2, 1], times=[1, 3, 2], weights=[4, 5, 6])
    train, held_out = (likes.with_user_items(half) for half in holdout_last(likes))
    assert (train.times.tolist(), held_out.weights.tolist()) == ([1, 2], [5])
    assert Interactions.from_csr(likes.user_items).times.tolist() == [1, 3, 2]
