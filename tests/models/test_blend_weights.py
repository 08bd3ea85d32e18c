"""A blend finds the best weights, for parts fitted on real likes and for scores with known best weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from scipy import sparse

from autoenc.evaluation.splits import holdout_users
from autoenc.models import EASE, ELSA, AutoEncoder, ItemKNN, Popular
from autoenc.models.blend_search import Judge
from autoenc.models.blend_weights import Trial, best_of, choice, coarse_trials, finer_trials


def searched(n_models, values):
    return finer_trials(coarse_trials(n_models, values), values)


class Validation(NamedTuple):
    train: sparse.csr_array
    fold_in: sparse.csr_array
    held_out: sparse.csr_array


@pytest.fixture(scope="module")
def validation(ratings):
    often = np.flatnonzero(np.bincount(ratings.user_items.indices) >= 40)
    train, fold_in, held_out, _ = holdout_users(ratings.user_items[:, often], 600, holdout=0.3, seed=1)
    return Validation(sparse.vstack([train, fold_in], format="csr"), fold_in, held_out)


@pytest.fixture(scope="module")
def models(validation):
    unfitted = AutoEncoder(emb_dim=24, hidden_dim=12, epochs=25, batch_size=64), EASE(l2=100.0), ELSA(emb_dim=16)
    return [model.fit(validation.train) for model in (*unfitted, ItemKNN(k=20))]


@pytest.mark.parametrize(
    ("of", "standardize"), [((0, 1), True), ((0, 1), False), ((0, 1, 2), True), ((3, 1, 0, 2), True)]
)
def test_nothing_on_a_fine_grid_is_better(validation, models, of, standardize):
    judge = Judge(validation.fold_in, validation.held_out, "ndcg@100", standardize=standardize)
    scorers = [models[i].score for i in of]
    best = best_of(searched(len(of), lambda weights: judge.values(scorers, weights))).value
    rng = np.random.default_rng(0)
    alone = np.eye(len(of))
    pairs = [a * share + b * (1 - share) for a in alone for b in alone for share in np.linspace(0, 1, 21)]
    logs = rng.uniform(-5, 5, (200, len(of)))  # points all over, of weights up to 1 : 20,000
    found = judge.values(scorers, np.concatenate([alone, pairs, np.exp(logs)])).mean(axis=1)
    assert best >= found[: len(of)].max()
    assert best >= found.max() - 0.0005


def test_a_first_look_at_a_network_that_knows_nothing_does_not_lead_astray(validation, models):
    """The weights that were looked for one at a time from the last look's ended 363 : 1 here."""
    judge = Judge(validation.fold_in, validation.held_out, "ndcg@100")
    untrained = AutoEncoder(emb_dim=24, hidden_dim=12, epochs=0).fit(validation.train)
    looks = []
    for network in (untrained, models[0]):
        scorers = [network.score, models[1].score, models[2].score]
        looks.append(searched(3, lambda weights, scorers=scorers: judge.values(scorers, weights)))
    assert best_of(looks[0]).weights[0] < 0.1
    alone = judge.values([models[0].score, models[1].score], np.eye(2)).mean(axis=1)
    assert best_of(looks[1]).value > max(*alone, best_of(looks[0]).value)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.9, 0.1), (0.02, 0.98), (0.6, 0.3, 0.1), (0.03, 0.57, 0.4)])
