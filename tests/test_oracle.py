"""Every layer, Adam and the whole network against PyTorch: its stored results, and PyTorch itself if installed."""

from __future__ import annotations

import functools
import importlib.util

import numpy as np
import pytest
from scipy import sparse

from autoenc.layers import (
    SELU,
    BatchNorm1d,
    ConfidenceBCE,
    ConfidenceEmbedding,
    ConfidenceMultinomial,
    Dropout,
    GaussianSample,
    InputNormalization,
    Linear,
    MaskedSquaredError,
    Multinomial,
    ReLU,
    SigmoidBCE,
    SoftBCE,
    SparseEmbedding,
    Tanh,
    WeightedBCE,
)
from autoenc.models.deep_recommender import refeeding_step
from autoenc.networks.autoencoder import AutoEncoderNetwork
from autoenc.networks.deep import DeepNetwork
from autoenc.networks.denoising import DenoisingNetwork
from autoenc.networks.elsa import CosineOfProduct
from autoenc.networks.variational import VariationalNetwork
from autoenc.optim import Adam
from autoenc.training.plain import train_step
from tests.helpers import ORACLE

CASES = sorted(path.stem for path in ORACLE.glob("*.npz"))

# The largest difference, in units of the largest answer: a few roundings.
ROUNDING = {"float32": 2e-6, "float64": 5e-15}

both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def stored(case: str) -> tuple[dict, dict]:
    with np.load(ORACLE / f"{case}.npz", allow_pickle=False) as file:
        arrays = dict(file)
    return {dtype: strip(arrays, dtype) for dtype in ("float32", "float64", "inputs")}


def strip(arrays: dict, prefix: str) -> dict:
    return {name.removeprefix(f"{prefix}."): x for name, x in arrays.items() if name.startswith(f"{prefix}.")}


