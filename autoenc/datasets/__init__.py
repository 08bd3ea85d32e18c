"""Data sets as `Interactions`: bundled, downloaded, made, or read from a path."""

from __future__ import annotations

import os
from pathlib import Path

from autoenc.datasets import movielens
from autoenc.datasets.columns import Ratings
from autoenc.datasets.formats import read
from autoenc.datasets.prepared import is_prepared, read_prepared
from autoenc.interactions import Interactions

NAMES = (movielens.BUNDLED, *movielens.ARCHIVES, "synthetic")

__all__ = ["NAMES", "Ratings", "load", "read"]


def load(
    name: str = movielens.BUNDLED,
    *,
    path: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    base_url: str | None = None,
    progress: bool = False,
    times: bool = False,
) -> Interactions:
    """Load a data set: who liked what, where liked means rated.

    Parameters
    ----------
    name : str
        ml-latest-small, which comes with the package; ml-100k, ml-1m, ml-10m, ml-20m, ml-25m or
        ml-32m, which are downloaded once; or synthetic, which is made, in ML-10M's shape.
    path : str or Path, optional
        Read this instead: a file in one of the formats of `autoenc.datasets.formats`, or a folder or
        zip archive with one, such as those of MovieLens. Of a prepared folder (see
        `autoenc.datasets.prepared`) the arrays stay on disk.
    cache_dir : str or Path, optional
        Where downloads are kept. By default the environment variable AUTOENC_CACHE_DIR, or else the
        platform's folder for caches.
    base_url : str, optional
        Where NAME.zip is downloaded from. By default the environment variable AUTOENC_MOVIELENS_URL,
        or else GroupLens' own server.
    progress : bool
        Show a progress bar for a download, on stderr.
    times : bool
        Also read when each like came, for `splits.holdout_by_time`.

    Returns
    -------
    Interactions
        With the users and items that occur, called by the data set's name, or by the path's; with
        the weights that an .npz of `autoenc prepare` or a prepared folder holds.

    Raises
    ------
    ValueError
        Where there is no data set of that name, or the path can't be read, or has no times though
        `times` asks for them.
    OSError
        Where there is nothing at `path`, or the download failed: what to fetch and where to put it.

    Examples
    --------
    >>> load()
    Interactions('ml-latest-small', 671 users x 9,066 items, 100,004 likes)
    """
    if path is not None:
        path = Path(path)
        if is_prepared(path):
            return read_prepared(path, times=times, name=_name_of(path))
        return _interactions(read(path, values=times), _name_of(path), times)
    if name not in NAMES:
        raise ValueError(f"name is {name!r}; pass one of {', '.join(NAMES)}, or the path of a file.")
    if name == "synthetic":
        if times:
            raise ValueError("the synthetic likes have no times; pass times=False, or the name of another data set.")
        from autoenc.datasets.synthetic import synthetic

        return synthetic()
    with movielens.archive(name, cache_dir, base_url, progress) as archive:
        return _interactions(read(archive, values=times), name, times)


def _interactions(ratings: Ratings, name: str, times: bool) -> Interactions:
    if times and ratings.timestamps is None:
        raise ValueError(f"{name} has no column of timestamps; pass times=False, or ratings that have one.")
    return Interactions.from_pairs(
        ratings.users,
        ratings.items,
        titles=ratings.titles,
        name=name,
        times=ratings.timestamps if times else None,
        weights=ratings.weights,
    )


def _name_of(path: Path) -> str:
    name = path.resolve().name
    return name if path.is_dir() else Path(name.removesuffix(".gz")).stem
