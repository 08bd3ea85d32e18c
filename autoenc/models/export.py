"""Recommendations for many users, written to a file.

Users are processed in batches and each batch of rankings is written at once, so that only the likes
and one batch of scores are in memory.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse

from autoenc.evaluation.align import is_among, to_columns, to_rows
from autoenc.evaluation.ranking import batches_of_users
from autoenc.interactions import Interactions
from autoenc.models.base import Recommender
from autoenc.models.rankings import Ranking
from autoenc.models.recommending import ItemsLike
from autoenc.storage.atomic import replacing

ENDINGS = (".parquet", ".csv", ".npz")

Write = Callable[[slice, Ranking], None]
"""Writes one batch: a slice of the users, and their recommendations."""

_TO_QUOTE = re.compile('[,"\\r\\n]')  # in a cell of a .csv


class Mapped(NamedTuple):
    """Likes over a model's items."""

    user_items: sparse.csr_array  # (n_users, model.n_items)
    n_unknown_items: int
    n_dropped: int  # likes of unknown items


def ids_of(model: Recommender) -> np.ndarray:
    """The external ids of a model's items (n_items,): the column numbers if it was fitted on a matrix."""
    return np.arange(model.n_items) if model.catalogue_ is None else model.catalogue_.item_ids


def on_items_of(model: Recommender, likes: Interactions) -> Mapped:
    """The same likes with the model's items as columns. Likes of unknown items are dropped and counted.

    Raises ValueError if the model knows none of the items.
    """
    known = ids_of(model)
    is_known = is_among(likes.item_ids, known)
    if not is_known.any():
        raise ValueError(
            f"none of the {likes.n_items:,} items in {likes.name or 'the likes'} (such as '{likes.item_ids[0]!s}') is "
            f"in the model, whose item ids look like '{known[0]!s}'; pass likes of the items that it was trained on."
        )
    user_items = to_columns(likes.user_items, likes.item_ids, known)
    return Mapped(user_items, int((~is_known).sum()), likes.n_likes - user_items.nnz)


def part_on_items_of(model: Recommender, likes: Interactions) -> sparse.csr_array:
    """The likes of some users with the model's items as columns, even if it knows none of their items."""
    return to_columns(likes.user_items, likes.item_ids, ids_of(model))


def on_users_of(likes: Interactions, model: Recommender, user_ids: np.ndarray) -> sparse.csr_array:
    """Pairs of user and item, with `user_ids` as rows and the model's items as columns."""
    return to_rows(on_items_of(model, likes).user_items, likes.user_ids, user_ids)


def columns_known(model: Recommender, names: list[str]) -> tuple[np.ndarray, int]:
    """The columns of the items with these ids or titles, and the number of names that match none or several items."""
    column_of_id = {str(item): column for column, item in enumerate(ids_of(model).tolist())}
    found = []
    for name in names:
        titled = model.title_index.columns_of(name) or model.title_index.meant_by(name)
        found.append(column_of_id.get(name, titled[0] if len(titled) == 1 else -1))
    columns = np.array(found, np.int32)
    return columns[columns >= 0], int((columns < 0).sum())


def check_ending(path: str | os.PathLike[str]) -> None:
    """Raise ValueError if the ending of `path` is unknown, or .parquet without pyarrow."""
    if Path(path).suffix not in ENDINGS:
        raise ValueError(f"{path} must end in one of {', '.join(ENDINGS)}; call it recs.csv, for example.")
    if Path(path).suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise ValueError(
                f"{path} is a parquet file, which needs pyarrow: pip install '.[parquet]', or write a .csv."
            ) from None


class Written(NamedTuple):
    """The result of `write_recommendations`."""

    by_popularity: int  # number of users who got only the most popular items
    without_items: int  # number of users with nothing left to recommend


def write_recommendations(
    path: str | os.PathLike[str],
    model: Recommender,
    user_items: sparse.csr_array,
    user_ids: np.ndarray,
    n: int = 10,
    progress: Callable[[int, int], object] | None = None,
    filter_items: ItemsLike | None = None,
    items: ItemsLike | None = None,
) -> Written:
    """Write each user's n best items, liked ones left out, to `path`, atomically.

    .csv and .parquet have one row per recommendation: user, rank (from 1), item, score, by_popularity
    (true or false, as in `Ranking`); a user with fewer than n items left has fewer rows. .npz has the
    arrays user_ids (n_users,), item_ids, scores and by_popularity (n_users, n), padded with -1, or with ""
    if ids are text; it contains no pickles. n is capped at the number of items. Ids are written unchanged,
    for programs to read back: a spreadsheet would take an id that begins with =, +, - or @ for a formula,
    so import such columns as text.

    Parameters
    ----------
    user_items : (n_users, n_items), as `on_items_of` returns it
    user_ids : array (n_users,)
    progress : callable, optional
        Called after each batch with the number of users done and the total.
    filter_items, items
        As in `recommend`; a matrix must be a csr_array.

    Returns
    -------
    Written

    Raises
    ------
    ValueError
        As in `check_ending`.
    OSError
        If the file can't be written; an existing file is left unchanged.
    """
    check_ending(path)
    n = min(n, model.n_items)
    writer = {".csv": _csv, ".parquet": _parquet, ".npz": _npz}[Path(path).suffix]
    item_ids = ids_of(model)
    n_by_popularity = n_without = 0
    with replacing(path) as temporary, writer(temporary, user_ids, item_ids, n) as write:
        for users, ranking in rankings(model, user_items, n, filter_items, items):
            write(users, ranking)
            nothing = (ranking.items < 0).all(axis=1)
            n_without += int(nothing.sum())
            n_by_popularity += int((~nothing & (ranking.by_popularity | (ranking.items < 0)).all(axis=1)).sum())
            if progress is not None:
                progress(users.stop, len(user_ids))
    return Written(n_by_popularity, n_without)


