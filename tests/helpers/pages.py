"""The code blocks of a page, and comparing their output with the page; see docs/test_readme.py for the rules."""

from __future__ import annotations

import math
import re
import textwrap
from typing import NamedTuple

BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")
QUOTED = "python quoted from "
OF_THE_MACHINE = re.compile(
    r'("\w*(?:second|memory|_mb)\w*": )[\d.]+'  # in JSON, by the key
    r"|\b\d[\d,.]*( ?(?:s|ms|min|MB|GB|users/s|seconds))\b"  # in text, by the unit
)


class Block(NamedTuple):
    line: int
    kind: str
    text: str


def blocks(markdown: str) -> list[Block]:
    return [Block(markdown.count("\n", 0, at.start()) + 1, at[1], at[2]) for at in BLOCK.finditer(markdown)]


def same_line(wanted: str, got: str) -> bool:
    """Whether two lines are equal but for what the processor, or the machine, decides."""
    wanted, got = (OF_THE_MACHINE.sub(r"\1#\2", " ".join(line.split())) for line in (wanted, got))
    if NUMBER.sub("0", wanted) != NUMBER.sub("0", got):
        return False
    pairs = zip(NUMBER.findall(wanted), NUMBER.findall(got), strict=True)
    return all(
        a == b
        or (
            "." in a + b
            and math.isclose(float(a.replace(",", "")), float(b.replace(",", "")), rel_tol=0.1, abs_tol=0.05)
        )
        for a, b in pairs
    )


def missing(wanted: str, got: str, ranking: bool = False) -> list[str]:
    """The lines of `wanted` that `got` lacks: none where a run printed what the README says."""
    lines, printed = [line for line in wanted.splitlines() if line.strip() not in ("", "...")], got.splitlines()
    if ranking:
        absent = [line for line in lines if not any(same_line(line, other) for other in printed)]
        return absent if 2 * len(absent) > len(lines) else []
    rest = iter(printed)
    return [line for line in lines if not any(same_line(line, other) for other in rest)]


def is_quoted(code: str, source: str) -> bool:
    """Whether each of the pieces that a blank line parts stands in the source, whatever its indentation."""

    def lines(text):
        return textwrap.dedent(text).strip("\n")

    def stands(piece):
        n = len(piece.splitlines())
        all_lines = source.splitlines()
        return any(lines("\n".join(all_lines[i : i + n])) == piece for i in range(len(all_lines) - n + 1))

    return bool(code.strip()) and all(stands(lines(piece)) for piece in re.split(r"\n\n(?=\S)", code) if piece.strip())
