"""Metrics by quartile and over seeds equal those of the parts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from autoenc import Popular, evaluate
from autoenc.evaluation.evaluate import Report
from autoenc.evaluation.quartiles import quartiles
from autoenc.evaluation.seeds import over_seeds
from autoenc.evaluation.splits import holdout_per_user


@pytest.fixture(scope="module")
def split(ratings):
    return holdout_per_user(ratings.user_items, seed=0)


def test_quartiles_of_users_are_a_quarter_of_them_each_and_average_to_the_whole(split):
    train, held_out = split
    model = Popular().fit(train)
    parts = quartiles(train, held_out, "activity")
    reports = [evaluate(model, train, part, ks=[10]) for part in parts.values()]
    sizes = [report.n_users for report in reports]
    assert len(parts) == 4 and max(sizes) - min(sizes) < 0.05 * 671 and sum(sizes) == 671
    whole = evaluate(model, train, held_out, ks=[10])
    for metric in ("ndcg@10", "novelty@10"):
        assert np.average([r[metric] for r in reports], weights=sizes) == pytest.approx(whole[metric], rel=1e-9)
    n_likes = np.diff(train.indptr)
    bounds = [[int(n.replace(",", "")) for n in part.split() if n[0].isdigit()] for part in parts]
    assert bounds[0][0] == n_likes.min() and bounds[3][1] == n_likes.max()
    assert all(low <= high < next_low for (low, high), (next_low, _) in itertools.pairwise(bounds))


def test_quartiles_of_items_have_a_quarter_of_the_likes_each(split):
    train, held_out = split
    counts = np.bincount(train.indices, minlength=train.shape[1])
    parts = quartiles(train, held_out, "popularity")
    shares = []
    for name, part in parts.items():
        low, high = (int(n.replace(",", "")) for n in name.split() if n[0].isdigit())
        of_part = counts[np.unique(part.indices)]
        assert low <= of_part.min() and of_part.max() <= high
        shares.append(counts[(counts >= low) & (counts <= high)].sum() / counts.sum())
    np.testing.assert_allclose(shares, 0.25, atol=0.02)
    n_unliked = (counts[held_out.indices] == 0).sum()
    assert sum(part.nnz for part in parts.values()) == held_out.nnz - n_unliked > 0 < n_unliked


def test_who_has_equally_many_likes_is_in_one_part():
    parts = quartiles([[0, 1]] * 7 + [[0, 1, 2]], np.eye(3)[[2] * 7 + [1]], "activity")
    assert {name: part.nnz for name, part in parts.items()} == {"users with 2 likes": 7, "users with 3 likes": 1}
    with pytest.raises(ValueError, match="by is 'age'; pass one of activity, popularity"):
        quartiles([[0]], [[0]], "age")


def test_means_over_seeds_are_of_the_reports():
    values = [0.1, 0.4, 0.25]
    reports = [Report({"mrr@5": value}, {"mrr@5": 0.01}, 9, 1) for value in values]
    mean = over_seeds(reports)
    assert mean["mrr@5"] == pytest.approx(np.mean(values))
    assert mean.standard_errors["mrr@5"] == pytest.approx(np.std(values, ddof=1) / math.sqrt(3))
    assert (mean.n_users, mean.n_skipped) == (9, 1)
    assert math.isnan(over_seeds(reports[:1]).standard_errors["mrr@5"])
    with pytest.raises(ValueError, match="reports is empty; pass at least one report"):
        over_seeds([])
