"""AutoEncoder beyond the contract in test_models.py: its training, randomness, bottleneck, and explain."""

from __future__ import annotations

import numpy as np
import pytest

from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.splits import holdout_users
from autoenc.interactions import as_user_items
from autoenc.models import Popular
from autoenc.models.autoencoder import AutoEncoder
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.training.callbacks import Callback
from autoenc.training.trainer import Trainer

SMALL = {"emb_dim": 24, "hidden_dim": 16, "batch_size": 64}


@pytest.fixture(scope="module")
def train(split):
    """The bundled ratings' training half, of the 800 items that most rated."""
    return most_rated(split)[0]


def most_rated(split):
    train, held_out = split
    often = np.sort(np.argsort(-np.bincount(train.indices, minlength=train.shape[1]), kind="stable")[:800])
    return train[:, often], held_out[:, often]


@pytest.fixture(scope="module")
def model(train):
    return AutoEncoder(**SMALL, epochs=3).fit(train)


def assert_same_network(ours, answer):
    for name, array in answer.network_.state.items():
        np.testing.assert_array_equal(ours.network_.state[name], array, err_msg=name)


def same_bits(ours, answer) -> bool:
    return all(np.array_equal(ours.network_.state[name], array) for name, array in answer.network_.state.items())


@pytest.mark.parametrize("loss", ["bce", "multinomial"])
def test_both_losses_rank_far_better_than_popularity(split, loss):
    train, held_out = most_rated(split)
    params = {"emb_dim": 64, "hidden_dim": 32, "batch_size": 64, "epochs": 15, "loss": loss}
    report = evaluate(AutoEncoder(**params).fit(train), train, held_out)
    popular = evaluate(Popular().fit(train), train, held_out)
    for metric in ("precision@1", "precision@5", "precision@10"):
        assert report[metric] > 1.15 * popular[metric], metric


def test_the_loss_reaches_the_network_and_an_unknown_one_is_refused(train):
    model = AutoEncoder(**SMALL, epochs=1, loss="multinomial").fit(train)
    assert type(model.network_.loss).__name__ == "Multinomial"
    again = AutoEncoder(**model.get_params())
    again._set_arrays(model._arrays())
    assert type(again.network_.loss).__name__ == "Multinomial"
    with pytest.raises(ValueError, match="loss must be one of bce, multinomial, got 'hinge'"):
        AutoEncoder(**SMALL, epochs=1, loss="hinge").fit(train)


def test_it_is_the_trainers_training(train, model):
    network = AutoEncoderNetwork(initial_state(train.shape[1], 24, 16))
    trainer = Trainer(network, epochs=3, batch_size=64).fit(train)
    for name, array in network.state.items():
        np.testing.assert_array_equal(model.network_.state[name], array, err_msg=name)
    assert [row["epoch"] for row in model.history_] == [1, 2, 3]
    assert model.history_[-1]["loss"] == trainer.epoch_loss
    assert model.seed_ == 0


def test_random_state_may_be_of_any_kind(train):
    def fit(random_state):
        return AutoEncoder(**SMALL, epochs=1, random_state=random_state).fit(train)

    assert_same_network(fit(7), fit(7))
    assert not same_bits(fit(7), fit(8))
    assert_same_network(fit(np.random.RandomState(7)), fit(np.random.RandomState(7)))
    assert_same_network(fit(np.random.default_rng(7)), fit(np.random.default_rng(7)))
    shared = np.random.default_rng(7)
    assert not same_bits(fit(shared), fit(shared))
    assert not same_bits(fit(None), fit(None))


def test_partial_fit_goes_on_where_fit_ended(train, model):
    by_parts = AutoEncoder(**SMALL, epochs=9)
    for _ in range(3):
        assert by_parts.partial_fit(train) is by_parts
    assert by_parts.epochs == 9
    # what lags behind is settled after each epoch, so a rounding apart at first, and float32 makes more of it
    rows = train[:50]
    ours, answer = by_parts.score(rows), model.score(rows)
    assert np.corrcoef(ours.ravel(), answer.ravel())[0, 1] > 0.999
    with pytest.raises(ValueError, match="has 9 columns, but the model was fitted on 800 items"):
        by_parts.partial_fit(train[:, :9])


