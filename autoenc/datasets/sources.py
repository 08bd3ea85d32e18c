"""Where ratings stand: a file, a folder or a zip archive, each read as a stream and never unpacked.

What is read may come from anybody, so:

- Nothing is written. A member's name, ../../ratings.csv say, is compared and never used as a path.
- A compressed stream that grows beyond MAX_BYTES, or beyond MAX_RATIO times its size on disk, is an
  error. Ratings shrink to a fifth or a tenth when compressed, a zip bomb to a thousandth.
- A line, which is held in memory, has at most MAX_LINE bytes.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

MAX_BYTES = 4 * 2**30
MAX_RATIO = 100
MAX_LINE = 16 * 2**20

SMALL = 8 * 2**20
"""Up to this size a stream's ratio isn't looked at: a small file may well be a thousand equal lines."""

_BUFFER = 2**16
_GZIP = b"\x1f\x8b"
_UTF8_BOM = b"\xef\xbb\xbf"

# The files that hold ratings, in the order in which they are looked for, with those that hold titles.
_MOVIELENS = {"ratings.csv": "movies.csv", "ratings.dat": "movies.dat", "u.data": "u.item"}
# The parts of LightGCN's data sets. The split is made again, so together they are the ratings.
_PARTS = ("train.txt", "valid.txt", "test.txt")


class SourceError(ValueError):
    """What stands at a path cannot be read as a stream: damaged, too large, or not there."""


@dataclass(frozen=True)
class Source:
    """One file to read: on disk, or a member of a zip archive. Either may be gzipped."""

    path: Path
    member: zipfile.ZipInfo | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path} ({self.member.filename!r})"

    @property
    def name(self) -> str:
        """Its bare name, without .gz."""
        place = self.path if self.member is None else PurePosixPath(self.member.filename)
        return place.name.removesuffix(".gz")

    def open(self, max_ratio: float = MAX_RATIO, max_line: float = float("inf")) -> io.BufferedReader:
        """Its bytes, decompressed, within the bounds on top of this module."""
        max_bytes = self.max_bytes(max_ratio)

        def bounded(
            stream: IO[bytes] | gzip.GzipFile, max_bytes: float, under: io.IOBase | None = None
        ) -> io.BufferedReader:
            return io.BufferedReader(_Bounded(stream, self, max_bytes, max_line, under), _BUFFER)

        if self.member is None:
            file = bounded(self.path.open("rb", buffering=0), float("inf"))
        else:
            file = bounded(_open_member(self, self.member), max_bytes)
        if file.peek(2)[:2] == _GZIP:
            return bounded(gzip.GzipFile(fileobj=file), max_bytes, file)
        return file

    def max_bytes(self, max_ratio: float = MAX_RATIO) -> float:
        """To how many bytes it may grow when it is decompressed."""
        n_on_disk = self.path.stat().st_size
        if self.member is not None:
            n_on_disk = min(n_on_disk, self.member.compress_size)
        return min(MAX_BYTES, max(SMALL, max_ratio * n_on_disk))

    def lines(self) -> io.TextIOWrapper:
        """Its lines, each byte a character (Latin-1), whatever the line ends; without UTF-8's byte order mark."""
        stream = self.open(max_line=MAX_LINE)
        if stream.peek(3)[:3] == _UTF8_BOM:
            stream.read(3)
        return io.TextIOWrapper(stream, encoding="latin-1")

    def head(self) -> bytes:
        """The first 64 KiB."""
        with self.open() as stream:
            return stream.read(2**16)


def find(path: Path) -> tuple[list[Source], Source | None]:
    """The files that hold the ratings at a path, and the one that holds the titles.

    Parameters
    ----------
    path : Path
        A folder or a zip archive: its ratings.csv, ratings.dat or u.data with movies.csv, movies.dat
        or u.item beside it; or else its train.txt, valid.txt and test.txt together; or else its only
        .inter file; or else its only file. Or such a file itself.

    Raises
    ------
    SourceError
        Where there is none, or more than one to choose from.
    """
    if path.is_dir():
        files = [file for pattern in ("*", "*/*") for file in sorted(path.glob(pattern)) if file.is_file()]
        return _choose({PurePosixPath(file.relative_to(path)): Source(file) for file in files}, path)
    if zipfile.is_zipfile(path):
        return _choose({PurePosixPath(m.filename): Source(path, m) for m in members(path)}, path)
    source = Source(path)
    titles = path.parent / _MOVIELENS.get(source.name, "")
    return [source], Source(titles) if titles.is_file() else None


def members(path: Path) -> list[zipfile.ZipInfo]:
    """The files in a zip archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [member for member in archive.infolist() if member.filename and not member.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise SourceError(f"{path} is a damaged zip archive ({error}); fetch it again.") from None


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
        some = ", ".join(repr(str(place)) for place in places[:3]) + (", ..." if len(places) > 3 else "")
        raise SourceError(f"{path} has {len(places)} files that may hold the ratings ({some}); pass the path of one.")
    return places[0]


def _open_member(source: Source, member: zipfile.ZipInfo) -> IO[bytes]:
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SourceError(f"{source} is encrypted, or compressed by another method than deflate; unpack it first.")
    try:
        with zipfile.ZipFile(source.path) as archive:
            return archive.open(member)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise SourceError(f"{source} is damaged ({error}); fetch it again.") from None


class _Bounded(io.RawIOBase):
    """A stream that ends in an error where it is damaged, or grows beyond its bounds."""

    def __init__(
        self,
        stream: IO[bytes] | gzip.GzipFile,
        source: Source,
        max_bytes: float,
        max_line: float,
        under: io.IOBase | None = None,
    ):
        self._stream, self._under, self._source = stream, under, source
        self._max_bytes, self._max_line = max_bytes, max_line
        self._n_bytes = self._n_line = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._stream.read(len(buffer))
        except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as error:
            problem = str(error) or "it ends early"
            raise SourceError(f"{self._source} is damaged or cut off ({problem}); fetch it again.") from None
        self._n_bytes += len(chunk)
        if self._n_bytes > self._max_bytes:
            raise SourceError(
                f"{self._source} grows to more than {self._max_bytes:,} bytes when it is decompressed, "
                f"past the bound of {MAX_BYTES:,} bytes or {MAX_RATIO} times its size; if it is meant to, unpack it."
            )
        line_end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        self._n_line = len(chunk) - 1 - line_end if line_end >= 0 else self._n_line + len(chunk)
        if self._n_line > self._max_line:
            raise SourceError(f"{self._source} has a line of more than {self._max_line:,} bytes; is it ratings?")
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._stream.close()
        if self._under is not None:
            self._under.close()
        super().close()
