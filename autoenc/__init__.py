"""autoenc: a recommender that is an autoencoder of likes, readable in NumPy and fast in numba.

The public names are imported when they are first used, so that `import autoenc` and
`autoenc --help` are instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoenc.interactions import Interactions

__version__ = "0.1.0"

_MODULE_OF = {"Interactions": "autoenc.interactions"}

__all__ = ["Interactions"]


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'autoenc' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
