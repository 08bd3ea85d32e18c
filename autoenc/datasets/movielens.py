"""The editions of MovieLens: a bundled one, and those that are downloaded.

GroupLens allows redistributing the 20M, 25M, 32M and `latest` editions, under the licence in
bundled/README.txt, but not the 100K, 1M and 10M editions, so those are downloaded from GroupLens.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from autoenc.datasets.cache import cache_folder

BUNDLED = "ml-latest-small"
"""The edition of October 2016. It is never downloaded: the current download with that name is a different one."""

URL = "https://files.grouplens.org/datasets/movielens"


class Archive(NamedTuple):
    """Facts about NAME.zip."""

    n_bytes: int
    hash: str
    ratings: str  # the member that holds them


ARCHIVES = {
    "ml-100k": Archive(4_924_029, "md5:0e33842e24a9c977be4e0107933c0723", "ml-100k/u.data"),
    "ml-1m": Archive(5_917_549, "md5:c4d9eecfca2ab87c1945afe126590906", "ml-1m/ratings.dat"),
    # its MD5 is ce571fd55effeba0271552578f2648bd
    "ml-10m": Archive(
        65_566_137,
        "sha256:813c411ccb6122564edfe752e7f80c4dcc5aa25fa94c93622f6877a7ba252862",
        "ml-10M100K/ratings.dat",
    ),
    "ml-20m": Archive(198_702_078, "md5:cd245b17a1ae2cc31bb14903e1204af3", "ml-20m/ratings.csv"),
    "ml-25m": Archive(261_978_986, "md5:6b51fb2759a8657d3bfcbfc42b592ada", "ml-25m/ratings.csv"),
    "ml-32m": Archive(238_950_008, "md5:d472be332d4daa821edc399621853b57", "ml-32m/ratings.csv"),
}


@contextmanager
def archive(
    name: str, cache_dir: str | os.PathLike[str] | None = None, base_url: str | None = None, progress: bool = False
) -> Iterator[Path]:
    """A context that yields the path of an edition's zip archive."""
    if name == BUNDLED:
        with resources.as_file(resources.files(__package__) / "bundled" / f"{BUNDLED}.zip") as path:
            yield path
    else:
        yield fetch(name, cache_dir, base_url, progress)


def fetch(
    name: str, cache_dir: str | os.PathLike[str] | None = None, base_url: str | None = None, progress: bool = False
) -> Path:
    """Download an edition's archive, unless it is already in the cache.

    It is written under a temporary name and renamed once its hash is verified, so an archive in the cache
    is complete. A failed download is tried once more.

    Parameters
    ----------
    name : str
        One of `ARCHIVES`.
    cache_dir : path, optional
        The default is the environment variable AUTOENC_CACHE_DIR, or else the platform's cache folder.
    base_url : str, optional
        The URL of the folder with NAME.zip. The default is the environment variable AUTOENC_MOVIELENS_URL, or else
        `URL`.
    progress : bool
        Show a progress bar on stderr.

    Raises
    ------
    OSError
        If it can't be downloaded (the message says what to fetch by hand and where to put it), or there is no cache
        folder.
    """
    import pooch

    known = ARCHIVES[name]
    folder = Path(cache_dir).expanduser() if cache_dir else cache_folder()
    base_url = (base_url or os.environ.get("AUTOENC_MOVIELENS_URL") or URL).rstrip("/") + "/"
    file = f"{name}.zip"
    store = pooch.create(path=folder, base_url=base_url, registry={file: known.hash}, retry_if_failed=1)
    try:
        return Path(store.fetch(file, downloader=pooch.HTTPDownloader(progressbar=progress, chunk_size=2**20)))
    except (OSError, ValueError) as error:
        raise OSError(
            f"{name} cannot be downloaded: {_reason(error)}. Fetch {base_url}{file} ({known.n_bytes:,} bytes, "
            f"{known.hash}) by hand and put it at {folder / file}, or pass the path of the archive, of its folder "
            f"or of its {Path(known.ratings).name}: --data PATH."
        ) from error


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code}"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was lost"
    if isinstance(error, requests.Timeout):
        return "the server takes too long"
    if isinstance(error, requests.ConnectionError):
        return "the server cannot be reached"
    if isinstance(error, requests.RequestException):
        return str(error)
    if isinstance(error, ValueError):
        return "the download has a wrong hash"
    return str(error)
