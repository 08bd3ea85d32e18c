"""Likes as lines of JSON, one object per like."""

from __future__ import annotations

import json
from typing import Any

from autoenc.datasets.columns import FieldError, decoded, short


def object_of(line: str) -> dict[str, Any]:
    """The object in a line, which is UTF-8 read as Latin-1. Raises FieldError if the line holds anything else."""
    try:
        found = json.loads(decoded(line))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise FieldError(f"{short(line)} is not a JSON object")
    return found


def text_of(found: dict[str, Any], key: str, role: str) -> str:
    """A value as the cell of a table, in UTF-8 read as Latin-1. Raises FieldError if it isn't text or a number."""
    value = found.get(key)
    if isinstance(value, bool) and role in ("rating", "weight"):
        return str(value)
    if value is None:
        raise FieldError(f"the {role} is missing: there is no {short(key)}")
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise FieldError(f"the {role} {short(json.dumps(value))} is neither text nor a number")
    text = value if isinstance(value, str) else repr(value)
    return text if text.isascii() else text.encode("utf-8", "surrogatepass").decode("latin-1")
