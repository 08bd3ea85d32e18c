"""Masked top-N against a plain sort, and evaluation against the metrics of one ranking of all users."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from autoenc import metrics
from autoenc.evaluation import popularity, ranking
from autoenc.evaluation.compare import Comparison, compare, holm, paired_difference
from autoenc.evaluation.evaluate import Report, evaluate
from autoenc.interactions import as_user_items

LOWEST = np.finfo(np.float32).min


class Scores:
    """A scorer with fixed scores, one row per user, which is identified by the user's first liked item."""

    def __init__(self, scores):
        self.scores = np.asarray(scores)
        self.n_items = self.scores.shape[1]
        self.batch_sizes = []

    def score(self, user_items):
        self.batch_sizes.append(user_items.shape[0])
        return self.scores[user_items.indices[user_items.indptr[:-1]]]


class Popularity:
    """Scores items by the number of users who like them."""

    def __init__(self, train):
        self.n_items = train.shape[1]
        self.counts = np.bincount(train.indices, minlength=self.n_items).astype(np.float32)

    def score(self, user_items):
        return np.tile(self.counts, (user_items.shape[0], 1))


class ByNumber(Popularity):
    """Scores items by their number, so that the last is the best."""

    def score(self, user_items):
        return np.tile(np.arange(self.n_items, dtype=np.float32), (user_items.shape[0], 1))


@given(st.data(), st.sampled_from([np.float32, np.float64]))
def test_top_n_is_a_stable_sort_of_what_is_not_liked(data, dtype):
    n_items = data.draw(st.integers(1, 12))
    n = data.draw(st.integers(1, n_items + 2))
    few_values = st.sampled_from([-np.inf, LOWEST, -1.0, 0.0, 0.5, np.inf])
    row = st.lists(few_values, min_size=n_items, max_size=n_items)
    scores = np.array(data.draw(st.lists(row, max_size=4)), dtype).reshape(-1, n_items)
    liked_lists = [data.draw(st.sets(st.integers(0, n_items - 1))) for _ in scores]
    liked = as_user_items(liked_lists, n_items)

    items, top_scores = ranking.top_n_of_scores(scores, liked, n)

    assert items.dtype == np.int32 and top_scores.dtype == dtype
    for row, liked_items, row_items, row_scores in zip(scores, liked_lists, items, top_scores):
        left = [i for i in range(n_items) if i not in liked_items and row[i] > -np.inf]
        best = sorted(left, key=lambda i: (-row[i], i))[:n]
        padding = n - len(best)
        assert row_items.tolist() == best + [-1] * padding
        assert row_scores.tolist() == [row[i] for i in best] + [np.finfo(dtype).min] * padding


def test_top_n_of_many_scores_with_ties():
    scores = np.random.default_rng(0).integers(0, 50, (7, 3000)).astype(np.float32)
    items, _ = ranking.top_n_of_scores(scores, None, 100)
    np.testing.assert_array_equal(items, np.argsort(-scores, axis=1, kind="stable")[:, :100])


def test_top_n_leaves_the_scores_as_they_were():
    scores = np.array([[1.0, 2.0, 3.0]])
    ranking.top_n_of_scores(scores, as_user_items([[2]], 3), 2)
    np.testing.assert_array_equal(scores, [[1.0, 2.0, 3.0]])


def test_top_n_refuses_nan_even_where_it_would_be_struck():
    with pytest.raises(ValueError, match="a score is NaN, as the model has diverged"):
        ranking.top_n_of_scores(np.array([[1.0, np.nan]]), as_user_items([[1]], 2), 1)


def test_top_n_refuses_scores_that_are_no_floats():
    with pytest.raises(TypeError, match="scores has the dtype int64; pass floating numbers"):
        ranking.top_n_of_scores(np.zeros((1, 2), np.int64), as_user_items([[1]], 2), 1)