@pytest.fixture(scope="session")
def make_oracle():
    spec = importlib.util.spec_from_file_location("make_oracle", ORACLE / "make_oracle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["stored", pytest.param("torch", marks=pytest.mark.torch)])
def oracle(request):
    """oracle(case, dtype): the case's inputs in that dtype, and PyTorch's answers, as stored or as of now."""

    def ask(case, dtype):
        file = stored(case)
        inputs = {name: x.astype(dtype) if x.dtype.kind == "f" else x for name, x in file["inputs"].items()}
        if request.param == "torch":
            return inputs, request.getfixturevalue("make_oracle").answers(case, inputs, dtype)
        return inputs, file[dtype]

    return ask


def assert_equal_but_for_rounding(ours, answer, tolerance, name=""):
    assert ours.shape == answer.shape and ours.dtype == answer.dtype, name
    np.testing.assert_allclose(ours, answer, rtol=0, atol=tolerance * np.abs(answer).max(), err_msg=name)


def test_the_stored_answers_are_pytorch_2_13s_and_small():
    layers = ["batchnorm", "dropout", "embedding", "gaussian_sample", "input_normalization", "linear", "multinomial"]
    layers += ["relu", "sigmoid_bce", "tanh", "weighted_bce", "selu", "masked_squared_error", "soft_bce"]
    layers += ["confidence_bce", "confidence_multinomial", "confidence_embedding"]
    assert sorted(["adam", "deep", "elsa", "network", "denoising", "variational", *layers]) == CASES
    for case in CASES:
        with np.load(ORACLE / f"{case}.npz", allow_pickle=False) as file:
            assert str(file["torch_version"]).startswith("2.13.0")
    assert sum(path.stat().st_size for path in ORACLE.glob("*.npz")) < 450_000


@both_dtypes
def test_embedding(oracle, dtype):
    inputs, answers = oracle("embedding", dtype)
    layer = SparseEmbedding(inputs["weight"])
    output = layer.forward(sparse.csr_array(inputs["user_items"]))
    assert_equal_but_for_rounding(output, answers["output"], ROUNDING[dtype])
    layer.backward(inputs["grad_output"])
    assert_equal_but_for_rounding(layer.grads["weight"], answers["grad_weight"], ROUNDING[dtype])


@both_dtypes
def test_linear(oracle, dtype):
    inputs, answers = oracle("linear", dtype)
    layer = Linear(inputs["weight"], inputs["bias"])
    assert_equal_but_for_rounding(layer.forward(inputs["x"]), answers["output"], ROUNDING[dtype])
    grad_input = layer.backward(inputs["grad_output"])
    assert_equal_but_for_rounding(grad_input, answers["grad_input"], ROUNDING[dtype])
    assert_equal_but_for_rounding(layer.grads["weight"], answers["grad_weight"], ROUNDING[dtype])
    assert_equal_but_for_rounding(layer.grads["bias"], answers["grad_bias"], ROUNDING[dtype])


@both_dtypes
def test_relu(oracle, dtype):
    inputs, answers = oracle("relu", dtype)
    layer = ReLU()
    np.testing.assert_array_equal(layer.forward(inputs["x"]), answers["output"])
    np.testing.assert_array_equal(layer.backward(inputs["grad_output"]), answers["grad_input"])


@both_dtypes
def test_batchnorm(oracle, dtype):
    """Four batches in training, each with its backward and the running statistics after it; then one in evaluation."""
    inputs, answers = oracle("batchnorm", dtype)
    layer = BatchNorm1d(*(inputs[name] for name in ("weight", "bias", "running_mean", "running_var")))
    for i, (x, grad_output) in enumerate(zip(inputs["x"], inputs["grad_output"])):
        ours = {"output": layer.forward(x, training=True), "grad_input": layer.backward(grad_output)}
        ours |= {"grad_weight": layer.grads["weight"], "grad_bias": layer.grads["bias"], **layer.buffers}
        for name, array in ours.items():
            for feature in range(5):  # their sizes differ by factors of 1000
                assert_equal_but_for_rounding(
                    array[..., feature], answers[name][i, ..., feature], 4 * ROUNDING[dtype], f"{name} {i} {feature}"
                )
    output_eval = layer.forward(inputs["x_eval"], training=False)
    assert_equal_but_for_rounding(output_eval, answers["output_eval"], ROUNDING[dtype])


@both_dtypes
def test_dropout_with_pytorchs_mask(oracle, dtype, monkeypatch):
    inputs, answers = oracle("dropout", dtype)
    monkeypatch.setattr("autoenc.layers.dropout.draw_mask", lambda shape, threshold, key: answers["keeps"])
    layer = Dropout(p=0.25)
    output = layer.forward(inputs["x"], training=True, key=(0, 0, 0, 1))
    assert_equal_but_for_rounding(output, answers["output"], ROUNDING[dtype])
    assert_equal_but_for_rounding(layer.backward(inputs["grad_output"]), answers["grad_input"], ROUNDING[dtype])
    np.testing.assert_array_equal(layer.forward(inputs["x"], training=False), inputs["x"])


@both_dtypes
def test_sigmoid_bce(oracle, dtype):
    inputs, answers = oracle("sigmoid_bce", dtype)
    layer = SigmoidBCE()
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        loss = layer.forward(inputs["logits"], sparse.csr_array(inputs["user_items"]))
        grad_logits = layer.backward()
    assert loss == pytest.approx(float(answers["loss"]), rel=ROUNDING[dtype])
    # by element: the gradient of a logit of -89 is 2e-39
    np.testing.assert_allclose(grad_logits, answers["grad_logits"], rtol=20 * ROUNDING[dtype], atol=1e-37)


@both_dtypes
def test_weighted_bce(oracle, dtype):
    inputs, answers = oracle("weighted_bce", dtype)
    layer = WeightedBCE(negative_weight=0.3)
    loss = layer.forward(inputs["logits"], sparse.csr_array(inputs["user_items"]))
    assert loss == pytest.approx(float(answers["loss"]), rel=ROUNDING[dtype])
    np.testing.assert_allclose(layer.backward(), answers["grad_logits"], rtol=20 * ROUNDING[dtype], atol=1e-37)


@both_dtypes
@pytest.mark.parametrize(
    ("case", "layer"),
    [("confidence_bce", ConfidenceBCE(negative_weight=0.3)), ("confidence_multinomial", ConfidenceMultinomial())],
)
def test_losses_of_confidences(oracle, dtype, case, layer):
    inputs, answers = oracle(case, dtype)
    loss = layer.forward(inputs["logits"], sparse.csr_array(inputs["user_items"]))
    assert loss == pytest.approx(float(answers["loss"]), rel=ROUNDING[dtype])
    assert_equal_but_for_rounding(layer.backward(), answers["grad_logits"], ROUNDING[dtype])


@both_dtypes
def test_confidence_embedding(oracle, dtype):
    inputs, answers = oracle("confidence_embedding", dtype)
    layer = ConfidenceEmbedding(inputs["weight"])
    output = layer.forward(sparse.csr_array(inputs["user_items"]))
    assert_equal_but_for_rounding(output, answers["output"], ROUNDING[dtype])
    layer.backward(inputs["grad_output"])
    assert_equal_but_for_rounding(layer.grads["weight"], answers["grad_weight"], ROUNDING[dtype])


@both_dtypes
def test_tanh(oracle, dtype):
    inputs, answers = oracle("tanh", dtype)
    layer = Tanh()
    assert_equal_but_for_rounding(layer.forward(inputs["x"]), answers["output"], ROUNDING[dtype])
    assert_equal_but_for_rounding(layer.backward(inputs["grad_output"]), answers["grad_input"], ROUNDING[dtype])


@both_dtypes
def test_selu(oracle, dtype):
    inputs, answers = oracle("selu", dtype)
    layer = SELU()
    # by element: a slope below -10 is small, and its rounding is the output's
    np.testing.assert_allclose(layer.forward(inputs["x"]), answers["output"], rtol=ROUNDING[dtype])
    assert_equal_but_for_rounding(layer.backward(inputs["grad_output"]), answers["grad_input"], ROUNDING[dtype])


@both_dtypes
def test_masked_squared_error(oracle, dtype):
    inputs, answers = oracle("masked_squared_error", dtype)
    layer = MaskedSquaredError()
    loss = layer.forward(inputs["output"], sparse.csr_array(inputs["ratings"]))
    assert loss == pytest.approx(float(answers["loss"]), rel=ROUNDING[dtype])
    assert_equal_but_for_rounding(layer.backward(), answers["grad_output"], ROUNDING[dtype])


@both_dtypes
def test_soft_bce(oracle, dtype):
    inputs, answers = oracle("soft_bce", dtype)
    layer = SoftBCE()
    loss = layer.forward(inputs["logits"], inputs["targets"])
    assert loss == pytest.approx(float(answers["loss"]), rel=ROUNDING[dtype])
    assert_equal_but_for_rounding(layer.backward(), answers["grad_logits"], ROUNDING[dtype])


@both_dtypes
def test_input_normalization(oracle, dtype):
    """Of sums, after the embedding: PyTorch normalizes the rows before."""
    inputs, answers = oracle("input_normalization", dtype)
    user_items = sparse.csr_array(inputs["user_items"])
    embedding, layer = SparseEmbedding(inputs["weight"]), InputNormalization(inputs["bias"])
    output = layer.forward(embedding.forward(user_items), np.diff(user_items.indptr))
    assert_equal_but_for_rounding(output, answers["output"], ROUNDING[dtype])
    embedding.backward(layer.backward(inputs["grad_output"]))
    assert_equal_but_for_rounding(embedding.grads["weight"], answers["grad_weight"], ROUNDING[dtype])
    assert_equal_but_for_rounding(layer.grads["bias"], answers["grad_bias"], ROUNDING[dtype])


@both_dtypes
def test_gaussian_sample(oracle, dtype):
    """The noise was drawn by ours, on the machine that stored the answers."""
    inputs, answers = oracle("gaussian_sample", dtype)
    layer = GaussianSample(beta=0.7)
    output = layer.forward(inputs["x"], training=True, key=(3, 1, 4, 2))
    assert_equal_but_for_rounding(output, answers["output"], ROUNDING[dtype])
    assert layer.penalty == pytest.approx(float(answers["penalty"]), rel=ROUNDING[dtype])
    assert_equal_but_for_rounding(layer.backward(inputs["grad_output"]), answers["grad_input"], 2 * ROUNDING[dtype])


@both_dtypes
def test_multinomial(oracle, dtype):
    inputs, answers = oracle("multinomial", dtype)
    layer = Multinomial()
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        loss = layer.forward(inputs["logits"], sparse.csr_array(inputs["user_items"]))
        grad_logits = layer.backward()
    assert loss == pytest.approx(float(answers["loss"]), rel=ROUNDING[dtype])
    # by element; log_p goes down to -2000, and its exp is as far off, relatively, as it is in itself
    np.testing.assert_allclose(grad_logits, answers["grad_logits"], rtol=100 * ROUNDING[dtype], atol=1e-37)


@both_dtypes
def test_adam(oracle, dtype):
    """20 steps, of gradients from 10,000 down to 1e-20 and to 0: the weights after each step, and the moments."""
    inputs, answers = oracle("adam", dtype)
    adam = Adam({"w": inputs["w"]}, lr=0.01)
    for grad_w, w in zip(inputs["grads"], answers["w"]):
        adam.step({"w": grad_w})
        assert_equal_but_for_rounding(inputs["w"], w, ROUNDING[dtype])
    for ours, moment in [(adam.first_moment["w"], "first_moment"), (adam.second_moment["w"], "second_moment")]:
        np.testing.assert_allclose(ours, answers[moment], rtol=100 * ROUNDING[dtype], atol=1e-37, err_msg=moment)


@both_dtypes
def test_elsa(oracle, dtype):
    """Without the users x items matrix, what PyTorch makes with it: a difference of sums costs float32 a digit."""
    inputs, answers = oracle("elsa", dtype)
    user_items, weight = sparse.csr_array(inputs["user_items"]), inputs["weight"]
    layer, adam = CosineOfProduct(weight), Adam({"weight": weight}, lr=0.03)
    for step in range(10):
        loss = layer.forward(user_items)
        layer.backward_sums()
        grad_weight = layer.backward_rows(slice(None))
        if step == 0:
            assert loss == pytest.approx(float(answers["loss"]), rel=10 * ROUNDING[dtype])
            assert_equal_but_for_rounding(grad_weight, answers["grad_weight"], 10 * ROUNDING[dtype])
        adam.step({"weight": grad_weight})
    assert_equal_but_for_rounding(weight, answers["trained"], 100 * ROUNDING[dtype])


@pytest.fixture(params=["numpy", pytest.param("numba", marks=pytest.mark.kernels)])
def start(request):
    """start(network): an Adam, the train_step(user_items, key) that moves it, and what scores."""

    def start(network):
        adam = Adam(network.params, lr=0.01)
        if request.param == "numpy":
            return adam, annealed(network, adam, functools.partial(train_step, network, adam)), network
        from autoenc.training.fused import FusedEngine

        fused = FusedEngine(network, adam)
        return adam, annealed(network, adam, fused.train_step), fused

    return start


def annealed(network, adam, step):
    """The step, before which the variational network's beta rises to 0.2 within ten steps, as PyTorch's does."""
    if not isinstance(network, VariationalNetwork):
        return step

    def step_at_its_beta(user_items, key):
        network.sample.beta = 0.2 * min(1.0, adam.step_count / 10)
        return step(user_items, key)

    return step_at_its_beta


def corner_of_movielens(inputs):
    """The network's inputs as it takes them: a CSR for each step, what the state starts as, and four users to score."""
    user_items, batches = inputs.pop("user_items"), inputs.pop("batches")
    steps = [sparse.csr_array(user_items[batch[batch >= 0]]) for batch in batches]
    return steps, inputs, sparse.csr_array(user_items[14:18])


def test_one_step_of_the_network_in_float32(oracle, start):
    inputs, answers = oracle("network", "float32")
    steps, state, _ = corner_of_movielens(inputs)
    adam, step, _ = start(AutoEncoderNetwork(state, dropout=0.0))
    loss = step(steps[0], (0, 0, 0))
    assert loss == pytest.approx(answers["losses"][0], rel=1e-6)
    for name, answer in strip(answers, "grad").items():
        # After one step Adam's first moment is the gradient times 1 - beta1.
        assert_equal_but_for_rounding(adam.first_moment[name] / np.float32(0.1), answer, 5e-6, name)


def test_twenty_steps_of_the_network_in_float64(oracle, start):
    inputs, answers = oracle("network", "float64")
    steps, state, users = corner_of_movielens(inputs)
    _, step, scorer = start(AutoEncoderNetwork(state, dropout=0.0))
    losses = [step(user_items, (0, 0, i)) for i, user_items in enumerate(steps)]
    np.testing.assert_allclose(losses, answers["losses"], rtol=1e-12)
    np.testing.assert_allclose(scorer.score(users), answers["scores"], rtol=0, atol=1e-9)
    if hasattr(scorer, "flush"):
        scorer.flush()
    trained = strip(answers, "trained")
    assert trained.keys() == state.keys()
    for name, answer in trained.items():
        np.testing.assert_allclose(state[name], answer, rtol=0, atol=1e-9, err_msg=name)


# The other networks, with dropout and noise: the masks that PyTorch is handed are those that ours draws by its keys.


def the_denoising(state):
    return DenoisingNetwork(state, input_dropout=0.45, dropout=0.5, loss=WeightedBCE(0.3))


def the_variational(state):
    return VariationalNetwork(state, input_dropout=0.45, beta=0.2)


def the_deep(state):
    return DeepNetwork(state, dropout=0.5)


others = pytest.mark.parametrize(
    ("case", "make"), [("denoising", the_denoising), ("variational", the_variational), ("deep", the_deep)]
)


def batches_and_state(inputs):
    user_items, batches = inputs["user_items"], inputs["batches"]
    state = {name: array for name, array in inputs.items() if "." in name}
    return [sparse.csr_array(user_items[batch]) for batch in batches], state, sparse.csr_array(user_items[14:18])


@others
def test_one_step_of_the_others_in_float32(oracle, start, case, make):
    inputs, answers = oracle(case, "float32")
    steps, state, _ = batches_and_state(inputs)
    adam, step, _ = start(make(state))
    assert step(steps[0], (0, 0, 0)) == pytest.approx(answers["losses"][0], rel=1e-6)
    for name, answer in strip(answers, "grad").items():
        assert_equal_but_for_rounding(adam.first_moment[name] / np.float32(0.1), answer, 5e-6, name)


@others
def test_twenty_steps_of_the_others_in_float64(oracle, start, case, make):
    inputs, answers = oracle(case, "float64")
    steps, state, users = batches_and_state(inputs)
    _, step, scorer = start(make(state))
    losses = [step(user_items, (0, 0, i)) for i, user_items in enumerate(steps)]
    np.testing.assert_allclose(losses, answers["losses"], rtol=1e-12)
    np.testing.assert_allclose(scorer.score(users), answers["scores"], rtol=0, atol=1e-9)
    if hasattr(scorer, "flush"):
        scorer.flush()
    trained = strip(answers, "trained")
    assert trained.keys() == state.keys()
    for name, answer in trained.items():
        np.testing.assert_allclose(state[name], answer, rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(("kind", "rows", "loss"), [("likes", "user_items", "bce"), ("ratings", "ratings", "squared")])
def test_twenty_steps_with_refeeding(oracle, kind, rows, loss):
    """Each is two of Adam's; PyTorch's network gets x as a dense array, too."""
    inputs, answers = oracle("deep", "float64")
    _, state, _ = batches_and_state(inputs)
    network = DeepNetwork(state, dropout=0.5, loss=loss)
    adam = Adam(network.params, lr=0.01)
    steps = [sparse.csr_array(inputs[rows][batch]) for batch in inputs["batches"]]
    losses = [refeeding_step(network, adam, x, (0, 0, i)) for i, x in enumerate(steps)]
    assert adam.step_count == 40
    np.testing.assert_allclose(losses, answers[f"{kind}.losses"], rtol=1e-12)
    for name, answer in strip(strip(answers, kind), "trained").items():
        np.testing.assert_allclose(state[name], answer, rtol=0, atol=1e-9, err_msg=name)
