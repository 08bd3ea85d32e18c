"""Sources of ratings: a file, a folder, a zip archive or a pipe, read as streams and never unpacked.

Files may be untrusted, so:

- A member's name, such as ../../ratings.csv, is compared but never used as a path. The only thing written is a copy of
  the input from a pipe, which can't be read twice: it is kept on disk while it is read.
- A compressed stream that grows beyond MAX_BYTES, or beyond MAX_RATIO times its size on disk, is an
  error. Ratings compress to a fifth or a tenth of their size, a zip bomb to a thousandth.
- A line, which is held in memory, has at most MAX_LINE bytes.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import shutil
import stat
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from autoenc.datasets.streams import (
    BUFFER,
    FAULTS,
    Bounded,
    InBlocks,
    SourceError,
    as_utf8,
    compression_of,
    decompressed,
    encoding_of,
    named,
)
from autoenc.datasets.unreadable import check_no_url, check_no_workbook

MAX_BYTES = 4 * 2**30
MAX_RATIO = 100
MAX_LINE = 16 * 2**20

SMALL = 8 * 2**20
"""Up to this size a stream's ratio isn't checked: a small file may well consist of a thousand equal lines."""

SAMPLE = 2**16
"""Number of bytes from the beginning of a file that are used to recognize it."""

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")

# The files that hold ratings, in the order of the search, each with the file that holds the titles.
_MOVIELENS = {"ratings.csv": "movies.csv", "ratings.dat": "movies.dat", "u.data": "u.item"}
# The parts of LightGCN's data sets. As likes are split again, all parts together are the ratings.
_PARTS = ("train.txt", "valid.txt", "test.txt")


@dataclass(frozen=True)
class Source:
    """One file to read: on disk, or a member of a zip archive. Either may be compressed."""

    path: Path
    member: zipfile.ZipInfo | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path} ({self.member.filename!r})"

    @property
    def name(self) -> str:
        """Its file name, without .gz or the like."""
        place = self.path if self.member is None else PurePosixPath(self.member.filename)
        return without_compression(place.name)

    @property
    def is_plain(self) -> bool:
        """Whether it is an uncompressed text file in UTF-8 or Latin-1, by its name and its first bytes."""
        if self.member is not None or self.path.suffix in COMPRESSED:
            return False
        with self.path.open("rb") as file:
            head = file.read(8)
        return compression_of(head) is None and encoding_of(head) is None and not head.startswith(codecs.BOM_UTF8)

    def open(
        self,
        max_ratio: float = MAX_RATIO,
        max_line: float = float("inf"),
        watch: Callable[[bytes], None] | None = None,
    ) -> io.BufferedReader:
        """Its bytes, decompressed and in UTF-8, within the limits at the top of this module.

        `watch` is called with each chunk, and may raise.
        """
        max_bytes, name = self.max_bytes(max_ratio), str(self)
        told = f"{MAX_BYTES:,} bytes or {MAX_RATIO} times its size"
        with contextlib.ExitStack() as opened:
            raw: Any = (
                self.path.open("rb", buffering=0)
                if self.member is None
                else Bounded(_open_member(self, self.member), name, max_bytes, told)
            )
            file = stream = opened.enter_context(io.BufferedReader(raw, BUFFER))
            try:
                method = compression_of(stream.peek(8)[:8])
                stream = stream if method is None else decompressed(stream, method)
                stream = as_utf8(stream)
            except FAULTS as error:
                raise named(name, error) from None
            opened.pop_all()
        is_bounded = method is not None or self.member is not None
        outer = Bounded(stream, name, max_bytes if is_bounded else float("inf"), told, max_line, watch, under=file)
        return io.BufferedReader(outer, BUFFER)

    def max_bytes(self, max_ratio: float = MAX_RATIO) -> float:
        """The most bytes that it may have when decompressed."""
        n_on_disk = self.path.stat().st_size
        if self.member is not None:
            n_on_disk = min(n_on_disk, self.member.compress_size)
        return min(MAX_BYTES, max(SMALL, max_ratio * n_on_disk))

    def lines(self, watch: Callable[[bytes], None] | None = None) -> io.TextIOWrapper:
        """Its lines, decoded as Latin-1, with any kind of line ending and without a byte order mark."""
        return io.TextIOWrapper(InBlocks(self.open(max_line=MAX_LINE, watch=watch)), encoding="latin-1")

    def head(self) -> bytes:
        """The first SAMPLE bytes."""
        with self.open() as stream:
            return stream.read(SAMPLE)


def without_compression(name: str) -> str:
    """A file's name without .gz, .bz2, .xz or .zst."""
    return next((name.removesuffix(ending) for ending in COMPRESSED if name.endswith(ending)), name)


