"""Choosing a half-life by what comes later: on likes that are cut by time once more.

    The latest fifth of the likes is held out. The model is fitted on what came before with each
    half-life, and without one, and ranks what is held out.

    gain = mean difference to none - its standard error                 paired by user
    The half-life of the largest gain is taken, or none where no gain is above 0.

Few users have likes on both sides of a moment, and the best of several means on few users is too good.
Short half-lives differ most from none, so their differences are the least certain: taking off a
standard error leans to the longer ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from autoenc.evaluation.compare import paired_difference
from autoenc.evaluation.evaluate import Report, evaluate
from autoenc.evaluation.splits import holdout_by_time
from autoenc.interactions import Interactions, UserItems
from autoenc.models.base import Recommender
from autoenc.models.estimator import unfitted
from autoenc.models.network_model import NetworkRecommender

HALF_LIVES = (3650.0, 1825.0, 730.0, 365.0, 180.0, 60.0, 14.0)
"""Days, from ten years to two weeks, that are tried beside none."""


class ChosenHalfLife(NamedTuple):
    """What `choose_half_life` returns."""

    half_life: float | None  # in days
    tried: list[dict[str, Any]]  # each half-life, none first, with the metric's mean


def choose_half_life(
    model: Recommender,
    likes: Interactions | UserItems,
    half_lives: Sequence[float] = HALF_LIVES,
    *,
    metric: str = "ndcg@100",
    share: float = 0.2,
) -> ChosenHalfLife:
    """The half-life with which a model ranks best what comes later, or None.

    Parameters
    ----------
    model : Recommender
        One with the hyperparameter half_life; it is not fitted here.
    likes : Interactions, or its user_items
        With times; those of the users and moments that are to be predicted are not among them.
    half_lives : sequence of float
        Days.
    metric : str
        Of `autoenc.metrics`, at a k.
    share : float
        Of the likes, the latest, that is held out.

    Raises
    ------
    TypeError, ValueError
        As `holdout_by_time` does, or where the model has no half_life.
    """
    split = holdout_by_time(likes, share)
    k = int(metric.partition("@")[2])

    def report_of(half_life: float | None) -> Report:
        fitted = unfitted(model).set_params(half_life=half_life).fit(split.train)
        return evaluate(fitted, split.train, split.held_out, ks=[k], per_user=True)

    without = report_of(None)
    chosen: float | None = None
    best_gain = 0.0
    tried: list[dict[str, Any]] = [{"half_life": None, metric: without[metric]}]
    for half_life in half_lives:
        report = report_of(half_life)
        tried.append({"half_life": half_life, metric: report[metric]})
        ahead = paired_difference(report, without, metric)
        gain = ahead.difference - ahead.standard_error
        if gain > best_gain:
            best_gain, chosen = gain, half_life
    return ChosenHalfLife(chosen, tried)


def with_chosen_half_life(
    models: Sequence[Recommender], likes: Interactions | UserItems, metric: str = "ndcg@100"
) -> tuple[list[Recommender], ChosenHalfLife]:
    """Unfitted copies of the models, with the half-life that the first of those that take one ranks best with.

    Networks and models without the hyperparameter stay as they are: in the loss of cross-entropies a
    half-life was measured not to help (docs/how_to/weights_and_times.md). Raises ValueError where no model
    takes one, or as `choose_half_life` does.
    """
    taking = [takes_half_life(model) for model in models]
    if not any(taking):
        raise ValueError("none of the models takes a half_life here; pass one that does, such as EASE().")
    chosen = choose_half_life(models[taking.index(True)], likes, metric=metric)
    copies = [unfitted(model) for model in models]
    for copy, takes in zip(copies, taking):
        if takes:
            copy.set_params(half_life=chosen.half_life)
    return copies, chosen


def takes_half_life(model: Recommender) -> bool:
    """Whether a half-life is chosen for such a model in a blend."""
    return "half_life" in model.get_params(deep=False) and not isinstance(model, NetworkRecommender)
