"""The interface of all models.

Models follow scikit-learn's conventions: hyperparameters are set in the constructor, which only
stores them; `fit` returns the model; fitted attributes end in `_`; `get_params`, `set_params` and
scikit-learn's `clone` work. As in implicit, `recommend` and `similar_items` return arrays of item
numbers and scores. Users are rows of likes, seen in training or not; nothing is learned about a
particular user, so new users need no new fit.

A model is a subclass with four methods: `_fit` learns from a CSR of likes, `_score` scores every
item, `_arrays` returns the arrays to save, and `_set_arrays` restores them. Its hyperparameters are
the fields of a dataclass. The rest is inherited from one module each:

    estimator.py       hyperparameters by name, as scikit-learn expects them
    scorer.py          scores, and checks of the arguments to a fitted model
    recommending.py    recommend, similar_items
    explaining.py      explain
"""

from __future__ import annotations

import os
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from autoenc.interactions import Interactions, UserItems, UserItemsLike, as_user_items, likes_per_item
from autoenc.models.explaining import Explaining
from autoenc.models.growing import Growth, growth_of
from autoenc.models.names import catalogue_of, items_of
from autoenc.models.recommending import Recommending
from autoenc.models.scorer import Score
from autoenc.storage.model_file import ModelFile, read_model_file, write_model_file
from autoenc.storage.reading import FAULTS, reading


class Recommender(Recommending, Explaining):
    """Base class of the models.

    Attributes
    ----------
    n_items_ : int
        Number of items that the model was fitted on.
    catalogue_ : Interactions or None
        Ids and titles of these items (without users), if the model was fitted on an Interactions.
    about_ : dict
        Facts about the training that `save` stores with the hyperparameters, such as the name of the
        data set. May be extended with values that JSON can represent.
    """

    about_: dict[str, Any]
    seed_: int  # only in models that draw random numbers

    weighs_likes = False  # whether the weights of likes matter to it

    @abstractmethod
    def _fit(self, user_items: UserItems) -> None:
        """Learn from checked likes."""

    @abstractmethod
    def _arrays(self) -> dict[str, np.ndarray]:
        """The learned arrays by name: everything that a model file has to hold."""

    @abstractmethod
    def _set_arrays(self, arrays: dict[str, np.ndarray]) -> int:
        """Restore the arrays that `_arrays` returned, and return the number of items.

        Raise ValueError if they do not have the form that `_fit` produces.
        """

    def check_limit(self, n_users: int, n_items: int) -> None:
        """Raise ValueError if a fit of this size would take more memory than the model is allowed.

        The limit doesn't depend on what else the machine is doing. By default there is none.
        """

    def check_memory(self, n_users: int, n_items: int) -> None:
        """Raise ValueError if a fit of this size would take more memory than allowed, or than is free.

        By default nothing is checked.
        """

    def precompute(self, user_items: UserItemsLike, dtype: type = np.float64) -> Any:
        """An argument for `fit` in place of the likes, for several fits with different hyperparameters.

        A model whose fit begins with a computation that does not depend on the hyperparameters returns its
        result; by default the likes are returned. With dtype float32 a model may trade precision for
        speed, as for choosing hyperparameters.
        """
        return as_user_items(user_items)

    def fit(self, user_items: UserItemsLike, y: object = None) -> Self:
        """Learn from who liked what.

        Parameters
        ----------
        user_items : (n_users, n_items)
            An Interactions, a matrix of zeros and ones (scipy sparse of any format, or a dense
            array), or a list of item numbers for each user. The model keeps the ids and titles of an
            Interactions, for recommendations by name.
        y
            Ignored; for compatibility with scikit-learn.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If `as_user_items` does not accept `user_items`, it holds no likes, or a hyperparameter is
            invalid.
        """
        self._check_hyperparameters()
        likes = as_user_items(user_items)
        if 0 in likes.shape:
            raise ValueError(f"user_items is of shape {likes.shape}; pass one user and one item or more to learn from.")
        if not likes.nnz:
            raise ValueError("user_items holds no likes, so there is nothing to learn from; pass some.")
        self.check_memory(*likes.shape)
        if likes.weights is not None and not self.weighs_likes:
            warnings.warn(f"{type(self).__name__} counts every like once, whatever its weight", stacklevel=2)
        self._fit(likes)
        self._fitted_on(self._counts_of(likes))
        if isinstance(user_items, Interactions):
            self.catalogue_, self.about_ = items_of(user_items), {"dataset": user_items.name}
        return self

    def _scores_of_trial(self, precomputed: Any) -> Score:
        """Scores, for comparison with other hyperparameters, of this model fitted on the result of `precompute`.

        By default the model is fitted. A model may override this if it can score a few users without a full fit.
        """
        return self.fit(precomputed).score

    @property
    def partial_fit(self) -> Callable[..., Self]:
        """Learn from more likes, which may include new items. Raises AttributeError if the model can't."""
        raise AttributeError(
            f"{type(self).__name__} has no partial_fit, as its solution depends on all likes at once; fit it again on "
            "all likes, or use a network, ELSA or Popular, which can learn from more likes."
        )

    def _grow(self, growth: Growth) -> None:
        """Add new items; for models with partial_fit."""
        raise NotImplementedError

    def _check_more(self, likes: UserItems) -> None:
        """Raise ValueError if the fitted model can't learn from these likes, before anything is changed."""

    def _take_in(self, user_items: UserItemsLike) -> UserItems:
        """Add the new items and counts of more likes to the model, and return the likes over all its items."""
        self._check_fitted()
        growth = growth_of(self.catalogue_, user_items)
        likes = self._as_fitted(user_items) if growth is None else growth.user_items
        if not likes.nnz:
            raise ValueError("user_items holds no likes, so there is nothing to learn from; pass some.")
        self._check_more(likes)
        counts = self.item_counts_
        if growth is not None and growth.has_new_items:
            self._grow(growth)
            self.n_items_, self.catalogue_ = growth.catalogue.n_items, growth.catalogue
            counts = None if counts is None else growth.counts(counts)
        self._set_counts(None if counts is None else counts + self._counts_of(likes))
        for name in ("likes", "beside_popularity"):  # these describe the earlier likes
            self.about_.pop(name, None)
        return likes

    def _counts_of(self, user_items: UserItems) -> np.ndarray:
        """Number of users who like each item (n_items,): `recommend` ranks by it if a user has no known likes."""
        return likes_per_item(user_items)

    def _fitted_on(self, counts: np.ndarray) -> Self:
        """Mark the model as fitted on items with these numbers of likes (n_items,), without names; return the model."""
        self.n_items_, self.catalogue_, self.about_ = len(counts), None, {}
        self._set_counts(counts)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, atomically; `load` reads it, and so does `autoenc.load_model`.

        The format, specified in `autoenc.storage.model_file`, is safetensors, with item ids, titles, and
        the number of users who like each item. Nothing about individual users is stored. `threads` is
        not stored either, as it depends on the machine.

        Raises
        ------
        ValueError
            If the model is not fitted.
        OSError
            If the file can't be written.
        """
        self._check_fitted()
        write_model_file(path, self._file_content(type(self).__name__))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Load a fitted model of this class that `save` wrote; its scores are the same to the bit.

        `autoenc.load_model` loads a model of any class.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it holds a model of another class, or is not a valid model file: truncated, of another
            format, of a later version, or with an array that is missing, of another shape, or not finite.

        Examples
        --------
        >>> import os, tempfile
        >>> from autoenc import EASE
        >>> path = os.path.join(tempfile.mkdtemp(), "ease.safetensors")
        >>> EASE(l2=1.0).fit([[0, 1], [0, 1], [1, 2]]).save(path)
        >>> EASE.load(path)
        EASE(l2=1.0)
        """
        content = read_model_file(path)
        with reading(path):
            model = _model_of(content, path)
        if not isinstance(model, cls):
            raise ValueError(
                f"{path} holds a model of the class {type(model).__name__}, not {cls.__name__}; "
                "load it with autoenc.load_model, which reads any class."
            )
        return model

    def _file_content(self, name: str) -> ModelFile:
        """The content of a model file for the class `name`."""
        known = self.catalogue_
        ids, titles = (None, None) if known is None else (known.item_ids, known.titles)
        arrays, counts = self._arrays(), self.item_counts_
        return ModelFile(name, self._file_params(), arrays, ids, titles, self.about_, counts)

    def _file_params(self) -> dict[str, Any]:
        """The hyperparameters as stored in a model file."""
        params = {name: _plain(value) for name, value in self.get_params(deep=False).items() if name != "threads"}
        if not isinstance(params.get("random_state"), (int, type(None))):
            params["random_state"] = self.seed_  # the fit has advanced a generator
        return params

    @classmethod
    def _of_file_params(cls, params: dict[str, Any], classes: Mapping[str, type[Recommender]]) -> Recommender:
        """The unfitted model with the hyperparameters of a file; `classes` maps names to classes of inner models."""
        return cls(**params)


