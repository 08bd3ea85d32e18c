"""Who liked what: a sparse users x items matrix, with the ids and titles of users and items.

All input passes through `as_user_items`, which checks it once: the result is a `UserItems`, which is not
checked again. The rules:

- A like is a pair (user, item). A pair that occurs twice is one like, with the earlier of its times and
  the sum of its weights, as plays and purchases add up.
- Stored zeros are not likes and are dropped. Any value other than 0 and 1 is an error: what counts as a
  like (every rating, or only 4 stars and more?) is the caller's decision.
- Ids are nonnegative integers, or strings. Floats with integer values count as integers; NaN, fractions,
  negative numbers and mixtures are errors, and so are strings that mark missing values (`MISSING`). The
  number 7 and the string "7" are the same id when ids of both kinds are matched.
- In `from_pairs`, users and items are those that occur, in ascending order of their ids. In
  `from_lists`, `from_csr` and `as_user_items`, rows are positions, so a user without likes keeps its
  row, and `n_items` (or the matrix's shape) keeps items without likes.
- A list of lists contains item numbers. A dense two-dimensional array, or an object that converts to one,
  is a matrix of zeros and ones, like a sparse one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt
from scipy import sparse

from autoenc.storage.csr import MOST_ENTRIES, check_number, indptr_of
from autoenc.storage.npy import check_strings
from autoenc.times import seconds
from autoenc.titles import Titles, UnknownItemError

UserItemsLike: TypeAlias = "Interactions | sparse.sparray | sparse.spmatrix | npt.ArrayLike | Iterable[Iterable[int]]"
"""Input of `as_user_items`: likes with names, a sparse or dense matrix of zeros and ones, or a list of item indices
for each user."""

TitlesLike: TypeAlias = "Mapping[int, str] | Mapping[str, str] | npt.ArrayLike"
"""Titles of items by their external ids, or in the order of the items."""

MISSING = frozenset({"", "nan", "null", "none", "<na>"})
"""The strings, in lower case, that mark a missing id in files and tables. "NA" is not one of them: it is an id like any
other, such as Namibia's code. (pandas' own reader takes it for missing, unless told keep_default_na=False.)"""

MAX_INFERRED_ITEMS = 10_000_000
"""The widest matrix that is created unless `n_items` or `item_ids` is given: otherwise a single wrong id
could require a model of terabytes."""

_OF_A_DENSE_ARRAY = (
    "Pass `user_items > 0` if every value above 0 is a like, user_items.tolist() if a row lists items, "
    "or Interactions.from_table if a row is a pair of user and item."
)


class UserItems(sparse.csr_array):  # type: ignore[misc]  # scipy is untyped
    """Checked likes: the result of `as_user_items`, which returns them unchanged if passed again.

    float32 ones; int32 indices, ascending within a row and without duplicates. Rows of checked likes,
    `likes[rows]`, are checked likes. Other results of scipy operations (a copy, a product, some of the
    columns) are not, and are checked when passed to the package again.

    `data` is read-only, so that no other value is stored by mistake. Don't write to `indices` or `indptr`,
    insert entries, or change the original matrix, whose arrays may be shared: this would not be detected.

    Attributes
    ----------
    checked : bool
        Whether these likes were checked, or are rows of checked likes.
    times, weights : array (n_likes,), int64 and float32, or None
        Time and weight of each like, as in `Interactions`, in the order of `indices`. Rows of likes keep
        theirs.
    """

    checked = False
    times: np.ndarray | None = None
    weights: np.ndarray | None = None

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        selects_rows = isinstance(key, (slice, list, np.ndarray)) and part.ndim == 2
        if not (self.checked and selects_rows):
            return part
        for name, values in self.carried.items():
            of_rows = sparse.csr_array((values, self.indices, self.indptr), shape=self.shape)[key]
            setattr(part, name, of_rows.data)
        return _as_checked(part)

    @property
    def carried(self) -> dict[str, np.ndarray]:
        """Times and weights by name, without those that are None."""
        both = {"times": self.times, "weights": self.weights}
        return {name: values for name, values in both.items() if values is not None}


def carrying(
    user_items: sparse.csr_array, times: np.ndarray | None = None, weights: np.ndarray | None = None
) -> UserItems:
    """Canonical likes with these times and weights, each (n_likes,) in the order of `indices`, or None.

    The arrays are shared. Invalid arrays raise the errors of `Interactions`.
    """
    arrays = user_items.data.view(), user_items.indices, user_items.indptr
    likes = _as_checked(UserItems(arrays, shape=user_items.shape))
    likes.times = None if times is None else _times(times, likes.nnz, "likes")
    likes.weights = None if weights is None else _weights(weights, likes.nnz, "likes")
    return likes


def _as_checked(likes: UserItems) -> UserItems:
    likes.checked = True
    likes.has_canonical_format = True  # so that scipy doesn't check again
    likes.data.flags.writeable = False
    return likes


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Who liked what.

    Usually created by `from_pairs`, `from_table`, `from_lists`, `from_csr` or `autoenc.datasets.load`.

    Parameters
    ----------
    user_items : UserItems (n_users, n_items)
        float32 ones where a user liked an item; int32 indices, ascending within a row.
    user_ids : array (n_users,), int64 or str
        External ids of the users, ascending.
    item_ids : array (n_items,), int64 or str
        External ids of the items, ascending.
    titles : array (n_items,) of str, optional
        Titles of the items.
    name : str
        Name of the data set, for reports.
    times : array (n_likes,), int64, optional
        Time of each like in seconds since 1970, in the order of `user_items.indices`, for splits by time
        and half-lives.
    weights : array (n_likes,), float32, optional
        Confidence of each like, such as plays or stars, in the same order. Finite and above 0; without
        weights every like counts 1.
    source : str
        A description of how the likes were read, if they come from a file.

    Raises
    ------
    ValueError, TypeError
        If the rules above are violated, or the lengths don't match.

    Examples
    --------
    >>> likes = Interactions.from_pairs([7, 7, 9], [30, 10, 10], titles={10: "Heat (1995)", 30: "Ronin (1998)"})
    >>> likes
    Interactions(2 users x 2 items, 3 likes)
    >>> likes.user_items.toarray()
    array([[1., 1.],
           [1., 0.]], dtype=float32)
    >>> likes.index_of_items("Ronin (1998)")
    array([1], dtype=int32)
    """

    user_items: sparse.csr_array
    user_ids: np.ndarray
    item_ids: np.ndarray
    titles: np.ndarray | None = None
    name: str = ""
    times: np.ndarray | None = None
    weights: np.ndarray | None = None
    source: str = ""

    def __post_init__(self) -> None:
        set_field = object.__setattr__  # the class is frozen
        n_items = np.size(self.item_ids)
        user_items = as_user_items(self.user_items, n_items)
        for values in ("times", "weights"):
            if getattr(self, values) is None:
                set_field(self, values, getattr(user_items, values))
            elif not _is_canonical(self.user_items):
                raise ValueError(f"{values} need a canonical user_items; call as_user_items on it first.")
        if self.times is not None or self.weights is not None:
            user_items = carrying(user_items, self.times, self.weights)
            set_field(self, "times", user_items.times)
            set_field(self, "weights", user_items.weights)
        set_field(self, "user_items", user_items)
        set_field(self, "user_ids", _ascending_ids(self.user_ids, self.n_users, "user_ids", "rows"))
        set_field(self, "item_ids", _ascending_ids(self.item_ids, self.n_items, "item_ids", "columns"))
        set_field(self, "titles", _titles(self.titles, self.item_ids))
        for argument in ("user_ids", "item_ids", "titles"):
            _check_text(getattr(self, argument), argument)

    def __repr__(self) -> str:
        name = f"{self.name!r}, " if self.name else ""
        return f"Interactions({name}{self.n_users:,} users x {self.n_items:,} items, {self.n_likes:,} likes)"

    @property
    def n_users(self) -> int:
        return int(self.user_items.shape[0])

    @property
    def n_items(self) -> int:
        return int(self.user_items.shape[1])

    @property
    def n_likes(self) -> int:
        return int(self.user_items.nnz)

    @classmethod
    def from_pairs(
        cls,
        users: npt.ArrayLike,
        items: npt.ArrayLike,
        *,
        titles: TitlesLike | None = None,
        name: str = "",
        times: npt.ArrayLike | None = None,
        weights: npt.ArrayLike | None = None,
        user_ids: npt.ArrayLike | None = None,
        item_ids: npt.ArrayLike | None = None,
        source: str = "",
    ) -> Interactions:
        """Create likes from pairs of external ids, in any order.

        Parameters
        ----------
        users, items : array-like (n_pairs,), integers or str
        titles : mapping of external item id to str, optional
            Items without a title are called by their id. An integer and its digits are the same id.
        name : str
        times : array-like (n_pairs,), optional
            Time of each pair, in seconds since 1970 or datetime64. If a pair occurs twice, the earlier
            time counts.
        weights : array-like (n_pairs,), optional
            Confidence of each pair, finite and above 0. If a pair occurs twice, the weights are added.
        user_ids, item_ids : arrays (n_users,) and (n_items,), optional
            All users and all items, ascending, such as `model.catalogue_.item_ids`: those without likes
            keep their row or column. By default the ids that occur.
        source : str
            A description of how the likes were read.
        """
        users, items = _ids(users, "users"), _ids(items, "items")
        if len(users) != len(items):
            raise ValueError(
                f"users has {len(users):,} entries, but items has {len(items):,}; "
                "pass arrays of the same length, with one entry per like."
            )
        if len(users) == 0:
            raise ValueError("users and items are empty; pass at least one pair.")
        check_number(len(users))
        user_ids, rows = _number_among(users, user_ids, "users", "user_ids")
        item_ids, columns = _number_among(items, item_ids, "items", "item_ids")
        ones = np.ones(len(rows), np.float32)
        user_items = _canonical(sparse.coo_array((ones, (rows, columns)), shape=(len(user_ids), len(item_ids))))
        if times is not None:
            times = _of_likes(_times(times, len(rows), "pairs"), rows, columns, np.minimum)
        if weights is not None:
            of_pairs = _weights(weights, len(rows), "pairs").astype(np.float64)
            weights = _of_likes(of_pairs, rows, columns, np.add)
        return cls(user_items, user_ids, item_ids, _titles(titles, item_ids), name, times, weights, source)

    @classmethod
    def from_table(
        cls,
        table: Any,
        user: str = "user",
        item: str = "item",
        *,
        weight: str | None = None,
        time: str | None = None,
        titles: TitlesLike | None = None,
        name: str = "",
        user_ids: npt.ArrayLike | None = None,
        item_ids: npt.ArrayLike | None = None,
    ) -> Interactions:
        """Create likes from a table with one row per like.

        Parameters
        ----------
        table : DataFrame of pandas or polars, Table of pyarrow, or mapping of str to array-like
            None of the three packages is imported.
        user, item : str
            Names of the columns with the external ids, integers or strings. Other columns are ignored.
        weight, time : str, optional
            Names of the columns with the `weights` and `times` of `from_pairs`. Times that are numbers are seconds
            since 1970, or milli-, micro- or nanoseconds, recognized by their size as in files (`autoenc.times`). Unlike
            in files, small numbers such as 2020, 2021, 2022 are accepted, since they may be the order of the likes.
            `from_pairs` takes times as they are, in seconds.
        titles : mapping of external item id to str, optional
            Items without a title are called by their id. An integer and its digits are the same id.
        name : str
        user_ids, item_ids : arrays, optional
            As in `from_pairs`.

        Raises
        ------
        ValueError, TypeError
            As in `from_pairs`, or if a column does not exist or has missing values, or times are not in one unit.

        Examples
        --------
        >>> plays = {"who": ["ann", "bob", "ann", "ann"], "what": [3, 3, 1, 3], "plays": [5, 1, 2, 1]}
        >>> likes = Interactions.from_table(plays, user="who", item="what", weight="plays")
        >>> likes, likes.weights
        (Interactions(2 users x 2 items, 3 likes), array([2., 6., 1.], dtype=float32))
        """
        users, items = (
            _ids(_column(table, column, argument), f"column {column!r}")
            for column, argument in ((user, "user"), (item, "item"))
        )
        times = None if time is None else _seconds_of(_column(table, time, "time"), time)
        weights = None if weight is None else _column(table, weight, "weight")
        return cls.from_pairs(
            users, items, titles=titles, name=name, times=times, weights=weights, user_ids=user_ids, item_ids=item_ids
        )

    @classmethod
    def from_lists(
        cls,
        lists: Iterable[Iterable[int | str]],
        *,
        user_ids: npt.ArrayLike | None = None,
        item_ids: npt.ArrayLike | None = None,
        titles: TitlesLike | None = None,
        name: str = "",
    ) -> Interactions:
        """Create likes from one list of external item ids per user; the list of a user without likes is empty.

        Parameters
        ----------
        lists : iterable of iterables of item ids
        user_ids : array (n_users,), optional
            Ascending. By default 0, 1, 2, ...
        item_ids : array (n_items,), optional
            All items, ascending. By default the ids that occur.
        titles : mapping of item id to str, or array (n_items,), optional
        name : str
        """
        rows, items = _flatten(lists, "lists")
        item_ids, columns = _number_among(items, item_ids, "lists", "item_ids")
        n_users = len(rows)
        indptr = indptr_of(rows)
        ones = np.ones(len(columns), np.float32)
        user_items = _canonical(sparse.csr_array((ones, columns, indptr), shape=(n_users, len(item_ids))))
        user_ids = np.arange(n_users) if user_ids is None else _ids(user_ids, "user_ids")
        return cls(user_items, user_ids, item_ids, _titles(titles, item_ids), name)

    @classmethod
    def from_csr(
        cls,
        user_items: UserItemsLike,
        *,
        user_ids: npt.ArrayLike | None = None,
        item_ids: npt.ArrayLike | None = None,
        titles: TitlesLike | None = None,
        name: str = "",
    ) -> Interactions:
        """Create likes from a scipy sparse users x items matrix of zeros and ones, in any format.

        Parameters
        ----------
        user_items : sparse matrix or array (n_users, n_items)
        user_ids, item_ids : arrays (n_users,) and (n_items,), optional
            Ascending. By default 0, 1, 2, ...
        titles : mapping of item id to str, or array (n_items,), optional
        name : str
        """
        item_ids = None if item_ids is None else _ids(item_ids, "item_ids")
        user_items = as_user_items(user_items, None if item_ids is None else len(item_ids))
        n_users, n_items = user_items.shape
        user_ids = np.arange(n_users) if user_ids is None else _ids(user_ids, "user_ids")
        item_ids = np.arange(n_items) if item_ids is None else item_ids
        return cls(user_items, user_ids, item_ids, _titles(titles, item_ids), name)

    def with_user_items(self, user_items: UserItemsLike) -> Interactions:
        """The same users and items with other likes, such as one part of a split.

        Times and weights are those of `user_items`: the parts of a split have them, other matrices don't.
        """
        user_items = as_user_items(user_items, self.n_items)
        if user_items.shape[0] != self.n_users:
            raise ValueError(
                f"user_items has {user_items.shape[0]:,} rows for {self.n_users:,} users; pass one row per user."
            )
        return replace(self, user_items=user_items, times=None, weights=None)

    def between(self, since: int | None = None, until: int | None = None) -> Interactions:
        """The likes between `since` (inclusive) and `until` (exclusive), with the users and items that occur in them.

        Parameters
        ----------
        since, until : int, optional
            In seconds since 1970. By default there is no bound.

        Raises
        ------
        ValueError
            If the likes have no times, or none is in this range.
        """
        if self.times is None:
            raise ValueError("the likes have no times to select by; load them with times.")
        chosen = np.ones(self.n_likes, bool)
        if since is not None:
            chosen &= self.times >= since
        if until is not None:
            chosen &= self.times < until
        if not chosen.any():
            first, last = np.datetime64(int(self.times.min()), "s"), np.datetime64(int(self.times.max()), "s")
            whose = self.name or "these likes"
            raise ValueError(f"no like is in this range of time; those of {whose} are from {first} to {last}.")
        bounds = [
            f"{word} {np.datetime64(t, 's')}"
            for word, t in (("before", since), ("at or after", until))
            if t is not None
        ]
        told = (
            ""
            if chosen.all()
            else f"left out {int((~chosen).sum()):,} of {self.n_likes:,} likes, from {' or '.join(bounds)}"
        )
        rows, columns = (place[chosen] for place in self.user_items.nonzero())
        titles = None if self.titles is None else dict(zip(self.item_ids.tolist(), self.titles.tolist()))
        return Interactions.from_pairs(
            self.user_ids[rows],
            self.item_ids[columns],
            titles=titles,
            name=self.name,
            source="\n".join(filter(None, (self.source, told))),
            **{name: values[chosen] for name, values in self.user_items.carried.items()},
        )

    def index_of_items(self, items: npt.ArrayLike) -> np.ndarray:
        """The columns of items by external id or by title.

        Parameters
        ----------
        items : one id or title, or an array-like of them
            A string is looked up among the string ids, then among the titles (ignoring case, accents, year
            and the position of the article if no title matches exactly), then as a number.

        Returns
        -------
        array (len(items),), int32

        Raises
        ------
        ValueError
            If an item is unknown (the error suggests similar names), or two have the same title.
        """
        return columns_of_items(items, self.item_ids, self._index_of_titles)

    def index_of_users(self, users: npt.ArrayLike) -> np.ndarray:
        """The rows of users by external id."""
        users = _ids(np.atleast_1d(users) if isinstance(users, (str, int, np.generic)) else users, "users")
        rows = _positions(users, self.user_ids)
        if (rows < 0).any():
            unknown = users[rows < 0].tolist()[0]
            raise ValueError(f"There is no user {unknown!r} among the {self.n_users:,}; see user_ids for those known.")
        return rows

    def item_names(self, columns: npt.ArrayLike) -> list[str]:
        """The names to print for these columns: the items' titles, or their ids if there are no titles."""
        columns = np.asarray(columns, np.int64)
        beyond = (columns < 0) | (columns >= self.n_items)
        if beyond.any():
            raise ValueError(f"columns holds {columns[beyond][0]}; pass positions of items, 0 to {self.n_items - 1}.")
        names = self.item_ids if self.titles is None else self.titles
        return [str(name) for name in names[columns]]

    @cached_property
    def _index_of_titles(self) -> Titles:
        return Titles(names_of_items(self), np.argsort(-likes_per_item(self.user_items), kind="stable").tolist())


