"""Search of items by title: complete, partly typed, with the article in front, or misspelled.

The command line, Python and the page use the same index. "The Matrix" finds "Matrix, The (1999)": case,
accents, punctuation, the year and the position of the article don't matter as long as only one item
matches. Similar titles are only suggested, never used.
"""

from __future__ import annotations

import difflib
import itertools
import operator
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

MOST_COMPARED = 200
"""Number of titles to compare letter by letter with a misspelled one."""

ARTICLES = frozenset(
    (
        *("a", "an", "the", "le", "la", "les", "l", "un", "une", "des", "el", "los", "las", "il", "lo", "gli", "i"),
        *("der", "die", "das", "den", "det", "de", "het", "een", "en", "ett", "o", "os", "as", "um", "uma"),
    )
)
"""Articles that catalogues move to the end of a title, after a comma."""
_YEAR = re.compile(r"\s*\((\d{4})\b[^()]*\)\s*$")
_WORDS = re.compile(r"[^\W_]+")  # runs of alphanumeric characters
_BARE_YEAR = re.compile(r"[\s,]+(\d{4})\s*$")
_IN_BRACKETS = re.compile(r"\(([^()]*)\)")
_OTHER_NAME = re.compile(r"^\s*(a\.?k\.?a\.?|or)\s+", re.IGNORECASE)


class UnknownItemError(LookupError, ValueError):
    """Raised if a name matches no item, or more than one."""


