"""scikit-learn's estimator interface: hyperparameters by name, and whether a model is fitted.

Hyperparameters are the constructor's arguments. The constructor only stores them, unchanged, so that
scikit-learn's `clone`, pipelines and searches work.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Self, TypeVar

import numpy as np

from autoenc.messages import shown

MOST_TEXT = 1_000  # characters of a hyperparameter

Model = TypeVar("Model", bound="Estimator")


class NotFittedError(ValueError, AttributeError):
    """Raised if a model is used before `fit`; has the base classes of scikit-learn's NotFittedError."""


class Estimator:
    """Hyperparameters by name.

    Attributes
    ----------
    n_items_ : int
        Number of items that the model was fitted on.
    """

    n_items_: int

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The hyperparameters by name. `deep` has no effect on models that contain no others."""
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params: Any) -> Self:
        """Set hyperparameters for the next `fit`. Raises ValueError if a name is unknown."""
        for name, value in params.items():
            if name not in self._defaults():
                known = ", ".join(self._defaults()) or "none"
                raise ValueError(f"{type(self).__name__} has no hyperparameter {name!r}; it has: {known}.")
            setattr(self, name, value)
        return self

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        of_constructor = inspect.signature(cls).parameters
        return {name: parameter.default for name, parameter in of_constructor.items()}

    def _check_hyperparameters(self) -> None:
        """Raise ValueError or TypeError if one is invalid: here, an integer of more than 64 bits or a long text."""
        for name, value in self.get_params(deep=False).items():
            is_huge = isinstance(value, int) and value.bit_length() > 64
            if is_huge or (isinstance(value, (str, bytes)) and len(value) > MOST_TEXT):
                raise ValueError(f"{name} is {shown(value)}, which is too {'large' if is_huge else 'long'}.")

    def __repr__(self) -> str:
        defaults, params = self._defaults(), self.get_params(deep=False)
        changed = (
            f"{name}={value!r}"
            for name, value in params.items()
            if isinstance(value, np.ndarray) or value != defaults[name]
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_items_")

    def __sklearn_tags__(self) -> Any:
        utils = importlib.import_module("sklearn.utils")  # only scikit-learn calls this, so it is installed
        return utils.Tags(
            estimator_type=None,
            target_tags=utils.TargetTags(required=False),
            input_tags=utils.InputTags(sparse=True, positive_only=True),
        )

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit(user_items) first.")

    @property
    def n_items(self) -> int:
        """`n_items_`, under the name that `autoenc.evaluation.ranking` uses."""
        self._check_fitted()
        return self.n_items_

    @property
    def n_features_in_(self) -> int:
        """`n_items_`, under the name that scikit-learn uses."""
        return self.n_items


def unfitted(model: Model) -> Model:
    """An unfitted model with the same hyperparameters."""
    return type(model)(**model.get_params(deep=False))