def names_of_items(likes: Interactions) -> list[str]:
    """One name per item: its title, or its id if there are no titles."""
    return [str(name) for name in (likes.item_ids if likes.titles is None else likes.titles).tolist()]


def columns_of_items(items: npt.ArrayLike, item_ids: np.ndarray, titles: Titles) -> np.ndarray:
    """The columns of items by external id or by title; see `Interactions.index_of_items`."""
    items = _ids(np.atleast_1d(items) if isinstance(items, (str, int, np.generic)) else items, "items")
    columns = _positions(items, item_ids)
    for i in np.flatnonzero(columns < 0):
        columns[i] = _column_of_name(str(items[i]), item_ids, titles)
    return columns


def _column_of_name(name: str, item_ids: np.ndarray, titles: Titles) -> int:
    columns = titles.columns_of(name)
    if not columns and name.isdecimal() and item_ids.dtype.kind == "i" and len(name) < 19:
        columns = [c for c in _positions(np.array([int(name)]), item_ids) if c >= 0]
    columns = columns or titles.meant_by(name)
    if len(columns) == 1:
        return columns[0]
    if columns:
        called = ", ".join(f"{item_ids[c]} ({titles.titles[c]})" for c in columns[:10])
        raise UnknownItemError(f"{name!r} is the title of {len(columns)} items; pass one of their ids: {called}.")
    suggestion = titles.suggestion(name, "see item_ids and titles for those known.")
    raise UnknownItemError(f"There is no item {name!r} among the {len(item_ids):,}; {suggestion}")


