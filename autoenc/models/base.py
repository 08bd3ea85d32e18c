"""What every model promises.

The shape is scikit-learn's: hyperparameters in the constructor alone and unchanged there, `fit`
returns the model, what it learned ends in `_`, `get_params`, `set_params` and scikit-learn's
`clone` work. The recommending is implicit's: `recommend` and `similar_items` answer arrays of
item numbers and of scores. Users are rows of likes, seen in training or not; nothing is learned
about a user, so a new one needs no new fit.

A model is a subclass with four methods: `_fit` learns from a CSR of likes, `_score` gives every
item a score, `_arrays` names what is to be saved, and `_set_arrays` takes it back. A dataclass
declares its hyperparameters. The rest is inherited, from a module each:

    estimator.py       hyperparameters by name, as scikit-learn asks for them
    scorer.py          scores, and the checks of what a fitted model is asked
    recommending.py    recommend, similar_items
    explaining.py      explain
"""

from __future__ import annotations

import os
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from autoenc.interactions import Interactions, UserItems, UserItemsLike, as_user_items, likes_per_item
from autoenc.models.explaining import Explaining
from autoenc.models.growing import Growth, growth_of
from autoenc.models.names import catalogue_of, items_of
from autoenc.models.recommending import Recommending
from autoenc.storage.model_file import ModelFile, read_model_file, write_model_file
from autoenc.storage.reading import FAULTS, reading


class Recommender(Recommending, Explaining):
    """What the models have in common.

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

    by_steps: ClassVar[bool] = False  # whether it is trained by steps, to where hardly anything changes
    about_: dict[str, Any]
    seed_: int  # of a model that draws random numbers

    weighs_likes = False  # whether a like's weight matters to it

    @abstractmethod
    def _fit(self, user_items: UserItems) -> None:
        """Learn from checked likes."""

    @abstractmethod
    def _arrays(self) -> dict[str, np.ndarray]:
        """What was learned, by name: all that a model file has to hold."""

    @abstractmethod
    def _set_arrays(self, arrays: dict[str, np.ndarray]) -> int:
        """Take back what `_arrays` gave, and return for how many items it is.

        Raise ValueError where it is not of the form that `_fit` leaves.
        """

    def check_limit(self, n_users: int, n_items: int) -> None:
        """Raise ValueError where a fit on so many would take more memory than the model is allowed.

        Here none does. It doesn't depend on what else the machine is doing.
        """

    def check_memory(self, n_users: int, n_items: int) -> None:
        """Raise ValueError where a fit on so many would take more memory than it may, or than there is.

        Here none does.
        """

    def precompute(self, user_items: UserItemsLike, dtype: type = np.float64) -> Any:
        """What `fit` may be given in place of the likes where it is called again with other hyperparameters.

        Here they are the likes. A model whose fit begins by what no hyperparameter changes returns
        that, and takes it. float32 is enough to compare fits with each other, where the model has one.
        """
        return as_user_items(user_items)

    def fit(self, user_items: UserItemsLike, y: object = None) -> Self:
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
            is invalid.
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

    @property
    def partial_fit(self) -> Callable[..., Self]:
        """Learn more likes, of items that the model has not seen too. Here AttributeError, which says why not."""
        raise AttributeError(
            f"{type(self).__name__} has no partial_fit, as its solution is of all likes at once; fit it again on all, "
            "or take a network, ELSA or Popular, which learn more likes as they come."
        )

    def _grow(self, growth: Growth) -> None:
        """Take in new items, in a model that has a partial_fit."""
        raise NotImplementedError

    def _take_in(self, user_items: UserItemsLike) -> UserItems:
        """More likes over the model's items and those new to it, which it then has as well; their counts are added."""
        self._check_fitted()
        growth = growth_of(self.catalogue_, user_items)
        likes = self._as_fitted(user_items) if growth is None else growth.user_items
        if not likes.nnz:
            raise ValueError("user_items holds no likes, so there is nothing to learn from; pass some.")
        counts = self.item_counts_
        if growth is not None and growth.has_new_items:
            self._grow(growth)
            self.n_items_, self.catalogue_ = growth.catalogue.n_items, growth.catalogue
            counts = None if counts is None else growth.counts(counts)
        self._set_counts(None if counts is None else counts + self._counts_of(likes))
        for name in ("likes", "beside_popularity"):  # of the likes before
            self.about_.pop(name, None)
        return likes

    def _counts_of(self, user_items: UserItems) -> np.ndarray:
        """By what `recommend` ranks where no like speaks: how many users like each item, (n_items,)."""
        return likes_per_item(user_items)

    def _fitted_on(self, counts: np.ndarray) -> Self:
        """The model, with its items' likes (n_items,) noted and no names for them."""
        self.n_items_, self.catalogue_, self.about_ = len(counts), None, {}
        self._set_counts(counts)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, atomically; `load` reads it, and so does `autoenc.load_model`.

        The format is specified in `autoenc.storage.model_file`: safetensors, with item ids,
        titles, and how many users like each item. Nothing of a user is in it. `threads` is left out, as
        it is the machine's.

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
        """The fitted model of this class that `save` wrote: it scores to the same bits.

        `autoenc.load_model` reads a file of whichever class.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it holds a model of another class, or is no model file: truncated, foreign, of a later
            version, or with an array missing, of another shape, or not finite.

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
                "read it by autoenc.load_model, which takes any."
            )
        return model

    def _file_content(self, name: str) -> ModelFile:
        """What a model file of the class `name` holds."""
        known = self.catalogue_
        ids, titles = (None, None) if known is None else (known.item_ids, known.titles)
        arrays, counts = self._arrays(), self.item_counts_
        return ModelFile(name, self._file_params(), arrays, ids, titles, self.about_, counts)

    def _file_params(self) -> dict[str, Any]:
        """The hyperparameters as a model file has them."""
        params = {name: _plain(value) for name, value in self.get_params(deep=False).items() if name != "threads"}
        if not isinstance(params.get("random_state"), (int, type(None))):
            params["random_state"] = self.seed_  # a generator is not what it was before the fit
        return params

    @classmethod
    def _of_file_params(cls, params: dict[str, Any], classes: Mapping[str, type[Recommender]]) -> Recommender:
        """The unfitted model that `_file_params` told of; `classes` has those of models in it by name."""
        return cls(**params)


KNOWN: dict[str, type[Recommender]] = {}
"""The classes that a model file may name: registry.MODELS, which stands below what it lists."""


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
    """A NumPy number as Python's, which JSON takes."""
    return value.item() if isinstance(value, np.generic) else value


def item_embeddings_of(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The item_embeddings of a model file: (n_items, emb_dim), float32. Raises ValueError where they are not such."""
    found = arrays.get("item_embeddings")
    if found is None or found.ndim != 2 or found.dtype != np.float32:
        raise ValueError("item_embeddings must be there, one row of float32 per item.")
    return found
