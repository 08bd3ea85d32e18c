"""From scores to rankings to figures, in a stream of batches of users.

What ranks is a scorer: anything with `n_items`, `score(user_items) -> (batch, n_items)`, and where
it has a faster way `top_n(user_items, n) -> (items, scores)`, liked items struck. The networks and
every model are scorers.

The users x items matrix never exists: what is held at a time is one batch's scores, and for a
scorer with a `top_n` of its own not even those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy import sparse, special

from autoenc.interactions import as_user_items, likes_per_item
from autoenc.metrics import PER_USER, coverage, novelty_at_k


def top_n_of_scores(scores: np.ndarray, liked: sparse.csr_array | None, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n best items of each row, those already liked struck: the definition of masked top-N.

    Best first; of equal scores the lower item comes first. A score of -inf strikes an item too.

    Parameters
    ----------
    scores : array (batch, n_items), floating
        Higher is better. Not changed.
    liked : csr_array (batch, n_items), or None to strike nothing
    n : int

    Returns
    -------
    items : array (batch, n), int32
    scores : array (batch, n), of the dtype of `scores`
        Where fewer than n items are left the rest is padded, as implicit 0.7 pads a batch: item
        -1, and for its score the lowest number of the dtype.

    Raises
    ------
    ValueError
        If a score is NaN, which has no place in an order, or the shapes differ.
    TypeError
        If scores are not floating.

    Examples
    --------
    >>> scores = np.array([[0.5, 0.9, 0.5, 0.1]])
    >>> top_n_of_scores(scores, sparse.csr_array(np.array([[0, 1, 0, 0]])), 2)
    (array([[0, 2]], dtype=int32), array([[0.5, 0.5]]))
    """
    n = _at_least_1(n, "n")
    if scores.dtype.kind != "f":
        raise TypeError(
            f"scores has the dtype {scores.dtype}; pass floating numbers, such as scores.astype(np.float32)."
        )
    if np.isnan(scores).any():
        raise ValueError("a score is NaN: the model has diverged; train it anew with a lower lr.")
    if liked is not None:
        if liked.shape != scores.shape:
            raise ValueError(
                f"scores has shape {scores.shape} and liked {liked.shape}; pass a score for each user and item."
            )
        scores = scores.copy()
        scores[liked.nonzero()] = -np.inf

    # The candidates: a row's n best, with all that equal the last of them. They come out of
    # nonzero by row, then by item, and the sort is stable, so equals stay in the order of items.
    # Partitioned from the top, since NumPy is up to 20 times slower from below, past a mass of zeros.
    batch, n_items = scores.shape
    n_found = min(n, n_items)
    last_best = -np.partition(-scores, n_found - 1, axis=1)[:, n_found - 1]  # (batch,)
    rows, items = np.nonzero(scores >= last_best[:, None])  # (n_candidates,)
    by_row_then_score = np.lexsort((-scores[rows, items], rows))
    first_of_row = np.searchsorted(rows, np.arange(batch))
    best = items[by_row_then_score[first_of_row[:, None] + np.arange(n_found)]]  # (batch, n_found)

    top_items = np.full((batch, n), -1, np.int32)
    top_scores = np.full((batch, n), np.finfo(scores.dtype).min, scores.dtype)
    best_scores = np.take_along_axis(scores, best, axis=1)
    left = best_scores > -np.inf
    top_items[:, :n_found][left] = best[left]
    top_scores[:, :n_found][left] = best_scores[left]
    return top_items, top_scores