def as_user_items(x: UserItemsLike, n_items: int | None = None) -> UserItems:
    """Check likes in any accepted form and convert them to the form that the package works on.

    Parameters
    ----------
    x : Interactions, matrix of zeros and ones (users x items), or iterable of lists of item indices
        A matrix is a scipy sparse one of any format, or a dense two-dimensional array.
    n_items : int, optional
        Number of items. By default the matrix's width, or the largest index plus one.

    Returns
    -------
    UserItems (n_users, n_items)
        `x` itself if it is a checked UserItems. If it is a csr_array of the same form, its arrays are
        shared, otherwise copied.

    Raises
    ------
    TypeError
        If `x` is something else.
    ValueError
        If the rules above are violated.

    Examples
    --------
    >>> as_user_items([[2, 0, 2], []], n_items=3).toarray()
    array([[1., 0., 1.],
           [0., 0., 0.]], dtype=float32)
    """
    if isinstance(x, Interactions):
        x, n_items = x.user_items, x.n_items if n_items is None else n_items
    if sparse.issparse(x):
        _check_shape(x, n_items)
        return x if _is_checked(x) else _checked(x)
    if hasattr(x, "__array__"):
        x = np.asarray(x)
        if x.ndim != 1 or x.dtype != object:  # a 1-D array of objects holds lists
            return _from_dense(x, n_items)
    lengths, items = _flatten(x, "user_items")
    if items.dtype.kind != "i":
        raise TypeError(
            f"user_items lists items like {str(items[0])!r}; pass indices that start at 0, "
            "or Interactions.from_lists, which accepts any ids."
        )
    largest = int(items.max()) if len(items) else -1
    if n_items is None:
        if largest < 0:
            raise ValueError("user_items lists no items, so their number is unknown; pass a matrix or an Interactions.")
        n_items = largest + 1
        _check_width(n_items)
    elif largest >= n_items:
        raise ValueError(
            f"user_items lists the item index {largest}, but there are {n_items:,} items; "
            f"pass indices from 0 to {n_items - 1}."
        )
    indptr = indptr_of(lengths)
    ones = np.ones(len(items), np.float32)
    return _canonical(sparse.csr_array((ones, items, indptr), shape=(len(lengths), n_items)))


