"""Which likes are trained on and which are held out to be predicted.

Four protocols. Weak generalization (the task's): every user is trained on, with a share of their
likes held out. Strong generalization (Liang et al. 2018, arXiv 1802.05814, section 4.3): whole
users are held out; the model sees them only at evaluation, where a share of their likes is given
(folded in) and the rest is to be predicted. By time: what came before one moment is trained on, what
came after is to be predicted, as in use. Leave-last-one-out: each user's latest like is to be
predicted, as many published tables have it. All but the split by time let the model learn from
others' likes of a later day, and so measure it a little too kindly and may order models otherwise
(Meng et al. 2020, arXiv 2007.13237; Ji et al. 2023, arXiv 2010.11060).

The parts carry the times and weights of the likes that were split, where those carry any.
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
    """Hold out a random share of each user's likes.

    A user with n likes has holdout * n of them held out, rounded down or up: up for those nearest
    to the next whole number (ties at random), as many as it takes for the whole to come to
    round(holdout * n_likes). A user's only like stays in training, so where very many users have
    just one, the whole falls short.

    Parameters
    ----------
    user_items : (n_users, n_items), whatever `as_user_items` takes
        One over memory-mapped files (see `datasets.prepared`) makes halves in temporary files, 8
        bytes a like, and is gone through a block of users at a time.
    holdout : float
        The share, above 0 and below 1.
    seed : int

    Returns
    -------
    train, held_out : csr_array (n_users, n_items)
        Disjoint; together they are `user_items`.

    Raises
    ------
    ValueError
        Where `holdout` is not such a share.

    Examples
    --------
    >>> train, held_out = holdout_per_user([[0, 1, 2, 3, 4], [2]], holdout=0.4)
    >>> train.sum(axis=1), held_out.sum(axis=1)
    (array([3., 1.], dtype=float32), array([2., 0.], dtype=float32))
    """
    user_items = as_user_items(user_items)
    if not 0 < holdout < 1:
        raise ValueError(f"holdout is {holdout}; pass the share to hold out, above 0 and below 1, such as 0.2.")
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
    """Where some users stand among all that are split, in a row."""

    n_users: int  # of all
    first_like: int  # how many likes those before them have
    n_held_out: np.ndarray  # of `shares_per_user`, theirs


def holdout_of_block(
    user_items: sparse.csr_array, block: Block, seed: int
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Their rows of what `holdout_per_user` makes of all users, without the others.

    `user_items` is canonical and holds theirs alone.
    """
    numbers = _numbers(seed, block.n_users, block.first_like)
    chosen = _sample(np.diff(user_items.indptr), block.n_held_out, numbers)
    return keep(user_items, ~chosen), keep(user_items, chosen)


def shares_per_user(n_likes: np.ndarray, holdout: float = 0.2, seed: int = 0) -> np.ndarray:
    """How many likes `holdout_per_user` holds out of each user's: (n_users,), int64."""
    return _shares(n_likes, holdout, np.random.Generator(np.random.Philox(seed)))


