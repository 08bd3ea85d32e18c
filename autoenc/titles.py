"""Finding items by their titles: whole, half typed, or misspelt."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

MOST_COMPARED = 100
"""Titles that a misspelt one is compared with, letter by letter."""


class Titles:
    """The titles of items, which are numbered by their columns.

    Parameters
    ----------
    titles : sequence of str
    order : iterable of int, optional
        All columns, in the order in which equally good answers come, such as the popular first. By
        default short titles come first.

    Examples
    --------
    >>> titles = Titles(["Amélie (2001)", "Aliens (1986)", "Alien (1979)"])
    >>> titles.columns_of("Aliens (1986)"), titles.search("alien", 5), titles.search("2001 amel", 5)
    ([1], [2, 1], [0])
    >>> titles.suggestion("Alien (1978)", "there is none.")
    "did you mean 'Alien (1979)' or 'Aliens (1986)' or 'Amélie (2001)'?"
    """

    def __init__(self, titles: Sequence[str], order: Iterable[int] | None = None):
        self.titles = titles
        self._order = sorted(range(len(titles)), key=lambda column: len(titles[column])) if order is None else order

    def columns_of(self, title: str) -> list[int]:
        """The columns of all items of this title, ascending."""
        return self._columns_of_title.get(title, [])

    def search(self, text: str, n: int) -> list[int]:
        """The columns of at most n items that have each word of `text`: as typed so far, in any order.

        First those whose title begins with it, then those with its words at the beginnings of
        words, then the rest. An empty text finds the first.
        """
        beginning = " " + folded(text)
        words = dict.fromkeys(beginning.split())
        ranked: tuple[list[int], list[int], list[int]] = ([], [], [])
        for column, title in self._folded:
            if all(word in title for word in words):
                at_words = all(" " + word in title for word in words)
                ranked[0 if title.startswith(beginning) else 1 if at_words else 2].append(column)
                if len(ranked[0]) == n:
                    break
        return [column for columns in ranked for column in columns][:n]

    def near(self, text: str, n: int = 3) -> list[int]:
        """The columns of at most n items whose titles are nearly `text`.

        They have all its words, or begin as it does before the year, or have most of its letters.
        """
        if not any(c.isalpha() for c in text):  # a number is an id that there isn't
            return []
        found = self.search(text, n)
        if found:
            return found
        beginning = unaccented(text).partition(" (")[0]
        found = [column for title, column in self._unaccented.items() if beginning and title.startswith(beginning)][:n]
        alike = difflib.get_close_matches(unaccented(text), self._pairs.in_common(unaccented(text), MOST_COMPARED), n)
        return list(dict.fromkeys(found + [self._unaccented[title] for title in alike]))[:n]

    def suggestion(self, text: str, otherwise: str) -> str:
        """The second half of a sentence that says that there is no such title; `otherwise` where none is near."""
        near = dict.fromkeys(repr(str(self.titles[column])) for column in self.near(text))
        return f"did you mean {' or '.join(near)}?" if near else otherwise

    @cached_property
    def _columns_of_title(self) -> dict[str, list[int]]:
        columns_of_title: dict[str, list[int]] = {}
        for column, title in enumerate(self.titles):
            columns_of_title.setdefault(str(title), []).append(column)
        return columns_of_title

    @cached_property
    def _folded(self) -> list[tuple[int, str]]:
        return [(column, f" {folded(self.titles[column])}") for column in self._order]

    @cached_property
    def _unaccented(self) -> dict[str, int]:
        """The first column of each title."""
        columns: dict[str, int] = {}
        for column in self._order:
            columns.setdefault(unaccented(self.titles[column]), column)
        return columns

    @cached_property
    def _pairs(self) -> Pairs:
        return Pairs(list(self._unaccented))


class Pairs:
    """Texts by their pairs of neighbouring letters: which of many are worth comparing with another.

    It takes 2 bytes a letter, and one pass over them for each question.

    Parameters
    ----------
    texts : list of str

    Examples
    --------
    >>> Pairs(["heat", "alien", "aliens"]).in_common("ailen", 2)
    ['alien', 'aliens']
    """

    def __init__(self, texts: list[str]):
        self.texts = texts
        self._pairs = _pairs_of_letters(texts)
        self._sizes = np.array([len(text) + 1 for text in texts], np.int64)  # (n_texts,)
        self._starts = np.cumsum(self._sizes) - self._sizes

    def in_common(self, text: str, n: int) -> list[str]:
        """At most n of the texts: those with the most pairs in common with `text`, for their length."""
        pairs = _pairs_of_letters([text])
        occurs = np.zeros(2**16, np.uint8)
        occurs[pairs] = 1
        shared = np.add.reduceat(occurs[self._pairs], self._starts, dtype=np.int64)  # (n_texts,)
        likeness = np.minimum(shared, len(pairs)) / (self._sizes + len(pairs))
        return [self.texts[i] for i in np.argsort(-likeness, kind="stable")[:n]]


def _pairs_of_letters(texts: list[str]) -> np.ndarray:
    """A number of 16 bits for each pair, texts end to end: the ends of a text are pairs with a line break."""
    joined = "".join(f"\n{text}" for text in texts) + "\n"
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    return (codes[:-1] * 251 + codes[1:]).astype(np.uint16)


def folded(text: str) -> str:
    """Text as it is searched: without case and accents, a space for whatever is not a letter or digit."""
    return " ".join("".join(c if c.isalnum() else " " for c in unaccented(text)).split())


def unaccented(text: str) -> str:
    """Text without case and accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