def _is_checked(x: object) -> TypeGuard[UserItems]:
    return isinstance(x, UserItems) and x.checked


def _checked(x: sparse.sparray) -> UserItems:
    """Check a sparse matrix of the right shape and return it as checked likes."""
    _check_entries(x)
    if not _is_canonical(x):
        return _canonical(x)
    return _as_checked(UserItems((x.data.view(), x.indices, x.indptr), shape=x.shape))


def likes_per_item(user_items: sparse.csr_array) -> np.ndarray:
    """Number of users who like each item: (n_items,), int64."""
    counts = np.zeros(user_items.shape[1], np.int64)
    for start in range(0, user_items.nnz, 2**20):  # in parts, as bincount makes a 64-bit copy
        counts += np.bincount(user_items.indices[start : start + 2**20], minlength=len(counts))
    return counts


def _check_shape(x: sparse.sparray, n_items: int | None) -> None:
    if x.ndim != 2:
        raise ValueError(f"user_items has {x.ndim} dimension; pass a users x items matrix, with one row for one user.")
    if n_items is None:
        _check_width(x.shape[1])
    elif x.shape[1] != n_items:
        raise ValueError(
            f"user_items has {x.shape[1]:,} columns, but {n_items:,} items are expected; "
            f"pass a matrix of shape ({x.shape[0]}, {n_items})."
        )
    if x.shape[1] > MOST_ENTRIES:
        raise ValueError(f"user_items has {x.shape[1]:,} columns; at most {MOST_ENTRIES:,} fit.")
    check_number(x.nnz)