class Titles:
    """Search index of the items' titles. Items are identified by their columns.

    Parameters
    ----------
    titles : sequence of str
    order : iterable of int, optional
        All columns in the order of preference among equally good matches, such as by popularity. By
        default shorter titles come first.

    Examples
    --------
    >>> titles = Titles(["Amélie (2001)", "Aliens (1986)", "Alien (1979)", "Matrix, The (1999)"])
    >>> titles.columns_of("Aliens (1986)"), titles.search("alien", 5), titles.search("2001 amel", 5)
    ([1], [2, 1], [0])
    >>> titles.meant_by("amelie"), titles.meant_by("The Matrix"), titles.meant_by("matrix 1999"), titles.meant_by("mat")
    ([0], [3], [3], [])
    >>> titles.suggestion("Teh Martix", "")
    "did you mean 'Matrix, The (1999)'?"
    """

    def __init__(self, titles: Sequence[str], order: Iterable[int] | None = None):
        self.titles = titles
        by_length = sorted(range(len(titles)), key=lambda column: len(titles[column]))
        self._order = by_length if order is None else list(order)

    def columns_of(self, title: str) -> list[int]:
        """The columns of all items with exactly this title, ascending."""
        return self._columns_of_title.get(title, [])

    def meant_by(self, text: str) -> list[int]:
        """The columns of the items with this name, ignoring case, accents, punctuation, year and article.

        If a year is given it must match. Names are compared first with their articles, then without; only
        then a number at the end is taken as a year.
        """
        readings = [text]
        if bare := _BARE_YEAR.search(text):
            readings.append(f"{text[: bare.start()]} ({bare[1]})")
        for reading in readings:
            names, year = names_and_year(reading)
            for name in (names[0], without_article(names[0])):
                columns = [c for c in self._columns_of_name.get(name, []) if year in (None, self._names[c][1])]
                if columns:
                    return columns
        return []

    def search(self, text: str, n: int) -> list[int]:
        """The columns of at most n items that contain every word of `text`, possibly incomplete, in any order.

        First come exact names, then titles or names that begin with the text, then those with words that
        begin with its words, then the rest. An empty text matches all.
        """
        return list(dict.fromkeys(itertools.chain.from_iterable(self._ranked(text, n))))[:n]

    def _ranked(self, text: str, n: int) -> tuple[list[int], list[int], list[int], list[int]]:
        """The matches of `search` in its four groups; the second may be cut off once it has n."""
        beginning = folded(text)
        words = dict.fromkeys(beginning.split())
        exact = self.meant_by(text) if words else []
        ranked: tuple[list[int], list[int], list[int]] = ([], [], [])
        for column, title, names in self._searched:
            if all(word in title for word in words):
                at_words = all(" " + word in title for word in words)
                begins = any(name.startswith(beginning) for name in names)
                ranked[0 if begins else 1 if at_words else 2].append(column)
                if len(ranked[0]) == n + len(exact):
                    break
        return exact, *ranked

    def near(self, text: str, n: int = 3) -> list[int]:
        """The columns of at most n items with titles similar to `text`.

        These contain all its words, have its name with another year, begin like it, differ from it in a few
        letters, have most of its letters in common, or contain it within words. If titles contain the words
        of a text that is not a name, the last place goes to a name that is one edit away from it.
        """
        if not any(c.isalpha() for c in text):  # a number can only be an unknown id
            return []
        exact, *at_words, inside = self._ranked(text, n)
        found = list(dict.fromkeys(itertools.chain(exact, *at_words)))[:n]
        if exact:
            return found
        name = names_and_year(text)[0][0]
        candidates = self._pairs.in_common(name, MOST_COMPARED)
        few = set(candidates)
        misspelt = nearest(name, [known for known in self._columns_of_name if known in few])
        if found:
            of_one_edit = [
                column for known in misspelt if edits(name, known) == 1 for column in self._columns_of_name[known]
            ]
            return list(dict.fromkeys([*found[: max(1, n - 1)], *of_one_edit[:1], *found]))[:n]
        begin_so = [known for known in self._columns_of_name if name and known.startswith(name)]
        alike = [*begin_so[:n], *misspelt[:n], *difflib.get_close_matches(name, candidates, n)]
        columns = itertools.chain.from_iterable(self._columns_of_name[known] for known in alike)
        return list(dict.fromkeys(itertools.chain(columns, inside)))[:n]

    def suggestion(self, text: str, otherwise: str) -> str:
        """The second half of an error message for an unknown title; `otherwise` says where to look."""
        near = self.near(text)
        if near:
            return f"did you mean {self._quoted(near)}?"
        examples = self._order[:2]
        return f"there are, for example, {self._quoted(examples, ' and ')}: {otherwise}" if examples else otherwise

    def _quoted(self, columns: list[int], between: str = " or ") -> str:
        return between.join(dict.fromkeys(repr(str(self.titles[column])) for column in columns))

    @cached_property
    def _columns_of_title(self) -> dict[str, list[int]]:
        columns_of_title: dict[str, list[int]] = {}
        for column, title in enumerate(self.titles):
            columns_of_title.setdefault(str(title), []).append(column)
        return columns_of_title

    @cached_property
    def _searched(self) -> list[tuple[int, str, tuple[str, ...]]]:
        """Column, title and names of each item in order of preference, all folded."""
        searched = []
        for column in self._order:
            title = folded(self.titles[column])
            searched.append((column, f" {title}", (title, *self._names[column][0])))
        return searched

    @cached_property
    def _columns_of_name(self) -> dict[str, list[int]]:
        columns: dict[str, list[int]] = {}
        for column in self._order:
            for name in self._names[column][0]:
                columns.setdefault(name, []).append(column)
        return columns

    @cached_property
    def _names(self) -> list[tuple[list[str], str | None]]:
        """The names of each item, with and without articles, and its year."""
        return [_all_names(title) for title in self.titles]

    @cached_property
    def _pairs(self) -> Pairs:
        return Pairs(list(self._columns_of_name))


def nearest(text: str, among: list[str]) -> list[str]:
    """The texts within one edit per three letters of `text`, the nearest first and ties in the order given."""
    most = (len(text) + 2) // 3
    distances = [(edits(text, other), other) for other in among if abs(len(other) - len(text)) <= most]
    return [other for distance, other in sorted(distances, key=operator.itemgetter(0)) if distance <= most]


