"""Several scorers on one split: how far each is ahead of another, user by user."""

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


class PairedDifference(NamedTuple):
    """How far one scorer is ahead of another, user by user."""

    difference: float  # mean over users of the first's value less the second's
    standard_error: float  # of that mean
    p_value: float  # of the paired t-test, two-sided: as far apart by chance, were they equal

    def __str__(self) -> str:
        return f"{with_error(self.difference, self.standard_error, sign='+')} (p {self.p_value:.1g})"


def paired_difference(report: Report, other: Report, name: str) -> PairedDifference:
    """The difference of two reports' means of the metric `name`, such as "precision@10", paired by user.

    Both from `evaluate(..., per_user=True)` on the same split. Users differ from each other far
    more than two scorers do on one user, so this standard error is smaller than either mean's.

    Raises
    ------
    ValueError
        Where a report keeps no values per user, or the two are not over the same users.
    """
    if report.per_user is None or report.users is None or other.per_user is None or other.users is None:
        raise ValueError("a report keeps no values per user; make both by evaluate(..., per_user=True).")
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
    """What `compare` found: a report for each scorer, and how far each is from the first.

    Attributes
    ----------
    reports : dict of str to Report
    """

    reports: dict[str, Report]

    def differences(self, metric: str) -> dict[str, PairedDifference]:
        """Each scorer but the first, less the first; `metric` such as "precision@10"."""
        first, *others = self.reports
        return {name: paired_difference(self.reports[name], self.reports[first], metric) for name in others}

    def table(self, metrics: Sequence[str]) -> str:
        """Means with their standard errors, and under them the paired difference to the first scorer."""
        width = 2 + max(len(name) for name in self.reports)
        differences = [self.differences(metric) for metric in metrics]
        lines = [" " * width + "".join(f"{metric:<30}" for metric in metrics)]
        for i, (name, report) in enumerate(self.reports.items()):
            means = [with_error(report[metric], report.standard_errors[metric]) for metric in metrics]
            lines.append(f"{name:<{width}}" + "".join(f"{mean:<30}" for mean in means))
            if i > 0:
                lines.append(" " * width + "".join(f"{difference[name]!s:<30}" for difference in differences))
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
) -> Comparison:
    """Evaluate several scorers on one split and stand them beside the first, with a paired test.

    Parameters
    ----------
    scorers : mapping of name to scorer
        The first is the one that the others are compared with.
    train, held_out, ks, batch_size, progress
        As `evaluate` has them; `progress` starts again with each scorer.

    Returns
    -------
    Comparison
        Printed, it is a table.

    Raises
    ------
    ValueError
        As `evaluate` does, or where there are no scorers.
    """
    if not scorers:
        raise ValueError("scorers is empty; pass at least one, such as {'popular': Popular().fit(train)}.")
    reports = {
        name: evaluate(scorer, train, held_out, ks, batch_size, progress, per_user=True)
        for name, scorer in scorers.items()
    }
    return Comparison(reports)