def find(path: Path) -> tuple[list[Source], Source | None]:
    """The files that hold the ratings at a path, and the file that holds the titles.

    Parameters
    ----------
    path : Path
        A file, a file in an archive (archive.zip/ratings.csv), or a folder or zip archive. In the last two, the ratings
        are ratings.csv, ratings.dat or u.data (titles: movies.csv, movies.dat, u.item); or else train.txt, valid.txt
        and test.txt together; or else the only .inter file; or else the only file.

    Raises
    ------
    SourceError
        If there is no such file, or more than one to choose from.
    """
    if path.is_dir():
        files = [file for pattern in ("*", "*/*") for file in sorted(path.glob(pattern)) if file.is_file()]
        return _choose({PurePosixPath(file.relative_to(path)): Source(file) for file in files}, path)
    archive = archive_of(path)
    if archive is not None:
        inner = path.relative_to(archive).as_posix()
        files_of_archive = {PurePosixPath(m.filename): Source(archive, m) for m in members(archive)}
        check_no_workbook(path, members(archive))
        if inner == ".":
            return _choose(files_of_archive, path)
        if PurePosixPath(inner) not in files_of_archive:
            some = _some(list(files_of_archive))
            raise SourceError(f"{path}: there is no file {inner!r} in the archive {archive.name}, which holds {some}.")
        chosen = files_of_archive[PurePosixPath(inner)]
        beside = files_of_archive.get(PurePosixPath(inner).parent / _MOVIELENS.get(chosen.name, ""))
        return [chosen], beside
    source = Source(path)
    titles = path.parent / _MOVIELENS.get(source.name, "")
    return [source], Source(titles) if titles.is_file() else None


def archive_of(path: Path) -> Path | None:
    """The zip archive that a path names, or that contains the file it names; None if there is none."""
    file = next((place for place in (path, *path.parents) if place.is_file()), None)
    return file if file is not None and zipfile.is_zipfile(file) else None


def members(path: Path) -> list[zipfile.ZipInfo]:
    """The files in a zip archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [member for member in archive.infolist() if member.filename and not member.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise SourceError(f"{path} is a damaged zip archive ({error}); fetch it again.") from None


def check_exists(path: Path) -> None:
    """Raise FileNotFoundError if a path doesn't exist, ValueError if it is a URL."""
    if not path.exists() and archive_of(path) is None:
        check_no_url(path)
        raise FileNotFoundError(f"There is no file or folder {path}.")


STDIN = "standard input"


@contextlib.contextmanager
def on_disk(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A context that yields a path to read more than once: for a pipe or "-", standard input, a temporary copy.

    Errors name the original path.
    """
    given = Path(path)
    is_stdin = str(path) == "-"
    if not is_stdin and not _is_pipe(given):
        check_no_url(path)  # before Path removes a slash
        yield given
        return
    name = STDIN if is_stdin else str(given)
    with tempfile.TemporaryDirectory(prefix="autoenc-") as folder:
        copy = Path(folder) / "likes"
        with copy.open("wb") as out, contextlib.ExitStack() as stack:
            piped = sys.stdin.buffer if is_stdin else stack.enter_context(given.open("rb"))
            shutil.copyfileobj(piped, out, 2**20)
        try:
            if copy.stat().st_size == 0:
                raise SourceError(f"{copy} is empty; nothing came through the pipe.")
            yield copy
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(str(error).replace(str(copy), name)) from None


def _is_pipe(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def _choose(files: dict[PurePosixPath, Source], path: Path) -> tuple[list[Source], Source | None]:
    files = {place: source for place, source in files.items() if not place.name.startswith(".")}
    for name, title_name in _MOVIELENS.items():
        places = [place for place, source in files.items() if source.name == name]
        if places:
            place = _only(places, path)
            beside = [s for other, s in files.items() if other.parent == place.parent and s.name == title_name]
            return [files[place]], beside[0] if beside else None
    parts = [place for place, source in files.items() if source.name in _PARTS]
    if parts and len({place.parent for place in parts}) == 1:
        return [files[place] for place in parts], None
    candidates = [place for place, source in files.items() if source.name.endswith(".inter")] or list(files)
    if not candidates:
        raise SourceError(f"{path} holds no files; pass a folder or an archive with ratings in it.")
    return [files[_only(candidates, path)]], None


def _only(places: list[PurePosixPath], path: Path) -> PurePosixPath:
    if len(places) > 1:
        raise SourceError(
            f"{path} has {len(places)} files that may hold the ratings ({_some(places)}); "
            f"pass the path of one, such as {path / places[0]}."
        )
    return places[0]


def _some(places: list[PurePosixPath]) -> str:
    return ", ".join(repr(str(place)) for place in places[:3]) + (", ..." if len(places) > 3 else "")


def _open_member(source: Source, member: zipfile.ZipInfo) -> IO[bytes]:
    if member.flag_bits & 1:
        raise SourceError(f"{source} is encrypted with a password; unpack it first.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SourceError(f"{source} is compressed by a method other than deflate; unpack it first.")
    try:
        with zipfile.ZipFile(source.path) as archive:
            return archive.open(member)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise SourceError(f"{source} is damaged ({error}); fetch it again.") from None
