"""Data sets as `Interactions`: bundled, downloaded, synthetic, or read from a path."""

from __future__ import annotations

import os
from pathlib import Path

from autoenc.datasets import movielens
from autoenc.datasets.columns import Ratings
from autoenc.datasets.core import core
from autoenc.datasets.formats import read
from autoenc.datasets.options import NO_OPTIONS, Column, ReadOptions, check_no_columns
from autoenc.datasets.prepared import is_prepared, read_prepared
from autoenc.datasets.sources import without_compression
from autoenc.interactions import Interactions

NAMES = (movielens.BUNDLED, *movielens.ARCHIVES, "synthetic")

__all__ = ["NAMES", "Ratings", "ReadOptions", "core", "load", "read"]


def load(
    name: str = movielens.BUNDLED,
    *,
    path: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    base_url: str | None = None,
    progress: bool = False,
    times: bool | None = False,
    user: Column | None = None,
    item: Column | None = None,
    rating: Column | None = None,
    time: Column | None = None,
    weight: Column | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    min_rating: float | None = None,
    min_likes_per_user: int = 0,
    min_likes_per_item: int = 0,
) -> Interactions:
    """Load a data set: who liked what, where liked means rated.

    Parameters
    ----------
    name : str
        ml-latest-small, which is bundled; ml-100k, ml-1m, ml-10m, ml-20m, ml-25m or ml-32m, which are
        downloaded once; or synthetic, which is random, with the size of ML-10M.
    path : str or Path, optional
        Read this instead: a file in one of the formats of `autoenc.datasets.formats`, or a folder or
        zip archive with one, such as those of MovieLens. archive.zip/ratings.csv is one file of an archive, and "-" is
        standard input. The arrays of a prepared folder (see `autoenc.datasets.prepared`) stay on disk.
    cache_dir : str or Path, optional
        The folder for downloads. The default is the environment variable AUTOENC_CACHE_DIR, or else the
        platform's cache folder.
    base_url : str, optional
        The URL of the folder with NAME.zip. The default is the environment variable AUTOENC_MOVIELENS_URL,
        or else GroupLens' server.
    progress : bool
        Show a progress bar for a download, on stderr.
    times : bool, optional
        Whether to read the time of each like, for `splits.holdout_by_time`. If None, times are read if there are any.
    user, item, rating, time, weight : str or int, optional
        The columns, by name or by number from 1, where their names or contents are not enough. Times and
        weights are read if their column is given; ratings are used only for `min_rating`.
    delimiter : str, optional
        The column separator: a character, "::", or one of the words tab, comma, semicolon, bar and blank.
    header : bool, optional
        Whether the first line has the names of the columns. By default, this is detected.
    min_rating : float, optional
        Only rows with this rating or a higher one are likes. By default, all rows are.
    min_likes_per_user, min_likes_per_item : int
        Users and items with fewer likes are left out, repeatedly until nothing changes; see `autoenc.datasets.core`.

    Returns
    -------
    Interactions
        The likes, with the users and items that occur, named after the data set or the path. They have
        weights if `weight` is given, or if an .npz file of `autoenc prepare` or a prepared folder holds weights. Their
        `source` says how a path was read.

    Raises
    ------
    ValueError
        If there is no data set with that name, if the path can't be read or lacks the times that `times`
        asks for, if it isn't clear which columns are meant, or if the data contradict the arguments.
    OSError
        If `path` doesn't exist, or the download fails. The message says what to fetch and where to put it.

    Examples
    --------
    >>> load()
    Interactions('ml-latest-small', 671 users x 9,066 items, 100,004 likes)
    >>> likes = load(min_rating=4, min_likes_per_user=5, min_likes_per_item=5)
    >>> likes
    Interactions('ml-latest-small', 659 users x 2,078 items, 44,413 likes)
    >>> print(likes.source)
    read as CSV with a header: user = userId, item = movieId, rating = rating (a like if 4 or higher), time = timestamp;
    100,004 rows
    left out 48,436 of 100,004 rows, with a rating below 4
    left out 12 of 671 users and 4,092 of 6,170 items, with 7,155 likes, so that each user has 5 or more and each item
    5 or more
    """
    options = ReadOptions(
        user, item, rating, time, weight, delimiter, header, min_rating, min_likes_per_user, min_likes_per_item
    )
    if path is not None:
        return load_path(path, options, times)
    if name not in NAMES and Path(name).exists():
        raise ValueError(f"there is no data set {name!r}; to read the file, pass path={name!r}.")
    if name not in NAMES:
        raise ValueError(f"name is {name!r}; pass one of {', '.join(NAMES)}, or the path of a file.")
    if name == "synthetic":
        if times:
            raise ValueError("the synthetic likes have no times; pass times=False, or the name of another data set.")
        check_no_columns("the synthetic likes are made", options)
        from autoenc.datasets.synthetic import synthetic

        return with_enough_likes(synthetic(), options)
    with movielens.archive(name, cache_dir, base_url, progress) as archive:
        return interactions_of(read(archive, options=options, times=times is not False), name, options, times)


def load_path(
    path: str | os.PathLike[str], options: ReadOptions = NO_OPTIONS, times: bool | None = False
) -> Interactions:
    """Load the likes at a path, as `load` does."""
    times = True if options.time is not None else times
    if is_prepared(path):
        check_no_columns(f"{path} is a prepared folder", options)
        return with_enough_likes(read_prepared(path, times=times, name=name_of(path)), options)
    return interactions_of(read(path, options=options, times=times is not False), name_of(path), options, times)


def interactions_of(
    ratings: Ratings, name: str, options: ReadOptions = NO_OPTIONS, times: bool | None = False
) -> Interactions:
    """Ratings as likes, without the users and items that have too few.

    Raises ValueError if `times` is true and there are none.
    """
    if times and ratings.timestamps is None:
        raise ValueError(f"{name} has no known column of times; pass time= (--time-column).")
    likes = Interactions.from_pairs(
        ratings.users,
        ratings.items,
        titles=ratings.titles,
        name=name,
        times=None if times is False else ratings.timestamps,
        weights=ratings.weights,
        source=ratings.source,
    )
    return with_enough_likes(likes, options)


def with_enough_likes(likes: Interactions, options: ReadOptions) -> Interactions:
    """The likes, without users and items that have fewer than the options require."""
    if options.min_likes_per_user <= 1 and options.min_likes_per_item <= 1:
        return likes
    return core(likes, options.min_likes_per_user, options.min_likes_per_item)


def name_of(path: str | os.PathLike[str]) -> str:
    """The name of the likes at a path."""
    if str(path) == "-":
        return "stdin"
    name = Path(path).resolve().name
    return name if Path(path).is_dir() else Path(without_compression(name)).stem
