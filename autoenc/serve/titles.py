"""Finding items by what somebody types: the catalogue of a model, by id and by title."""

from __future__ import annotations

import difflib
import unicodedata

import numpy as np

from autoenc.models import Recommender


def folded(text: str) -> str:
    """Text as it is compared: no case, no accents, and a space for all that is no letter or digit."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    kept = (c for c in decomposed if not unicodedata.combining(c))
    return " ".join("".join(c if c.isalnum() else " " for c in kept).split())


class Titles:
    """The items of a fitted model.

    Parameters
    ----------
    model : Recommender
        Where it knows no titles an item is called by its id, where it knows no ids by its number.

    Attributes
    ----------
    ids, titles : list of str
        By column.

    Examples
    --------
    >>> from autoenc.interactions import Interactions
    >>> from autoenc.models import Popular
    >>> films = {1: "Amélie (2001)", 2: "Alien (1979)", 3: "Aliens (1986)"}
    >>> titles = Titles(Popular().fit(Interactions.from_pairs([7, 7, 8, 8], [1, 2, 2, 3], titles=films)))
    >>> [titles.titles[column] for column in titles.search("alien", 5)]     # the more popular first
    ['Alien (1979)', 'Aliens (1986)']
    >>> titles.ids[titles.search("2001 amel", 1)[0]]
    '1'
    """

    def __init__(self, model: Recommender):
        known = model.catalogue_
        columns = range(model.n_items)
        self.ids = [str(column) for column in columns] if known is None else [str(item) for item in known.item_ids]
        self.titles = self.ids if known is None else known.item_names(columns)
        self._column_of = {item: column for column, item in enumerate(self.ids)}
        self._columns_of_title: dict[str, list[int]] = {}
        for column, title in enumerate(self.titles):
            self._columns_of_title.setdefault(title, []).append(column)
        # To somebody of whom nothing is known a model recommends what is popular.
        popular_first = np.argsort(-model.score([[]])[0], kind="stable").tolist()
        self._folded = [(column, f" {folded(self.titles[column])}") for column in popular_first]
        self._first_of_folded = {title[1:]: column for column, title in reversed(self._folded)}

    def column_of(self, item: str) -> int:
        """The column of an id or else of a title. Raises LookupError where there is none, or more than one."""
        if item in self._column_of:
            return self._column_of[item]
        columns = self._columns_of_title.get(item, [])
        if len(columns) == 1:
            return columns[0]
        if columns:
            ids = ", ".join(self.ids[column] for column in columns)
            raise LookupError(f"{item!r} is the title of {len(columns)} items; pass one of their ids: {ids}.")
        near = [repr(self.titles[column]) for column in self.near(item)]
        mend = f"did you mean {' or '.join(near)}?" if near else "/api/items?search= finds ids by title."
        raise LookupError(f"no item has the id or the title {item!r}; {mend}")

    def near(self, text: str, n: int = 3) -> list[int]:
        """The columns of at most n items whose titles are nearly `text`: have all its words, or most letters."""
        wanted = folded(text)
        if not any(c.isalpha() for c in wanted):  # a number is an id that there isn't
            return []
        found = self.search(text, n)
        if found:
            return found
        alike = difflib.get_close_matches(wanted, self._first_of_folded, n, cutoff=0.7)
        return [self._first_of_folded[title] for title in alike]

    def search(self, text: str, n: int) -> list[int]:
        """The columns of at most n items that have each word of `text`: as typed so far, in any order.

        First those whose title begins with it, then those with its words at the beginnings of
        words, then the rest; among equals the popular first. An empty text finds what is popular.
        """
        words = folded(text).split()
        beginning = " " + " ".join(words)
        ranked: tuple[list[int], list[int], list[int]] = ([], [], [])
        for column, title in self._folded:
            if all(word in title for word in words):
                at_words = all(" " + word in title for word in words)
                ranked[0 if title.startswith(beginning) else 1 if at_words else 2].append(column)
                if len(ranked[0]) == n:
                    break
        return [column for columns in ranked for column in columns][:n]