def test_top_n_refuses_shapes_that_differ():
    with pytest.raises(ValueError, match=r"scores has shape \(1, 2\), but liked has \(1, 3\)"):
        ranking.top_n_of_scores(np.zeros((1, 2)), as_user_items([[1]], 3), 1)


def test_rank_streams_in_batches():
    rng = np.random.default_rng(1)
    scorer = Scores(rng.random((10, 10), np.float32))
    user_items = as_user_items([[u] for u in range(10)], 10)
    expected = ranking.top_n_of_scores(scorer.scores, user_items, 3)

    batches = ranking.rank(scorer, user_items, 3, batch_size=4)
    assert scorer.batch_sizes == []
    users, items, scores = zip(*batches)

    assert users == (slice(0, 4), slice(4, 8), slice(8, 10))
    assert scorer.batch_sizes == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(items), expected[0])
    np.testing.assert_array_equal(np.concatenate(scores), expected[1])


def test_a_top_n_of_the_scorers_own_is_used():
    class WithTopN:
        n_items = 5

        def top_n(self, user_items, n):
            return np.full((user_items.shape[0], n), 4, np.int32), np.ones((user_items.shape[0], n), np.float32)

    [(_, items, _)] = ranking.rank(WithTopN(), [[0], [1]], 2)
    np.testing.assert_array_equal(items, [[4, 4], [4, 4]])
    assert evaluate(WithTopN(), [[0], [1]], [[4], [2]], ks=[1])["precision@1"] == 0.5


def test_errors_come_at_the_call_to_rank():
    scorer = Scores(np.zeros((3, 7)))
    with pytest.raises(ValueError, match="user_items has 9 columns, but 7 items are expected"):
        ranking.rank(scorer, sparse.csr_array((3, 9), dtype=np.float32), 3)
    with pytest.raises(ValueError, match="n must be 1 or more, got 0"):
        ranking.rank(scorer, [[0]], 0)
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0"):
        ranking.rank(scorer, [[0]], 3, batch_size=0)


def test_evaluate_equals_the_metrics_of_everybodys_ranking(split):
    train, held_out = split
    scorer = Popularity(train)
    top_items, _ = ranking.top_n_of_scores(np.tile(scorer.counts, (train.shape[0], 1)), train, 20)

    vectors = np.random.default_rng(3).standard_normal((train.shape[1], 4), np.float32)
    report = evaluate(scorer, train, held_out, ks=(20, 5), batch_size=100, per_user=True, item_vectors=vectors)

    n_users = held_out.shape[0]
    assert (report.n_users, report.n_skipped) == (n_users, 0)
    for k in (5, 20):
        values = {name: metric(top_items, held_out, k) for name, metric in metrics.PER_USER.items()}
        values["novelty"] = metrics.novelty_at_k(top_items, scorer.counts, n_users, k)
        values["popularity_bias"] = metrics.popularity_bias_at_k(top_items, train, scorer.counts, k)
        values["diversity"] = metrics.diversity_at_k(top_items, vectors, k)
        of_train = popularity.Popularity(np.bincount(train.indices, minlength=train.shape[1]))
        values["serendipity"] = metrics.serendipity_at_k(top_items, held_out, of_train.ranks(train, top_items), k)
        assert not values["serendipity"].any()  # it is popularity itself
        for name, of_users in values.items():
            np.testing.assert_array_equal(report.per_user[f"{name}@{k}"], of_users)
            assert report[f"{name}@{k}"] == pytest.approx(of_users.mean(), rel=1e-12)
            standard_error = np.std(of_users, ddof=1) / math.sqrt(n_users)
            assert report.standard_errors[f"{name}@{k}"] == pytest.approx(standard_error, rel=1e-9)
        assert report[f"coverage@{k}"] == metrics.coverage(top_items[:, :k], train.shape[1])
        assert report[f"gini@{k}"] == metrics.gini(np.bincount(top_items[:, :k].ravel(), minlength=train.shape[1]))
    assert report["precision@5"] > 0.1  # not a comparison of nothing with nothing


