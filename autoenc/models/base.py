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
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from autoenc.interactions import Interactions, UserItems, UserItemsLike, as_user_items
from autoenc.models.explaining import Explaining
from autoenc.models.names import items_of
from autoenc.models.recommending import Recommending
from autoenc.storage.model_file import ModelFile, write_model_file


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
        self._fitted_on(likes.shape[1])
        if isinstance(user_items, Interactions):
            self.catalogue_, self.about_ = items_of(user_items), {"dataset": user_items.name}
        return self

    def _fitted_on(self, n_items: int) -> Self:
        """The model, with the number of its items noted and no names for them."""
        self.n_items_, self.catalogue_, self.about_ = n_items, None, {}
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
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


def _plain(value: Any) -> Any:
    """A NumPy number as Python's, which JSON takes."""
    return value.item() if isinstance(value, np.generic) else value
