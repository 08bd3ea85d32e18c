"""Conversion of the exercise notebooks, which are stored as Jupytext Markdown in docs/notebooks, to .ipynb files.

A ```python block is a code cell, and the text between two blocks is a Markdown cell. A ```text block after
a code cell is its output, which is left out of the notebook.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

FOLDER = "notebooks"  # in the package: a link to docs/notebooks, which is installed there
HEADER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
OUTPUT = re.compile(r"^```text\n.*?^```\n", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


def notebook_names() -> list[str]:
    """The names of the notebooks, sorted."""
    files = (file.name for file in (resources.files("autoenc") / FOLDER).iterdir())
    return sorted(name.removesuffix(".md") for name in files if name.endswith(".md") and name != "README.md")


def notebook(name: str) -> dict[str, Any]:
    """The content of a notebook's .ipynb file (nbformat 4.5). Raises ValueError if there is no such notebook."""
    if name not in notebook_names():
        raise ValueError(f"there is no notebook {name!r}; there are {', '.join(notebook_names())}")
    text = (resources.files("autoenc") / FOLDER / f"{name}.md").read_text(encoding="utf-8")
    pieces = CODE.split(OUTPUT.sub("", HEADER.sub("", text)))  # text and code alternate
    kinds = (("markdown", "code")[number % 2] for number in range(len(pieces)))
    cells = [(kind, piece.strip("\n")) for kind, piece in zip(kinds, pieces)]
    return {
        "cells": [_cell(number, *cell) for number, cell in enumerate(cells) if cell[1]],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(number: int, kind: str, source: str) -> dict[str, Any]:
    of_code: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {
        "cell_type": kind,
        "id": f"cell-{number}",
        "metadata": {},
        "source": source.splitlines(keepends=True),
        **of_code,
    }