def _check_entries(x: sparse.sparray) -> None:
    if x.format in ("csr", "csc", "bsr"):
        # scipy checks these only on request, and its C code trusts them
        try:
            x.check_format(full_check=True)
        except ValueError as error:
            raise ValueError(f"user_items is a broken {x.format} matrix ({error}); build it again.") from None
    if x.dtype.kind not in "biuf":
        raise TypeError(f"user_items is a sparse matrix of {x.dtype}; pass one of zeros and ones.")
    data = x.data if x.format in ("csr", "csc", "coo", "bsr") else x.tocoo().data
    _check_values(data, "Pass `matrix > 0` if every value above 0 is a like.")


def _from_dense(x: np.ndarray, n_items: int | None) -> UserItems:
    if x.ndim != 2:
        raise ValueError(
            f"user_items is an array of shape {x.shape}, not users x items. Reshape your data: "
            "one user's row of zeros and ones is user_items.reshape(1, -1)."
        )
    try:
        x = x.astype(np.float64) if x.dtype == object else x
        if x.dtype.kind not in "biuf":
            raise TypeError(f"got dtype {x.dtype}")
    except (TypeError, ValueError) as error:
        raise TypeError(f"user_items is not an array of numbers ({error}). {_OF_A_DENSE_ARRAY}") from None
    matrix = sparse.csr_array(x)
    _check_values(matrix.data, _OF_A_DENSE_ARRAY)
    _check_shape(matrix, n_items)
    return _canonical(matrix)


