"""The processor of this machine: what identifies it, and how much of it may be used."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import NamedTuple

from autoenc.machine import processors


class Processor(NamedTuple):
    """The processor that figures are stored for.

    Parameters
    ----------
    name : str
        The maker's name with family and model number, as "AMD EPYC" alone may be any generation.
    vectors : str
        "AVX-512", "AVX2", "limited to AVX2", or "other vectors".
    count : int
        The number of processors that this process may use.
    """

    name: str
    vectors: str
    count: int

    def __str__(self) -> str:
        return f"{self.name}, {self.vectors}, {self.count} processor{'s' * (self.count > 1)}"

    @property
    def slug(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", str(self).lower()).strip("-")

    @property
    def thread_counts(self) -> list[int]:
        """1, 2, 4 and so on, up to all."""
        return [*(2**k for k in range((self.count - 1).bit_length())), self.count]


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """The processor of this machine, as described by Linux; on other systems, only its name."""
    found = processors()
    facts = described(cpuinfo)
    name = " ".join(re.sub(r"\((R|TM)\)|CPU|@.*", "", found["model"]).split())
    if "cpu family" in facts:
        name += f" (family {facts['cpu family']}, model {facts['model']})"
    flags = facts.get("flags", "").split()
    vectors = next(
        (kind for flag, kind in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "other vectors"
    )
    if limited_to_avx2() and vectors == "AVX-512":
        vectors = "limited to AVX2"
    return Processor(name, vectors, min(found["usable"], math.ceil(found["quota"] or found["usable"])))


def limited_to_avx2() -> bool:
    """Whether SPEED_VECTORS asks for measurements without AVX-512."""
    wanted = os.environ.get("SPEED_VECTORS", "")
    if wanted not in ("", "AVX2"):
        raise ValueError(f"SPEED_VECTORS must be AVX2 or unset, got {wanted!r}")
    return wanted == "AVX2"


def described(cpuinfo: Path) -> dict[str, str]:
    """The first processor's lines of /proc/cpuinfo, by name."""
    try:
        first = cpuinfo.read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