def rank(scorer, user_items, n: int, batch_size: int | None = None) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Rank for any number of users, a batch at a time.

    Parameters
    ----------
    scorer : anything with `n_items` and `score`, as the top of this module has it
    user_items : (n_users, scorer.n_items), whatever `as_user_items` takes
    n : int
        How many items to rank for each user.
    batch_size : int, optional
        How many users to score at a time; this bounds the memory. By default the scorer's
        `users_at_once`, or 256.

    Yields
    ------
    users : slice
        The rows of `user_items` that this batch is.
    items, scores : arrays (batch, n)
        As `top_n_of_scores` returns them.

    Raises
    ------
    ValueError, TypeError
        At the call, before anything is scored: where `user_items` is not what `as_user_items`
        takes or has another number of items than the scorer, or where a number is below 1.
    """
    user_items = as_user_items(user_items, scorer.n_items)
    n = _at_least_1(n, "n")
    batches = _batches(user_items.shape[0], batch_size, scorer)
    return ((users, *_top_n(scorer, user_items[users], n)) for users in batches)


@dataclass(frozen=True)
class Report:
    """What `evaluate` found; `report["precision@10"]` is a mean.

    Attributes
    ----------
    means : dict of str to float
        By "metric@k": each metric of `autoenc.metrics`.
    standard_errors : dict of str to float
        Of those means, over users: standard deviation (with n - 1) / sqrt(n). NaN for coverage,
        which is not a mean, and where there was only one user.
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
        lines = [" " * 13 + "".join(f"{'@' + k:>17}" for k in ks)]
        for metric in metrics:
            names = [f"{metric}@{k}" for k in ks]
            cells = (_with_error(self.means[name], self.standard_errors[name]) for name in names)
            lines.append(f"{metric:<13}" + "".join(f"{cell:>17}" for cell in cells))
        lines.append(f"{self.n_users:,} users; {self.n_skipped:,} with nothing held out are left out")
        return "\n".join(line.rstrip() for line in lines)


def evaluate(
    scorer,
    train,
    held_out,
    ks: Sequence[int] = (1, 5, 10),
    batch_size: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    per_user: bool = False,
) -> Report:
    """Rank for every user what they haven't liked in `train`, and look for what was held out.

    One pass over the users, with every metric of `autoenc.metrics` at every k. Users with nothing
    held out are not ranked. Coverage is over the users that are, novelty counts likes in `train`.

    Parameters
    ----------
    scorer : as in `rank`
    train : (n_users, n_items), whatever `as_user_items` takes
        What the scorer is shown of each user, and what is struck from the ranking. Under strong
        generalization, the part that is folded in.
    held_out : (n_users, n_items), likewise
    ks : sequence of int
    batch_size : int
    progress : callable, optional
        Called after each batch with the number of users done and of users to do.
    per_user : bool
        Whether the report keeps each user's values, 8 bytes a user and metric.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        Where the shapes differ from each other or from the scorer's, or no user has anything held
        out, or a score is NaN.
    """
    train = as_user_items(train, scorer.n_items)
    held_out = as_user_items(held_out, scorer.n_items)
    n_users = train.shape[0]
    if held_out.shape[0] != n_users:
        raise ValueError(f"train has {n_users:,} rows and held_out {held_out.shape[0]:,}; pass a row a user in both.")
    ks = sorted({_at_least_1(k, "ks") for k in ks})
    if not ks:
        raise ValueError("ks is empty; pass at least one k, such as 10.")
    users = np.flatnonzero(np.diff(held_out.indptr))
    if not len(users):
        raise ValueError("held_out holds no item of any user, so there is nothing to evaluate; hold some out.")

    tally = Tally(ks, likes_per_item(train), n_users, per_user)
    for batch in _batches(len(users), batch_size, scorer):
        top_items, _ = _top_n(scorer, train[users[batch]], ks[-1])
        tally.add(users[batch], top_items, held_out[users[batch]])
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
    """

    def __init__(self, ks: Sequence[int], item_counts: np.ndarray, n_users: int, per_user: bool = False):
        self.ks, self.n_users, self.per_user = list(ks), n_users, per_user
        self.item_counts: np.ndarray | None = item_counts
        self.n_items = len(item_counts)
        self.found = {f"{metric}@{k}": _Mean(per_user) for metric in [*PER_USER, "novelty"] for k in ks}
        self.recommended = {k: np.empty(0, np.int32) for k in ks}
        self.users: list[np.ndarray] = []

    def add(self, users: np.ndarray, top_items: np.ndarray, held_out: sparse.csr_array) -> None:
        """Count a batch: the users' rows, their ks[-1] best items, and what was held out, all with something."""
        assert self.item_counts is not None, "done; only to be merged and reported"
        self.users.append(users)
        for k in self.ks:
            for metric, of_users in PER_USER.items():
                self.found[f"{metric}@{k}"].add(of_users(top_items, held_out, k))
            self.found[f"novelty@{k}"].add(novelty_at_k(top_items, self.item_counts, self.n_users, k))
            self.recommended[k] = np.union1d(self.recommended[k], top_items[:, :k])

    def done(self) -> Tally:
        """Itself, without what only counting takes: small enough to be sent."""
        self.item_counts = None
        return self

    def merge(self, other: Tally) -> None:
        """Count what another has counted, of users after these."""
        self.users += other.users
        for name, values in self.found.items():
            values.merge(other.found[name])
        for k in self.ks:
            self.recommended[k] = np.union1d(self.recommended[k], other.recommended[k])

    def report(self) -> Report:
        """Raises ValueError where nobody was counted."""
        if not self.users:
            raise ValueError("held_out holds no item of any user, so there is nothing to evaluate; hold some out.")
        means = {name: values.mean for name, values in self.found.items()}
        errors = {name: values.standard_error for name, values in self.found.items()}
        for k in self.ks:
            means[f"coverage@{k}"] = coverage(self.recommended[k], self.n_items)
            errors[f"coverage@{k}"] = math.nan
        users = np.concatenate(self.users)
        kept = {name: np.concatenate(values.kept) for name, values in self.found.items()} if self.per_user else None
        n_skipped = self.n_users - len(users)
        return Report(means, errors, len(users), n_skipped, users if self.per_user else None, kept)