def _check_values(data: np.ndarray, way_out: str) -> None:
    if data.size and data.min() == data.max() == 1:
        return  # the usual case, without a temporary array
    wrong = data[(data != 0) & (data != 1)]
    if wrong.size:
        value = "NaN" if np.isnan(wrong[0]) else wrong[0]
        raise ValueError(f"user_items holds the value {value}; it must be 1 for a like and 0 otherwise. {way_out}")


def _is_canonical(x: object) -> bool:
    return _is_checked(x) or (
        isinstance(x, sparse.csr_array)
        and x.dtype == np.float32
        and x.indices.dtype == np.int32
        and x.has_canonical_format
        and bool(x.data.all())
    )


def _canonical(x: sparse.sparray) -> UserItems:
    """Checked entries as float32 ones, without duplicates and in order."""
    # float32 before duplicates are summed, as 256 of them would be 0 in a byte
    csr = sparse.csr_array(x.astype(np.float32, copy=x.format == "csr"))
    likes = UserItems(
        (csr.data, csr.indices.astype(np.int32, copy=False), csr.indptr.astype(np.int32, copy=False)), shape=csr.shape
    )
    likes.eliminate_zeros()
    likes.sum_duplicates()
    likes.data[:] = 1
    return _as_checked(likes)


def _check_width(n_items: int) -> None:
    if n_items > MAX_INFERRED_ITEMS:
        raise ValueError(
            f"user_items would have {n_items:,} columns; pass n_items or item_ids if that is intended, "
            "or use Interactions.from_pairs, which numbers the ids that occur."
        )


def _ids(values: object, argument: str) -> np.ndarray:
    """External ids as a 1-D array of int64 or str."""
    if hasattr(values, "__array__"):
        array, originals = np.asarray(values), None
    else:
        originals = _listed(values, argument)
        try:
            array = np.asarray(originals)
        except ValueError:
            raise ValueError(
                f"{argument} holds lists of different lengths; pass a flat list or array of ids."
            ) from None
    if array.ndim != 1:
        raise ValueError(f"{argument} has {array.ndim} dimensions; pass a flat list or array of ids.")
    if array.dtype == object or (array.dtype.kind == "U" and originals is not None):
        # NumPy converts a mixture to strings or objects
        elements = array if originals is None else originals
        if all(isinstance(v, str) for v in elements):
            return array.astype(str)
        strange = [v for v in elements if isinstance(v, bool) or not isinstance(v, (int, np.integer))]
        if strange:
            strangest = min(strange, key=lambda v: isinstance(v, str))
            raise TypeError(f"{argument} holds {strangest!r}; pass ids that are all whole numbers or all strings.")
    if array.dtype.kind in "UT":
        return array.astype(str, copy=False)
    if array.dtype.kind == "f" and array.size:
        wrong = array[~((array == np.floor(array)) & (np.abs(array) < 2**53))]
        if wrong.size:
            raise ValueError(f"{argument} holds {wrong[0]}; pass whole numbers (or strings) as ids.")
    elif array.dtype.kind not in "iuO" and array.size:
        raise TypeError(f"{argument} has dtype {array.dtype}; pass ids that are whole numbers or strings.")
    if array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{argument} holds {array.max()}, beyond 64 bits; pass such ids as strings.")
    if array.size and array.min() < 0:
        raise ValueError(f"{argument} holds {array.min()}; ids must be 0 or more: drop it if it marks a missing value.")
    return array.astype(np.int64, copy=False)


