"""Files that can't be read as likes, recognized by their first bytes: errors name the format and what to do."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

FETCH = "fetch the file itself and pass its path"
EXPORT = "export the table as CSV, and pass that"

_BEGINNINGS: dict[bytes, tuple[str, str]] = {
    b"PK": ("is a zip archive, cut off or within another", "fetch it again, or unpack it"),
    b"version https://git-lfs.github.com/": (
        "is a Git LFS pointer, not the file itself",
        "run `git lfs pull` where it was cloned, or fetch the file from its page",
    ),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("is an Excel workbook (.xls)", "save the sheet as CSV, and pass that"),
    b"SQLite format 3\0": ("is an SQLite database", EXPORT),
    b"\x89HDF\r\n\x1a\n": ("is an HDF5 file", EXPORT),
    b"ARROW1": ("is an Arrow or Feather file", "save the table as parquet or CSV, and pass that"),
    b"Obj\x01": ("is an Avro file", "save the table as parquet or CSV, and pass that"),
    b"ORC": ("is an ORC file", "save the table as parquet or CSV, and pass that"),
    b"RDX": ("is a file saved by R", "write the table with write.csv, and pass that"),
    b"%PDF": ("is a PDF", "pass the table itself, as CSV"),
    b"7z\xbc\xaf\x27\x1c": ("is a 7z archive", "unpack it, and pass the file in it"),
    b"Rar!": ("is a rar archive", "unpack it, and pass the file in it"),
    b"\x80\x02": ("is a pickle, which may run code", EXPORT),
    b"\x80\x03": ("is a pickle, which may run code", EXPORT),
    b"\x80\x04": ("is a pickle, which may run code", EXPORT),
    b"\x80\x05": ("is a pickle, which may run code", EXPORT),
    b"\x93NUMPY": (
        "is a NumPy array",
        "if it is one of the task's files cache_train.npy and cache_valid.npy, pass their common prefix: "
        "--cache-path FOLDER/cache",
    ),
}


def check_no_url(path: str | os.PathLike[str]) -> None:
    """Raise ValueError if a path is the URL of a page or bucket."""
    found = re.match(r"([a-z][a-z0-9+]+):/+[^/]", str(path), re.IGNORECASE)
    if found and len(found[1]) > 1 and not Path(path).exists():
        raise ValueError(
            f"{path} is a URL, but likes are read from files; download it first (curl -LO URL), and pass the file."
        )


def check_readable(name: object, head: bytes) -> None:
    """Raise ValueError, which begins with `name`, if a file's first bytes are not text.

    Parameters
    ----------
    name : str or Source
        The file's name.
    head : bytes
        Its first bytes, decompressed.
    """
    for beginning, (what, way_out) in _BEGINNINGS.items():
        if head.startswith(beginning) and (beginning != b"ORC" or b"\0" in head):
            raise ValueError(f"{name} {what}; {way_out}.")
    if head[257:262] == b"ustar":
        raise ValueError(f"{name} is a tar archive; unpack it, and pass the file or the folder in it.")
    if re.match(rb"\s*<(!doctype html|html|head|body)\b", head, re.IGNORECASE):
        raise ValueError(f"{name} is a web page (HTML), perhaps one that asks to log in; {FETCH}.")
    if re.match(rb"\s*<\?xml", head):
        raise ValueError(f"{name} is XML; save the table as CSV, and pass that.")
    if b"\0" in head:
        raise ValueError(
            f"{name} is neither text nor a known binary format (.npz, parquet); if it is UTF-16 text, save it as UTF-8."
        )


def check_no_workbook(path: Path, members: Iterable[zipfile.ZipInfo]) -> None:
    """Raise ValueError if a zip archive is an Excel or LibreOffice workbook."""
    names = {member.filename for member in members}
    if any(name.startswith("xl/") for name in names) and "[Content_Types].xml" in names:
        raise ValueError(f"{path} is an Excel workbook (.xlsx); save the sheet as CSV, and pass that.")
    if "content.xml" in names and "META-INF/manifest.xml" in names:
        raise ValueError(f"{path} is a spreadsheet (.ods); save the sheet as CSV, and pass that.")