def test_users_with_nothing_held_out_are_counted_and_not_ranked():
    scorer = Scores([[0.0, 3.0, 2.0, 1.0]] * 4)
    train = as_user_items([[0], [1], [2], [3]], 4)
    held_out = as_user_items([[1], [], [3], []], 4)
    report = evaluate(scorer, train, held_out, ks=[1], per_user=True)
    assert scorer.batch_sizes == [2]
    assert (report.n_users, report.n_skipped) == (2, 2)
    assert report["precision@1"] == 0.5
    assert report.users.tolist() == [0, 2]
    assert report.per_user["precision@1"].tolist() == [1, 0]
    assert report["coverage@1"] == 1 / 4


def test_an_evaluation_does_not_depend_on_the_batch_size(split):
    train, held_out = split
    one, other = (evaluate(Popularity(train), train, held_out, batch_size=size) for size in (7, 1000))
    for name, mean in one.means.items():
        assert mean == pytest.approx(other[name], rel=1e-12)


def test_evaluate_says_how_far_it_is():
    calls = []
    train = as_user_items([[0], [1], [2], [0], [1]], 4)
    held_out = as_user_items([[3], [3], [], [3], [3]], 4)
    evaluate(ByNumber(train), train, held_out, batch_size=3, progress=lambda *args: calls.append(args))
    assert calls == [(3, 4), (4, 4)]


def test_a_report_prints_as_a_table_and_flattens_to_a_row():
    train = as_user_items([[0], [1], [2]], 4)
    held_out = as_user_items([[3], [2], []], 4)
    report = evaluate(ByNumber(train), train, held_out, ks=(1, 2))
    lines = str(report).splitlines()
    assert lines[0].split() == ["@1", "@2"]
    assert lines[1] == "precision         0.5000 ± 0.5000  0.5000 ± 0.0000"
    assert lines[-3].split() == ["coverage", "0.2500", "0.5000"]
    assert lines[-2].split() == ["gini", "0.7500", "0.5000"]
    assert lines[-1] == "2 users; 1 with nothing held out are left out"
    row = report.as_row()
    assert (row["n_users"], row["n_skipped"], row["precision@1"], row["precision@1_se"]) == (2, 1, 0.5, 0.5)
    assert "coverage@1_se" not in row


def test_one_user_has_a_mean_and_no_standard_error():
    report = evaluate(Scores([[0.0, 1.0]]), [[0]], [[1]], ks=[1])
    assert report["ndcg@1"] == 1
    assert math.isnan(report.standard_errors["ndcg@1"])


def test_a_report_says_which_metrics_it_has():
    report = evaluate(Scores([[0.0, 1.0]]), [[0]], [[1]], ks=[1])
    with pytest.raises(KeyError, match="no metric 'precision@10' in this report; there are precision@1, recall@1"):
        report["precision@10"]


def test_what_cannot_be_evaluated_is_refused():
    scorer = Scores(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="train has 2 rows, but held_out has 1; pass one row per user in both"):
        evaluate(scorer, [[0], [1]], [[2]])
    with pytest.raises(ValueError, match="ks is empty; pass at least one k"):
        evaluate(scorer, [[0]], [[2]], ks=[])
    with pytest.raises(ValueError, match="ks must be 1 or more, got 0"):
        evaluate(scorer, [[0]], [[2]], ks=[0, 5])
    with pytest.raises(ValueError, match="held_out holds no item of any user, so there is nothing to evaluate"):
        evaluate(scorer, [[0]], [[]])
    with pytest.raises(ValueError, match="scorers is empty; pass at least one"):
        compare({}, [[0]], [[1]])