def _column(table: Any, name: str, argument: str) -> Any:
    """A table's column. Raises ValueError if it does not exist or has missing values."""
    if not isinstance(table, Mapping) and not (hasattr(table, "__array__") and hasattr(table, "columns")):
        raise TypeError(
            f"table is a {type(table).__name__}; pass a DataFrame of pandas or polars "
            "(collect a LazyFrame first), a Table of pyarrow, or a dict of columns."
        )
    # the `columns` of a pyarrow Table are not names
    names = list(table) if isinstance(table, Mapping) else list(getattr(table, "column_names", table.columns))
    if name not in names:
        raise ValueError(
            f"table has no column {name!r}; it has {', '.join(map(repr, names)) or 'none'}. "
            f"Name the column of {argument}s with {argument}=."
        )
    column = table[name]
    is_missing = getattr(column, "isna", None) or getattr(column, "is_null", None)  # of pandas; of polars and pyarrow
    if is_missing is not None and (missing := np.asarray(is_missing())).any():
        raise ValueError(
            f"column {name!r} is missing {missing.sum():,} of its {len(missing):,} values, "
            f"the first in row {missing.argmax()}; drop these rows."
        )
    has_zone = getattr(getattr(column, "dtype", None), "tz", None) is not None  # of pandas, an array of objects
    return np.asarray(column, "datetime64[s]") if has_zone else column


def _listed(values: object, argument: str) -> Sequence[Any]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{argument} is {values!r}; pass a list or an array of ids.")
    return values if isinstance(values, (list, tuple)) else list(values)


def _flatten(lists: object, argument: str) -> tuple[np.ndarray, np.ndarray]:
    """The lengths of the lists, and their ids concatenated."""
    if isinstance(lists, (str, bytes)) or not isinstance(lists, Iterable):
        raise TypeError(
            f"{argument} is a {type(lists).__name__}; pass an Interactions, a scipy sparse matrix of users x items, "
            "or a list of item ids for each user."
        )
    rows = [_ids(row, f"{argument}[{i}]") for i, row in enumerate(lists)]
    lengths = np.array([len(row) for row in rows], np.int64)
    filled = [row for row in rows if len(row)]
    if len({row.dtype.kind for row in filled}) > 1:
        raise TypeError(f"{argument} holds numbers in one row and strings in another; pass ids of the same kind.")
    return lengths, np.concatenate(filled) if filled else np.empty(0, np.int64)