KNOWN: dict[str, type[Recommender]] = {}
"""The classes that a model file may name; registry.MODELS fills it, as it imports them all."""


def _model_of(content: ModelFile, path: str | os.PathLike[str]) -> Recommender:
    if content.model not in KNOWN:
        raise ValueError(
            f"{path} holds a model {content.model!r}, and this autoenc has {', '.join(KNOWN)}; "
            "use the autoenc that wrote it"
        )
    try:
        model = KNOWN[content.model]._of_file_params(content.params, KNOWN)
        n_items = model._set_arrays(content.arrays)
        if n_items < 1:
            raise ValueError("it has no items")
        for name in ("item_ids", "titles", "item_counts"):
            values = getattr(content, name)
            if values is not None and len(values) != n_items:
                raise ValueError(f"{name} has {len(values):,} entries for {n_items:,} items")
        catalogue = None if content.item_ids is None else catalogue_of(n_items, content.item_ids, content.titles)
    except FAULTS as error:
        raise ValueError(f"{path}: {str(error).rstrip('.')}; write it again") from None
    model.n_items_, model.catalogue_, model.about_ = n_items, catalogue, content.about
    model._set_counts(content.item_counts)
    return model


def _plain(value: Any) -> Any:
    """A NumPy number as a Python number, for JSON."""
    return value.item() if isinstance(value, np.generic) else value


def item_embeddings_of(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The item_embeddings of a model file: (n_items, emb_dim), float32. Raises ValueError if they are not."""
    found = arrays.get("item_embeddings")
    if found is None or found.ndim != 2 or found.dtype != np.float32:
        raise ValueError("item_embeddings must be a float32 array with one row per item.")
    return found
