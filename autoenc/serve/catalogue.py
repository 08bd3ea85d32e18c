"""The items of a model as the API names them: by id or by title."""

from __future__ import annotations

import numpy as np

from autoenc.models import Recommender
from autoenc.titles import Titles


class Catalogue(Titles):
    """The items of a fitted model, the popular first where answers are equally good.

    Parameters
    ----------
    model : Recommender
        Where it knows no titles an item is called by its id, where it knows no ids by its number.

    Attributes
    ----------
    ids, titles : list of str
        By column.

    Raises
    ------
    ValueError
        If a score is infinite or NaN, which finite weights can come to.

    Examples
    --------
    >>> from autoenc.interactions import Interactions
    >>> from autoenc.models import Popular
    >>> films = {1: "Amélie (2001)", 2: "Alien (1979)", 3: "Aliens (1986)"}
    >>> known = Catalogue(Popular().fit(Interactions.from_pairs([7, 7, 8, 8], [1, 3, 3, 2], titles=films)))
    >>> [known.titles[column] for column in known.search("alien", 5)]     # the more popular first
    ['Aliens (1986)', 'Alien (1979)']
    >>> known.ids[known.search("2001 amel", 1)[0]]
    '1'
    """

    def __init__(self, model: Recommender):
        known = model.catalogue_
        columns = range(model.n_items)
        self.ids = [str(column) for column in columns] if known is None else [str(item) for item in known.item_ids]
        # To somebody of whom nothing is known a model recommends what is popular.
        with np.errstate(all="ignore"):  # checked below
            scores = model.score([[]])[0]
        if not np.isfinite(scores).all():
            raise ValueError("the model's scores are not finite, so it can't be served; train it again with a lower lr")
        popular_first = np.argsort(-scores, kind="stable").tolist()
        super().__init__(self.ids if known is None else known.item_names(columns), popular_first)
        self._column_of_id = {item: column for column, item in enumerate(self.ids)}

    def column_of(self, item: str) -> int:
        """The column of an id or else of a title. Raises LookupError where there is none, or more than one."""
        if item in self._column_of_id:
            return self._column_of_id[item]
        columns = self.columns_of(item)
        if len(columns) == 1:
            return columns[0]
        if columns:
            ids = ", ".join(self.ids[column] for column in columns)
            raise LookupError(f"{item!r} is the title of {len(columns)} items; pass one of their ids: {ids}.")
        suggestion = self.suggestion(item, "/api/items?search= finds ids by title.")
        raise LookupError(f"no item has the id or the title {item!r}; {suggestion}")
