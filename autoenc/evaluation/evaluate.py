"""From rankings to figures: one pass over the users, in batches, with every metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

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
from autoenc.evaluation.ranking import ScorerLike, at_least_1, batches_of_users, top_n_of_scorer
from autoenc.interactions import Interactions, UserItemsLike, as_user_items, likes_per_item

BEYOND_HITS = ("novelty", "popularity_bias", "serendipity")
METRICS = (*PER_USER, *BEYOND_HITS, "diversity", "coverage", "gini")
"""What `evaluate` reports, each at a k; diversity where it has item vectors."""
USERS_COUNTED = 256  # at a time: some metrics need 50 bytes for each of their likes
HIGHER_IS_BETTER = (*PER_USER, "novelty", "serendipity", "coverage")
"""Those that a training can be stopped by: of scores alone, without item vectors."""


@dataclass(frozen=True)
class Report:
    """What `evaluate` found; `report["precision@10"]` is a mean.

    Attributes
    ----------
    means : dict of str to float
        By "metric@k": each metric of `autoenc.metrics`.
    standard_errors : dict of str to float
        Of those means, over users: standard deviation (with n - 1) / sqrt(n). NaN for coverage and
        gini, which are not means, and where there was only one user.
    n_users : int
        The users that the means are over.
    n_skipped : int
        The users that had nothing held out, and so are not among them.
    users : array (n_users,), optional
        The rows of the former; only where `evaluate` was asked for `per_user`.
    per_user : dict of str to array (n_users,), optional
        What the means are of; likewise.
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
    """Rank for every user what they haven't liked in `train`, and look for what was held out.

    One pass over the users, with every metric of `autoenc.metrics` at every k. Users with nothing
    held out are not ranked. Coverage and gini are over the users that are; what counts likes counts
    those in `train`.

    Parameters
    ----------
    scorer : as in `rank`
    train : (n_users, n_items), whatever `as_user_items` takes
        What the scorer is shown of each user, and what is struck from the ranking. Under strong
        generalization, the part that is folded in.
    held_out : (n_users, n_items), likewise
        Where both are Interactions their users and items are brought together by id, as
        `evaluation.align.aligned` has it; else rows and columns are those of the scorer's likes.
    ks : sequence of int
    batch_size : int
    progress : callable, optional
        Called after each batch with the number of users done and of users to do.
    per_user : bool
        Whether the report keeps each user's values, 8 bytes a user and metric.
    item_vectors : array (n_items, dim), optional
        By which diversity is reported: some model's `item_vectors()`.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        Where the shapes differ from each other or from the scorer's, or no user has anything held
        out, or a score is NaN, or two Interactions have no user or no item in common.
    """
    if isinstance(train, Interactions) and isinstance(held_out, Interactions):
        train, held_out = aligned(scorer, train, held_out)
    train = as_user_items(train, scorer.n_items)
    held_out = as_user_items(held_out, scorer.n_items)
    n_users = train.shape[0]
    if held_out.shape[0] != n_users:
        raise ValueError(
            f"train has {n_users:,} rows and held_out {held_out.shape[0]:,}; pass one row per user in both."
        )
    ks = sorted({at_least_1(k, "ks") for k in ks})
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
    """What `evaluate` counts of batches of users; those of parts of the users may be merged into one.

    Parameters
    ----------
    ks : sequence of int, ascending
    item_counts : array (n_items,)
        The likes of each item in what was trained on.
    n_users : int
        How many users there are in all, with those who have nothing held out.
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
        self.recommended = {k: np.zeros(self.n_items, np.int64) for k in ks}  # to how many users
        self.users: list[np.ndarray] = []

    def add(
        self, users: np.ndarray, top_items: np.ndarray, shown: sparse.csr_array, held_out: sparse.csr_array
    ) -> None:
        """Count a batch of users, who all have something held out.

        Their rows (batch,), their ks[-1] best items, and of each what was shown and what was held out.
        """
        assert self.popularity is not None, "done; only to be merged and reported"
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
        """Itself, without what only counting takes: small enough to be sent."""
        self.popularity = self.item_vectors = None
        return self

    def add_counts(self, other: Tally) -> None:
        """Count what another has counted, of users after these."""
        self.users += other.users
        for name, values in self.found.items():
            values.add_counts(other.found[name])
        for k in self.ks:
            self.recommended[k] += other.recommended[k]

    def report(self) -> Report:
        """Raises ValueError where nobody was counted."""
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
    """Mean and standard error of values that come in batches; NaNs are left out."""

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
