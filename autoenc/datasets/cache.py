"""The cache folder for downloads and the network of `autoenc serve`."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """AUTOENC_CACHE_DIR, or else the platform's cache folder.

    Raises
    ------
    OSError
        If neither is known, as for a user without a home folder.
    """
    import pooch  # slow to import

    try:
        return Path(os.environ.get("AUTOENC_CACHE_DIR") or pooch.os_cache("autoenc")).expanduser()
    except RuntimeError:  # from platformdirs or pathlib, if ~ is unknown
        raise OSError("this user has no home folder to keep data in; set AUTOENC_CACHE_DIR to a folder") from None
