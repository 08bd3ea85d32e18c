"""Recommend and evaluate in parallel over users, with Dask.

The work is divided into parts with a fixed number of users, so rows and their order depend neither on the
number of workers nor on which of them die. A part is read from a prepared folder, and its result is written
to its own file atomically, so running a part twice does no harm. Workers read and write the same paths as
the client; on several machines, these must be on a shared disk.

Each worker has one copy of the model, and works on one part at a time with one thread, whatever number of
threads Dask gives it: not every platform allows several Python threads to use numba's, and the workers
already run in parallel.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scipy import sparse

from autoenc.datasets.prepared import is_prepared, read_prepared, read_rows
from autoenc.evaluation.compare import Comparison
from autoenc.evaluation.evaluate import Tally
from autoenc.evaluation.ranking import rank
from autoenc.evaluation.splits import Block, holdout_of_block, shares_per_user
from autoenc.interactions import Interactions, likes_per_item
from autoenc.machine import compute_threads
from autoenc.models import Recommender, load_model
from autoenc.models.export import (
    ids_of,
    on_items_of,
    part_on_items_of,
    rankings,
    rows_of_table,
    write_recommendations,
)
from autoenc.models.weighting import item_totals, weighted_pairs
from autoenc.scale.signals import deferred_interrupt
from autoenc.storage.atomic import replacing_folder, scratch_folder
from autoenc.storage.model_file import ModelFile, write_model_file

USERS_A_PART = 50_000
SECONDS_TO_CONNECT = 10
T = TypeVar("T")
Say = Callable[[str], object]
Progress = Callable[[int, int], object]

_one_part_at_a_time = threading.Lock()


def recommend_dask(
    model: Recommender,
    ddf: Any,
    n: int = 10,
    *,
    user: str = "user",
    item: str = "item",
    time: str | None = None,
    weight: str | None = None,
    shuffle: bool = True,
) -> Any:
    """The n best items of every user in a Dask DataFrame of likes, as a lazy DataFrame.

    Parameters
    ----------
    model : Recommender
        Fitted. Each worker gets a copy once.
    ddf : dask.dataframe.DataFrame
        One row per like.
    n : int
    user, item : str
        The names of the columns with the external ids.
    time, weight : str, optional
        The columns of each like's time and weight, as in `Interactions.from_table`. Without the first
        a model with a half-life counts all likes of a user equally.
    shuffle : bool
        Whether to move each user's rows into one partition first. Pass False if they already are, as
        after `ddf.set_index(user).reset_index()`.

    Returns
    -------
    dask.dataframe.DataFrame
        The columns user, rank, item, score and by_popularity, as written by `autoenc recommend`: as many partitions
        as `ddf` has, with users ascending in each. Likes of items unknown to the model are left out.

    Raises
    ------
    ValueError
        If the model is not fitted, a column doesn't exist, or n is below 1.
    """
    import pandas as pd
    from dask.delayed import delayed

    if not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n is {n!r}; pass the number of items to recommend, 1 or more.")
    columns = [user, item, *(name for name in (time, weight) if name is not None)]
    for column in columns:
        if column not in ddf.columns:
            raise ValueError(f"ddf has no column {column!r}, but {', '.join(map(repr, ddf.columns))}; name yours.")
    item_ids = ids_of(model)
    meta = pd.DataFrame(
        {
            "user": ddf._meta[user].iloc[:0].reset_index(drop=True),
            "rank": pd.Series(dtype="int32"),
            "item": pd.Series(dtype="int64" if item_ids.dtype.kind == "i" else ddf._meta[item].dtype),
            "score": pd.Series(dtype="float32"),
            "by_popularity": pd.Series(dtype="bool"),
        }
    )
    likes = ddf[list(dict.fromkeys(columns))]
    if shuffle:
        likes = likes.shuffle(on=user)
    of_table = {"user": user, "item": item, "time": time, "weight": weight}
    return likes.map_partitions(_recommend_frame, delayed(model), n, of_table, meta, meta=meta)


def _recommend_frame(frame: Any, model: Recommender, n: int, of_table: dict[str, Any], meta: Any) -> Any:
    import pandas as pd

    if frame.empty:
        return meta
    likes = Interactions.from_table(frame, **of_table)
    batches = []
    with _one_part():
        for users, ranking in rankings(model, part_on_items_of(model, likes), min(n, model.n_items)):
            columns = rows_of_table(likes.user_ids[users], ids_of(model), ranking)
            batches.append(pd.DataFrame(dict(zip(meta.columns, columns))))
    return pd.concat(batches, ignore_index=True).astype(meta.dtypes.to_dict())


@contextlib.contextmanager
def cluster(scheduler: str | None = None, workers: int | None = None, say: Say = lambda line: None) -> Iterator[Any]:
    """Yield a Dask client of a running scheduler, or of a cluster of processes on this machine.

    The latter is closed to others: it listens on this machine only, over TLS, with its own certificate.

    Parameters
    ----------
    scheduler : str, optional
        Its address, such as tcp://host:8786.
    workers : int, optional
        The number of processes, if there is no scheduler. The default is the number of processors.
    say : callable
        Called with the address of Dask's dashboard.

    Raises
    ------
    ValueError
        If Dask or, for a cluster on this machine, cryptography isn't installed, or if both arguments are given.
    OSError
        If there is no scheduler at the address.
    """
    try:
        from dask.distributed import Client
    except ImportError:
        raise ValueError("--engine dask needs Dask: pip install '.[dask]'") from None
    if scheduler is not None and workers is not None:
        raise ValueError("--workers is for a cluster on this machine; leave it out if --scheduler is given")
    with contextlib.ExitStack() as stack:
        if scheduler is None:
            with deferred_interrupt(block=True):
                here = stack.enter_context(_cluster_here(workers or os.cpu_count() or 1))
                client = stack.enter_context(Client(here))
        else:
            try:
                client = stack.enter_context(Client(scheduler, timeout=SECONDS_TO_CONNECT))
            except (OSError, ValueError, TimeoutError) as error:
                raise OSError(
                    f"there is no Dask scheduler at {scheduler} ({error}); start one with `dask scheduler`"
                ) from None
        if importlib.util.find_spec("bokeh"):
            say(f"Dask's dashboard: {client.dashboard_link}")
        else:
            say("Dask's dashboard needs bokeh: pip install bokeh")
        yield client


def _cluster_here(workers: int) -> Any:
    """Processes on this machine that accept only clients with the run's certificate.

    Their logs are silenced; the client reports errors.
    """
    from dask.distributed import LocalCluster
    from distributed.security import Security

    try:
        security = Security.temporary()
    except ImportError:
        raise ValueError(
            "a cluster on this machine needs the package cryptography, whose certificate keeps other users out: "
            "pip install '.[dask]'"
        ) from None
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        security=security,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    )


def recommend_parts(
    client: Any,
    model_path: str | Path,
    folder: str | Path,
    out: str | Path,
    n: int = 10,
    *,
    users_a_part: int = USERS_A_PART,
    progress: Progress | None = None,
) -> tuple[int, int, int, int]:
    """Write the n best items of every user of a prepared folder into a folder of parquet files, one per part.

    Parameters
    ----------
    client : dask.distributed.Client
    model_path : str or Path
        A model file.
    folder : str or Path
        A prepared folder.
    out : str or Path
        A new or empty folder, replaced when all is done. Its files' names are in the order of the users.
    n : int
    users_a_part : int
    progress : callable, optional
        Called with the numbers of users done and in total.

    Returns
    -------
    n_users, n_likes_left_out, n_by_popularity, n_without_items : int
        The numbers of users, of likes of items unknown to the model, of users who got only popular items, and
        of users with nothing left to recommend.

    Raises
    ------
    ValueError, OSError
        If the folder isn't prepared, the model can't be read or knows none of the items, or `out` can't be
        written.
    """
    out = Path(out)
    check_new(out)
    likes = prepared(folder)
    _check_knows(load_model(model_path), likes)
    paths = Path(model_path).absolute(), Path(folder).absolute()
    with replacing_folder(out.absolute(), check_new) as temporary:
        parts = _parts(likes.n_users, users_a_part)
        tasks = [(*paths, users, temporary / f"part-{number:06}.parquet", n) for number, users in enumerate(parts)]
        n_left_out, n_by_popularity, n_without = map(sum, zip(*_run(client, _recommend_part, tasks, parts, progress)))
        for rest in temporary.glob(".*"):  # from workers that died
            rest.unlink()
        found = sorted(path.name for path in temporary.iterdir())
        if found != [task[3].name for task in tasks]:
            raise OSError(f"{temporary} has {len(found)} parts instead of {len(tasks)}; is the disk shared?")
    return likes.n_users, n_left_out, n_by_popularity, n_without


def evaluate_parts(
    client: Any,
    model_paths: dict[str, str | Path],
    folder: str | Path,
    ks: Sequence[int] = (1, 5, 10),
    *,
    seed: int = 0,
    beside_popular: str | None = None,
    users_a_part: int = USERS_A_PART,
    progress: Progress | None = None,
) -> Comparison:
    """The result of `autoenc.compare` for models on the weak split of a prepared folder, up to rounding.

    Parameters
    ----------
    client : dask.distributed.Client
    model_paths : dict of str to path
        The models by name, with the same items.
    folder : str or Path
        A prepared folder; `shares_per_user` is computed for all its users, and each part is split where it is read.
    ks : sequence of int
    seed : int
        The seed of the split.
    beside_popular : str, optional
        The name of a Popular to add at the end, fitted on the training likes.
    users_a_part : int
    progress : callable, optional

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError, OSError
        As in `recommend_parts` and `autoenc.evaluate`.
    """
    likes = prepared(folder)
    first = load_model(next(iter(model_paths.values())))
    _check_knows(first, likes)
    ks = sorted(set(ks))
    indptr = likes.user_items.indptr
    n_held_out = shares_per_user(np.diff(indptr), seed=seed)
    parts = _parts(likes.n_users, users_a_part)
    blocks = [Block(likes.n_users, int(indptr[users.start]), n_held_out[users]) for users in parts]
    paths = {name: Path(path).absolute() for name, path in model_paths.items()}
    folder = Path(folder).absolute()
    with scratch_folder(folder) as beside:
        halves = [(next(iter(paths.values())), folder, users, block, seed) for users, block in zip(parts, blocks)]
        of_parts = _run(client, _count_part, halves, parts, None)
        counts, totals = (np.sum(arrays, axis=0) for arrays in zip(*of_parts))
        counts_path = beside / "counts.npy"
        np.save(counts_path, counts)
        if beside_popular is not None:
            paths[beside_popular] = beside / "popular.safetensors"
            of_popular = ModelFile("Popular", {}, {}, ids_of(first), item_counts=totals)
            write_model_file(paths[beside_popular], of_popular)
        tasks = [(list(paths.values()), *half[1:], counts_path, ks) for half in halves]
        tallies = _run(client, _evaluate_part, tasks, parts, progress)
    wholes = tallies[0]
    for of_part in tallies[1:]:
        for whole, tally in zip(wholes, of_part):
            whole.add_counts(tally)
    return Comparison({name: whole.report() for name, whole in zip(paths, wholes)})


def prepared(folder: str | Path) -> Interactions:
    """The likes of a prepared folder, checked. Raises ValueError if it isn't one."""
    if not Path(folder).exists():
        raise FileNotFoundError(f"There is no file or folder {folder}.")
    if not is_prepared(folder):
        raise ValueError(
            f"{folder} is not a prepared folder, which --engine dask reads; "
            f"make one with `autoenc prepare {folder} --out FOLDER --memory 2GB`."
        )
    return read_prepared(folder, times=None)


