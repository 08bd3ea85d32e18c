"""The items of a model, as named in the API: by id or title."""

from __future__ import annotations

import numpy as np

from autoenc.interactions import columns_of_items
from autoenc.models import Recommender
from autoenc.models.export import ids_of


class Catalogue:
    """The items of a fitted model.

    Parameters
    ----------
    model : Recommender
        Without titles, an item is named by its id; without ids, by its number.

    Attributes
    ----------
    ids, titles : list of str
        By column.

    Raises
    ------
    ValueError
        If a score is infinite or NaN, which may happen even with finite weights.

    Examples
    --------
    >>> from autoenc.interactions import Interactions
    >>> from autoenc.models import Popular
    >>> films = {1: "Amélie (2001)", 2: "Alien (1979)", 3: "Aliens (1986)", 4: "Matrix, The (1999)"}
    >>> known = Catalogue(Popular().fit(Interactions.from_pairs([7, 7, 8, 8, 8], [1, 3, 3, 2, 4], titles=films)))
    >>> [known.titles[column] for column in known.search("al", 5)]     # the more popular item first
    ['Aliens (1986)', 'Alien (1979)']
    >>> [known.titles[column] for column in known.search("alien", 5)]  # but an exact match before it
    ['Alien (1979)', 'Aliens (1986)']
    >>> known.ids[known.column_of("the matrix")]
    '4'
    """

    def __init__(self, model: Recommender):
        with np.errstate(all="ignore"):  # checked below
            is_finite = np.isfinite(model.score([[]])).all()
        if not is_finite:
            raise ValueError("the model's scores are not finite, so it can't be served; train it again with a lower lr")
        self._item_ids = ids_of(model)
        self._index = model.title_index
        self.ids = [str(item) for item in self._item_ids]
        self.titles = self._index.titles
        self._column_of_id = {item: column for column, item in enumerate(self.ids)}

    def search(self, text: str, n: int) -> list[int]:
        """The columns of at most n items found by `Titles.search`; equally good matches are sorted by likes."""
        return self._index.search(text, n)

    def column_of(self, item: str) -> int:
        """The column of an id, or else of a title. Raises LookupError if there is none, or more than one."""
        if item in self._column_of_id:
            return self._column_of_id[item]
        [column] = columns_of_items(item, self._item_ids, self._index)
        return int(column)
