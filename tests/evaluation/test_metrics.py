"""Each metric against values calculated by hand, against ir-measures on real ratings, and at its edges."""

from __future__ import annotations

import itertools
import tracemalloc

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Success, nDCG
from scipy import sparse

from autoenc import metrics
from autoenc.evaluation.popularity import Popularity
from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.interactions import as_user_items

nan = np.nan

# hits at ranks 1 and 3 of 3 held out; at rank 2 of 1; none of 2; nothing held out
HELD_OUT = as_user_items([[1, 4, 5], [0], [2, 3], []], n_items=6)
TOP_ITEMS = np.array([[4, 0, 1, 2], [5, 0, 3, 1], [0, 1, -1, -1], [0, 1, 2, 3]], np.int32)
DISCOUNT2, DISCOUNT3 = 1 / np.log2(3), 1 / 2

BY_HAND = {
    ("precision", 1): [1, 0, 0, nan],
    ("precision", 4): [2 / 4, 1 / 4, 0, nan],
    ("recall", 2): [1 / 3, 1, 0, nan],
    ("recall", 4): [2 / 3, 1, 0, nan],
    ("capped_recall", 2): [1 / 2, 1, 0, nan],
    ("capped_recall", 4): [2 / 3, 1, 0, nan],
    ("ndcg", 1): [1, 0, 0, nan],
    ("ndcg", 2): [1 / (1 + DISCOUNT2), DISCOUNT2 / 1, 0, nan],
    ("ndcg", 4): [(1 + DISCOUNT3) / (1 + DISCOUNT2 + DISCOUNT3), DISCOUNT2 / 1, 0, nan],
    ("map", 1): [1 / 3, 0, 0, nan],
    ("map", 4): [(1 / 1 + 2 / 3) / 3, (1 / 2) / 1, 0, nan],
    ("mrr", 1): [1, 0, 0, nan],
    ("mrr", 4): [1, 1 / 2, 0, nan],
    ("hit_rate", 1): [1, 0, 0, nan],
    ("hit_rate", 4): [1, 1, 0, nan],
}


@pytest.mark.parametrize(("name", "k"), BY_HAND)
def test_by_hand(name, k):
    np.testing.assert_allclose(metrics.PER_USER[name](TOP_ITEMS, HELD_OUT, k), BY_HAND[name, k], rtol=1e-15)


OF_IR_MEASURES = {"precision": P, "recall": R, "ndcg": nDCG, "map": AP, "mrr": RR, "hit_rate": Success}


@pytest.fixture(scope="module")
def popular_top_items(split):
    """The 100 most popular items that each user has not liked."""
    train, _ = split
    counts = np.bincount(train.indices, minlength=train.shape[1]).astype(np.float32)
    top_items, _ = top_n_of_scores(np.tile(counts, (train.shape[0], 1)), train, 100)
    return top_items


def test_equal_to_ir_measures_on_real_ratings(split, popular_top_items):
    _, held_out = split
    ks = (1, 5, 10, 100)
    rows, items = held_out.nonzero()
    qrels = [ir_measures.Qrel(str(u), str(i), 1) for u, i in zip(rows, items)]
    run = [
        ir_measures.ScoredDoc(str(u), str(i), -rank)
        for u, ranking in enumerate(popular_top_items)
        for rank, i in enumerate(ranking)
    ]
    measures = {measure @ k: (name, k) for name, measure in OF_IR_MEASURES.items() for k in ks}
    theirs = {key: np.full(held_out.shape[0], nan) for key in measures.values()}
    for metric in ir_measures.iter_calc(list(measures), qrels, run):
        theirs[measures[metric.measure]][int(metric.query_id)] = metric.value

    for (name, k), expected in theirs.items():
        assert np.nanmax(expected) > 0
        ours = metrics.PER_USER[name](popular_top_items, held_out, k)
        np.testing.assert_allclose(ours, expected, rtol=1e-12, err_msg=f"{name}@{k}")


def test_capped_recall_is_recall_where_k_has_room_and_precision_where_it_has_not(split, popular_top_items):
    _, held_out = split
    n_held = np.diff(held_out.indptr)
    for k in (5, 20):
        capped = metrics.capped_recall_at_k(popular_top_items, held_out, k)
        other = np.where(
            n_held <= k,
            metrics.recall_at_k(popular_top_items, held_out, k),
            metrics.precision_at_k(popular_top_items, held_out, k),
        )
        assert (n_held <= k).any() and (n_held > k).any()
        np.testing.assert_array_equal(capped, other)


