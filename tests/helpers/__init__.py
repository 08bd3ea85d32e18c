"""What several test files share. Each file is one subject."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
ORACLE = ROOT / "tests" / "oracle"
