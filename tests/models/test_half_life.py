"""A half-life is chosen where it helps with what comes later, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.splits import holdout_by_time
from autoenc.interactions import Interactions
from autoenc.models import EASE, ELSA, AutoEncoder, Popular
from autoenc.models.half_life import HALF_LIVES, choose_half_life, with_chosen_half_life
from autoenc.models.weighting import DAY


def fashion(changes: bool, n_users=80, n_items=60, n_days=400, seed=0):
    """A like a day for everybody, of what is in fashion on that day: always the same, or another every ten days."""
    rng = np.random.default_rng(seed)
    users, items, times = [], [], []
    for user in range(n_users):
        days = rng.choice(n_days, 25, replace=False)
        in_fashion = days * n_items // n_days if changes else np.zeros(25, int)
        users += [user] * 25
        items += ((in_fashion + rng.geometric(0.15, 25)) % n_items).tolist()
        times += (days * DAY).tolist()
    return Interactions.from_pairs(users, items, times=times)


@pytest.mark.parametrize("model", [Popular(), EASE(l2=20.0)], ids=lambda model: type(model).__name__)
def test_a_half_life_is_taken_where_fashions_change(model):
    likes = fashion(changes=True)
    chosen, tried = choose_half_life(model, likes, [365.0, 30.0], metric="ndcg@10")
    assert chosen == 30.0
    assert [trial["half_life"] for trial in tried] == [None, 365.0, 30.0]
    split = holdout_by_time(likes)
    for trial in tried:
        fitted = type(model)(**model.get_params() | {"half_life": trial["half_life"]}).fit(split.train)
        assert trial["ndcg@10"] == evaluate(fitted, split.train, split.held_out, ks=[10])["ndcg@10"]


def test_none_is_taken_where_nothing_changes():
    likes = fashion(changes=False)
    chosen, tried = choose_half_life(Popular(), likes)
    assert chosen is None and len(tried) == 1 + len(HALF_LIVES)
    assert choose_half_life(Popular(), likes.user_items) == (None, tried)


def test_the_model_is_left_as_it_was():
    model = Popular()
    choose_half_life(model, fashion(changes=True), [30.0])
    assert model.half_life is None and not hasattr(model, "item_counts_")


def test_all_models_get_the_half_life_of_the_first_closed_form():
    likes = fashion(changes=True)
    models = [AutoEncoder(), ELSA(), Popular(), EASE()]
    copies, chosen = with_chosen_half_life(models, likes, "ndcg@10")
    assert chosen == choose_half_life(Popular(), likes, metric="ndcg@10") and chosen.half_life is not None
    assert [getattr(copy, "half_life", "none") for copy in copies] == [
        chosen.half_life,
        "none",
        chosen.half_life,
        chosen.half_life,
    ]
    assert models[0].half_life is models[2].half_life is None
    with pytest.raises(ValueError, match="none of the models has a half_life; pass one that has"):
        with_chosen_half_life([ELSA()], likes)


def test_what_has_no_half_life_to_choose():
    likes = fashion(changes=True)
    with pytest.raises(ValueError, match="likes has no times"):
        choose_half_life(Popular(), Interactions.from_pairs([1], [1]))
    with pytest.raises(ValueError, match="ELSA has no hyperparameter 'half_life'"):
        choose_half_life(ELSA(), likes)
