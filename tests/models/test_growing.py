"""Models that learn from likes of new items."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from autoenc import (
    EASE,
    EDLAE,
    ELSA,
    AutoEncoder,
    Blend,
    DeepRecommender,
    DenoisingAutoEncoder,
    Interactions,
    ItemKNN,
    MultVAE,
    Popular,
    load_model,
)
from autoenc.models.growing import growth_of

SMALL = {"epochs": 30, "batch_size": 8, "backend": "numpy"}
LEARNERS = [
    AutoEncoder(emb_dim=8, hidden_dim=6, bias_offset=-2.0, **SMALL),
    DenoisingAutoEncoder(hidden_dim=8, **SMALL),
    MultVAE(hidden_dim=8, latent_dim=4, lr=0.05, **SMALL),
    DeepRecommender([8, 4], dropout=0.1, **SMALL),
    ELSA(emb_dim=6, epochs=30, batch_size=8),
    Popular(),
]
# Two groups of items that are liked together. Of what is new 15 belongs to the first, 70 to the second.
GROUPS = [[10, 20, 30], [40, 50, 60]]


def likes_of(groups, n_users=12, name="likes", titles=None):
    rng = np.random.default_rng(0)
    lists = [rng.permutation(group)[: rng.integers(2, len(group) + 1)].tolist() for group in groups * n_users]
    return Interactions.from_lists(lists, titles=titles, name=name)


@pytest.fixture
def likes():
    return likes_of(GROUPS, titles={10: "ten", 40: "forty"})


@pytest.fixture
def more():
    return likes_of([[10, 15, 20, 30], [40, 50, 60, 70]], titles={10: "another name", 15: "fifteen"})


@pytest.fixture(params=LEARNERS, ids=lambda model: type(model).__name__)
def fitted(request, likes):
    return copy.deepcopy(request.param).fit(likes)


def test_a_new_row_is_the_mean_of_what_it_was_liked_with(likes):
    model = Popular().fit(likes)
    new = Interactions.from_lists([[10, 15, 20], [10, 15], [15, 70], [80]])
    growth = growth_of(model.catalogue_, new)
    assert growth.catalogue.item_ids.tolist() == [10, 15, 20, 30, 40, 50, 60, 70, 80]
    assert growth.known.tolist() == [0, 2, 3, 4, 5, 6] and growth.has_new_items
    array = np.arange(12.0).reshape(6, 2)
    rows = growth.rows(array)
    np.testing.assert_array_equal(rows[growth.known], array)
    np.testing.assert_allclose(rows[1], (2 * array[0] + array[1]) / 3)
    np.testing.assert_allclose(rows[[7, 8]], [array.mean(axis=0)] * 2)  # liked with no item that is known
    np.testing.assert_allclose(growth.rows(array[:, 0])[1], (2 * array[0, 0] + array[1, 0]) / 3)
    assert growth.counts(np.arange(6)).tolist() == [0, 0, 1, 2, 3, 4, 5, 0, 0]


def test_new_items_are_learned_and_the_old_keep_their_names(fitted, likes, more, tmp_path):
    assert fitted.partial_fit(more, epochs=15) is fitted
    assert fitted.n_items == 8 and fitted.catalogue_.item_ids.tolist() == [10, 15, 20, 30, 40, 50, 60, 70]
    assert fitted.catalogue_.titles.tolist() == ["ten", "fifteen", "20", "30", "forty", "50", "60", "70"]
    counts = np.zeros(8, int)
    for of in (likes, more):
        counts[np.searchsorted(fitted.catalogue_.item_ids, of.item_ids)] += np.bincount(of.user_items.indices)
    assert fitted.item_counts_.tolist() == counts.tolist()
    if not isinstance(fitted, Popular):
        for new, group, others in ((1, [0, 2, 3], [4, 5, 6]), (7, [4, 5, 6], [0, 2, 3])):
            [scores] = fitted.score([[new]])
            assert scores[group].mean() > scores[others].mean() + 0.1
    fitted.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.score([[0, 1]]), fitted.score([[0, 1]]))


def test_before_it_trains_a_new_item_scores_as_what_it_was_liked_with(likes):
    model = copy.deepcopy(LEARNERS[0]).fit(likes)
    before = model.score(likes.user_items)
    new = Interactions.from_lists([[10, 15], [10, 15]])
    model._grow(growth_of(model.catalogue_, new))
    known = [0, 2, 3, 4, 5, 6]
    with_column = Interactions.from_lists(
        [likes.item_ids[row.indices] for row in (likes.user_items[[u]] for u in range(likes.n_users))],
        item_ids=[10, 15, 20, 30, 40, 50, 60],
    )
    model.n_items_ = 7
    after = model.score(with_column.user_items)
    np.testing.assert_allclose(after[:, known], before, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(after[:, 1], before[:, 0], rtol=1e-5, atol=1e-6)


def test_the_same_items_go_on_with_the_optimizer(likes):
    model = copy.deepcopy(LEARNERS[0]).fit(likes)
    trainer = model._trainer
    model.partial_fit(likes)
    assert model._trainer is trainer
    assert model.item_counts_.tolist() == (2 * np.bincount(likes.user_items.indices)).tolist()


def test_a_refused_call_changes_nothing(fitted, more):
    counts, n_items = fitted.item_counts_.tolist(), fitted.n_items
    if not isinstance(fitted, Popular):
        with pytest.raises(ValueError, match="epochs must be 1 or more, got 0"):
            fitted.partial_fit(more, epochs=0)
    if isinstance(fitted, (AutoEncoder, DenoisingAutoEncoder, MultVAE)):
        weighted = Interactions.from_pairs([1, 1, 2, 2], [10, 15, 20, 30], weights=[2.0, 1.0, 2.0, 1.0])
        with pytest.raises(ValueError, match="these likes have weights, but the model was fitted without"):
            fitted.partial_fit(weighted)
    assert fitted.item_counts_.tolist() == counts and fitted.n_items == n_items


def test_an_iterator_is_read_once(likes):
    model = copy.deepcopy(LEARNERS[0]).fit(likes.user_items)
    before = model.score(likes.user_items)
    model.partial_fit(iter([[0, 1], [3, 4], [1, 2]]))
    assert not np.array_equal(model.score(likes.user_items), before)


def test_a_refused_fit_leaves_the_fitted_network(likes):
    model = copy.deepcopy(LEARNERS[0]).fit(likes)
    before = model.score(likes)
    with pytest.raises(ValueError, match="at least two"):
        model.fit(Interactions.from_lists([[1, 2]]))
    np.testing.assert_array_equal(model.score(likes), before)


def test_fewer_items_by_name_are_taken_and_by_number_are_not(fitted):
    few = Interactions.from_lists([[10, 20], [20, 30], [10, 30]])
    fitted.partial_fit(few)
    assert fitted.n_items == 6
    with pytest.raises(ValueError, match="has 3 columns, but the model was fitted on 6 items"):
        fitted.partial_fit(few.user_items)
    digits = Interactions.from_lists([["10", "20"], ["20", "9"], ["10", "9"]])
    assert growth_of(fitted.catalogue_, digits).catalogue.item_ids.tolist() == [9, 10, 20, 30, 40, 50, 60]
    assert growth_of(fitted.catalogue_, digits).user_items.toarray()[:, :3].tolist() == [
        [0, 1, 1],
        [1, 0, 1],
        [1, 1, 0],
    ]
    with pytest.raises(
        ValueError, match="user_items has item ids like a, but the model has ids like 10; pass ids of the same kind"
    ):
        fitted.partial_fit(Interactions.from_lists([["a", "b"], ["a"]]))
    with pytest.raises(ValueError, match="none of the 2 items of user_items, with ids like 98, is among the model's"):
        fitted.partial_fit(Interactions.from_lists([[98, 99], [98]]))
    with pytest.raises(ValueError, match="user_items holds no likes"):
        fitted.partial_fit(Interactions.from_lists([[], []], item_ids=[10, 99]))
    assert fitted.n_items == 6


CLOSED = [EASE(l2=1.0), EDLAE(), ItemKNN(), Blend([Popular(), EASE()], weights=[1, 1])]


@pytest.mark.parametrize("model", CLOSED, ids=lambda model: type(model).__name__)
def test_what_cannot_learn_more_says_so(model, likes):
    assert not hasattr(model.fit(likes), "partial_fit")
    sentence = "has no partial_fit, as its solution depends on all likes at once; fit it again on all"
    with pytest.raises(AttributeError, match=f"{type(model).__name__} {sentence}"):
        model.partial_fit(likes)


def test_counts_that_age_are_refused():
    likes = Interactions.from_pairs([1, 1, 2], [10, 20, 10], times=[1, 2, 3])
    with pytest.raises(ValueError, match="with a half_life old likes count less over time; fit again on all likes"):
        Popular(half_life=30.0).fit(likes).partial_fit(likes)