def edits(text: str, other: str) -> int:
    """The number of letters to insert, delete, replace or swap with their neighbour to turn one text into the other.

    Optimal string alignment (Damerau 1964, Communications of the ACM 7:171).

    >>> edits("haet", "heat"), edits("haet", "hamlet"), edits("jws", "jaws")
    (1, 2, 1)
    """
    before: list[int] = []
    row = list(range(len(other) + 1))  # from the first i letters of `text` to the first j of `other`
    for i, letter in enumerate(text):
        older, before, row = before, row, [i + 1]
        for j, wanted in enumerate(other):
            fewest = min(before[j + 1] + 1, row[j] + 1, before[j] + (letter != wanted))
            if i and j and (letter, text[i - 1]) == (other[j - 1], wanted):
                fewest = min(fewest, older[j - 1] + 1)
            row.append(fewest)
    return row[-1]


class Pairs:
    """Index of texts by their pairs of adjacent letters, in either order, to find those worth comparing with another.

    It takes 2 bytes per letter, and each query is one pass over them.

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
        """At most n of the texts: those with the most pairs in common with `text`, relative to their length."""
        pairs = _pairs_of_letters([text])
        occurs = np.zeros(2**16, np.uint8)
        occurs[pairs] = 1
        shared = np.add.reduceat(occurs[self._pairs], self._starts, dtype=np.int64)  # (n_texts,)
        likeness = np.minimum(shared, len(pairs)) / (self._sizes + len(pairs))
        return [self.texts[i] for i in np.argsort(-likeness, kind="stable")[:n]]


def _pairs_of_letters(texts: list[str]) -> np.ndarray:
    """A 16-bit number for each pair of letters in the concatenated texts, which are separated by line breaks."""
    joined = "".join(f"\n{text}" for text in texts) + "\n"
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    low, high = np.minimum(codes[:-1], codes[1:]), np.maximum(codes[:-1], codes[1:])
    return (low * 251 + high).astype(np.uint16)


def names_and_year(title: str) -> tuple[list[str], str | None]:
    """The names in a title, folded and with the article in front, and the year if there is one.

    >>> names_and_year("City of Lost Children, The (Cité des enfants perdus, La) (1995)")
    (['the city of lost children', 'la cite des enfants perdus'], '1995')
    """
    title = str(title)
    year = _YEAR.search(title)
    text = title if year is None else title[: year.start()]
    others = [_OTHER_NAME.sub("", other) for other in _IN_BRACKETS.findall(text)]
    names = dict.fromkeys(folded(_with_article_in_front(name)) for name in (_IN_BRACKETS.sub(" ", text), *others))
    # a title of nothing but brackets or punctuation is its own name
    return [name for name in names if name] or [folded(title)], year and year[1]


def without_article(name: str) -> str:
    """A folded name without an English article at its beginning ("Die Hard" keeps its Die)."""
    article, _, rest = name.partition(" ")
    return rest if article in ("a", "an", "the") and rest else name


def _all_names(title: str) -> tuple[list[str], str | None]:
    """The names with and without articles, and the year."""
    names, year = names_and_year(title)
    return list(dict.fromkeys([*names, *map(without_article, names)])), year


def _with_article_in_front(name: str) -> str:
    rest, comma, article = name.strip().rpartition(",")
    is_behind = comma and folded(article) in ARTICLES
    return f"{article} {rest}" if is_behind else name


def folded(text: str) -> str:
    """Text in the form used for searching: without case and accents, and with spaces in place of other characters."""
    return " ".join(_WORDS.findall(unaccented(text)))


def unaccented(text: str) -> str:
    """Text without case and accents."""
    if str(text).isascii():
        return str(text).casefold()
    return "".join(c for c in unicodedata.normalize("NFKD", str(text).casefold()) if not unicodedata.combining(c))
