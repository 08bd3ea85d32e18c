"""What every recommender promises.

The shape is scikit-learn's: hyperparameters in the constructor alone and unchanged there, `fit`
returns the model, what it learned ends in `_`, `get_params`, `set_params` and scikit-learn's
`clone` work. The recommending is implicit's: `recommend` and `similar_items` answer arrays of
item numbers and of scores. Users are rows of likes, seen in training or not; nothing is learned
about a user, so a new one needs no new fit.

A model is a subclass with three methods: `_fit` learns from a CSR of likes, `_score` gives every
item a score, `_arrays` names what is to be saved. The rest is here.
"""

from __future__ import annotations

import importlib
import inspect
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from scipy import sparse

from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.interactions import Interactions, as_user_items
from autoenc.storage.model_file import ModelFile, write_model_file

BATCH_SIZE = 256
"""Users scored at a time, which bounds the memory of every method here."""


class NotFittedError(ValueError, AttributeError):
    """The model was asked for something before `fit`; of the classes that scikit-learn's has."""


class Recommender(ABC):
    """The common face of the models.

    Attributes
    ----------
    n_items_ : int
        How many items the model was fitted on.
    catalogue_ : Interactions or None
        Their ids and titles (and no users), where it was fitted on an Interactions.
    about_ : dict
        What `save` writes down of the training beside the hyperparameters, such as the data set's
        name: add what JSON holds.
    """

    n_items_: int
    catalogue_: Interactions | None
    about_: dict
    seed_: int  # of a model that draws random numbers

    @abstractmethod
    def _fit(self, user_items: sparse.csr_array) -> None:
        """Check the hyperparameters, then learn from canonical likes."""

    def check_memory(self, n_users: int, n_items: int) -> None:  # noqa: B027  most models have nothing to refuse
        """Raise ValueError where a fit on so many would take more memory than it may. Here none does."""

    @abstractmethod
    def _score(self, user_items: sparse.csr_array) -> np.ndarray:
        """A new float array (batch, n_items), higher is better, liked items not struck."""

    @abstractmethod
    def _arrays(self) -> dict[str, np.ndarray]:
        """What was learned, by name: all that a model file has to hold."""

    @abstractmethod
    def _set_arrays(self, arrays: dict[str, np.ndarray]) -> int:
        """Take back what `_arrays` gave, and return for how many items it is.

        Raise ValueError where it is not of the form that `_fit` leaves.
        """

    def fit(self, user_items, y=None) -> Recommender:
        """Learn from who liked what.

        Parameters
        ----------
        user_items : (n_users, n_items)
            An Interactions, a matrix of zeros and ones (scipy sparse of any format, or a dense
            array), or a list of item numbers for each user. From an Interactions the model keeps
            ids and titles, to answer by name.
        y
            Ignored; scikit-learn passes it.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Where `user_items` is not what `as_user_items` takes or holds no likes, or a hyperparameter
            is no good.
        """
        likes = as_user_items(user_items)
        if 0 in likes.shape:
            raise ValueError(f"user_items is of shape {likes.shape}; pass one user and one item or more to learn from.")
        if not likes.nnz:
            raise ValueError("user_items holds no likes, so there is nothing to learn from; pass some.")
        self._fit(likes)
        self._fitted_on(likes.shape[1])
        if isinstance(user_items, Interactions):
            self.catalogue_, self.about_ = _catalogue_of(user_items), {"dataset": user_items.name}
        return self

    def _fitted_on(self, n_items: int) -> Recommender:
        """The model, with the number of its items noted and no names for them."""
        self.n_items_, self.catalogue_, self.about_ = n_items, None, {}
        return self

    def prepare(self, user_items):
        """What `fit` may be given in place of the likes where it is called again with other hyperparameters.

        Here they are the likes. A model whose fit begins by what no hyperparameter changes returns
        that, and takes it.
        """
        return as_user_items(user_items)

    def save(self, path) -> None:
        """Write the fitted model to one file, atomically; `autoenc.load_model` reads it.

        The format is specified in `autoenc.storage.model_file`: safetensors, with item ids and titles.
        Nothing of a user is in it. `threads` is left out, as it is the machine's.

        Raises
        ------
        ValueError
            If the model is not fitted.
        OSError
            If the file can't be written.
        """
        self._check_fitted()
        known = self.catalogue_
        ids, titles = (None, None) if known is None else (known.item_ids, known.titles)
        content = ModelFile(type(self).__name__, self._file_params(), self._arrays(), ids, titles, self.about_)
        write_model_file(path, content)

    def _file_params(self) -> dict:
        """The hyperparameters as a model file has them."""
        params = {name: _plain(value) for name, value in self.get_params(deep=False).items() if name != "threads"}
        if not isinstance(params.get("random_state"), (int, type(None))):
            params["random_state"] = self.seed_  # a generator is not what it was before the fit
        return params

    @classmethod
    def _of_file_params(cls, params: dict, classes: Mapping[str, type[Recommender]]) -> Recommender:
        """The unfitted model that `_file_params` told of; `classes` has those of models in it by name."""
        return cls(**params)

    @property
    def n_items(self) -> int:
        """`n_items_`, under the name that `autoenc.evaluation.ranking` asks for."""
        self._check_fitted()
        return self.n_items_

    @property
    def n_features_in_(self) -> int:
        """`n_items_`, under the name that scikit-learn asks for."""
        return self.n_items

    @property
    def users_at_once(self) -> int:
        """How many users are ranked at a time."""
        return BATCH_SIZE

    def score(self, user_items, y=None) -> np.ndarray:
        """Every item's score for each user, liked ones too: (n_users, n_items), floating.

        All of them at once, so for many users rather `recommend` or `autoenc.evaluation.ranking.rank`. `y` is
        ignored; scikit-learn's Pipeline passes it.
        """
        return self._score(self._as_fitted(user_items))

    def top_n(self, user_items, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n best items of each user, liked ones struck, as `ranking.top_n_of_scores` has it."""
        user_items = self._as_fitted(user_items)
        return top_n_of_scores(self._score(user_items), user_items, n)

    def recommend(
        self,
        user_items=None,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items=None,
        items=None,
        *,
        liked=None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N best items for each user.

        Parameters
        ----------
        user_items : (n_users, n_items), as in `fit`
            The likes of any users.
        N : int
        filter_already_liked_items : bool
            Whether to leave out what a user likes already.
        filter_items : list of items, optional
            Leave these out too.
        items : list of items, optional
            Recommend among these alone. Not together with `filter_items`.
        liked : list of titles or external ids, instead of `user_items`
            The likes of one user by name. Then `filter_items` and `items` are names as well, and
            the answer is.

        Returns
        -------
        items : array (n_users, N), int32
            Item numbers (columns), best first; of equal scores the lower number first. With
            `liked`, an array (N or fewer,) of titles, or of external ids where there are no titles.
        scores : array of the same shape, floating
            Where fewer than N items are left the rest is padded, as implicit 0.7 pads a batch:
            item -1, and for its score the lowest number of the dtype. With `liked` there is no
            padding: the arrays are shorter.

        Raises
        ------
        ValueError
            If `user_items` has another number of items than the model was fitted on (both are
            named), or is an Interactions with other ids; if an item is out of range, or a name is
            not known (the nearest are named); if the model is not fitted.
        TypeError
            Unless exactly one of `user_items` and `liked` is given.
        """
        by_name = self._check_either(user_items, liked)
        if not isinstance(N, (int, np.integer)) or N < 1:
            raise ValueError(f"N is {N!r}; pass how many items to recommend, 1 or more.")
        if filter_items is not None and items is not None:
            raise ValueError("filter_items and items are both given; pass one of them.")
        likes = self.row_of(liked) if by_name else self._as_fitted(user_items)
        left_out = None
        if items is not None:
            left_out = np.setdiff1d(np.arange(self.n_items_), self._columns(items, "items", by_name))
        elif filter_items is not None:
            left_out = self._columns(filter_items, "filter_items", by_name)

        batches = []
        as_ever = filter_already_liked_items and left_out is None
        size = self.users_at_once if as_ever else BATCH_SIZE
        for start in range(0, max(1, likes.shape[0]), size):
            batch = likes[start : start + size]
            if as_ever:
                batches.append(self.top_n(batch, N))
                continue
            scores = self._score(batch)
            if left_out is not None:
                scores[:, left_out] = -np.inf
            batches.append(top_n_of_scores(scores, batch if filter_already_liked_items else None, N))
        columns, scores = (np.concatenate(arrays) for arrays in zip(*batches))
        return self._named(columns[0], scores[0]) if by_name else (columns, scores)

    def similar_items(self, item, N: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """The items most like one item: what is recommended to somebody who likes it alone.

        Unlike implicit's, the answer leaves out the item itself.

        Parameters
        ----------
        item : int, or str, or a list of either
            An item's number, or its title or external id as a string.
        N : int

        Returns
        -------
        items, scores : arrays (N,), or (n, N) for a list of n
            Padded as in `recommend`. For a string titles (or external ids), not padded.
        """
        if isinstance(item, str):
            return self.recommend(liked=[item], N=N)
        self._check_fitted()
        columns = self._columns(item, "item", by_name=False)
        items, scores = self.recommend([[column] for column in columns.tolist()], N)
        return (items, scores) if np.ndim(item) else (items[0], scores[0])

    def explain(self, user_items=None, item=None, *, liked=None) -> tuple[np.ndarray, np.ndarray]:
        """Which of a user's likes drive the score of an item, by leaving out one at a time.

        contribution[j] = score(item | all likes) - score(item | all likes but j)

        It is exact, and says nothing of leaving out two. The contributions add up to the score
        where the model is linear, and need not elsewhere.

        Parameters
        ----------
        user_items : (1, n_items), as in `fit`
            One user's likes.
        item : int, or with `liked` a title or external id
        liked : list of titles or external ids, instead of `user_items`

        Returns
        -------
        items : array (n_likes,), int32
            The likes, the one that drives most first; with `liked` by name.
        contributions : array (n_likes,), floating

        Raises
        ------
        ValueError, TypeError
            As `recommend` does, or where `user_items` has not one row, or `item` is missing.
        """
        by_name = self._check_either(user_items, liked)
        if item is None:
            raise TypeError("item is missing; pass the item whose score is to be explained.")
        row = self.row_of(liked) if by_name else self._as_fitted(user_items)
        if row.shape[0] != 1:
            raise ValueError(f"user_items has {row.shape[0]:,} rows; pass one user's, such as user_items[[0]].")
        [column] = self._columns(item, "item", by_name)
        contributions = self._contributions(row, column)
        most_first = np.argsort(-contributions, kind="stable")
        columns, contributions = row.indices[most_first], contributions[most_first]
        return self._named(columns, contributions) if by_name else (columns, contributions)

    def _contributions(self, row: sparse.csr_array, column: int) -> np.ndarray:
        """Score `column` once with all likes and once without each: (n_likes,).

        A model that knows a shorter way to the same numbers overrides this.
        """
        likes = row.indices
        with_all = self._score(row)[0, column]
        contributions = np.empty(len(likes), with_all.dtype)
        for start in range(0, len(likes), BATCH_SIZE):
            left_out = np.arange(start, min(start + BATCH_SIZE, len(likes)))
            kept = np.arange(len(likes)) != left_out[:, None]  # (batch, n_likes)
            rows = as_user_items([likes[of_row] for of_row in kept], self.n_items_)
            contributions[left_out] = with_all - self._score(rows)[:, column]
        return contributions

    def get_params(self, deep: bool = True) -> dict:
        """The hyperparameters by name. `deep` is scikit-learn's, and means nothing without nested models."""
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params) -> Recommender:
        """Change hyperparameters, which the next `fit` uses. Raises ValueError at a name that isn't one."""
        for name, value in params.items():
            if name not in self._defaults():
                known = ", ".join(self._defaults()) or "none"
                raise ValueError(f"{type(self).__name__} has no hyperparameter {name!r}; it has: {known}.")
            setattr(self, name, value)
        return self

    @classmethod
    def _defaults(cls) -> dict:
        of_constructor = inspect.signature(cls).parameters
        return {name: parameter.default for name, parameter in of_constructor.items()}

    def __repr__(self) -> str:
        defaults, params = self._defaults(), self.get_params(deep=False)
        changed = (f"{name}={value!r}" for name, value in params.items() if value != defaults[name])
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_items_")

    def __sklearn_tags__(self):
        utils = importlib.import_module("sklearn.utils")  # only scikit-learn asks, so it is there
        return utils.Tags(
            estimator_type=None,
            target_tags=utils.TargetTags(required=False),
            input_tags=utils.InputTags(sparse=True, positive_only=True),
        )

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit(user_items) first.")

    def _check_either(self, user_items, liked) -> bool:
        """Whether likes come by name."""
        self._check_fitted()
        if (user_items is None) == (liked is None):
            raise TypeError("pass either user_items, rows of likes, or liked, one user's likes by name.")
        if _is_one_users(user_items):
            raise TypeError(
                f"user_items is {reprlib.repr(user_items)}; pass one user's likes by name as liked=[...], "
                "or a row of item numbers for each user, as [[0, 7]] for one: the model knows no users by number."
            )
        return liked is not None

    def _as_fitted(self, user_items) -> sparse.csr_array:
        """Canonical likes over the items that the model was fitted on."""
        self._check_fitted()
        if isinstance(user_items, Interactions):
            known = self.catalogue_
            same_width = user_items.n_items == self.n_items_
            if known is not None and same_width and not np.array_equal(user_items.item_ids, known.item_ids):
                raise ValueError(
                    "user_items has other item_ids than the model was fitted on; "
                    "make it with item_ids=model.catalogue_.item_ids."
                )
            user_items = user_items.user_items
        shape: tuple[int, ...] = getattr(user_items, "shape", ())
        if len(shape) == 2 and shape[1] != self.n_items_:
            raise ValueError(
                f"user_items has {shape[1]:,} columns, but the model was fitted on {self.n_items_:,} "
                "items; pass likes of the same items, a column each."
            )
        return as_user_items(user_items, self.n_items_)

    def row_of(self, liked) -> sparse.csr_array:
        """One user's likes, named by titles or external ids, as a row (1, n_items)."""
        self._check_fitted()
        return as_user_items([self._columns(liked, "liked", by_name=True)], self.n_items_)

    def _columns(self, items, argument: str, by_name: bool) -> np.ndarray:
        """Item numbers, from numbers or from names."""
        if by_name:
            if self.catalogue_ is None:
                raise ValueError(
                    f"{argument} names items, but the model was fitted on a matrix, which has no names; "
                    "fit it on an Interactions, or pass user_items."
                )
            return self.catalogue_.index_of_items(items)
        columns = np.atleast_1d(np.asarray(items, dtype=None if np.size(items) else np.int32))
        if columns.dtype.kind not in "iu":
            raise TypeError(f"{argument} is {items!r}; pass numbers of items, from 0 to {self.n_items_ - 1}.")
        outside = columns[(columns < 0) | (columns >= self.n_items_)]
        if len(outside):
            raise ValueError(f"{argument} holds {outside[0]}; items are numbered from 0 to {self.n_items_ - 1}.")
        return columns

    def _named(self, columns: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same by title or external id, without padding."""
        assert self.catalogue_ is not None
        names = self.catalogue_.item_ids if self.catalogue_.titles is None else self.catalogue_.titles
        return names[columns[columns >= 0]], scores[columns >= 0]


def _is_one_users(user_items) -> bool:
    """Whether it is what somebody passes who has one user in mind: a name, a number, or a list of either."""
    if isinstance(user_items, (list, tuple)) and user_items:
        first = user_items[0]
        return np.isscalar(first) or (isinstance(first, (list, tuple)) and any(isinstance(item, str) for item in first))
    return np.isscalar(user_items)


def _plain(value):
    """A NumPy number as Python's, which JSON takes."""
    return value.item() if isinstance(value, np.generic) else value


def _catalogue_of(interactions: Interactions) -> Interactions:
    """The items with their names, and no users."""
    nobody = sparse.csr_array((0, interactions.n_items), dtype=np.float32)
    return Interactions.from_csr(nobody, item_ids=interactions.item_ids, titles=interactions.titles)