def _numbers(seed: int, n_users: int, first_like: int) -> np.random.Generator:
    """The generator where `holdout_per_user` draws the number of that like.

    Before the first like's it has drawn one of 64 bits a user, in `_shares`; a like's has 32, the
    lower half of 64 and then the upper. Philox counts in fours of 64.
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
    """Which of the likes of some users, end to end, are among those wanted of each: a mask (n_likes.sum(),).

    Sorted by random numbers within each row, the first n_wanted of a row are a random sample. The
    numbers are drawn a like each, so the users may come in blocks of any size.
    """
    row = np.repeat(np.arange(len(n_likes), dtype=np.int64), n_likes)
    drawn = rng.integers(1 << 32, size=len(row), dtype=np.uint32)
    in_random_order = np.argsort((row << 32) | drawn, kind="stable")
    rank_in_row = np.arange(len(row)) - np.repeat(np.cumsum(n_likes) - n_likes, n_likes)
    chosen = np.zeros(len(row), bool)
    chosen[in_random_order[rank_in_row < n_wanted[row]]] = True
    return chosen


class StrongSplit(NamedTuple):
    """What `holdout_users` returns."""

    train: sparse.csr_array  # (n_users - n_test, n_items), all likes of the users trained on
    fold_in: sparse.csr_array  # (n_test, n_items), what the model is shown of the others
    held_out: sparse.csr_array  # (n_test, n_items), what it has to predict
    test_users: np.ndarray  # (n_test,), ascending: their rows in the matrix that was split


def holdout_users(
    user_items: UserItemsLike, test_users: float = 0.1, holdout: float = 0.2, seed: int = 0
) -> StrongSplit:
    """Hold out whole users, and a random share of their likes.

    They are drawn from the users with at least two likes, since one like can't be both shown and
    predicted.

    Parameters
    ----------
    user_items : (n_users, n_items), whatever `as_user_items` takes
    test_users : float or int
        The share of users to hold out, or their number.
    holdout : float
        The share of a held-out user's likes that is to be predicted; the rest is folded in.
    seed : int

    Returns
    -------
    StrongSplit

    Raises
    ------
    ValueError
        Where `test_users` or `holdout` asks for what can't be had.
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
    """How many users `holdout_users` holds out for `wanted`, a share or a number, which its caller calls `name`.

    Raises ValueError where so many can't be had.
    """
    if not isinstance(wanted, Real):
        raise TypeError(f"{name} must be a share or a number of users, got {shown(wanted)}")
    n_users = user_items.shape[0]
    eligible = int((np.diff(user_items.indptr) >= 2).sum())
    number = wanted if isinstance(wanted, Integral) else np.rint(wanted * n_users)
    if not 0 < number <= min(eligible, n_users - 1):
        raise ValueError(
            f"{name} is {wanted}, which makes {number:,.0f} of {n_users:,} users; pass a share or a number "
            f"that makes at least 1 and at most the {eligible:,} with two likes, and leaves one to train on."
        )
    return int(number)


class TimeSplit(NamedTuple):
    """What `holdout_by_time` returns."""

    train: sparse.csr_array  # (n_users, n_items), the likes before the cut
    held_out: sparse.csr_array  # (n_users, n_items), those from then on, of users who have some in train
    cut: int  # the moment, in seconds since 1970
    n_newcomers: int  # users whose likes all came after it: their rows are empty in both
    n_left_out: int  # the likes of those


def holdout_by_time(likes: Interactions | UserItems, share: float = 0.2) -> TimeSplit:
    """Hold out the latest share of all likes: one cut for all users.

    A cut for each user would train on some users' likes of a day that for others is yet to come.

    The cut is the moment from which on `share` of all likes came. Likes of one moment stay together,
    held out. A user without a like before it can be shown nothing, so their likes are in neither
    half, and counted. An item that nobody liked before it is held out like any other, though no
    model can find it: that is part of what the future asks.

    Parameters
    ----------
    likes : Interactions, or its user_items
        With `times`: made by `datasets.load(times=True)` or `Interactions.from_pairs(times=...)`,
        where the first time counts of a like that was given twice.
    share : float
        Above 0 and below 1.

    Returns
    -------
    TimeSplit

    Raises
    ------
    TypeError
        If `likes` is something else.
    ValueError
        If it has no times, `share` is not such a share, or one of the halves would be empty.

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
        raise ValueError(f"share is {share}; pass the share to hold out, above 0 and below 1, such as 0.2.")
    n_held_out = max(1, round(share * len(times)))
    cut = int(np.partition(times, -n_held_out)[-n_held_out])
    is_late = times >= cut
    n_early = np.diff(np.concatenate([[0], np.cumsum(~is_late)])[user_items.indptr])  # (n_users,)
    is_known = np.repeat(n_early > 0, np.diff(user_items.indptr))  # (n_likes,)
    if not (is_late & is_known).any():
        raise ValueError(
            f"no user has likes both before and after {np.datetime64(cut, 's')}, where a share of {share} "
            f"of {len(times):,} likes begins; pass another share, or split per user."
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
    """What `holdout_last` returns."""

    train: sparse.csr_array  # (n_users, n_items), all likes but those
    held_out: sparse.csr_array  # (n_users, n_items), the latest like of each user with two or more


def holdout_last(likes: Interactions | UserItems) -> LastSplit:
    """Hold out each user's latest like: leave-last-one-out, as many published tables have it.

    Of likes of one moment it is that of the last item. A user with a single like keeps it in training.

    Parameters
    ----------
    likes : Interactions, or its user_items
        With `times`, as `holdout_by_time` has it.

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
    by_row_then_time = np.lexsort((times, row))  # stable: of one moment, the items ascend
    last_of_row = by_row_then_time[user_items.indptr[1:][n_likes >= 2] - 1]
    if not len(last_of_row):
        raise ValueError("no user has two likes, one to learn from and one to hold out; pass more likes.")
    is_last = np.zeros(len(row), bool)
    is_last[last_of_row] = True
    return LastSplit(keep(user_items, ~is_last), keep(user_items, is_last))