@given(st.data())
def test_hits_are_those_of_python_sets(data):
    n_items = data.draw(st.integers(1, 8))
    item_sets = st.lists(st.sets(st.integers(0, n_items - 1)), min_size=1, max_size=6)
    held_lists = [sorted(held) for held in data.draw(item_sets)]
    rankings = [data.draw(st.permutations([*range(n_items), *[-1] * 3])) for _ in held_lists]
    k = data.draw(st.integers(1, n_items + 3))
    expected = [len(set(ranking[:k]) & set(held)) / k if held else nan for ranking, held in zip(rankings, held_lists)]
    precision = metrics.precision_at_k(np.array(rankings), as_user_items(held_lists, n_items), k)
    np.testing.assert_allclose(precision, expected)


def test_padding_is_no_hit_though_the_user_before_has_the_last_item_held_out():
    held_out = as_user_items([[3], [0]], n_items=4)
    top_items = np.array([[0, 1], [-1, -1]])
    np.testing.assert_array_equal(metrics.hit_rate_at_k(top_items, held_out, 2), [0, 0])


@pytest.mark.parametrize("name", [*metrics.PER_USER, "novelty"])
def test_a_k_beyond_the_catalogue_is_of_misses_and_costs_nothing(name):
    held_out = as_user_items([[1, 3], [0]], n_items=4)
    top_items = np.array([[1, 0, 3, 2], [2, 1, -1, -1]])
    padded = np.pad(top_items, ((0, 0), (0, 6)), constant_values=-1)

    def measured(items, k):
        if name == "novelty":
            return metrics.novelty_at_k(items, np.array([3, 2, 1, 1]), 4, k)
        return metrics.PER_USER[name](items, held_out, k)

    np.testing.assert_allclose(measured(top_items, 10), measured(padded, 10), rtol=1e-15)
    tracemalloc.start()
    assert np.isfinite(measured(top_items, 10**15)).all()
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    with pytest.raises(ValueError, match="with n at least the 4 items"):
        measured(top_items[:, :3], 10)


def test_novelty_by_hand():
    item_counts = np.array([8, 4, 1, 0])  # of 8 users: 0, 1, 3 bits, and 3 for the item that nobody likes
    top_items = np.array([[0, 1, 2], [3, 2, -1], [1, -1, -1], [-1, -1, -1]])
    np.testing.assert_allclose(metrics.novelty_at_k(top_items, item_counts, 8, 3), [4 / 3, 3, 1, nan])
    np.testing.assert_allclose(metrics.novelty_at_k(top_items, item_counts, 8, 1), [0, 3, 1, nan])


def test_popularity_bias_by_hand():
    item_counts = np.array([8, 4, 1, 0])  # 3, 2, 0 and 0 bits
    shown = as_user_items([[1, 2], [0], [], [3]], 4)
    top_items = np.array([[0, 1, 3], [1, 2, -1], [0, 1, 2], [-1, -1, -1]])
    found = metrics.popularity_bias_at_k(top_items, shown, item_counts, 3)
    np.testing.assert_allclose(found, [(3 + 2 + 0) / 3 - (2 + 0) / 2, (2 + 0) / 2 - 3, nan, nan])
    np.testing.assert_allclose(metrics.popularity_bias_at_k(top_items, shown, item_counts, 1), [2, -1, nan, nan])


def test_serendipity_by_hand():
    popularity = Popularity(np.array([9, 8, 7, 1, 1, 1]))  # so 0, 1 and 2 are what everybody is recommended
    shown = as_user_items([[], [0], [0, 1, 2], [5]], 6)
    held_out = as_user_items([[0, 3], [2, 4], [3, 5], []], 6)
    top_items = np.array([[0, 3, 5], [2, 4, 3], [5, 3, 4], [0, 1, 2]])
    # by popularity the first two are 0, 1; 1, 2; 3, 4; 0, 1
    ranks = popularity.ranks(shown, top_items)
    assert ranks[:2].tolist() == [[0, 3, 5], [1, 3, 2]]
    np.testing.assert_allclose(metrics.serendipity_at_k(top_items, held_out, ranks, 2), [0.5, 0.5, 0.5, nan])
    np.testing.assert_allclose(metrics.serendipity_at_k(top_items, held_out, ranks, 1), [0, 1, 1, nan])