def rankings(
    model: Recommender,
    user_items: sparse.csr_array,
    n: int,
    filter_items: ItemsLike | None = None,
    items: ItemsLike | None = None,
) -> Iterator[tuple[slice, Ranking]]:
    """The users in batches, and what is recommended to each: see `write_recommendations`."""
    for users in batches_of_users(user_items.shape[0], None, model):
        left_out, among = _of_users(filter_items, users), _of_users(items, users)
        yield users, model.recommend(user_items[users], n, filter_items=left_out, items=among)


def _of_users(items: ItemsLike | None, users: slice) -> ItemsLike | None:
    """The argument of `recommend` for these users: their rows if `items` is a matrix."""
    return items[users] if isinstance(items, sparse.csr_array) else items


def rows_of_table(user_ids: np.ndarray, item_ids: np.ndarray, ranking: Ranking) -> tuple[np.ndarray, ...]:
    """The columns user, rank, item, score and by_popularity of these users' ranking, without the padding."""
    cells = row, place = np.nonzero(ranking.items >= 0)
    items = item_ids[ranking.items[cells]]
    return user_ids[row], place + 1, items, ranking.scores[cells], ranking.by_popularity[cells]


@contextlib.contextmanager
def _csv(path: Path, user_ids: np.ndarray, item_ids: np.ndarray, n: int) -> Iterator[Write]:
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write("user,rank,item,score,by_popularity\n")

        def write(users: slice, ranking: Ranking) -> None:
            # Formatted by hand: numbers need no quotes, and csv.writer takes twice the time.
            *columns, by_popularity = rows_of_table(user_ids[users], item_ids, ranking)
            cells = (map(_quoted, c.tolist()) if c.dtype.kind == "U" else c.tolist() for c in columns)
            truths = np.where(by_popularity, "true", "false").tolist()
            file.write("".join(map("%s,%d,%s,%.6g,%s\n".__mod__, zip(*cells, truths))))

        yield write


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _TO_QUOTE.search(cell) else cell


@contextlib.contextmanager
def _parquet(path: Path, user_ids: np.ndarray, item_ids: np.ndarray, n: int) -> Iterator[Write]:
    import pyarrow
    from pyarrow import parquet

    kinds = {"i": pyarrow.int64(), "U": pyarrow.string()}
    schema = pyarrow.schema(
        {
            "user": kinds[user_ids.dtype.kind],
            "rank": pyarrow.int32(),
            "item": kinds[item_ids.dtype.kind],
            "score": pyarrow.float32(),
            "by_popularity": pyarrow.bool_(),
        }
    )
    with parquet.ParquetWriter(path, schema) as out:

        def write(users: slice, ranking: Ranking) -> None:
            columns = rows_of_table(user_ids[users], item_ids, ranking)
            arrays = [pyarrow.array(column, kind) for column, kind in zip(columns, schema.types)]
            out.write_table(pyarrow.table(arrays, schema=schema))

        yield write


@contextlib.contextmanager
def _npz(path: Path, user_ids: np.ndarray, item_ids: np.ndarray, n: int) -> Iterator[Write]:
    padded = np.append(item_ids, item_ids.dtype.type(-1) if item_ids.dtype.kind == "i" else "")  # [-1] is the padding
    dtypes = {"item_ids": padded.dtype, "scores": np.dtype("f4"), "by_popularity": np.dtype("?")}
    shape = (len(user_ids), n)
    # An archive is written one member after another, so the columns wait on disk, not in memory.
    beside = path.parent if path.is_file() else None  # not next to a device
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(tempfile.TemporaryFile(dir=beside)) for name in dtypes}

        def write(users: slice, ranking: Ranking) -> None:
            arrays = padded[ranking.items], ranking.scores, ranking.by_popularity
            for (name, file), array in zip(files.items(), arrays):
                file.write(array.astype(dtypes[name], copy=False).tobytes())

        yield write
        with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
            with archive.open("user_ids.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, user_ids, allow_pickle=False)
            for name, file in files.items():
                header = {"descr": np.lib.format.dtype_to_descr(dtypes[name]), "fortran_order": False, "shape": shape}
                file.seek(0)
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array_header_1_0(member, header)
                    shutil.copyfileobj(file, member)
