"""DeepRecommender and RatingPredictor beyond the contract in test_models.py: equations, refeeding, RMSE, splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from autoenc import datasets
from autoenc.datasets import Ratings
from autoenc.evaluation.evaluate import evaluate
from autoenc.gradcheck import gradient_check
from autoenc.layers.dropout import draw_mask
from autoenc.layers.selu import ALPHA, SCALE
from autoenc.models import NotFittedError, Popular, load_model, rating_predictor
from autoenc.models.blend import Blend
from autoenc.models.deep_recommender import DeepRecommender, refeeding_step, widths_of
from autoenc.models.rating_predictor import RatingPredictor, holdout_ratings, ratings_matrix
from autoenc.networks.deep import DeepNetwork, initial_state, shapes_of_state
from autoenc.optim import Adam
from autoenc.training.plain import PlainEngine

KEY = (3, 1, 4)
SMALL = {"hidden_dims": (24, 12), "dropout": 0.2, "batch_size": 64, "epochs": 3}
WIDTHS = (6, 5, 4)


@pytest.fixture(scope="module")
def sets(split):
    """The two parts of the bundled ratings, for the 600 most rated items."""
    train, held_out = split
    often = np.sort(np.argsort(-np.bincount(train.indices, minlength=train.shape[1]), kind="stable")[:600])
    return train[:, often], held_out[:, often]


@pytest.fixture(scope="module")
def model(sets):
    return DeepRecommender(**SMALL).fit(sets[0])


@pytest.fixture(scope="module")
def rated():
    """The bundled ratings and their times, for the 600 most rated items."""
    values, times = ratings_matrix(
        datasets.read(Path(datasets.__file__).parent / "bundled/ml-latest-small.zip", values=True)
    )
    often = np.sort(np.argsort(-np.bincount(values.indices), kind="stable")[:600])
    return values[:, often], times[:, often]


def a_network(loss="bce", dropout=0.2):
    """A network on 30 items and a batch of 12 users, one without likes; as ratings they are from 1 to 5."""
    rng = np.random.default_rng(0)
    state = initial_state(30, WIDTHS, dtype=np.float64)
    state = {name: x + rng.uniform(-0.2, 0.2, x.shape) for name, x in state.items()}
    x = (rng.random((12, 30)) < 0.3) * 1.0
    x[7] = 0
    if loss == "squared":
        x *= rng.integers(1, 6, x.shape)
    return DeepNetwork(state, dropout, loss), sparse.csr_array(x)


def selu(x):
    return SCALE * np.where(x > 0, x, ALPHA * (np.exp(x) - 1))


def through(state, x, mask=1.0):
    """y by the equations in networks/deep.py: widths 6, 5, 4, and 5 and 6 again."""
    h = selu(x @ state["embedding.weight"] + state["bias.bias"])
    for i in range(1, 5):
        h = selu(h @ state[f"dense{i}.weight"].T + state[f"dense{i}.bias"])
        h = h * mask if i == 2 else h
    return h @ state["output.weight"].T + state["output.bias"]


def mask_of(layer):
    threshold = round(0.8 * 65536)
    return draw_mask((12, 4), threshold, (*KEY, layer)) * 65536 / threshold


# The network


@pytest.mark.parametrize("loss", ["bce", "squared"])
def test_the_forward_is_its_equations(loss):
    network, user_items = a_network(loss)
    x = user_items.toarray()
    y = through(network.state, x, mask_of(1))
    expected = np.sum(np.log(1 + np.exp(y)) - x * y) if loss == "bce" else np.mean((y - x)[x > 0] ** 2)
    assert network.forward(user_items, KEY) == pytest.approx(expected, rel=1e-12)
    evaluated = DeepNetwork(network.state, loss=loss)
    np.testing.assert_allclose(evaluated.score(user_items), through(network.state, x), rtol=1e-11)
    assert {layer.kept for layer in evaluated.layers.values()} == {None}


@pytest.mark.parametrize("loss", ["bce", "squared"])
def test_the_refed_forward_is_its_equations(loss):
    """Every item is input and target, and the code has another mask."""
    network, user_items = a_network(loss)
    y = network.logits(user_items, KEY)
    answer = network.answer(y)
    np.testing.assert_allclose(answer, 1 / (1 + np.exp(-y)) if loss == "bce" else y, rtol=1e-13)
    z = through(network.state, answer, mask_of(2))
    expected = np.sum(np.log(1 + np.exp(z)) - answer * z) if loss == "bce" else np.mean((z - answer) ** 2)
    assert network.forward_refed(answer, KEY) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", ["bce", "squared"])
def test_the_refed_backward_is_its_forwards_derivative(loss):
    network, user_items = a_network(loss)
    answer = network.answer(network.logits(user_items, KEY))
    network.forward_refed(answer, KEY)
    network.backward_refed()
    checks = gradient_check(lambda: network.forward_refed(answer, KEY), network.params, network.grads)
    assert [check.tensor for check in checks if not check.passed] == []
    assert [check.tensor for check in checks] == list(shapes_of_state(30, WIDTHS))


def test_a_network_that_leaves_its_answers_as_they_are_has_no_gradient():
    """A network whose output is only its bias has the same output for x and f(x)."""
    network, user_items = a_network()
    network.state["output.weight"][:] = 0
    network.forward_refed(network.answer(network.logits(user_items, KEY)), KEY)
    network.backward_refed()
    assert max(np.abs(grad).max() for grad in network.grads.values()) < 1e-15


def test_refeeding_is_a_second_step_that_brings_f_of_f_nearer_to_f():
    distances = []
    for refeed in (False, True):
        network, ratings = a_network("squared", dropout=0.0)
        adam = Adam(network.params, lr=0.003)
        for step in range(100):
            if refeed:
                refeeding_step(network, adam, ratings, (0, 0, step))
            else:
                PlainEngine(network, adam).train_step(ratings, (0, 0, step))
        assert adam.step_count == 100 * (1 + refeed)
        answer = network.score(ratings)
        distances.append(np.mean((through(network.state, answer) - answer) ** 2))
    assert distances[1] < distances[0] / 10


def test_what_is_random_follows_the_key():
    network, user_items = a_network()
    losses = [network.forward(user_items, key) for key in [KEY, KEY, (3, 1, 5), (3, 2, 4), (4, 1, 4)]]
    assert losses[0] == losses[1]
    assert len(set(losses)) == 4


@pytest.mark.parametrize("widths", [(7,), (7, 3), (7, 5, 3, 2)])
def test_any_depth(widths):
    state = initial_state(20, widths, bias_offset=-2.5, seed=1)
    assert {name: x.shape for name, x in state.items()} == shapes_of_state(20, widths)
    assert {x.dtype for x in state.values()} == {np.dtype(np.float32)}
    assert (state["output.bias"] == -2.5).all() and not state["bias.bias"].any()
    network = DeepNetwork(state)
    assert network.n_dense == 2 * len(widths) - 2
    assert network.stack.index(network.dropout) == 2 * len(
        widths
    )  # a bias or Linear and a SELU a width, up to the code
    assert network.score(sparse.csr_array(np.eye(20, dtype=np.float32))).shape == (20, 20)
    for name, x in initial_state(20, widths, bias_offset=-2.5, seed=1, dtype=np.float64).items():
        np.testing.assert_array_equal(x, state[name])


def test_the_weights_begin_as_xaviers():
    state = initial_state(3000, (40, 30))
    for name in ("embedding.weight", "output.weight"):
        assert state[name].std() == pytest.approx(np.sqrt(2 / 3040), rel=0.02)
    assert state["dense1.weight"].std() == pytest.approx(np.sqrt(2 / 70), rel=0.1)


def test_the_network_refuses():
    with pytest.raises(ValueError, match="loss must be one of bce, squared, got 'multinomial'"):
        DeepNetwork(initial_state(4, (2,)), loss="multinomial")
    with pytest.raises(ValueError, match=r"dropout must be at least 0 and below 1, got 1\.0"):
        DeepNetwork(initial_state(4, (2,)), dropout=1.0)


# The model of likes


@pytest.mark.parametrize("refeed", [False, True])
def test_it_ranks_better_than_popularity(sets, refeed):
    train, held_out = sets
    model = DeepRecommender((100, 50), dropout=0.2, refeed=refeed, batch_size=64, epochs=20).fit(train)
    report = evaluate(model, train, held_out)
    popular = evaluate(Popular().fit(train), train, held_out)
    for metric in ("precision@1", "precision@5", "precision@10"):
        assert report[metric] > 1.15 * popular[metric], metric


def test_the_kernels_train_as_the_layers_do(sets):
    fits = [DeepRecommender(**{**SMALL, "epochs": 2}, backend=backend).fit(sets[0]) for backend in ("numba", "numpy")]
    scores = [fit.score(sets[0][:9]) for fit in fits]
    np.testing.assert_allclose(*scores, atol=2e-3)
    assert np.ptp(scores[0]) > 1


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_refeeding_trains_by_the_layers_and_scores_on_the_backend(sets, backend, tmp_path):
    plain = DeepRecommender(**SMALL, backend="numpy").fit(sets[0])
    refed = DeepRecommender(**SMALL, refeed=True, backend=backend).fit(sets[0])
    rows = sets[0][:9]
    assert np.abs(refed.score(rows) - plain.score(rows)).max() > 0.01
    assert refed._trainer.adam.step_count == 2 * plain._trainer.adam.step_count
    assert refed.network_.settings == {"dropout": 0.2, "loss": "bce", "refeed": True}
    assert isinstance(refed._engine, PlainEngine) is (backend == "numpy")
    refed.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.get_params() == {**refed.get_params(), "hidden_dims": "24, 12"}
    np.testing.assert_array_equal(loaded.score(rows), refed.score(rows))
    np.testing.assert_array_equal(loaded.recommend(rows)[0], refed.recommend(rows)[0])


@pytest.mark.parametrize("refeed", [False, True])
def test_partial_fit_goes_on(sets, refeed):
    params = {**SMALL, "schedule": "constant", "backend": "numpy", "refeed": refeed}
    by_parts = DeepRecommender(**params).partial_fit(sets[0]).partial_fit(sets[0]).partial_fit(sets[0])
    np.testing.assert_array_equal(
        by_parts.score(sets[0][:5]), DeepRecommender(**params).fit(sets[0]).score(sets[0][:5])
    )


def test_early_stopping_sees_the_refed(sets):
    model = DeepRecommender(**{**SMALL, "epochs": 4}, refeed=True, early_stopping="ndcg@20").fit(sets[0])
    assert all(0 < row["ndcg@20"] < 1 for row in model.history_)


def test_it_blends_and_comes_back(sets, tmp_path):
    blend = Blend([DeepRecommender(**SMALL), Popular()], weights=[1.0, 0.001]).fit(sets[0])
    blend.save(tmp_path / "blend.safetensors")
    again = load_model(tmp_path / "blend.safetensors")
    np.testing.assert_array_equal(again.score(sets[0][:5]), blend.score(sets[0][:5]))


@pytest.mark.parametrize("name", list(shapes_of_state(4, (24, 12))))
def test_a_file_without_one_of_its_arrays_is_refused(model, name):
    arrays = {key: array for key, array in model._arrays().items() if key != name}
    with pytest.raises(ValueError, match=f"{name}.* must"):
        DeepRecommender(**SMALL)._set_arrays(arrays)


def test_widths_are_a_list_or_its_text():
    for hidden_dims in ([512, 256], (512, 256), "512, 256", "512,256", np.array([512, 256])):
        assert widths_of(hidden_dims) == (512, 256)
    assert widths_of([7]) == widths_of("7") == (7,)


@pytest.mark.parametrize("hidden_dims", [[], [4, 0], [4.0], [True], 4, None, "", "4, x", "4,-1", "4,,2", ["4"]])
def test_widths_that_are_none_are_refused(sets, hidden_dims):
    with pytest.raises(ValueError, match="hidden_dims must be widths of 1 or more, such as"):
        DeepRecommender(hidden_dims).fit(sets[0])


# Ratings


def test_it_predicts_ratings_better_than_the_items_means(rated):
    train, held_out = holdout_ratings(rated[0], seed=1)
    mean = train.data.mean()
    counts = np.bincount(train.indices, minlength=600)
    means = (np.bincount(train.indices, train.data, 600) + 5 * mean) / (counts + 5)
    of_means = np.sqrt(np.mean((means[held_out.indices] - held_out.data) ** 2))
    for refeed in (False, True):
        model = RatingPredictor(refeed=refeed, batch_size=16, epochs=30).fit(train)
        assert model.rmse(train, held_out) < 0.99 * of_means
        assert model.predict(train[:9]).min() >= 0.5 and model.predict(train[:9]).max() <= 5


def test_refeeding_reaches_the_ratings_too(rated):
    train = rated[0][:60]
    plain, refed = (RatingPredictor([8], refeed=refeed, epochs=2).fit(train) for refeed in (False, True))
    assert np.abs(plain.predict(train) - refed.predict(train)).max() > 1e-3


def test_rmse_is_of_the_predictions(rated):
    train, held_out = holdout_ratings(rated[0][:60])
    model = RatingPredictor([8], epochs=1).fit(train)
    predicted, wanted = model.predict(train), held_out.toarray()
    expected = np.sqrt(np.mean((predicted - wanted)[wanted > 0] ** 2))
    assert model.rmse(train, held_out) == pytest.approx(expected, rel=1e-6)
    assert model.rmse(train, held_out, batch_size=7) == pytest.approx(expected, rel=1e-6)


def test_without_training_it_predicts_nearly_the_mean(rated):
    model = RatingPredictor([8], epochs=0).fit(rated[0])
    nobody = sparse.csr_array((1, 600))
    np.testing.assert_allclose(model.predict(nobody), rated[0].data.mean(), rtol=1e-6)


def test_ratings_as_a_matrix():
    """If an item was rated twice, the later rating in the file counts; a 0 is a rating."""
    read = Ratings(
        users=np.array(["b", "a", "b", "b"]),
        items=np.array([9, 9, 7, 9]),
        ratings=np.array([1, 0, 3, 5], np.float32),
        timestamps=np.array([10, 20, 30, 40]),
    )
    values, times = ratings_matrix(read)
    assert values.toarray().tolist() == [[0, 0], [3, 5]] and values.nnz == 3
    assert times.toarray().tolist() == [[0, 20], [30, 40]] and times.dtype == np.int64
    assert ratings_matrix(read._replace(timestamps=None))[1] is None
    with pytest.raises(ValueError, match="these ratings have no values; read a file that has one"):
        ratings_matrix(read._replace(ratings=None))


def test_the_bundled_ratings(rated):
    values, _ = ratings_matrix(
        datasets.read(Path(datasets.__file__).parent / "bundled/ml-latest-small.zip", values=True)
    )
    assert values.shape == (671, 9066) and values.nnz == 100_004
    assert (values.data.min(), values.data.max()) == (0.5, 5)


@pytest.mark.parametrize("by_time", [False, True])
def test_the_two_halves_are_disjoint_and_all(rated, by_time):
    values, times = rated
    train, held_out = holdout_ratings(values, times if by_time else None, holdout=0.2, seed=3)
    assert (train + held_out != values).nnz == 0 and train.nnz + held_out.nnz == values.nnz
    assert held_out.nnz / values.nnz == pytest.approx(0.2, abs=0.01)
    again, _ = holdout_ratings(values, times if by_time else None, holdout=0.2, seed=4)
    assert ((again != train).nnz == 0) is by_time
    if by_time:
        of = dict(zip(zip(*times.nonzero()), times.data))
        assert max(of[cell] for cell in zip(*train.nonzero())) < min(of[cell] for cell in zip(*held_out.nonzero()))


def test_ratings_that_cannot_be_are_refused(rated):
    train, held_out = holdout_ratings(rated[0][:60])
    model = RatingPredictor([8], epochs=1)
    for call in (lambda: model.predict(train), lambda: model.rmse(train, held_out)):
        with pytest.raises(NotFittedError, match="this RatingPredictor is not fitted yet; call fit"):
            call()
    model.fit(train)
    nan = train.copy()
    nan.data[3] = np.nan
    for error, call, message in [
        (TypeError, lambda: model.fit([[1, 2]]), "ratings is a list; pass a scipy.sparse matrix, users x items"),
        (ValueError, lambda: model.fit(nan), "ratings holds a number that is not finite"),
        (ValueError, lambda: model.fit(sparse.csr_array((3, 4))), "ratings holds no ratings; pass at least one"),
        (ValueError, lambda: model.predict(train[:, :9]), "ratings has 9 columns, but the model was fitted on 600"),
        (ValueError, lambda: model.rmse(train, held_out[:9]), r"in the shape of ratings, \(60, 600\), but has"),
        (ValueError, lambda: model.rmse(train, sparse.csr_array((60, 600))), r"but has 0 in the shape \(60, 600\)"),
        (ValueError, lambda: RatingPredictor(lr=0).fit(train), "lr must be a finite number above 0, got 0"),
        (ValueError, lambda: RatingPredictor(epochs=-1).fit(train), "epochs must be 0 or more, got -1"),
        (FloatingPointError, lambda: RatingPredictor([8], lr=1e9).fit(train), "the loss became .* lower lr than 10000"),
        (ValueError, lambda: holdout_ratings(train, holdout=1), "holdout is 1; pass the fraction to hold out"),
        (ValueError, lambda: holdout_ratings(train, rated[1]), "times has other entries than values; pass both"),
    ]:  # fmt: skip
        with np.errstate(all="ignore"), pytest.raises(error, match=message):
            call()


def test_a_matrix_with_doubles_is_left_alone():
    doubled = sparse.csr_array((np.ones(3), np.array([1, 1, 0]), np.array([0, 3])), shape=(1, 2))
    assert rating_predictor.as_ratings(doubled).toarray().tolist() == [[1, 2]]
    assert doubled.nnz == 3
