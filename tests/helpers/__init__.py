"""Helpers shared by several test files, with one subject per file."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
ORACLE = ROOT / "tests" / "oracle"