def test_a_paired_difference_by_hand():
    def report(*values):
        return Report({}, {}, len(values), 0, np.arange(len(values)), {"mrr@5": np.array(values)})

    # differences .5, .1, .3, .1: mean .25, squared deviations .11, so t = .25 / sqrt(.11 / 3 / 4) = 2.611
    result = paired_difference(report(0.5, 0.6, 0.3, 0.1), report(0.0, 0.5, 0.0, 0.0), "mrr@5")
    assert result.difference == pytest.approx(0.25)
    assert result.standard_error == pytest.approx(math.sqrt(0.11 / 3 / 4))
    assert result.p_value == pytest.approx(0.0796, abs=1e-4)  # t of 2.611 with 3 degrees of freedom
    same = paired_difference(report(0.5, 0.6), report(0.5, 0.6), "mrr@5")
    assert same == (0, 0, 1)


def test_a_paired_difference_needs_the_same_users(split):
    train, held_out = split
    scorer = Popularity(train)
    kept = evaluate(scorer, train, held_out, per_user=True)
    of_half = evaluate(scorer, train[:300], held_out[:300], per_user=True)
    with pytest.raises(ValueError, match=r"different users \(300 and 671\); evaluate both on one split"):
        paired_difference(of_half, kept, "mrr@5")
    with pytest.raises(ValueError, match="has no values per user; create both with"):
        paired_difference(evaluate(scorer, train, held_out), kept, "mrr@5")


def test_compare_stands_scorers_beside_the_first(split):
    train, held_out = split
    comparison = compare({"popular": Popularity(train), "by number": ByNumber(train)}, train, held_out)
    difference = comparison.differences("precision@10")["by number"]
    reports = comparison.reports
    assert difference.difference == pytest.approx(
        reports["by number"]["precision@10"] - reports["popular"]["precision@10"]
    )
    assert difference.difference < -10 * difference.standard_error
    header, popular, by_number, differences = str(comparison).splitlines()
    assert header.split() == ["precision@1", "precision@5", "precision@10", "ndcg@10"]
    assert popular.startswith("popular") and by_number.startswith("by number")
    assert str(difference) in differences and differences.startswith("  minus popular ")


def test_several_comparisons_are_corrected_for_by_holm():
    users = np.arange(40)
    rng = np.random.default_rng(4)
    values = {name: rng.random(40) + shift for name, shift in (("a", 0), ("b", 0.13), ("c", 0.2), ("d", 0))}
    reports = {name: Report({"mrr@5": 1.0}, {"mrr@5": 0.1}, 40, 0, users, {"mrr@5": v}) for name, v in values.items()}
    raw = {name: paired_difference(reports[name], reports["a"], "mrr@5") for name in "bcd"}
    found = Comparison(reports).differences("mrr@5")
    order = sorted("bcd", key=lambda name: raw[name].p_value)
    assert found[order[0]].p_value == pytest.approx(3 * raw[order[0]].p_value)
    assert found[order[1]].p_value == pytest.approx(max(3 * raw[order[0]].p_value, min(1, 2 * raw[order[1]].p_value)))
    assert found["b"].difference == raw["b"].difference
    told = "p of the difference from a, with Holm's correction for 3 comparisons per metric"
    assert Comparison(reports).table(["mrr@5"]).splitlines()[-1] == told
    assert "Holm" not in Comparison({name: reports[name] for name in "ab"}).table(["mrr@5"])


def test_holm_by_the_examples_of_its_definition():
    assert holm([0.04]) == [0.04] and holm([]) == []
    # .005 * 4, then .01 * 3, .03 * 2 and .04 * 1, which must not be below the one before
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1, 1]


def test_evaluation_holds_a_batch_of_scores_and_no_more():
    n_users, n_items, batch_size = 3000, 3000, 32
    first = np.random.default_rng(2).integers(n_items, size=n_users)
    train = as_user_items([[item] for item in first.tolist()], n_items)
    held_out = as_user_items([[(item + 1) % n_items] for item in first.tolist()], n_items)
    scorer = Popularity(train)
    tracemalloc.start()
    evaluate(scorer, train, held_out, batch_size=batch_size)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    batch_bytes = batch_size * n_items * 4
    assert batch_bytes < peak < 6 * batch_bytes < n_users * n_items / 2