def test_weights_that_are_known_are_found(weights):
    """Each score is an independent noisy sight of what is liked, with a noise by which the best weights are these."""
    rng = np.random.default_rng(0)
    n_users, n_items, n_liked = 3000, 60, 8
    liked = np.zeros((n_users, n_items), np.float32)
    liked[:, :n_liked] = 1
    # Of sights x + noise of variance v the best sum is weighted by 1 / v, and of those divided by their spread by
    # the spread / v; here the spread is nearly that of the noise, so by 1 / sqrt(v).
    scores = [liked + rng.standard_normal(liked.shape).astype(np.float32) * (0.25 / weight) for weight in weights]
    spreads = [each.std() for each in scores]
    known = np.array([weight**2 * spread for weight, spread in zip(weights, spreads)])
    known /= known.sum()
    judge = Judge(sparse.csr_array(np.zeros_like(liked)), sparse.csr_array(liked), "ndcg@10")
    at = iter_of_users(judge, scores)
    trials = searched(len(weights), lambda each: judge.values(at, each))
    chosen = choice(trials, lambda each: judge.values(at, each))
    np.testing.assert_allclose(chosen.weights, known, atol=0.06)
    [expected] = judge.values(at, known[None])
    assert best_of(trials).value >= expected.mean() - 0.0005


def iter_of_users(judge, scores):
    """Scorers that answer the judge's users in their order."""

    def scorer(all_scores):
        state = {"next": 0}

        def score(batch):
            start = state["next"] % len(all_scores)
            state["next"] = start + batch.shape[0]
            return all_scores[start : start + batch.shape[0]]

        return score

    return [scorer(each) for each in scores]


@pytest.mark.parametrize(("n_models", "n"), [(1, 1), (2, 31), (3, 136), (4, 120), (5, 126), (20, 210)])
def test_the_coarse_grid_has_every_model_alone_and_every_pair(n_models, n):
    trials = coarse_trials(n_models, lambda weights: np.zeros((len(weights), 3)))
    weights = np.array([trial.weights for trial in trials])
    assert len(weights) == len(np.unique(weights, axis=0)) == n
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    supports = {tuple(np.flatnonzero(each)) for each in weights}
    assert {(i,) for i in range(n_models)} <= supports
    assert {(i, j) for j in range(n_models) for i in range(j)} <= supports


def test_the_choice_is_the_centre_of_what_is_level_with_the_best():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, 400)
    noise -= noise.mean()
    values = {0.0: 0.3, 0.2: 0.499, 0.4: 0.5, 0.6: 0.499, 1.0: 0.3}

    def measured(weights):
        first = np.sqrt(weights[:, 0]) / np.sqrt(weights).sum(axis=1)
        at = np.array(list(values))[np.abs(first[:, None] - np.array(list(values))).argmin(axis=1)]
        return np.array([values[a] + (a != 0.4) * noise for a in at])

    points = np.array([[a, 1 - a] for a in values])
    trials = [Trial(p**2 / (p**2).sum(), v) for p, v in zip(points, measured(points**2))]
    assert choice(trials, measured).point == pytest.approx([0.4, 0.6])
    values[0.6] = 0.45  # beyond a standard error of .005
    trials = [Trial(p**2 / (p**2).sum(), v) for p, v in zip(points, measured(points**2))]
    assert choice(trials, measured).point == pytest.approx([0.3, 0.7])
    values |= {0.2: 0.45, 0.0: 0.499}  # level, but without the first model
    trials = [Trial(p**2 / (p**2).sum(), v) for p, v in zip(points, measured(points**2))]
    assert choice(trials, measured).point == pytest.approx([0.4, 0.6])


def test_a_model_alone_is_not_left_for_a_centre_that_is_behind_it():
    level = np.array([0.5, 0.6, 0.4, 0.5])

    def measured(weights):
        ahead, as_good = level + 0.01, level + np.array([0.05, -0.05, 0, 0])
        return np.array([ahead if each.max() == 1 else as_good for each in weights])

    trials = coarse_trials(2, measured)
    assert choice(trials, measured).weights.max() == 1


def test_popular_beside_what_knows_more_gets_little(validation, models):
    judge = Judge(validation.fold_in, validation.held_out, "ndcg@100")
    scorers = [models[1].score, Popular().fit(validation.train).score]

    def values(weights):
        return judge.values(scorers, weights)

    assert choice(searched(2, values), values).weights[0] > 0.5