def test_partial_fit_on_numpy_is_the_longer_fit_to_the_bit(train):
    few = train[:130]
    by_parts = AutoEncoder(**SMALL, backend="numpy").partial_fit(few).partial_fit(few)
    assert_same_network(by_parts, AutoEncoder(**SMALL, epochs=2, backend="numpy").fit(few))


def test_partial_fit_after_loading_restarts_the_optimizer(train, model):
    loaded = AutoEncoder(**model.get_params())
    loaded._set_arrays({name: array.copy() for name, array in model._arrays().items()})
    loaded.n_items_, loaded.catalogue_, loaded.about_ = model.n_items_, None, {}
    loaded.partial_fit(train)
    assert loaded._trainer.adam.step_count == loaded._trainer.n_steps
    assert not same_bits(loaded, model)


def test_user_embedding_is_the_bottleneck(train, model):
    embedding = model.user_embedding(train[:20])
    assert embedding.shape == (20, 16)
    output = model.network_.output.params
    logits = embedding @ output["weight"].T + output["bias"]
    np.testing.assert_allclose(logits, model.score(train[:20]), rtol=1e-5, atol=1e-5)


def test_an_index_over_user_embeddings_finds_what_recommend_does(train, model):
    """By brute force, as an index of hnswlib or faiss by inner product would: the bias is one more dimension."""
    users = model.user_embedding(train[:20])
    assert users.dtype == np.float32 and users.flags.c_contiguous and np.isfinite(users).all()
    output = model.network_.output.params
    items = np.column_stack([output["weight"], output["bias"]])
    products = np.column_stack([users, np.ones(len(users), np.float32)]) @ items.T
    found = np.argsort(-products, axis=1, kind="stable")[:, :10]
    recommended, _ = model.recommend(train[:20], N=10, filter_already_liked_items=False)
    assert (found == recommended).mean() > 0.95  # equal but for rounding


def test_early_stopping_keeps_the_best_epoch(train):
    params = {**SMALL, "early_stopping": "ndcg@20", "validation_fraction": 0.2, "patience": 2}
    model = AutoEncoder(**params, epochs=30, lr=0.03).fit(train)
    values = [row["ndcg@20"] for row in model.history_]
    assert len(values) < 30
    assert int(np.argmax(values)) == len(values) - 3
    users = holdout_users(train, 0.2, seed=0)
    assert evaluate(model, users.fold_in, users.held_out, ks=(20,))["ndcg@20"] == pytest.approx(max(values), abs=1e-6)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"emb_dim": 0}, "emb_dim must be 1 or more, got 0"),
        ({"hidden_dim": -2}, "hidden_dim must be 1 or more, got -2"),
        ({"backend": "cuda"}, "backend must be one of numba, numpy, got 'cuda'"),
    ],
)
def test_it_refuses(train, params, message):
    with pytest.raises(ValueError, match=message):
        AutoEncoder(**{**SMALL, "epochs": 1, **params}).fit(train)


def test_ctrl_c_keeps_the_model(train):
    class Impatient(Callback):
        def on_step_end(self, trainer):
            if trainer.step == 4:
                raise KeyboardInterrupt

    model = AutoEncoder(**SMALL, epochs=5)
    with pytest.raises(KeyboardInterrupt):
        model.fit(train, callbacks=[Impatient()])
    assert model._trainer.adam.step_count == 5
    items, scores = model.recommend(train[:5], N=3)
    assert (items >= 0).all() and np.isfinite(scores).all()


@pytest.mark.parametrize("loss", ["bce", "multinomial"])
def test_explain_is_really_leaving_each_like_out(train, loss):
    """Every like of one user on real ratings, and by the definition of every recommender."""
    model = AutoEncoder(**SMALL, epochs=5, loss=loss).fit(train)
    row = train[[int(np.flatnonzero(np.diff(train.indptr) == 60)[0])]]
    item = int(model.recommend(row, N=1)[0][0, 0])
    likes, contributions = model.explain(row, item)
    assert sorted(likes) == row.indices.tolist()
    for like, contribution in zip(likes, contributions):
        without = as_user_items([row.indices[row.indices != like]], train.shape[1])
        left_out = model.score(row)[0, item] - model.score(without)[0, item]
        assert contribution == pytest.approx(left_out, rel=1e-4, abs=1e-4)
    by_definition = super(AutoEncoder, model)._contributions(row, item)
    np.testing.assert_allclose(model._contributions(row, item), by_definition, rtol=1e-4, atol=1e-4)
    assert np.ptp(contributions) > 0.05
