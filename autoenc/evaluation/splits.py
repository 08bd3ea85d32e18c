"""Splits of likes into training likes and held-out likes.

There are four protocols. Weak generalization (the task's): a fraction of each user's likes is held out,
and the rest is for training. Strong generalization (Liang et al. 2018, arXiv 1802.05814, section 4.3):
whole users are held out; the model sees them only in evaluation, where part of their likes is given
(folded in) and the rest is to be predicted. By time: the likes before a moment are for training, and those
after it are to be predicted, as in production. Leave-last-one-out: each user's latest like is to be
predicted, as in many published tables. In all but the split by time a model learns from other users'
later likes, so results are slightly optimistic and may rank models differently (Meng et al. 2020,
arXiv 2007.13237; Ji et al. 2023, arXiv 2010.11060).

The parts keep the times and weights of the likes, if there are any.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from scipy import sparse

from autoenc.interactions import Interactions, UserItems, UserItemsLike, as_user_items, carrying
from autoenc.messages import shown
from autoenc.storage.mapped import blocks_of_rows, empty_rows, take_rows


def holdout_per_user(
    user_items: UserItemsLike, holdout: float = 0.2, seed: int = 0
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Hold out a random fraction of each user's likes.

    From a user with n likes, holdout * n are held out, rounded down or up: up for those with the largest
    remainders (ties at random), so that the total is round(holdout * n_likes). A user's only like stays
    in training, so if very many users have just one, the total is smaller.

    Parameters
    ----------
    user_items : (n_users, n_items), anything that `as_user_items` accepts
        If it is memory-mapped (see `datasets.prepared`), the parts are written to temporary files, 8
        bytes per like, and users are processed in blocks.
    holdout : float
        Fraction to hold out, above 0 and below 1.
    seed : int

    Returns
    -------
    train, held_out : csr_array (n_users, n_items)
        Disjoint; their sum is `user_items`.

    Raises
    ------
    ValueError
        If `holdout` is out of range.

    Examples
    --------
    >>> train, held_out = holdout_per_user([[0, 1, 2, 3, 4], [2]], holdout=0.4)
    >>> train.sum(axis=1), held_out.sum(axis=1)
    (array([3., 1.], dtype=float32), array([2., 0.], dtype=float32))
    """
    user_items = as_user_items(user_items)
    if not 0 < holdout < 1:
        raise ValueError(f"holdout is {holdout}; pass the fraction to hold out, above 0 and below 1, such as 0.2.")
    n_likes = np.diff(user_items.indptr)
    n_held_out = shares_per_user(n_likes, holdout, seed)
    train, held_out = empty_rows(user_items, n_likes - n_held_out), empty_rows(user_items, n_held_out)
    carried: list[dict[str, np.ndarray]] = [
        {name: np.empty(half.nnz, values.dtype) for name, values in user_items.carried.items()}
        for half in (train, held_out)
    ]
    for users in blocks_of_rows(user_items.indptr):
        likes = slice(user_items.indptr[users.start], user_items.indptr[users.stop])
        chosen = _sample(n_likes[users], n_held_out[users], _numbers(seed, len(n_likes), likes.start))
        for half, of_half, carried_by_half in zip((train, held_out), (~chosen, chosen), carried):
            place = slice(half.indptr[users.start], half.indptr[users.stop])
            half.indices[place] = user_items.indices[likes][of_half]
            half.data[place] = user_items.data[likes][of_half]
            for name, values in user_items.carried.items():
                carried_by_half[name][place] = values[likes][of_half]
    return _loaded(train, carried[0]), _loaded(held_out, carried[1])


class Block(NamedTuple):
    """The position of a block of consecutive users among all users to split."""

    n_users: int  # number of all users
    first_like: int  # number of likes of the users before the block
    n_held_out: np.ndarray  # the block's part of `shares_per_user`


