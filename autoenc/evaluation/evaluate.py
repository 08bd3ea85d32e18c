"""Evaluation of a scorer with all metrics, in one pass over the users in batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from autoenc.checks import whole_number
from autoenc.evaluation.align import aligned
from autoenc.evaluation.metrics import (
    PER_USER,
    coverage,
    diversity_at_k,
    gini,
    novelty_at_k,
    popularity_bias_at_k,
    serendipity_at_k,
)
from autoenc.evaluation.popularity import Popularity
from autoenc.evaluation.ranking import ScorerLike, batches_of_users, top_n_of_scorer
from autoenc.interactions import Interactions, UserItemsLike, as_user_items, likes_per_item

BEYOND_HITS = ("novelty", "popularity_bias", "serendipity")
METRICS = (*PER_USER, *BEYOND_HITS, "diversity", "coverage", "gini")
"""The metrics that `evaluate` reports, each at every k; diversity only if it has item vectors."""
USERS_COUNTED = 256  # at a time: some metrics need 50 bytes for each of their likes
HIGHER_IS_BETTER = (*PER_USER, "novelty", "serendipity", "coverage")
"""The metrics available for early stopping: higher is better, and no item vectors are needed."""


@dataclass(frozen=True)
class Report:
    """The result of `evaluate`; `report["precision@10"]` is a mean.

    Attributes
    ----------
    means : dict of str to float
        Means over users by "metric@k", for each metric of `autoenc.metrics`.
    standard_errors : dict of str to float
        Standard errors of the means: standard deviation (with n - 1) / sqrt(n). NaN for coverage and
        gini, which are not means, and if there is only one user.
    n_users : int
        Number of users evaluated.
    n_skipped : int
        Number of users with nothing held out, who are skipped.
    users : array (n_users,), optional
        Rows of the users evaluated; only with `evaluate(..., per_user=True)`.
    per_user : dict of str to array (n_users,), optional
        Values of each user; only with `evaluate(..., per_user=True)`.
    """

    means: dict[str, float]
    standard_errors: dict[str, float]
    n_users: int
    n_skipped: int
    users: np.ndarray | None = field(default=None, repr=False, compare=False)
    per_user: dict[str, np.ndarray] | None = field(default=None, repr=False, compare=False)

    def __getitem__(self, name: str) -> float:
        if name not in self.means:
            raise KeyError(f"no metric {name!r} in this report; there are {', '.join(self.means)}")
        return self.means[name]

    def as_row(self) -> dict[str, float]:
        """One flat dict for a table or a line of JSON: n_users, n_skipped, "metric@k", "metric@k_se"."""
        errors = {f"{name}_se": se for name, se in self.standard_errors.items() if not math.isnan(se)}
        return {"n_users": self.n_users, "n_skipped": self.n_skipped, **self.means, **errors}

    def __str__(self) -> str:
        ks = list(dict.fromkeys(name.partition("@")[2] for name in self.means))
        metrics = list(dict.fromkeys(name.partition("@")[0] for name in self.means))
        lines = [" " * 16 + "".join(f"{'@' + k:>17}" for k in ks)]
        for metric in metrics:
            names = [f"{metric}@{k}" for k in ks]
            cells = (with_error(self.means[name], self.standard_errors[name]) for name in names)
            lines.append(f"{metric:<16}" + "".join(f"{cell:>17}" for cell in cells))
        lines.append(f"{self.n_users:,} users; {self.n_skipped:,} with nothing held out are left out")
        return "\n".join(line.rstrip() for line in lines)


def evaluate(
    scorer: ScorerLike,
    train: UserItemsLike,
    held_out: UserItemsLike,
    ks: Sequence[int] = (1, 5, 10),
    batch_size: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    per_user: bool = False,
    item_vectors: np.ndarray | None = None,
) -> Report:
    """Rank the items that each user has not liked in `train`, and measure how well this predicts `held_out`.

    One pass over the users computes every metric of `autoenc.metrics` at every k. Users with nothing
    held out are skipped, also for coverage and gini. Metrics that use the popularity of items count the
    likes in `train`.

    Parameters
    ----------
    scorer : as in `rank`
    train : (n_users, n_items), anything that `as_user_items` accepts
        The likes that the scorer sees, which are excluded from the ranking. Under strong generalization,
        the likes that are folded in.
    held_out : (n_users, n_items), anything that `as_user_items` accepts
        The likes to predict. If both are Interactions, their users and items are matched by id (see
        `evaluation.align.aligned`); otherwise rows and columns must be the same in both.
    ks : sequence of int
    batch_size : int, optional
        Number of users to rank at a time.
    progress : callable, optional
        Called after each batch with the number of users done and the total.
    per_user : bool
        Whether the report keeps each user's values, 8 bytes per user and metric.
    item_vectors : array (n_items, dim), optional
        Vectors for the diversity: some model's `item_vectors()`. By default diversity is not reported.

    Returns
    -------
    Report

    Raises
    ------
    ValueError, TypeError
        If the shapes differ from each other or from the scorer's, a k is not a whole number above 0, no
        user has anything held out, a score is NaN, or two Interactions have no user or no item in common.
    """
    if isinstance(train, Interactions) and isinstance(held_out, Interactions):
        train, held_out = aligned(scorer, train, held_out)
    train = as_user_items(train, scorer.n_items)
    held_out = as_user_items(held_out, scorer.n_items)
    n_users = train.shape[0]
    if held_out.shape[0] != n_users:
        raise ValueError(
            f"train has {n_users:,} rows, but held_out has {held_out.shape[0]:,}; pass one row per user in both."
        )
    ks = sorted({whole_number("ks", k, 1) for k in ks})
    if not ks:
        raise ValueError("ks is empty; pass at least one k, such as 10.")
    users = np.flatnonzero(np.diff(held_out.indptr))
    if not len(users):
        raise ValueError("held_out holds no item of any user, so there is nothing to evaluate; hold some out.")

    tally = Tally(ks, likes_per_item(train), n_users, per_user, item_vectors)
    for batch in batches_of_users(len(users), batch_size, scorer):
        top_items, _ = top_n_of_scorer(scorer, train[users[batch]], min(ks[-1], scorer.n_items))
        for first in range(0, len(top_items), USERS_COUNTED):
            some = users[batch][first : first + USERS_COUNTED]
            tally.add(some, top_items[first : first + USERS_COUNTED], train[some], held_out[some])
        if progress is not None:
            progress(batch.stop, len(users))
    return tally.report()


class Tally:
    """Accumulates the metrics of batches of users; tallies of different users can be merged.

    Parameters
    ----------
    ks : sequence of int, ascending
    item_counts : array (n_items,)
        Number of training likes of each item.
    n_users : int
        Number of all users, including those with nothing held out.
    per_user : bool
    item_vectors : array (n_items, dim), optional
    """

    def __init__(
        self,
        ks: Sequence[int],
        item_counts: np.ndarray,
        n_users: int,
        per_user: bool = False,
        item_vectors: np.ndarray | None = None,
    ):
        self.ks, self.n_users, self.per_user = list(ks), n_users, per_user
        self.popularity: Popularity | None = Popularity(item_counts)
        self.item_vectors = item_vectors
        if item_vectors is not None and len(item_vectors) != len(item_counts):
            raise ValueError(f"item_vectors has {len(item_vectors):,} rows for {len(item_counts):,} items.")
        self.n_items = len(item_counts)
        metrics = [*PER_USER, *BEYOND_HITS, *(() if item_vectors is None else ("diversity",))]
        self.found = {f"{metric}@{k}": Mean(per_user) for metric in metrics for k in ks}
        self.recommended = {k: np.zeros(self.n_items, np.int64) for k in ks}  # number of users per item
        self.users: list[np.ndarray] = []

    def add(
        self, users: np.ndarray, top_items: np.ndarray, shown: sparse.csr_array, held_out: sparse.csr_array
    ) -> None:
        """Add a batch of users, who all have something held out.

        Takes their rows (batch,), their ks[-1] best items, and their shown and held-out likes.
        """
        assert self.popularity is not None, "done: it can only be merged and reported"
        counts = self.popularity.counts
        self.users.append(users)
        ranks = self.popularity.ranks(shown, top_items)
        for k in self.ks:
            found = {metric: of_users(top_items, held_out, k) for metric, of_users in PER_USER.items()}
            found["novelty"] = novelty_at_k(top_items, counts, self.n_users, k)
            found["popularity_bias"] = popularity_bias_at_k(top_items, shown, counts, k)
            found["serendipity"] = serendipity_at_k(top_items, held_out, ranks, k)
            if self.item_vectors is not None:
                found["diversity"] = diversity_at_k(top_items, self.item_vectors, k)
            for metric, values in found.items():
                self.found[f"{metric}@{k}"].add(values)
            recommended = top_items[:, :k]
            self.recommended[k] += np.bincount(recommended[recommended >= 0], minlength=self.n_items)

    def done(self) -> Tally:
        """The tally without the data needed only for adding, so that it is small enough to send."""
        self.popularity = self.item_vectors = None
        return self

    def add_counts(self, other: Tally) -> None:
        """Add the counts of another tally, whose users come after these."""
        self.users += other.users
        for name, values in self.found.items():
            values.add_counts(other.found[name])
        for k in self.ks:
            self.recommended[k] += other.recommended[k]

    def report(self) -> Report:
        """The report. Raises ValueError if no users were added."""
        if not self.users:
            raise ValueError("held_out holds no item of any user, so there is nothing to evaluate; hold some out.")
        means = {name: values.mean for name, values in self.found.items()}
        errors = {name: values.standard_error for name, values in self.found.items()}
        for k in self.ks:
            means[f"coverage@{k}"] = coverage(np.flatnonzero(self.recommended[k]), self.n_items)
        for k in self.ks:
            means[f"gini@{k}"] = gini(self.recommended[k])
        errors |= {name: math.nan for name in means if name not in errors}
        users = np.concatenate(self.users)
        kept = {name: np.concatenate(values.kept) for name, values in self.found.items()} if self.per_user else None
        n_skipped = self.n_users - len(users)
        return Report(means, errors, len(users), n_skipped, users if self.per_user else None, kept)


class Mean:
    """Mean and standard error of values added in batches; NaNs are ignored."""

    def __init__(self, keep: bool = False):
        self.keep = keep
        self.kept: list[np.ndarray] = []
        self.n = 0
        self.total = 0.0
        self.total_squares = 0.0

    def add(self, values: np.ndarray) -> None:
        if self.keep:
            self.kept.append(values)
        values = values[~np.isnan(values)]
        self.n += len(values)
        self.total += float(values.sum())
        self.total_squares += float((values * values).sum())

    def add_counts(self, other: Mean) -> None:
        self.kept += other.kept
        self.n += other.n
        self.total += other.total
        self.total_squares += other.total_squares

    @property
    def mean(self) -> float:
        return self.total / self.n if self.n else math.nan

    @property
    def standard_error(self) -> float:
        if self.n < 2:
            return math.nan
        squared_deviations = max(0.0, self.total_squares - self.total * self.mean)
        return math.sqrt(squared_deviations / (self.n - 1) / self.n)


def with_error(mean: float, standard_error: float, sign: str = "") -> str:
    return f"{mean:{sign}.4f}" + ("" if math.isnan(standard_error) else f" ± {standard_error:.4f}")
