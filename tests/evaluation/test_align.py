"""Two tables of likes are aligned to the same users and items by their ids."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from autoenc import EASE, Interactions, Popular, compare, evaluate
from autoenc.evaluation.align import aligned, to_columns, to_rows
from autoenc.evaluation.splits import holdout_per_user


@pytest.fixture
def train():
    return Interactions.from_pairs([1, 1, 2, 2, 3, 3], [10, 20, 10, 30, 20, 30])


@pytest.fixture
def model(train):
    return EASE(l2=1.0).fit(train)


def test_halves_with_their_own_users_and_items_give_the_figures_of_the_whole(ratings):
    """As a table each, in any order, from a split that somebody else made."""
    halves = holdout_per_user(ratings.user_items, seed=3)
    tables = []
    for half, seed in zip(halves, (0, 1)):
        rows, columns = half.nonzero()
        order = np.random.default_rng(seed).permutation(len(rows))
        tables.append(Interactions.from_pairs(ratings.user_ids[rows[order]], ratings.item_ids[columns[order]]))
    train, held_out = tables
    assert train.n_items != held_out.n_items
    model = Popular().fit(ratings.with_user_items(halves[0]))
    report = evaluate(model, train, held_out)
    expected = evaluate(model, *halves)
    assert report.n_users == expected.n_users
    for name, mean in expected.means.items():
        assert report[name] == pytest.approx(mean, rel=1e-12)
    assert compare({"p": model}, train, held_out).reports["p"] == report


def test_the_columns_are_the_models_whatever_train_has(model, train):
    of_some = Interactions.from_pairs([1, 2], [20, 30])
    shown, found = aligned(model, of_some, Interactions.from_pairs([2, 1], [10, 30]))
    assert shown.toarray().tolist() == [[0, 1, 0], [0, 0, 1]]
    assert found.toarray().tolist() == [[0, 0, 1], [1, 0, 0]]
    shown, found = aligned(EASE(l2=1.0).fit(train.user_items), train, Interactions.from_pairs([3], [10]))
    assert shown.toarray().tolist() == train.user_items.toarray().tolist()
    assert found.toarray().tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_digits_are_the_numbers_that_they_write(model, train):
    _, found = aligned(model, train, Interactions.from_pairs(["3", "1"], ["10", "30"]))
    assert found.toarray().tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


def test_matrices_are_aligned_by_position(model, train):
    held_out = Interactions.from_lists([[], [], [10]], item_ids=[10, 20, 30])
    assert evaluate(model, train.user_items, held_out, ks=[1]) == evaluate(
        model, train.user_items, held_out.user_items, [1]
    )


def test_what_has_no_place_is_left_out_and_counted(model, train):
    held_out = Interactions.from_pairs([1, 1, 2, 7], [30, 99, 10, 10])
    with pytest.warns(UserWarning, match="left out 3 of 4 held-out likes") as told:
        report = evaluate(model, train, held_out, ks=[1])
    assert str(told[0].message).endswith(
        "those of 1 users that are not in train, those of 1 items that the model doesn't know, and 1 that are in "
        "train too."
    )
    assert told[0].filename == __file__
    assert (report.n_users, report.n_skipped, report["precision@1"]) == (1, 2, 1)


@pytest.mark.parametrize(
    ("users", "items", "sentence"),
    [
        (
            [7, 8],
            [10, 20],
            r"can't be aligned: none of the 2 users of held_out, with ids like 7, is among train's, .* 1;",
        ),
        ([1, 2], [11, 21], "none of the 2 items of held_out, with ids like 11, is among the model's, with ids like 10"),
        (["a", "b"], [10, 20], "none of the 2 users of held_out"),
    ],
)
def test_what_has_nothing_in_common_is_refused(model, train, users, items, sentence):
    with pytest.raises(ValueError, match=sentence):
        evaluate(model, train, Interactions.from_pairs(users, items))


def test_a_model_without_ids_of_another_number_of_items_is_refused(train):
    model = Popular().fit([[0, 1], [1, 3]])
    with pytest.raises(ValueError, match="train has 3 items, but the model was fitted on 4 without ids; fit it on an"):
        evaluate(model, train, Interactions.from_pairs([1], [30]))


def test_equal_ids_are_not_moved(train):
    assert to_columns(train.user_items, train.item_ids, train.item_ids) is train.user_items
    assert to_rows(train.user_items, train.user_ids, train.user_ids) is train.user_items
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aligned(Popular().fit(train), train, Interactions.from_pairs([1], [30]))