def _number(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids that occur, ascending, and each entry's position among them (int32)."""
    if ids.dtype.kind == "i" and ids.size:
        low, high = int(ids.min()), int(ids.max())
        if high - low < max(4 * len(ids), 1 << 20):
            # a table over the whole range, as sorting ten million ids would take seconds
            seen = np.zeros(high - low + 1, bool)
            seen[ids - low] = True
            return np.flatnonzero(seen) + low, (np.cumsum(seen, dtype=np.int32) - 1)[ids - low]
    known = np.unique(ids)
    return known, np.searchsorted(known, ids).astype(np.int32)


def _number_among(
    ids: np.ndarray, known: npt.ArrayLike | None, argument: str, argument_of_known: str
) -> tuple[np.ndarray, np.ndarray]:
    """As `_number`, but relative to the known ids, if given. Raises ValueError if an id is not among them."""
    if known is None:
        numbered = _number(ids)
        _check_missing(numbered[0], argument)
        return numbered
    known = _ids(known, argument_of_known)
    known = _ascending_ids(known, len(known), argument_of_known, "rows and columns")
    found = _positions(ids, known)
    if (found < 0).any():
        unknown = ids[found < 0].tolist()[0]
        what = argument_of_known.removesuffix("_ids")
        raise ValueError(
            f"{argument} holds the {what} id {unknown}, which is not among {argument_of_known}; add it there."
        )
    return known, found


def _check_missing(ids: np.ndarray, argument: str) -> None:
    """Raise ValueError if one of these distinct ids is a string that marks a missing value."""
    if ids.dtype.kind == "U":
        missing = ids[np.isin(np.char.lower(np.char.strip(ids)), sorted(MISSING))].tolist()
        if missing:
            raise ValueError(f"{argument} holds {missing[0]!r}, which marks a missing id; drop it, or rename the id.")


def positions(ids: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The position of each id in the ascending `known`, or -1: (n_ids,), int32.

    Numbers match strings of their digits and vice versa, as a file with numeric ids may refer to items that
    a model knows by strings.
    """
    if not len(known) or known.dtype.kind == ids.dtype.kind:
        return _positions(ids, known)
    if known.dtype.kind == "U":
        return _positions(ids.astype(str), known)
    is_number = np.char.isdecimal(ids) & (np.char.str_len(ids) < 19)
    numbers = np.where(is_number, ids, "0").astype(np.int64)
    is_number &= numbers.astype(str) == ids  # 007 is not the same id as 7
    return np.where(is_number, _positions(numbers, known), -1).astype(np.int32)


def _positions(ids: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The same for ids of the same kind."""
    if not len(known) or known.dtype.kind != ids.dtype.kind:
        return np.full(len(ids), -1, np.int32)
    at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[at] == ids, at, -1).astype(np.int32)


def _ascending_ids(ids: npt.ArrayLike, n: int, argument: str, axis: str) -> np.ndarray:
    ids = _ids(ids, argument)
    if len(ids) != n:
        raise ValueError(f"{argument} has {len(ids):,} entries for {n:,} {axis}; pass one for each.")
    if not (ids[1:] > ids[:-1]).all():
        raise ValueError(f"{argument} must be ascending, without duplicates; sort it together with the {axis}.")
    return ids


def _is_title(title: object) -> bool:
    """Whether a title is given: not None, NaN or another missing value."""
    return isinstance(title, (str, Real)) and title == title


def _titles(titles: TitlesLike | None, item_ids: np.ndarray) -> np.ndarray | None:
    if titles is None:
        return None
    if isinstance(titles, Mapping):
        by_id = {str(item): str(title) for item, title in titles.items() if _is_title(title)}
        ids = list(map(str, item_ids.tolist()))
        if by_id and ids and by_id.keys().isdisjoint(ids):
            raise ValueError(
                f"titles has no title for any of the {len(ids):,} items: it has ids like {next(iter(titles))!r}, and "
                f"the items have ids like {item_ids[0].item()!r}; pass titles by item id."
            )
        found = [by_id.get(item, item) for item in ids]
        lengths = list(map(len, found))
        check_strings(len(found), max(lengths, default=0), sum(lengths))
        return np.array(found, dtype=str)
    titles = np.asarray(titles, dtype=str)
    if titles.shape != item_ids.shape:
        raise ValueError(f"titles has shape {titles.shape} for {len(item_ids):,} items; pass one title for each.")
    return titles


def _check_text(names: np.ndarray | None, argument: str) -> None:
    """Raise ValueError if a name has a code that UTF-8 can't encode, as it could be neither saved nor printed."""
    if names is None or names.dtype.kind != "U" or not names.itemsize:
        return
    for start in range(0, len(names), 2**16):
        block = np.ascontiguousarray(names[start : start + 2**16])
        codes = block.view(np.uint32).reshape(len(block), -1)
        wrong = (((codes >= 0xD800) & (codes < 0xE000)) | (codes > 0x10FFFF)).any(axis=1)
        if wrong.any():
            row = start + int(wrong.argmax())
            code = next(c for c in codes[row - start].tolist() if 0xD800 <= c < 0xE000 or c > 0x10FFFF)
            raise ValueError(
                f"{argument}[{row}] holds the code {code:#x}, which is not a valid character (an unpaired surrogate?); "
                "decode the text again, or replace it."
            )


def _times(times: npt.ArrayLike, n: int, of: str) -> np.ndarray:
    times = np.asarray(times)
    if times.dtype.kind == "M":
        if np.isnat(times).any():
            raise ValueError("times holds NaT; drop likes without a time, or leave times out.")
        times = times.astype("datetime64[s]")
    elif times.dtype.kind not in "iuf":
        raise TypeError(f"times has dtype {times.dtype}; pass seconds since 1970, or datetime64.")
    elif not np.isfinite(times).all():
        raise ValueError(f"times holds {times[~np.isfinite(times)][0]}; drop likes without a time, or leave times out.")
    if times.shape != (n,):
        raise ValueError(f"times has shape {times.shape} for {n:,} {of}; pass one time for each.")
    return times.astype(np.int64, copy=False)


def _seconds_of(column: Any, name: str) -> np.ndarray:
    """A column of times, in seconds if it holds finite numbers; anything else is left to `_times`."""
    times = np.asarray(column)
    if times.dtype.kind not in "iuf" or not np.isfinite(times).all():
        return times
    try:
        return seconds(times, is_file=False)
    except ValueError as error:
        raise ValueError(f"column {name!r}: {error}.") from None


def _weights(weights: npt.ArrayLike, n: int, of: str) -> np.ndarray:
    weights = np.asarray(weights)
    if weights.dtype.kind not in "iuf":
        raise TypeError(f"weights has dtype {weights.dtype}; pass numbers, such as plays or stars.")
    if weights.shape != (n,):
        raise ValueError(f"weights has shape {weights.shape} for {n:,} {of}; pass one weight for each.")
    with np.errstate(over="ignore"):
        in_float32 = weights.astype(np.float32, copy=False)
    wrong = ~((in_float32 > 0) & (in_float32 < np.inf))  # NaN is neither
    if wrong.any():
        raise ValueError(
            f"weights holds {weights[wrong][0]}; weights must be numbers above 0, in the range of float32: "
            "drop likes that do not count, or leave weights out."
        )
    return in_float32


def _of_likes(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, reduce: np.ufunc) -> np.ndarray:
    """Reduce the values (n_pairs,) of equal pairs with `reduce` to one value per like, (n_likes,).

    The result does not depend on the order of the pairs.
    """
    in_order = np.lexsort((values, columns, rows))
    is_other = (np.diff(rows[in_order]) != 0) | (np.diff(columns[in_order]) != 0)
    first_of_like = np.flatnonzero(np.append(True, is_other))
    of_likes: np.ndarray = reduce.reduceat(values[in_order], first_of_like)
    return of_likes
