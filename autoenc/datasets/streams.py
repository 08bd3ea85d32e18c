"""Streams of bytes from untrusted files: decompressed, converted to UTF-8, and limited in size.

gzip, bzip2 and xz are read by the standard library, zstd by Python 3.14's `compression.zstd` or its backport in the
extra `zst`. UTF-16 and UTF-32 are recognized by their byte order mark and converted to UTF-8.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import importlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, Any

BUFFER = 2**16
"""Number of bytes to read at a time."""

MOST_OF_XZ = 2**27
"""Bytes that decompressing xz may use: `xz -9` needs half of that, a hostile file may ask for any number."""

_BYTE_ORDER_MARKS = {
    b"\xff\xfe\0\0": "utf-32",  # before UTF-16's mark, which is its beginning
    b"\0\0\xfe\xff": "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class SourceError(ValueError):
    """A file cannot be read as a stream: it is damaged, too large, or doesn't exist."""


FAULTS = (SourceError, EOFError, OSError, UnicodeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""The exceptions that reading a stream may raise."""


def compression_of(head: bytes) -> str | None:
    """The compression of a stream that begins with `head`: "gzip", "bzip2", "xz", "zstd" or None."""
    magic = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
    return next((name for start, name in magic.items() if head.startswith(start)), None)


def decompressed(stream: IO[bytes], method: str) -> io.BufferedReader:
    """The bytes of a compressed stream. Raises SourceError if `method` is zstd and no module for it is installed."""
    if method == "gzip":
        return io.BufferedReader(gzip.GzipFile(fileobj=stream), BUFFER)
    if method == "bzip2":
        return io.BufferedReader(_Decompressed(stream, bz2.BZ2Decompressor), BUFFER)
    if method == "xz":
        return io.BufferedReader(_Decompressed(stream, lambda: lzma.LZMADecompressor(memlimit=MOST_OF_XZ)), BUFFER)
    return io.BufferedReader(_Decompressed(stream, _zstd().ZstdDecompressor), BUFFER)


def _zstd() -> Any:
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        pass
    try:
        return importlib.import_module("backports.zstd")
    except ImportError:
        raise SourceError("it is compressed by zstd: pip install '.[zst]', or decompress it first") from None


class _Decompressed(io.RawIOBase):
    """Concatenated compressed streams, as `cat a.xz b.xz` makes, read by a decompressor with bz2's interface."""

    def __init__(self, stream: IO[bytes], new: Callable[[], Any]):
        self._stream, self._new = stream, new
        self._decompressor = new()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            unused = b""
            if self._decompressor.eof:
                unused = self._decompressor.unused_data or self._stream.read(BUFFER)
                if not unused.strip(b"\0"):  # xz pads with zeros
                    return 0
                self._decompressor = self._new()
            elif self._decompressor.needs_input:
                unused = self._stream.read(BUFFER)
                if not unused:
                    raise EOFError("it ends early")
            try:
                chunk = self._decompressor.decompress(unused, len(buffer))
            except MemoryError:
                raise
            except Exception as error:  # each module has its own exception
                raise zlib.error(str(error)) from None
            if chunk:
                buffer[: len(chunk)] = chunk
                return len(chunk)


def as_utf8(stream: io.BufferedReader) -> io.BufferedReader:
    """The text in UTF-8 without a byte order mark; a stream without a mark is returned as it is."""
    start = stream.peek(4)[:4]
    if start.startswith(codecs.BOM_UTF8):
        stream.read(len(codecs.BOM_UTF8))
        return stream
    encoding = encoding_of(start)
    return stream if encoding is None else io.BufferedReader(_Transcoded(stream, encoding), BUFFER)


def encoding_of(head: bytes) -> str | None:
    """ "utf-16" or "utf-32" if a text begins with the byte order mark of either, otherwise None."""
    return next((name for mark, name in _BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)


class _Transcoded(io.RawIOBase):
    def __init__(self, stream: IO[bytes], encoding: str):
        self._stream, self._decoder = stream, codecs.getincrementaldecoder(encoding)()
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            raw = self._stream.read(BUFFER)
            self._left = self._decoder.decode(raw, final=not raw).encode()
            if not raw:
                break
        chunk, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(chunk)] = chunk
        return len(chunk)


def named(name: str, error: Exception) -> Exception:
    """The exception to raise for a damaged stream: a SourceError that names it, or a disk's error as it is."""
    if isinstance(error, SourceError):
        return error if str(error).startswith(name) else SourceError(f"{name}: {error}.")
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return SourceError(f"{name} is damaged or cut off ({str(error) or 'it ends early'}); fetch it again.")


class Bounded(io.RawIOBase):
    """A stream that raises SourceError if it is damaged or exceeds its limits.

    Parameters
    ----------
    stream : binary file
    name : str
        Its name in error messages.
    max_bytes : float
        The largest number of bytes to read from it.
    told : str
        The description of `max_bytes` in an error message.
    max_line : float
        The largest number of bytes in a line.
    watch : callable, optional
        Called with each chunk; may raise.
    under : file, optional
        A file to close together with the stream.
    """

    def __init__(
        self,
        stream: IO[bytes],
        name: str,
        max_bytes: float = float("inf"),
        told: str = "",
        max_line: float = float("inf"),
        watch: Callable[[bytes], None] | None = None,
        under: IO[bytes] | None = None,
    ):
        self._stream, self._name, self._under = stream, name, under
        self._max_bytes, self._told, self._max_line = max_bytes, told, max_line
        self._watch = watch
        self._n_bytes = self._n_line = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._stream.read(len(buffer))
        except FAULTS as error:
            raise named(self._name, error) from None
        self._n_bytes += len(chunk)
        if self._n_bytes > self._max_bytes:
            raise SourceError(
                f"{self._name} grows to more than {self._max_bytes:,} bytes when decompressed, "
                f"beyond the limit of {self._told}; if this is intended, unpack it."
            )
        line_end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        self._n_line = len(chunk) - 1 - line_end if line_end >= 0 else self._n_line + len(chunk)
        if self._n_line > self._max_line:
            raise SourceError(
                f"{self._name} has a line of more than {self._max_line:,} bytes; is it a file of ratings?"
            )
        if self._watch is not None:
            self._watch(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._stream.close()
        if self._under is not None:
            self._under.close()
        super().close()


class InBlocks(io.BufferedReader):
    """A stream that always returns BUFFER bytes to io.TextIOWrapper, which asks for 8 KiB."""

    def read1(self, size: int = -1) -> bytes:
        return super().read1(BUFFER)