def _with_times(likes: Interactions | UserItems) -> tuple[UserItems, np.ndarray]:
    """The likes (n_users, n_items), and when each came, (n_likes,)."""
    if not isinstance(likes, (Interactions, UserItems)):
        raise TypeError(f"likes is a {type(likes).__name__}; pass an Interactions with times.")
    user_items = as_user_items(likes)
    if user_items.times is None:
        raise ValueError("likes has no times; make it by datasets.load(times=True) or Interactions.from_pairs(times=).")
    return user_items, user_items.times


def _shares(n_likes: np.ndarray, holdout: float, rng: np.random.Generator) -> np.ndarray:
    """How many of each user's likes to hold out."""
    wanted = holdout * n_likes
    n_held_out = np.floor(wanted).astype(np.int64)
    remainder = np.round(wanted - n_held_out, 9)  # so that .2 * 7 and .2 * 12 leave equal ones
    by_remainder = np.lexsort((rng.random(len(n_likes)), -remainder))
    can_round_up = (remainder > 0) & (n_held_out + 1 < n_likes)
    n_up = round(holdout * int(n_likes.sum())) - int(n_held_out.sum())
    n_held_out[by_remainder[can_round_up[by_remainder]][:n_up]] += 1
    return n_held_out


def keep(user_items: sparse.csr_array, mask: np.ndarray) -> sparse.csr_array:
    """The entries of a CSR (n_users, n_items) where `mask` (nnz,) is true, with their data and what they carry."""
    n_kept_before = np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])
    indptr = n_kept_before[user_items.indptr].astype(np.int32)
    kept = sparse.csr_array((user_items.data[mask], user_items.indices[mask], indptr), shape=user_items.shape)
    return _loaded(kept, {name: values[mask] for name, values in getattr(user_items, "carried", {}).items()})


def united(first: UserItems, second: UserItems) -> UserItems:
    """The likes of both, which share none, of the same users and items: two halves of a split as one again."""
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
    """The rows of both, of the same items, with the times and weights that both carry."""
    of_likes, of_others = as_user_items(likes).carried, as_user_items(others).carried
    carried = {name: np.concatenate([of_likes[name], of_others[name]]) for name in of_likes if name in of_others}
    return carrying(sparse.vstack([likes, others], format="csr"), **carried)


def _rows(user_items: UserItems, rows: np.ndarray) -> sparse.csr_array:
    """`take_rows`, with what they carry."""
    taken = take_rows(user_items, rows)
    if isinstance(taken, UserItems) or not user_items.carried:
        return taken
    return _loaded(taken, user_items[rows].carried)


def _loaded(user_items: sparse.csr_array, carried: dict[str, np.ndarray]) -> sparse.csr_array:
    """The likes with what they carry, or as they are where that is nothing."""
    return carrying(user_items, **carried) if carried else user_items
