"""Networks with weighted likes: in the loss, and optionally in the input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from autoenc import load_model
from autoenc.interactions import as_user_items, carrying
from autoenc.layers import ConfidenceBCE, ConfidenceMultinomial, Multinomial, SigmoidBCE, WeightedBCE
from autoenc.models import AutoEncoder, DeepRecommender, DenoisingAutoEncoder, MultVAE
from autoenc.models.weighted_network import batches_of
from autoenc.models.weighting import DAY
from autoenc.training.callbacks import Callback

SMALL = {"batch_size": 16, "epochs": 2}
MODELS = [
    AutoEncoder(emb_dim=8, hidden_dim=4, bias_offset=-1, **SMALL),
    AutoEncoder(emb_dim=8, hidden_dim=4, loss="multinomial", **SMALL),
    DenoisingAutoEncoder(hidden_dim=8, **SMALL),
    MultVAE(hidden_dim=8, latent_dim=4, **SMALL),
    DeepRecommender([8, 4], **SMALL),
]
LOSSES = {SigmoidBCE: ConfidenceBCE, WeightedBCE: ConfidenceBCE, Multinomial: ConfidenceMultinomial}
of_every_network = pytest.mark.parametrize("model", MODELS, ids=lambda model: repr(model).partition(",")[0])


def weighted_likes(n_users=60, n_items=20, seed=0):
    rng = np.random.default_rng(seed)
    likes = as_user_items(rng.random((n_users, n_items)) < 0.3)
    return carrying(likes, rng.integers(0, 400 * DAY, likes.nnz), rng.lognormal(0, 1, likes.nnz).astype(np.float32))


def bare(likes):
    return sparse.csr_array((likes.data, likes.indices, likes.indptr), likes.shape)


def new(model, **params):
    return type(model)(**model.get_params() | params)


def losses_of(model):
    return [epoch["loss"] for epoch in model.history_]


@of_every_network
def test_likes_without_weights_have_the_same_bits_with_times(model):
    likes = weighted_likes()
    timed = new(model).fit(carrying(likes, likes.times))
    expected = new(model).fit(bare(likes))
    assert type(timed.network_.loss) is type(expected.network_.loss)
    np.testing.assert_array_equal(timed.score(likes), expected.score(bare(likes)))


@of_every_network
def test_both_backends_learn_from_the_same_weights(model):
    likes = weighted_likes()
    fitted = {backend: new(model, backend=backend).fit(likes) for backend in ("numba", "numpy")}
    np.testing.assert_allclose(losses_of(fitted["numba"]), losses_of(fitted["numpy"]), rtol=1e-4)
    assert type(fitted["numba"].network_.loss) is LOSSES[type(new(model).fit(bare(likes)).network_.loss)]
    counted = losses_of(new(model).fit(bare(likes)))
    assert abs(losses_of(fitted["numba"])[0] / counted[0] - 1) > 0.1


@of_every_network
def test_weights_of_one_are_no_weights(model):
    likes = weighted_likes()
    of_ones = new(model).fit(carrying(likes, weights=np.ones(likes.nnz)))
    np.testing.assert_allclose(losses_of(of_ones), losses_of(new(model).fit(bare(likes))), rtol=1e-4)


@of_every_network
def test_a_half_life_is_weights(model):
    likes = weighted_likes()
    decayed = likes.weights * 2.0 ** -((likes.times.max() - likes.times) / DAY / 90)
    expected = new(model).fit(carrying(likes, weights=decayed))
    np.testing.assert_allclose(losses_of(new(model, half_life=90).fit(likes)), losses_of(expected), rtol=1e-4)
    with pytest.raises(ValueError, match="half_life is 90, but the likes have no times"):
        new(model, half_life=90).fit(bare(likes))


@of_every_network
def test_a_weighted_input_is_weighted_in_training_and_when_asked(model, tmp_path):
    likes = weighted_likes()
    fitted = new(model, weighted_input=True, half_life=50.0).fit(likes)
    assert abs(losses_of(fitted)[1] / losses_of(new(model, half_life=50.0).fit(likes))[1] - 1) > 1e-4
    scores = fitted.score(likes)
    assert np.abs(scores - fitted.score(bare(likes))).max() > 1e-3
    np.testing.assert_array_equal(fitted.score(likes[[7]]), scores[[7]])
    np.testing.assert_array_equal(fitted.recommend(likes, N=3)[1][:, 0], fitted.top_n(likes, 1)[1][:, 0])

    fitted.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load_model(tmp_path / "model.safetensors").score(likes), scores)

    row = likes[[3]]
    without = carrying(as_user_items([row.indices[1:]], row.shape[1]), row.times[1:], row.weights[1:])
    items, contributions = fitted.explain(row, 5)
    of_first = contributions[items == row.indices[0]]
    np.testing.assert_allclose(of_first, scores[3, 5] - fitted.score(without)[0, 5], rtol=1e-4, atol=1e-6)


@of_every_network
def test_an_input_that_is_not_weighted_is_of_ones(model):
    likes = weighted_likes()
    fitted = new(model, half_life=50.0).fit(likes)
    np.testing.assert_array_equal(fitted.score(likes), fitted.score(bare(likes)))


def test_validation_sees_the_weights():
    likes = weighted_likes()
    params = {"early_stopping": "ndcg@10", "validation_fraction": 0.5, "epochs": 1, "lr": 1e-12}  # nothing is learned
    found = []
    for weights in (likes.weights, likes.weights[::-1]):
        model = new(MODELS[2], weighted_input=True, **params).fit(carrying(likes, weights=weights))
        found.append(model.history_[0]["ndcg@10"])
    assert found[0] != found[1]


def test_a_minibatch_is_rows_of_what_likes_count():
    likes = weighted_likes()
    batches = batches_of(likes, None)
    np.testing.assert_array_equal(batches.data, likes.weights)
    assert batches_of(as_user_items(bare(likes)), None).dtype == np.float32


def test_a_checkpoint_is_of_one_set_of_weights():
    class Fingerprint(Callback):
        def on_train_begin(self, trainer):
            found.append(trainer.fingerprint)

    found = []
    likes = weighted_likes()
    for weights in (None, likes.weights, 2 * likes.weights):
        new(MODELS[0]).fit(carrying(likes, weights=weights), callbacks=[Fingerprint()])
    assert len(set(found)) == 3


def test_partial_fit_goes_on_with_weights_where_the_fit_had_any():
    likes = weighted_likes()
    model = new(MODELS[0]).fit(likes)
    before = model.score(likes)
    assert np.abs(model.partial_fit(likes).score(likes) - before).max() > 1e-3
    model = new(MODELS[0]).fit(bare(likes))
    with pytest.raises(ValueError, match="these likes have weights, but the model was fitted without; fit it again"):
        model.partial_fit(likes)


@pytest.mark.parametrize("params", [{"half_life": 9.0}, {"weighted_input": True}, {}])
def test_refeeding_takes_likes_that_count_one(params):
    with pytest.raises(ValueError, match="refeed=True does not support weights or half_life; leave them out"):
        new(MODELS[4], refeed=True, **params).fit(weighted_likes())


@of_every_network
def test_bad_choices(model):
    with pytest.raises(ValueError, match="weighted_input is 'yes'; pass True or False"):
        new(model, weighted_input="yes").fit(weighted_likes())
    with pytest.raises(ValueError, match="half_life is -1; pass a number of days above 0"):
        new(model, half_life=-1).fit(weighted_likes())
