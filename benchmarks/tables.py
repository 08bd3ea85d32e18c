"""Rows of text as a table, with the first as its header."""

from __future__ import annotations


def as_text(rows: list[list[str]]) -> str:
    """Aligned columns, separated by two spaces."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def as_markdown(rows: list[list[str]], alignment: str = "---:") -> str:
    """A Markdown table; all columns except the first are aligned to the right, or with `alignment`."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" + f"|{alignment}" * (len(rows[0]) - 1) + "|", *lines[1:]])