def check_new(out: Path) -> None:
    """Raise FileExistsError if a path exists and is not an empty folder."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(f"{out} already exists; name a new folder for the parts.")


def _check_knows(model: Recommender, likes: Interactions) -> None:
    """Raise ValueError if the model knows none of the items."""
    on_items_of(model, Interactions.from_csr(likes.user_items[:0], item_ids=likes.item_ids))


def _parts(n_users: int, users_a_part: int) -> list[slice]:
    return [slice(start, min(n_users, start + users_a_part)) for start in range(0, n_users, users_a_part)]


def _run(
    client: Any,
    function: Callable[..., T],
    tasks: list[tuple[Any, ...]],
    parts: list[slice],
    progress: Progress | None,
) -> list[T]:
    """The results of the function for the tasks, in order."""
    from dask.distributed import KilledWorker, as_completed

    futures = [client.submit(function, *task, pure=False) for task in tasks]
    number = {future.key: i for i, future in enumerate(futures)}
    answers: list[Any] = [None] * len(tasks)
    n_done = 0
    try:
        for future in as_completed(futures):
            i = number[future.key]
            answers[i] = future.result()
            future.release()
            n_done += parts[i].stop - parts[i].start
            if progress is not None:
                progress(n_done, parts[-1].stop)
    except KilledWorker as error:
        raise OSError(
            f"a part of the users killed {error.allowed_failures + 1} workers, one after another; "
            "do they have enough memory for the model and a part?"
        ) from None
    finally:
        client.cancel(futures)
    return answers


# The work of a worker.


@contextlib.contextmanager
def _one_part() -> Iterator[None]:
    import numba  # noqa: F401  where it isn't loaded yet it can't be held to one thread, and a model may load it

    with _one_part_at_a_time, compute_threads(1):
        yield


@functools.lru_cache(maxsize=8)
def _model_at(path: Path, changed: int) -> Recommender:
    return load_model(path)


def _model(path: Path) -> Recommender:
    return _model_at(path, path.stat().st_mtime_ns)


def _recommend_part(model_path: Path, folder: Path, users: slice, out: Path, n: int) -> tuple[int, int, int]:
    """The numbers of likes left out, and of users with only the most popular items and with nothing to recommend."""
    likes = read_rows(folder, users)
    with _one_part():
        model = _model(model_path)
        user_items = part_on_items_of(model, likes)
        written = write_recommendations(out, model, user_items, likes.user_ids, n)
    return likes.n_likes - user_items.nnz, *written


def _halves(model: Recommender, folder: Path, users: slice, block: Block, seed: int) -> list[sparse.csr_array]:
    likes = read_rows(folder, users)
    halves = holdout_of_block(likes.user_items, block, seed)
    return [part_on_items_of(model, likes.with_user_items(half)) for half in halves]


def _count_part(model_path: Path, folder: Path, users: slice, block: Block, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The number of likes of each item, and the sum of their weights, as in Popular."""
    with _one_part():
        train, _ = _halves(_model(model_path), folder, users, block, seed)
        return likes_per_item(train), item_totals(weighted_pairs(train, None))


def _evaluate_part(
    model_paths: list[Path], folder: Path, users: slice, block: Block, seed: int, counts_path: Path, ks: Sequence[int]
) -> list[Tally]:
    tallies = []
    with _one_part():
        train, held_out = _halves(_model(model_paths[0]), folder, users, block, seed)
        rows = np.flatnonzero(np.diff(held_out.indptr))
        for path in model_paths:
            tally = Tally(ks, np.load(counts_path, allow_pickle=False), block.n_users, per_user=True)
            for batch, items, _ in rank(_model(path), train[rows], ks[-1]):
                tally.add(users.start + rows[batch], items, train[rows[batch]], held_out[rows[batch]])
            tallies.append(tally.done())
    return tallies
