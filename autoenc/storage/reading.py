"""Files that may be damaged or hostile: any exception while reading one becomes a sentence that names it."""

from __future__ import annotations

import contextlib
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from autoenc.messages import sentence, shown

FAULTS = (
    *(AssertionError, AttributeError, BufferError, EOFError, LookupError, OverflowError, RuntimeError, SyntaxError),
    *(SystemError, TypeError, ValueError, ZeroDivisionError, struct.error, tokenize.TokenError),
    *(zipfile.BadZipFile, zlib.error, SafetensorError),
)
"""The exceptions that parsers raise for unexpected content; a RecursionError is a RuntimeError."""


@contextlib.contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise a ValueError with one sentence that names `path` if the block fails because of the file's content.

    A ValueError that begins with the path passes, with quotations from the file escaped and shortened. An
    OSError passes as it is: the file doesn't exist, or the disk fails.
    """
    try:
        yield
    except MemoryError:
        raise ValueError(f"{path} needs more memory to read than there is; pass a smaller file") from None
    except FAULTS as error:
        told = str(error)
        if not (isinstance(error, ValueError) and told.startswith((str(path), str(Path(path))))):
            told = f"{path} is damaged ({told or type(error).__name__}); write or fetch it again"
            if isinstance(error, KeyError):
                told = f"{path} is damaged (it lacks {shown(error.args[0])}); write or fetch it again"
        elif told == sentence(told):
            raise
        raise ValueError(sentence(told)) from None