def holdout_of_block(
    user_items: sparse.csr_array, block: Block, seed: int
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """The rows of a block in the result of `holdout_per_user`, without the other users.

    `user_items` is canonical and has only the rows of the block.
    """
    numbers = _numbers(seed, block.n_users, block.first_like)
    chosen = _sample(np.diff(user_items.indptr), block.n_held_out, numbers)
    return keep(user_items, ~chosen), keep(user_items, chosen)


def shares_per_user(n_likes: np.ndarray, holdout: float = 0.2, seed: int = 0) -> np.ndarray:
    """Number of likes that `holdout_per_user` holds out of each user's: (n_users,), int64."""
    return _shares(n_likes, holdout, np.random.Generator(np.random.Philox(seed)))


def _numbers(seed: int, n_users: int, first_like: int) -> np.random.Generator:
    """The generator in its state when `holdout_per_user` draws the number of like `first_like`.

    Before the first like, `_shares` has drawn one 64-bit number per user. Each like takes a 32-bit
    number, first the lower and then the upper half of 64 bits. Philox counts blocks of four 64-bit numbers.
    """
    n_whole, n_halves = divmod(int(first_like), 2)
    fours, n_whole = divmod(n_users + n_whole, 4)
    bits = np.random.Philox(seed)
    bits.advance(fours)
    bits.random_raw(n_whole)
    rng = np.random.Generator(bits)
    rng.integers(1 << 32, size=n_halves, dtype=np.uint32)
    return rng


def _sample(n_likes: np.ndarray, n_wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random sample of n_wanted likes of each user, as a mask (n_likes.sum(),) over their concatenated likes.

    Each like gets a random number, and those with the n_wanted smallest in each row are chosen. With one
    number per like, users may be processed in blocks of any size.
    """
    row = np.repeat(np.arange(len(n_likes), dtype=np.int64), n_likes)
    drawn = rng.integers(1 << 32, size=len(row), dtype=np.uint32)
    in_random_order = np.argsort((row << 32) | drawn, kind="stable")
    rank_in_row = np.arange(len(row)) - np.repeat(np.cumsum(n_likes) - n_likes, n_likes)
    chosen = np.zeros(len(row), bool)
    chosen[in_random_order[rank_in_row < n_wanted[row]]] = True
    return chosen


class StrongSplit(NamedTuple):
    """The result of `holdout_users`."""

    train: sparse.csr_array  # (n_users - n_test, n_items), all likes of the training users
    fold_in: sparse.csr_array  # (n_test, n_items), the test users' likes that the model sees
    held_out: sparse.csr_array  # (n_test, n_items), the likes to predict
    test_users: np.ndarray  # (n_test,), ascending: rows of the test users in the original matrix


def holdout_users(
    user_items: UserItemsLike, test_users: float = 0.1, holdout: float = 0.2, seed: int = 0
) -> StrongSplit:
    """Hold out whole users, and a random fraction of their likes.

    The users are drawn from those with at least two likes, as a single like can't be both shown and
    predicted.

    Parameters
    ----------
    user_items : (n_users, n_items), anything that `as_user_items` accepts
    test_users : float or int
        Fraction or number of users to hold out.
    holdout : float
        Fraction of a test user's likes to predict; the rest is folded in.
    seed : int

    Returns
    -------
    StrongSplit

    Raises
    ------
    ValueError
        If `test_users` or `holdout` is out of range.
    """
    user_items = as_user_items(user_items)
    n_users = user_items.shape[0]
    n_test = number_of_users(user_items, test_users, "test_users")
    rng = np.random.Generator(np.random.Philox(seed))
    eligible = np.flatnonzero(np.diff(user_items.indptr) >= 2)
    chosen = np.sort(rng.choice(eligible, n_test, replace=False))
    fold_in, held_out = holdout_per_user(_rows(user_items, chosen), holdout, seed)
    others = np.setdiff1d(np.arange(n_users), chosen, assume_unique=True)
    return StrongSplit(_rows(user_items, others), fold_in, held_out, chosen)


def number_of_users(user_items: sparse.csr_array, wanted: float, name: str) -> int:
    """The number of users to hold out for `wanted`, a fraction or a number; errors call it `name`.

    Raises ValueError if there are not enough users.
    """
    if not isinstance(wanted, Real):
        raise TypeError(f"{name} must be a fraction or a number of users, got {shown(wanted)}")
    n_users = user_items.shape[0]
    eligible = int((np.diff(user_items.indptr) >= 2).sum())
    number = wanted if isinstance(wanted, Integral) else np.rint(wanted * n_users)
    if not 0 < number <= min(eligible, n_users - 1):
        raise ValueError(
            f"{name} is {wanted}, which is {number:,.0f} of {n_users:,} users; pass a fraction or a number of at "
            f"least 1 and at most the {eligible:,} users with two likes or more, with at least one user left."
        )
    return int(number)


class TimeSplit(NamedTuple):
    """The result of `holdout_by_time`."""

    train: sparse.csr_array  # (n_users, n_items), the likes before the cut
    held_out: sparse.csr_array  # (n_users, n_items), the later likes of users with likes in train
    cut: int  # time of the cut, in seconds since 1970
    n_newcomers: int  # number of users with no likes before the cut; their rows are empty in both
    n_left_out: int  # number of likes of these users


def holdout_by_time(likes: Interactions | UserItems, share: float = 0.2) -> TimeSplit:
    """Hold out the latest likes of all users, with one cut for all.

    With a separate cut per user, a model would be trained on likes that are later than those to predict.

    The cut is the time such that a fraction `share` of all likes is at or after it. Likes with the same
    time stay together and are held out. A user without likes before the cut has nothing to show to a
    model, so their likes are in neither part, but counted. An item that nobody liked before the cut is
    held out like any other: no model can predict it, as in production.

    Parameters
    ----------
    likes : Interactions, or its user_items
        Likes with `times`, from `datasets.load(times=True)` or `Interactions.from_pairs(times=...)`.
        If a like was given twice, its first time counts.
    share : float
        Fraction to hold out, above 0 and below 1.

    Returns
    -------
    TimeSplit

    Raises
    ------
    TypeError
        If `likes` is something else.
    ValueError
        If it has no times, `share` is out of range, or one of the parts would be empty.

    Examples
    --------
    >>> likes = Interactions.from_pairs([1, 1, 2, 2, 3], [7, 8, 7, 9, 8], times=[10, 40, 20, 50, 60])
    >>> split = holdout_by_time(likes, share=0.6)
    >>> split.cut, split.train.toarray().tolist(), split.held_out.toarray().tolist()
    (40, [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    >>> split.n_newcomers, split.n_left_out
    (1, 1)
    """
    user_items, times = _with_times(likes)
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; pass the fraction to hold out, above 0 and below 1, such as 0.2.")
    n_held_out = max(1, round(share * len(times)))
    cut = int(np.partition(times, -n_held_out)[-n_held_out])
    is_late = times >= cut
    n_early = np.diff(np.concatenate([[0], np.cumsum(~is_late)])[user_items.indptr])  # (n_users,)
    is_known = np.repeat(n_early > 0, np.diff(user_items.indptr))  # (n_likes,)
    if not (is_late & is_known).any():
        raise ValueError(
            f"no user has likes both before and after {np.datetime64(cut, 's')}, where the latest fraction {share} of "
            f"{len(times):,} likes begins; pass another share, or split per user."
        )
    newcomer = (n_early == 0) & (np.diff(user_items.indptr) > 0)
    return TimeSplit(
        keep(user_items, ~is_late),
        keep(user_items, is_late & is_known),
        cut,
        int(newcomer.sum()),
        int((~is_known).sum()),
    )


class LastSplit(NamedTuple):
    """The result of `holdout_last`."""

    train: sparse.csr_array  # (n_users, n_items), all other likes
    held_out: sparse.csr_array  # (n_users, n_items), the latest like of each user with two or more


def holdout_last(likes: Interactions | UserItems) -> LastSplit:
    """Hold out each user's latest like: leave-last-one-out, as in many published tables.

    Among likes with the same time it is that of the last item. A user's only like stays in training.

    Parameters
    ----------
    likes : Interactions, or its user_items
        Likes with `times`, as in `holdout_by_time`.

    Returns
    -------
    LastSplit

    Raises
    ------
    TypeError
        If `likes` is something else.
    ValueError
        If it has no times, or no user has two likes.

    Examples
    --------
    >>> likes = Interactions.from_pairs([1, 1, 1, 2], [7, 8, 9, 7], times=[10, 40, 20, 50])
    >>> train, held_out = holdout_last(likes)
    >>> train.toarray().tolist(), held_out.toarray().tolist()
    ([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    """
    user_items, times = _with_times(likes)
    n_likes = np.diff(user_items.indptr)
    row = np.repeat(np.arange(len(n_likes)), n_likes)
    by_row_then_time = np.lexsort((times, row))  # stable: at equal times, the items ascend
    last_of_row = by_row_then_time[user_items.indptr[1:][n_likes >= 2] - 1]
    if not len(last_of_row):
        raise ValueError("no user has two likes, one to learn from and one to hold out; pass more likes.")
    is_last = np.zeros(len(row), bool)
    is_last[last_of_row] = True
    return LastSplit(keep(user_items, ~is_last), keep(user_items, is_last))


def _with_times(likes: Interactions | UserItems) -> tuple[UserItems, np.ndarray]:
    """The likes (n_users, n_items) and the time of each (n_likes,)."""
    if not isinstance(likes, (Interactions, UserItems)):
        raise TypeError(f"likes is a {type(likes).__name__}; pass an Interactions with times.")
    user_items = as_user_items(likes)
    if user_items.times is None:
        raise ValueError(
            "likes has no times; pass likes from datasets.load(times=True) or Interactions.from_pairs(times=...)."
        )
    return user_items, user_items.times


def _shares(n_likes: np.ndarray, holdout: float, rng: np.random.Generator) -> np.ndarray:
    """Number of likes to hold out for each user."""
    wanted = holdout * n_likes
    n_held_out = np.floor(wanted).astype(np.int64)
    remainder = np.round(wanted - n_held_out, 9)  # so that .2 * 7 and .2 * 12 have equal remainders
    by_remainder = np.lexsort((rng.random(len(n_likes)), -remainder))
    can_round_up = (remainder > 0) & (n_held_out + 1 < n_likes)
    n_up = round(holdout * int(n_likes.sum())) - int(n_held_out.sum())
    n_held_out[by_remainder[can_round_up[by_remainder]][:n_up]] += 1
    return n_held_out


def keep(user_items: sparse.csr_array, mask: np.ndarray) -> sparse.csr_array:
    """The entries of a CSR (n_users, n_items) where `mask` (nnz,) is true, with their data, times and weights."""
    n_kept_before = np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])
    indptr = n_kept_before[user_items.indptr].astype(np.int32)
    kept = sparse.csr_array((user_items.data[mask], user_items.indices[mask], indptr), shape=user_items.shape)
    return _loaded(kept, {name: values[mask] for name, values in getattr(user_items, "carried", {}).items()})


def united(first: UserItems, second: UserItems) -> UserItems:
    """The union of two disjoint sets of likes of the same users and items, such as the parts of a split."""
    parts = [as_user_items(part) for part in (first, second)]
    rows, columns = (np.concatenate(positions) for positions in zip(*(part.nonzero() for part in parts)))
    in_order = np.lexsort((columns, rows))
    carried = {
        name: np.concatenate([part.carried[name] for part in parts])[in_order]
        for name in parts[0].carried
        if name in parts[1].carried
    }
    both = as_user_items(sparse.coo_array((np.ones(len(rows), np.float32), (rows, columns)), shape=first.shape))
    return carrying(both, **carried)


def stacked(likes: UserItems, others: UserItems) -> UserItems:
    """The rows of both, over the same items, with the times and weights that both have."""
    of_likes, of_others = as_user_items(likes).carried, as_user_items(others).carried
    carried = {name: np.concatenate([of_likes[name], of_others[name]]) for name in of_likes if name in of_others}
    return carrying(sparse.vstack([likes, others], format="csr"), **carried)


def _rows(user_items: UserItems, rows: np.ndarray) -> sparse.csr_array:
    """`take_rows` with times and weights."""
    taken = take_rows(user_items, rows)
    if isinstance(taken, UserItems) or not user_items.carried:
        return taken
    return _loaded(taken, user_items[rows].carried)


def _loaded(user_items: sparse.csr_array, carried: dict[str, np.ndarray]) -> sparse.csr_array:
    """The likes with times and weights, if there are any."""
    return carrying(user_items, **carried) if carried else user_items
