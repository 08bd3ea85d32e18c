"""Files that may be damaged or hostile: whatever they make Python raise becomes a sentence that names them."""

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
"""What parsers raise of content that they don't expect; a RecursionError is a RuntimeError."""


@contextlib.contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise a ValueError of one sentence that names `path` where the block fails because of what is in the file.

    A ValueError that begins with the path passes, escaped and shortened where it quotes the file. An
    OSError passes: there is no such file, or the disk fails.
    """
    try:
        yield
    except MemoryError:
        raise ValueError(f"{path} takes more memory to read than there is; pass a smaller file") from None
    except FAULTS as error:
        told = str(error)
        if not (isinstance(error, ValueError) and told.startswith((str(path), str(Path(path))))):
            told = f"{path} is damaged ({told or type(error).__name__}); write or fetch it again"
            if isinstance(error, KeyError):
                told = f"{path} is damaged (it lacks {shown(error.args[0])}); write or fetch it again"
        elif told == sentence(told):
            raise
        raise ValueError(sentence(told)) from None
