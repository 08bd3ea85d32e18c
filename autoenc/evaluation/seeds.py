"""The same evaluation with several seeds, to measure the effect of chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autoenc.evaluation.evaluate import Report


def over_seeds(reports: Sequence[Report]) -> Report:
    """Means over reports of one model with several seeds, each with its own split and fit.

    The standard errors are those over seeds, standard deviation (with n - 1) / sqrt(n). They reflect the
    randomness of the split and the training, whereas those of a single report reflect the choice of users.

    Parameters
    ----------
    reports : sequence of Report
        Reports with the same metrics. `n_users` and `n_skipped` are taken from the first.

    Raises
    ------
    ValueError
        If there are no reports.

    Examples
    --------
    >>> of_seeds = [Report({"mrr@5": mean}, {"mrr@5": 0.01}, 9, 0) for mean in (0.25, 0.5)]
    >>> print(over_seeds(of_seeds))
                                   @5
    mrr             0.3750 ± 0.1250
    9 users; 0 with nothing held out are left out
    """
    if not reports:
        raise ValueError("reports is empty; pass at least one report.")
    means, errors = {}, {}
    for name in reports[0].means:
        values = np.array([report[name] for report in reports])
        means[name] = float(values.mean())
        errors[name] = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
    return Report(means, errors, reports[0].n_users, reports[0].n_skipped)
