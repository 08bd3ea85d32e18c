"""Choosing a half-life by validation on the latest likes.

    The latest fifth of the likes is held out. The model is fitted on the earlier ones with each
    half-life, and without one, and evaluated on the held-out likes.

    gain = mean difference to no half-life - its standard error         paired by user
    The half-life with the largest gain is chosen, or none if no gain is above 0.

Few users have likes on both sides of the split, and the best of several means over few users is
optimistic. Short half-lives change the ranking most, so their differences are the least certain;
subtracting the standard error favours longer ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from autoenc.checks import metric_at_k
from autoenc.evaluation.compare import paired_difference
from autoenc.evaluation.evaluate import Report, evaluate
from autoenc.evaluation.metrics import PER_USER
from autoenc.evaluation.splits import holdout_by_time
from autoenc.interactions import Interactions, UserItems
from autoenc.models.base import Recommender
from autoenc.models.estimator import unfitted
from autoenc.models.network_model import NetworkRecommender

HALF_LIVES = (3650.0, 1825.0, 730.0, 365.0, 180.0, 60.0, 14.0)
"""Half-lives to try, in days, from ten years to two weeks."""


class ChosenHalfLife(NamedTuple):
    """The result of `choose_half_life`."""

    half_life: float | None  # in days
    tried: list[dict[str, Any]]  # one dict per half-life, None first, with the mean of the metric


def choose_half_life(
    model: Recommender,
    likes: Interactions | UserItems,
    half_lives: Sequence[float] = HALF_LIVES,
    *,
    metric: str = "ndcg@100",
    share: float = 0.2,
) -> ChosenHalfLife:
    """The half-life with which a model best predicts later likes, or None.

    Parameters
    ----------
    model : Recommender
        A model with the hyperparameter half_life; it is left unchanged.
    likes : Interactions, or its user_items
        Training likes with times. They must not include test likes.
    half_lives : sequence of float
        Half-lives to try, in days.
    metric : str
        A metric of `autoenc.evaluate` to maximize, such as "ndcg@100".
    share : float
        Fraction of the likes to hold out, the latest.

    Raises
    ------
    TypeError, ValueError
        As in `holdout_by_time`, or if the metric is unknown or the model has no half_life.
    """
    _, k = metric_at_k("metric", metric, PER_USER)
    split = holdout_by_time(likes, share)

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
    """Unfitted copies of the models, with the half-life chosen by the first model for which `takes_half_life`.

    Networks and models without the hyperparameter are left unchanged: a half-life in a cross-entropy
    loss was measured not to help (docs/how_to/weights_and_times.md). Raises ValueError if no model takes
    one, or as `choose_half_life` does.
    """
    taking = [takes_half_life(model) for model in models]
    if not any(taking):
        raise ValueError("no half_life can be chosen for any of the models; pass one for which it can, such as EASE().")
    chosen = choose_half_life(models[taking.index(True)], likes, metric=metric)
    copies = [unfitted(model) for model in models]
    for copy, takes in zip(copies, taking):
        if takes:
            copy.set_params(half_life=chosen.half_life)
    return copies, chosen


def takes_half_life(model: Recommender) -> bool:
    """Whether a half-life can be chosen for the model in a blend."""
    return "half_life" in model.get_params(deep=False) and not isinstance(model, NetworkRecommender)