class PairedDifference(NamedTuple):
    """How far one scorer is ahead of another, user by user."""

    difference: float  # mean over users of the first's value less the second's
    standard_error: float  # of that mean
    p_value: float  # of the paired t-test, two-sided: as far apart by chance, were they equal

    def __str__(self) -> str:
        return f"{_with_error(self.difference, self.standard_error, sign='+')} (p {self.p_value:.1g})"


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
    differences = _Mean()
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
            means = [_with_error(report[metric], report.standard_errors[metric]) for metric in metrics]
            lines.append(f"{name:<{width}}" + "".join(f"{mean:<30}" for mean in means))
            if i > 0:
                lines.append(" " * width + "".join(f"{difference[name]!s:<30}" for difference in differences))
        return "\n".join(line.rstrip() for line in lines)

    def __str__(self) -> str:
        names = list(next(iter(self.reports.values())).means)
        *_, deepest_ndcg = [name for name in names if name.startswith("ndcg@")]
        return self.table([name for name in names if name.startswith("precision@")] + [deepest_ndcg])


def compare(
    scorers: Mapping[str, object],
    train,
    held_out,
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


class _Mean:
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

    def merge(self, other: _Mean) -> None:
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


def _top_n(scorer, user_items: sparse.csr_array, n: int) -> tuple[np.ndarray, np.ndarray]:
    if hasattr(scorer, "top_n"):
        return scorer.top_n(user_items, n)
    return top_n_of_scores(scorer.score(user_items), user_items, n)


def _batches(n_users: int, batch_size: int | None, scorer) -> Iterator[slice]:
    if batch_size is None:
        batch_size = getattr(scorer, "users_at_once", 256)
    batch_size = _at_least_1(batch_size, "batch_size")
    return (slice(start, min(n_users, start + batch_size)) for start in range(0, n_users, batch_size))


def _at_least_1(number: int, name: str) -> int:
    if not isinstance(number, (int, np.integer)) or number < 1:
        raise ValueError(f"{name} is {number!r}; pass a whole number, 1 or more.")
    return int(number)


def _with_error(mean: float, standard_error: float, sign: str = "") -> str:
    return f"{mean:{sign}.4f}" + ("" if math.isnan(standard_error) else f" ± {standard_error:.4f}")
