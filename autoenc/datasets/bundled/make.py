"""Make ml-latest-small.zip from GroupLens' folder of that name: python make.py FOLDER.

It contains the ratings and titles unchanged, without links and tags, and always has the same bytes.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent


def make(folder: Path) -> None:
    with zipfile.ZipFile(HERE / "ml-latest-small.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in ("ratings.csv", "movies.csv"):
            member = zipfile.ZipInfo(f"ml-latest-small/{name}")
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, (folder / name).read_bytes(), compresslevel=9)
    shutil.copyfile(folder / "README.txt", HERE / "README.txt")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
