"""Rows of text as a table, the first its head."""

from __future__ import annotations


def as_text(rows: list[list[str]]) -> str:
    """Columns of one width, two spaces between them."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def as_markdown(rows: list[list[str]], alignment: str = "---:") -> str:
    """All columns but the first are set to the right, or as `alignment` says in Markdown's way."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" + f"|{alignment}" * (len(rows[0]) - 1) + "|", *lines[1:]])
