"""The results of recommending and explaining: pairs of arrays, as in implicit, with extra attributes.

Results by name print as tables, in a terminal and in a notebook.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from autoenc.messages import printable


class Ranking(tuple[np.ndarray, np.ndarray]):
    """The pair (items, scores) that `recommend` and `similar_items` return.

    Attributes
    ----------
    items : array
        Item numbers; in a NamedRanking titles or external ids.
    scores : array of the same shape, floating
    by_popularity : array of the same shape, bool
        Which items are recommended by popularity alone: all if the model knows none of the user's
        likes, otherwise those with score 0.

    Examples
    --------
    >>> items, scores = Ranking(np.array([[7]]), np.array([[0.5]]), np.array([[False]]))
    >>> items
    array([[7]])
    """

    by_popularity: np.ndarray

    def __new__(cls, items: np.ndarray, scores: np.ndarray, by_popularity: np.ndarray) -> Ranking:
        pair = super().__new__(cls, (items, scores))
        pair.by_popularity = by_popularity
        return pair

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self[0], self[1], self.by_popularity

    @property
    def items(self) -> np.ndarray:
        return self[0]

    @property
    def scores(self) -> np.ndarray:
        return self[1]


class _Table:
    """Mixin that prints as a table."""

    def _rows(self) -> list[tuple[str, ...]]:
        raise NotImplementedError

    def _caption(self) -> str:
        """A line above the table, or ""."""
        return ""

    def __repr__(self) -> str:
        rows = [tuple(map(printable, row)) for row in self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows]
        caption = [self._caption()] if self._caption() else []
        return "\n".join([*caption, *lines]) or "nothing to list"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr>{_cells(row)}</tr>" for row in self._rows())
        caption = f"<caption>{html.escape(self._caption())}</caption>" if self._caption() else ""
        return f"<table>{caption}{rows}</table>"


class NamedRanking(_Table, Ranking):
    """A Ranking for one user with titles or external ids as items: arrays (n,) without padding.

    Examples
    --------
    >>> NamedRanking(np.array(["Heat", "Ronin"]), np.array([2.5, 0.0]), np.array([False, True]))
    1  Heat   2.500
    2  Ronin  0.000  popular
    """

    def _rows(self) -> list[tuple[str, ...]]:
        notes = np.where(self.by_popularity, "popular", "")
        rows = zip(self.items.tolist(), self.scores.tolist(), notes.tolist())
        return [(str(place), str(item), f"{score:.3f}", note) for place, (item, score, note) in enumerate(rows, 1)]


class Explanation(tuple[np.ndarray, np.ndarray]):
    """The pair (items, contributions) that `explain` returns.

    Attributes
    ----------
    items : array (n_likes,)
        Item numbers of the likes; in a NamedExplanation titles or external ids.
    contributions : array (n_likes,), floating
    is_liked : bool
        Whether the explained item is itself among the likes, so that it would not be recommended.
    """

    is_liked: bool

    def __new__(cls, items: np.ndarray, contributions: np.ndarray, is_liked: bool) -> Explanation:
        pair = super().__new__(cls, (items, contributions))
        pair.is_liked = is_liked
        return pair

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self[0], self[1], self.is_liked

    @property
    def items(self) -> np.ndarray:
        return self[0]

    @property
    def contributions(self) -> np.ndarray:
        return self[1]


class NamedExplanation(_Table, Explanation):
    """An Explanation with titles or external ids as items.

    Examples
    --------
    >>> NamedExplanation(np.array(["Heat", "Ronin"]), np.array([2.5, -1.0]), is_liked=True)
    the item is liked already
    Heat   +2.500
    Ronin  -1.000
    """

    def _caption(self) -> str:
        return "the item is liked already" if self.is_liked else ""

    def _rows(self) -> list[tuple[str, ...]]:
        rows = zip(self.items.tolist(), self.contributions.tolist())
        return [(str(item), f"{contribution:+.3f}") for item, contribution in rows]


def _cells(row: Sequence[str]) -> str:
    return "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
