"""Paired comparison of several scorers on one split."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special

from autoenc.evaluation.evaluate import Mean, Report, evaluate, with_error
from autoenc.evaluation.ranking import ScorerLike
from autoenc.interactions import UserItemsLike


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values of several comparisons after Holm's correction, which controls the family-wise error rate.

    The smallest of n is multiplied by n, the next by n - 1, and so on; none becomes smaller than the one
    before it, or larger than 1. Holm 1979 (Scandinavian Journal of Statistics 6:65).

    Examples
    --------
    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


class PairedDifference(NamedTuple):
    """The mean difference of two scorers, paired by user."""

    difference: float  # mean over users of the first scorer's value minus the second's
    standard_error: float  # of that mean
    p_value: float  # of the two-sided paired t-test

    def __str__(self) -> str:
        return f"{with_error(self.difference, self.standard_error, sign='+')} (p {self.p_value:.1g})"


def paired_difference(report: Report, other: Report, name: str) -> PairedDifference:
    """The difference between two reports in the metric `name`, such as "precision@10", paired by user.

    Both reports must come from `evaluate(..., per_user=True)` on the same split. Users differ from each
    other far more than two scorers do on one user, so this standard error is smaller than that of
    either mean.

    Raises
    ------
    ValueError
        If a report has no values per user, or the two are not over the same users.
    """
    if report.per_user is None or report.users is None or other.per_user is None or other.users is None:
        raise ValueError("a report has no values per user; create both with evaluate(..., per_user=True).")
    if not np.array_equal(report.users, other.users):
        raise ValueError(
            f"the reports are over different users ({report.n_users:,} and {other.n_users:,}); "
            "evaluate both on one split."
        )
    differences = Mean()
    differences.add(report.per_user[name] - other.per_user[name])
    if differences.total_squares == 0:
        return PairedDifference(0.0, 0.0, 1.0)
    t = differences.mean / differences.standard_error if differences.standard_error else math.inf
    p_value = float(2 * special.stdtr(differences.n - 1, -abs(t)))
    return PairedDifference(differences.mean, differences.standard_error, p_value)


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`: one report per scorer, and their differences from the first.

    Attributes
    ----------
    reports : dict of str to Report
    """

    reports: dict[str, Report]

    def differences(self, metric: str) -> dict[str, PairedDifference]:
        """The difference of each scorer from the first, in a metric such as "precision@10".

        The p values are corrected for the number of comparisons with `holm`.
        """
        first, *others = self.reports
        found = {name: paired_difference(self.reports[name], self.reports[first], metric) for name in others}
        corrected = holm([difference.p_value for difference in found.values()])
        return {name: found[name]._replace(p_value=p_value) for name, p_value in zip(others, corrected)}

    def table(self, metrics: Sequence[str]) -> str:
        """Means with standard errors, and below them the paired difference from the first scorer.

        With several comparisons, a last line says that the p values are corrected.
        """
        first, *others = self.reports
        label = f"  minus {first}"
        width = 2 + max(len(name) for name in (*self.reports, *([label] if others else [])))
        differences = [self.differences(metric) for metric in metrics]
        lines = [" " * width + "".join(f"{metric:<30}" for metric in metrics)]
        for i, (name, report) in enumerate(self.reports.items()):
            means = [with_error(report[metric], report.standard_errors[metric]) for metric in metrics]
            lines.append(f"{name:<{width}}" + "".join(f"{mean:<30}" for mean in means))
            if i > 0:
                lines.append(f"{label:<{width}}" + "".join(f"{difference[name]!s:<30}" for difference in differences))
        if len(others) > 1:
            lines.append(
                f"p of the difference from {first}, with Holm's correction for {len(others)} comparisons per metric"
            )
        return "\n".join(line.rstrip() for line in lines)

    def __str__(self) -> str:
        names = list(next(iter(self.reports.values())).means)
        *_, deepest_ndcg = [name for name in names if name.startswith("ndcg@")]
        return self.table([name for name in names if name.startswith("precision@")] + [deepest_ndcg])


def compare(
    scorers: Mapping[str, ScorerLike],
    train: UserItemsLike,
    held_out: UserItemsLike,
    ks: Sequence[int] = (1, 5, 10),
    batch_size: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    item_vectors: np.ndarray | None = None,
) -> Comparison:
    """Evaluate several scorers on one split and compare them with the first by a paired test.

    Parameters
    ----------
    scorers : mapping of name to scorer
        The others are compared with the first.
    train, held_out, ks, batch_size, progress, item_vectors
        As in `evaluate`; `progress` starts again for each scorer.

    Returns
    -------
    Comparison
        Prints as a table.

    Raises
    ------
    ValueError
        As in `evaluate`, or if there are no scorers.
    """
    if not scorers:
        raise ValueError("scorers is empty; pass at least one, such as {'popular': Popular().fit(train)}.")
    reports = {
        name: evaluate(scorer, train, held_out, ks, batch_size, progress, per_user=True, item_vectors=item_vectors)
        for name, scorer in scorers.items()
    }
    return Comparison(reports)