@given(st.data())
def test_ranks_are_those_at_which_popularity_recommends(data):
    n_items = data.draw(st.integers(1, 9))
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n_items, max_size=n_items)))
    likes = as_user_items(data.draw(st.lists(st.sets(st.integers(0, n_items - 1)).map(sorted), min_size=1)), n_items)
    popularity = Popularity(counts)
    top_items, _ = popularity.top_n(likes, n_items)
    ranks = popularity.ranks(likes, top_items)
    for of_user, items in zip(ranks, top_items):
        assert of_user[items >= 0].tolist() == list(range((items >= 0).sum()))
    assert popularity.order[popularity.places].tolist() == list(range(n_items))


def test_diversity_by_hand():
    vectors = np.array([[2.0, 0], [0, 3], [-1, 0], [1, 1], [0, 0]])
    top_items = np.array([[0, 1, 2], [0, 3, -1], [0, 4, 1], [2, -1, -1]])
    cosines = [(0 - 1 + 0) / 3, np.sqrt(0.5), 0, nan]
    np.testing.assert_allclose(metrics.diversity_at_k(top_items, vectors, 3), 1 - np.array(cosines))
    np.testing.assert_allclose(metrics.diversity_at_k(top_items, vectors, 2), [1, 1 - np.sqrt(0.5), 1, nan])
    np.testing.assert_allclose(metrics.diversity_at_k(top_items, vectors, 1), [nan] * 4)


def test_diversity_is_the_mean_over_all_pairs():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((30, 5), np.float32)
    top_items = np.array([rng.permutation(30)[:12] for _ in range(4)])
    unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    pairs = [[1 - unit[i] @ unit[j] for i, j in itertools.combinations(row, 2)] for row in top_items]
    np.testing.assert_allclose(metrics.diversity_at_k(top_items, vectors, 12), np.mean(pairs, axis=1), rtol=1e-5)


def test_gini_is_half_the_relative_mean_difference():
    assert metrics.gini(np.array([3, 3, 3, 3])) == 0
    assert metrics.gini(np.array([0, 0, 0, 8])) == 3 / 4  # 1 - 1 / n
    assert metrics.gini(np.array([1, 3])) == 0.25
    assert np.isnan(metrics.gini(np.zeros(3, int)))
    x = np.random.default_rng(0).integers(0, 50, 40)
    definition = np.abs(x[:, None] - x).mean() / (2 * x.mean())
    assert metrics.gini(x) == pytest.approx(definition, rel=1e-12)


def test_coverage_by_hand():
    assert metrics.coverage(np.array([[0, 1, 2], [1, 0, -1]]), n_items=6) == 3 / 6
    assert metrics.coverage(np.array([[-1]]), n_items=6) == 0


@pytest.mark.parametrize(
    ("top_items", "held_out", "k", "message"),
    [
        (TOP_ITEMS, HELD_OUT, 0, "k must be 1 or more, got 0"),
        (TOP_ITEMS, HELD_OUT, 5, r"top_items has shape \(4, 4\); pass \(batch, n\) with n at least k = 5"),
        (TOP_ITEMS[0], HELD_OUT, 1, r"top_items has shape \(4,\)"),
        (TOP_ITEMS[:3], HELD_OUT, 1, "top_items has 3 rows, but held_out has 4"),
        (TOP_ITEMS + 4, HELD_OUT, 1, "top_items holds the item 9, but held_out has 6 columns"),
    ],
)
def test_what_does_not_fit_together_is_refused(top_items, held_out, k, message):
    for metric in metrics.PER_USER.values():
        with pytest.raises(ValueError, match=message):
            metric(top_items, held_out, k)


def test_a_matrix_with_unsorted_indices_is_refused():
    unsorted = sparse.csr_array((np.ones(2), np.array([3, 1]), np.array([0, 2])), shape=(1, 4))
    with pytest.raises(ValueError, match=r"held_out is not canonical .* call as_user_items"):
        metrics.recall_at_k(np.array([[1]]), unsorted, 1)


@pytest.mark.parametrize("name", metrics.PER_USER)
def test_hits_that_are_known_are_taken_for_the_items(name):
    rng = np.random.default_rng(0)
    top_items = np.array([rng.permutation(20)[:8] for _ in range(9)])
    held_out = sparse.csr_array((rng.random((9, 20)) < 0.3).astype(float))
    hits = held_out.toarray()[np.arange(9)[:, None], top_items] > 0
    for k in (1, 5, 8):
        np.testing.assert_array_equal(
            metrics.PER_USER[name](hits, held_out, k), metrics.PER_USER[name](top_items, held_out, k)
        )
