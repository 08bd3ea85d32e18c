"""Data sets as `Interactions`: bundled, downloaded, made, or read from a path."""

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
        ml-latest-small, which comes with the package; ml-100k, ml-1m, ml-10m, ml-20m, ml-25m or
        ml-32m, which are downloaded once; or synthetic, which is made, in ML-10M's shape.
    path : str or Path, optional
        Read this instead: a file in one of the formats of `autoenc.datasets.formats`, or a folder or
        zip archive with one, such as those of MovieLens; archive.zip/ratings.csv is one file of an archive, and "-" is
        standard input. Of a prepared folder (see `autoenc.datasets.prepared`) the arrays stay on disk.
    cache_dir : str or Path, optional
        Where downloads are kept. By default the environment variable AUTOENC_CACHE_DIR, or else the
        platform's folder for caches.
    base_url : str, optional
        Where NAME.zip is downloaded from. By default the environment variable AUTOENC_MOVIELENS_URL,
        or else GroupLens' own server.
    progress : bool
        Show a progress bar for a download, on stderr.
    times : bool, optional
        Also read when each like came, for `splits.holdout_by_time`; None: where it is known.
    user, item, rating, time, weight : str or int, optional
        The columns, by name or by number from 1 on, where their names or contents don't tell. Times and
        weights are read where they are named; ratings are read for `min_rating` alone.
    delimiter : str, optional
        What stands between columns: a character, "::", or one of the words tab, comma, semicolon, bar and blank.
    header : bool, optional
        Whether the first line has the names of the columns. By default as the lines themselves tell.
    min_rating : float, optional
        Only rows of this rating or a higher one are likes. By default all are.
    min_likes_per_user, min_likes_per_item : int
        Users and items with fewer likes are left out, until nothing changes; see `autoenc.datasets.core`.

    Returns
    -------
    Interactions
        With the users and items that occur, called by the data set's name, or by the path's; with
        the weights that an .npz of `autoenc prepare` or a prepared folder holds, or those of the column `weight`. Its
        `source` says how a path was read.

    Raises
    ------
    ValueError
        Where there is no data set of that name, or the path can't be read, or has no times though
        `times` asks for them; where it isn't clear which columns are meant, or the data contradict what is said.
    OSError
        Where there is nothing at `path`, or the download failed: what to fetch and where to put it.

    Examples
    --------
    >>> load()
    Interactions('ml-latest-small', 671 users x 9,066 items, 100,004 likes)
    >>> likes = load(min_rating=4, min_likes_per_user=5, min_likes_per_item=5)
    >>> likes
    Interactions('ml-latest-small', 659 users x 2,078 items, 44,413 likes)
    >>> print(likes.source)
    read as CSV with a header: user = userId, item = movieId, rating = rating (a like from 4 on), time = timestamp;
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
    """The likes at a path, as `load` has it."""
    times = True if options.time is not None else times
    if is_prepared(path):
        check_no_columns(f"{path} is a prepared folder", options)
        return with_enough_likes(read_prepared(path, times=times, name=name_of(path)), options)
    return interactions_of(read(path, options=options, times=times is not False), name_of(path), options, times)


def interactions_of(
    ratings: Ratings, name: str, options: ReadOptions = NO_OPTIONS, times: bool | None = False
) -> Interactions:
    """What was read as likes, without the users and items that have too few.

    Raises ValueError where `times` asks for times that there are not.
    """
    if times and ratings.timestamps is None:
        raise ValueError(f"{name} has no column of times that is known; say which by time= (--time-column).")
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
    """The likes of users and items that have as many as the options ask for, where they ask."""
    if options.min_likes_per_user <= 1 and options.min_likes_per_item <= 1:
        return likes
    return core(likes, options.min_likes_per_user, options.min_likes_per_item)


def name_of(path: str | os.PathLike[str]) -> str:
    """What likes are called that stand at a path."""
    if str(path) == "-":
        return "stdin"
    name = Path(path).resolve().name
    return name if Path(path).is_dir() else Path(without_compression(name)).stem
