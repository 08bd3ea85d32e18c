"""From scores to rankings, in batches of users.

A scorer is anything with `n_items`, `score(user_items) -> (batch, n_items)`, and optionally a faster
`top_n(user_items, n) -> (items, scores)`, without liked items. The networks and all models are scorers.

The users x items matrix of scores is never built: only one batch of scores is in memory, and for a
scorer with its own `top_n` not even that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from scipy import sparse

from autoenc.checks import whole_number
from autoenc.interactions import UserItemsLike, as_user_items


class ScorerLike(Protocol):
    """The interface of scorers; they may also have `top_n` and `users_at_once`."""

    @property
    def n_items(self) -> int: ...

    def score(self, user_items: sparse.csr_array, /) -> np.ndarray:
        """Scores of all items for each user: (batch, n_items), floating."""


def top_n_of_scores(
    scores: np.ndarray, liked: sparse.csr_array | None, n: int, counts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The n best items of each row, without liked ones: the definition of masked top-N.

    Best first; ties go to the item with the larger count, if there are counts, and then to the lower
    item. Items with score -inf are excluded too.

    Parameters
    ----------
    scores : array (batch, n_items), floating
        Higher is better. Not modified.
    liked : csr_array (batch, n_items), or None to exclude nothing
    n : int
    counts : array (n_items,), optional
        Number of users who like each item.

    Returns
    -------
    items : array (batch, n), int32
    scores : array (batch, n), of the dtype of `scores`
        Rows with fewer than n items are padded as in implicit 0.7, with item -1 and the lowest number
        of the dtype as score.

    Raises
    ------
    ValueError
        If a score is NaN, or the shapes differ.
    TypeError
        If scores are not floating.

    Examples
    --------
    >>> scores = np.array([[0.5, 0.9, 0.5, 0.1]])
    >>> top_n_of_scores(scores, sparse.csr_array(np.array([[0, 1, 0, 0]])), 2)
    (array([[0, 2]], dtype=int32), array([[0.5, 0.5]]))
    >>> top_n_of_scores(scores, None, 3, counts=np.array([4, 8, 5, 9]))[0]
    array([[1, 2, 0]], dtype=int32)
    """
    n = whole_number("n", n, 1)
    if scores.dtype.kind != "f":
        raise TypeError(
            f"scores has the dtype {scores.dtype}; pass floating numbers, such as scores.astype(np.float32)."
        )
    if np.isnan(scores).any():
        raise ValueError("a score is NaN, as the model has diverged; train it again with a lower lr.")
    if liked is not None:
        if liked.shape != scores.shape:
            raise ValueError(
                f"scores has shape {scores.shape}, but liked has {liked.shape}; pass a score for each user and item."
            )
        scores = scores.copy()
        scores[liked.nonzero()] = -np.inf

    # The candidates are the n best of each row and all ties with the last of them. nonzero returns them by
    # row, then by item, and the sort is stable, so remaining ties stay in the order of items.
    # Negated, as NumPy partitions up to 20 times slower at the upper end when many scores are 0.
    batch, n_items = scores.shape
    n_found = min(n, n_items)
    last_best = -np.partition(-scores, n_found - 1, axis=1)[:, n_found - 1]  # (batch,)
    rows, items = np.nonzero(scores >= last_best[:, None])  # (n_candidates,)
    by_count = () if counts is None else (-counts[items],)
    by_row_then_score = np.lexsort((*by_count, -scores[rows, items], rows))
    first_of_row = np.searchsorted(rows, np.arange(batch))
    best = items[by_row_then_score[first_of_row[:, None] + np.arange(n_found)]]  # (batch, n_found)

    top_items = np.full((batch, n), -1, np.int32)
    top_scores = np.full((batch, n), np.finfo(scores.dtype).min, scores.dtype)
    best_scores = np.take_along_axis(scores, best, axis=1)
    left = best_scores > -np.inf
    top_items[:, :n_found][left] = best[left]
    top_scores[:, :n_found][left] = best_scores[left]
    return top_items, top_scores


def rank(
    scorer: ScorerLike, user_items: UserItemsLike, n: int, batch_size: int | None = None
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Rank items for any number of users, one batch at a time.

    Parameters
    ----------
    scorer : ScorerLike
        Anything with `n_items` and `score`, see above.
    user_items : (n_users, scorer.n_items), anything that `as_user_items` accepts
    n : int
        Number of items per user.
    batch_size : int, optional
        Number of users to score at a time, which bounds the memory. By default the scorer's
        `users_at_once`, or 256.

    Yields
    ------
    users : slice
        The rows of `user_items` in this batch.
    items, scores : arrays (batch, n)
        As returned by `top_n_of_scores`.

    Raises
    ------
    ValueError, TypeError
        When called, before anything is scored: if `as_user_items` does not accept `user_items`, its
        number of items is not the scorer's, or a number is below 1.
    """
    user_items = as_user_items(user_items, scorer.n_items)
    n = whole_number("n", n, 1)
    batches = batches_of_users(user_items.shape[0], batch_size, scorer)
    return ((users, *top_n_of_scorer(scorer, user_items[users], n)) for users in batches)


def top_n_of_scorer(scorer: ScorerLike, user_items: sparse.csr_array, n: int) -> tuple[np.ndarray, np.ndarray]:
    if hasattr(scorer, "top_n"):
        items, scores = scorer.top_n(user_items, n)
        return items, scores
    return top_n_of_scores(scorer.score(user_items), user_items, n)


def batches_of_users(n_users: int, batch_size: int | None, scorer: ScorerLike) -> Iterator[slice]:
    if batch_size is None:
        batch_size = getattr(scorer, "users_at_once", 256)
    batch_size = whole_number("batch_size", batch_size, 1)
    return (slice(start, min(n_users, start + batch_size)) for start in range(0, n_users, batch_size))
