"""Each layer against its docstring: values, gradients, evaluation, dtypes, and its errors."""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest
from scipy import sparse

from autoenc import layers
from autoenc.gradcheck import CASES, check_backward, check_layer
from autoenc.layers import (
    SELU,
    BatchNorm1d,
    Dropout,
    GaussianSample,
    InputDropout,
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
from autoenc.layers.dropout import draw_mask
from autoenc.layers.gaussian_sample import draw_noise
from autoenc.layers.sigmoid_bce import sigmoid

SINGLE = [name for name in CASES if not name.endswith("network")]


def a_case(name, dtype=np.float64):
    """The layer that gradcheck draws under that name, and its forward's arguments, in a dtype."""
    layer, *args = CASES[name](np.random.default_rng(0))
    layer.params = {key: w.astype(dtype) for key, w in layer.params.items()}
    if hasattr(layer, "buffers"):
        layer.buffers = {key: x.astype(dtype) for key, x in layer.buffers.items()}
    return layer, [arg.astype(dtype) if hasattr(arg, "astype") else arg for arg in args]


def evaluate(layer, args):
    """The layer's forward in evaluation, on the arguments of its forward in training."""
    arguments = inspect.signature(layer.forward).bind(*args).arguments
    return layer.forward(**arguments | {"training": False})


def grad_output_for(output):
    """What `backward` takes after that output: a random upstream gradient, or nothing after a loss."""
    if np.ndim(output) == 0:
        return []
    return [np.random.default_rng(1).standard_normal(output.shape).astype(output.dtype)]


# What holds of every layer


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", SINGLE)
def test_gradients_are_finite_differences(name, seed):
    wrong = [check for check in check_layer(name, seed) if not check.passed]
    assert wrong == []


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_follows_the_input(name, dtype):
    layer, args = a_case(name, dtype)
    output = layer.forward(*args)
    grad_input = layer.backward(*grad_output_for(output))
    arrays = [output, grad_input, *layer.grads.values(), *getattr(layer, "buffers", {}).values()]
    assert {x.dtype for x in arrays if isinstance(x, np.ndarray)} == {np.dtype(dtype)}
    if name in ("batchnorm", "dropout", "gaussian_sample"):
        assert layer.forward(args[0], training=False).dtype == dtype


@pytest.mark.parametrize("name", SINGLE)
def test_what_is_kept_is_dropped(name):
    layer, args = a_case(name)
    assert layer.kept is None
    if "training" in inspect.signature(layer.forward).parameters:
        evaluate(layer, args)
        assert layer.kept is None, "evaluation keeps nothing, so that several threads may ask one layer"
    output = layer.forward(*args)
    assert layer.kept is not None
    layer.backward(*grad_output_for(output))
    assert layer.kept is None


@pytest.mark.parametrize("name", SINGLE)
def test_nothing_that_is_given_is_changed(name):
    layer, args = a_case(name)
    before = [arg.copy() if hasattr(arg, "copy") else arg for arg in args]
    params = {key: w.copy() for key, w in layer.params.items()}
    output = layer.forward(*args)
    output_before = np.copy(output)
    upstream = grad_output_for(output)
    upstream_before = [x.copy() for x in upstream]
    layer.backward(*upstream)
    for given, was in [*zip(args, before), *zip(upstream, upstream_before)]:
        given, was = (x.toarray() if sparse.issparse(x) else x for x in (given, was))
        np.testing.assert_array_equal(given, was)
    for key, w in layer.params.items():
        np.testing.assert_array_equal(w, params[key])
    np.testing.assert_array_equal(output, output_before)


@pytest.mark.parametrize("name", SINGLE)
def test_gradients_are_those_of_the_last_batch_alone(name):
    layer, args = a_case(name)
    output = layer.forward(*args)
    layer.backward(*grad_output_for(output))
    once = dict(layer.grads)
    layer.forward(*args)
    layer.backward(*grad_output_for(output))
    assert layer.grads.keys() == layer.params.keys() == once.keys()
    for key, grad in layer.grads.items():
        np.testing.assert_array_equal(grad, once[key])


@pytest.mark.parametrize("module", [*(getattr(layers, name).__module__ for name in layers.__all__), "autoenc.optim"])
def test_docstrings_are_short_and_have_the_same_headings(module):
    docstring = importlib.import_module(module).__doc__
    if module == "autoenc.optim":
        headings = ["Step t", "Shapes: ", "Kept between steps: ", "Source: ", "Lesson: docs/lessons/adam.md"]
    else:
        lesson = f"Lesson: docs/lessons/{module.rpartition('.')[2]}.md"
        headings = ["Forward", "Backward", "Shapes: ", "Kept for backward: ", "Source: ", lesson]
    starts = [docstring.find(f"\n{heading}") for heading in [*headings, "Example\n    >>> "]]
    assert -1 not in starts
    assert starts == sorted(starts)
    assert "Differences: " in docstring
    assert 15 <= len(docstring.splitlines()) <= 30


# The embedding


def test_embedding_is_the_dense_product():
    rng = np.random.default_rng(0)
    likes = (rng.random((20, 30)) < 0.2) * 1.0
    likes[3] = 0
    weight, grad_output = rng.standard_normal((30, 4)), rng.standard_normal((20, 4))
    embedding = SparseEmbedding(weight)
    output = embedding.forward(sparse.csr_array(likes))
    np.testing.assert_allclose(output, likes @ weight, rtol=0, atol=1e-14)
    assert not output[3].any()
    assert embedding.backward(grad_output) is None
    np.testing.assert_allclose(embedding.grads["weight"], likes.T @ grad_output, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1)])
def test_embedding_of_one_user_or_one_item(shape):
    rng = np.random.default_rng(0)
    embedding = SparseEmbedding(rng.standard_normal((shape[1], 3)))
    checks = check_backward(embedding, sparse.csr_array(np.ones(shape)), upstream=rng.standard_normal)
    assert all(check.passed for check in checks)


# ReLU


def test_relu_at_its_corner():
    relu = ReLU()
    np.testing.assert_array_equal(relu.forward(np.array([[-0.0, 0.0, 5e-324, -5e-324]])), [[0, 0, 5e-324, 0]])
    np.testing.assert_array_equal(relu.backward(np.full((1, 4), 3.0)), [[0, 0, 3, 0]])


# BatchNorm


def a_batchnorm(features=3):
    rng = np.random.default_rng(0)
    arrays = (rng.uniform(0.5, 2, features) for _ in range(4))
    return BatchNorm1d(**dict(zip(("weight", "bias", "running_mean", "running_var"), arrays)))


def test_batchnorm_in_training_is_its_equations():
    batchnorm = a_batchnorm()
    running_mean, running_var = (batchnorm.buffers[name].copy() for name in ("running_mean", "running_var"))
    x = np.random.default_rng(1).normal(5, 3, (8, 3))
    output = batchnorm.forward(x, training=True)

    x_hat = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0, ddof=0) + 1e-5)
    np.testing.assert_allclose(output, batchnorm.params["weight"] * x_hat + batchnorm.params["bias"], rtol=1e-13)
    new_mean = 0.9 * running_mean + 0.1 * x.mean(axis=0)
    new_var = 0.9 * running_var + 0.1 * x.var(axis=0, ddof=1)
    np.testing.assert_allclose(batchnorm.buffers["running_mean"], new_mean, rtol=1e-14)
    np.testing.assert_allclose(batchnorm.buffers["running_var"], new_var, rtol=1e-14)


def test_batchnorm_in_evaluation_is_its_equation_and_learns_nothing():
    batchnorm = a_batchnorm()
    before = {name: x.copy() for name, x in batchnorm.buffers.items()}
    x = np.random.default_rng(1).normal(5, 3, (8, 3))
    output = batchnorm.forward(x, training=False)

    x_hat = (x - before["running_mean"]) / np.sqrt(before["running_var"] + 1e-5)
    np.testing.assert_allclose(output, batchnorm.params["weight"] * x_hat + batchnorm.params["bias"], rtol=1e-13)
    np.testing.assert_allclose(batchnorm.forward(x[:1], training=False), output[:1], rtol=1e-15)
    for name, x in batchnorm.buffers.items():
        np.testing.assert_array_equal(x, before[name])
    assert batchnorm.kept is None


def test_batchnorms_running_statistics_are_updated_in_place():
    running_mean, running_var = np.zeros(3), np.ones(3)
    batchnorm = BatchNorm1d(np.ones(3), np.zeros(3), running_mean, running_var)
    batchnorm.forward(np.random.default_rng(0).normal(5, 3, (8, 3)), training=True)
    assert running_mean.all() and (running_var != 1).all()


def test_batchnorm_of_a_constant_feature():
    batchnorm = a_batchnorm()
    output = batchnorm.forward(np.full((4, 3), 7.0), training=True)
    np.testing.assert_array_equal(output, np.tile(batchnorm.params["bias"], (4, 1)))
    assert np.isfinite(batchnorm.backward(np.random.default_rng(0).standard_normal((4, 3)))).all()


def test_batchnorms_variance_survives_a_large_mean():
    x = np.random.default_rng(0).normal(1000, 0.9, (256, 1)).astype(np.float32)
    ones, zeros = np.ones(1, np.float32), np.zeros(1, np.float32)
    output = BatchNorm1d(ones, zeros, zeros.copy(), ones.copy()).forward(x, training=True)
    assert output.var() == pytest.approx(1, rel=1e-4)


def test_an_upstream_gradient_of_ones_is_lost_on_batchnorm():
    batchnorm, args = a_case("batchnorm")
    output = batchnorm.forward(*args)
    assert np.abs(batchnorm.backward(np.ones_like(output))).max() < 1e-14
    batchnorm.forward(*args)
    assert np.abs(batchnorm.backward(*grad_output_for(output))).max() > 1


def test_batchnorm_by_complex_step():
    """No difference, so no rounding: the imaginary part of f(x + ih) / h is the derivative to the last digits."""
    batchnorm, (x, training) = a_case("batchnorm")
    output = batchnorm.forward(x, training)
    [grad_output] = grad_output_for(output)
    grad_input = batchnorm.backward(grad_output)
    batchnorm.buffers = {name: buffer.astype(complex) for name, buffer in batchnorm.buffers.items()}
    for i in [(0, 0), (17, 1), (63, 2)]:
        moved = x.astype(complex)
        moved[i] += 1e-30j
        derivative = (batchnorm.forward(moved, training).imag * grad_output).sum() / 1e-30
        assert grad_input[i] == pytest.approx(derivative, rel=1e-13)


@pytest.mark.parametrize("batch", [0, 1])
def test_batchnorm_refuses_a_batch_without_variance(batch):
    batchnorm = a_batchnorm()
    with pytest.raises(ValueError, match=f"BatchNorm1d trains on batches of 2 rows or more, got {batch}; merge it"):
        batchnorm.forward(np.ones((batch, 3)), training=True)


def test_batchnorm_of_two_rows():
    rng = np.random.default_rng(0)
    checks = check_backward(a_batchnorm(), np.array([[0.0, 1, 2], [1, 3, -2]]), True, upstream=rng.standard_normal)
    assert all(check.passed for check in checks)


# Dropout

KEY = (3, 1, 4, 1)


def test_a_mask_depends_on_the_key_alone():
    mask = draw_mask((40, 50), 32768, KEY)
    draw_mask((3, 3), 100, (9, 9, 9, 9))
    np.testing.assert_array_equal(draw_mask((40, 50), 32768, KEY), mask)
    for place in range(4):
        other = list(KEY)
        other[place] += 1
        agree = (draw_mask((40, 50), 32768, tuple(other)) == mask).mean()
        assert agree == pytest.approx(0.5, abs=0.06), f"part {place} of the key"  # five standard deviations


def test_masks_are_the_same_on_every_machine():
    expected = [[1, 0, 1, 1, 1, 1, 1, 0, 1], [0, 0, 1, 0, 0, 1, 0, 1, 1]]
    np.testing.assert_array_equal(draw_mask((2, 9), 32768, KEY), expected)


def test_a_key_may_be_large():
    large = 2**63 - 1
    masks = {draw_mask((8, 8), 32768, key).tobytes() for key in [(large, 0, large, 1), (large - 1, 0, large, 1)]}
    assert len(masks) == 2


def test_the_threshold_counts_exactly():
    assert not draw_mask((1024, 1024), 0, KEY).any()
    assert draw_mask((1024, 1024), 65536, KEY).all()


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.999])
def test_keep_rate(p):
    keep, n = 1 - p, 2**20
    keeps = draw_mask((1024, 1024), Dropout(p).threshold, KEY)
    assert abs(keeps.mean() - keep) <= 5 * np.sqrt(p * keep / n) + 0.5 / 65536


@pytest.mark.parametrize("p", [0.0, 0.1, 0.3, 0.5, 0.9, 0.99999, 1 - 1e-9])
def test_what_stays_is_scaled_by_the_rate_that_it_stays_at(p):
    dropout = Dropout(p)
    assert dropout.threshold / 65536 * dropout.scale == pytest.approx(1, rel=1e-15)
    assert abs(dropout.threshold / 65536 - (1 - p)) <= 1 / 65536
    x = np.random.default_rng(0).standard_normal((30, 40))
    keeps = draw_mask(x.shape, dropout.threshold, KEY)
    output = dropout.forward(x, training=True, key=KEY)
    np.testing.assert_array_equal(output, np.where(keeps, x * dropout.scale, 0))
    np.testing.assert_array_equal(dropout.backward(x), output)


def test_dropout_of_nothing_is_the_identity():
    x = np.random.default_rng(0).standard_normal((30, 40))
    np.testing.assert_array_equal(Dropout(0).forward(x, training=True, key=KEY), x)


def test_dropout_in_evaluation_is_the_identity_and_needs_no_key():
    dropout = Dropout(0.5)
    x = np.random.default_rng(0).standard_normal((30, 40))
    np.testing.assert_array_equal(dropout.forward(x, training=False), x)
    assert dropout.kept is None


@pytest.mark.parametrize("p", [-0.1, 1, 1.5, float("nan")])
def test_dropout_refuses_what_is_no_probability_below_1(p):
    with pytest.raises(ValueError, match=f"dropout must be at least 0 and below 1, got {p}"):
        Dropout(p)


# Linear


def test_linear_is_its_equation_with_three_sizes_that_differ():
    rng = np.random.default_rng(0)
    weight, bias, x, grad_output = (rng.standard_normal(shape) for shape in [(4, 5), 4, (7, 5), (7, 4)])
    linear = Linear(weight, bias)
    np.testing.assert_allclose(linear.forward(x), np.einsum("bi,oi->bo", x, weight) + bias, rtol=1e-13)
    np.testing.assert_allclose(linear.backward(grad_output), np.einsum("bo,oi->bi", grad_output, weight), rtol=1e-12)
    np.testing.assert_allclose(linear.grads["weight"], np.einsum("bo,bi->oi", grad_output, x), rtol=1e-12)
    np.testing.assert_allclose(linear.grads["bias"], grad_output.sum(axis=0), rtol=1e-13)


# Sigmoid and cross-entropy


def test_loss_is_the_tasks():
    rng = np.random.default_rng(0)
    logits, x = rng.normal(0, 3, (6, 8)), (rng.random((6, 8)) < 0.3) * 1.0
    h = 1 / (1 + np.exp(-logits))
    loss = SigmoidBCE().forward(logits, sparse.csr_array(x))
    assert isinstance(loss, float)
    assert loss == pytest.approx(-1 * np.sum(x * np.log(h) + (1 - x) * np.log(1 - h)), rel=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loss_and_gradient_stay_finite_however_wrong_the_logits(dtype):
    logits = np.array([[-1e4, -89, -17, 0, 17, 89, 1e4]] * 2, dtype)
    user_items = sparse.csr_array(np.array([[1] * 7, [0] * 7], dtype))
    sigmoid_bce = SigmoidBCE()
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        loss = sigmoid_bce.forward(logits, user_items)
        grad_logits = sigmoid_bce.backward()
    # of each logit z the pair costs softplus(-z) + softplus(z) = |z| + 2 log(1 + exp(-|z|))
    z = np.abs(logits[0].astype(float))
    assert loss == pytest.approx((z + 2 * np.log1p(np.exp(-z))).sum(), rel=1e-6)
    np.testing.assert_allclose(grad_logits[1] - grad_logits[0], 1, rtol=1e-6)
    assert ((grad_logits[1] >= 0) & (grad_logits[0] <= 0)).all()


def test_sigmoid_keeps_its_digits_on_both_sides():
    z = np.array([-700.0, -30, -1, 0, 1, 30])
    np.testing.assert_allclose(sigmoid(z), [np.exp(-700), np.exp(-30) / (1 + np.exp(-30)), 1 - sigmoid(1.0), 0.5,
                                            1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-30))], rtol=1e-15)  # fmt: skip


def test_a_stored_zero_is_no_like():
    likes = sparse.csr_array((np.array([1.0, 0.0]), np.array([0, 1]), np.array([0, 2])), shape=(1, 2))
    sigmoid_bce = SigmoidBCE()
    assert sigmoid_bce.forward(np.zeros((1, 2)), likes) == pytest.approx(2 * np.log(2))
    np.testing.assert_array_equal(sigmoid_bce.backward(), [[-0.5, 0.5]])
    multinomial = Multinomial()
    assert multinomial.forward(np.zeros((1, 2)), likes) == pytest.approx(np.log(2))
    np.testing.assert_allclose(multinomial.backward(), [[-0.5, 0.5]], rtol=1e-15)


def test_a_weight_of_1_is_the_tasks_loss_to_the_bit():
    rng = np.random.default_rng(0)
    logits, user_items = rng.normal(0, 3, (6, 8)).astype(np.float32), sparse.csr_array((rng.random((6, 8)) < 0.3) * 1.0)
    sigmoid_bce = SigmoidBCE()
    softplus = np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits)))
    liked = user_items.nonzero()
    assert sigmoid_bce.forward(logits, user_items) == softplus.sum(dtype=float) - logits[liked].sum(dtype=float)
    answer = sigmoid(logits)
    answer[liked] -= 1
    np.testing.assert_array_equal(sigmoid_bce.backward(), answer)


def test_the_weight_is_of_what_is_not_liked():
    rng = np.random.default_rng(0)
    logits, x = rng.normal(0, 3, (6, 8)), (rng.random((6, 8)) < 0.3) * 1.0
    h, w = sigmoid(logits), np.where(x == 1, 1, 0.2)
    sigmoid_bce = WeightedBCE(negative_weight=0.2)
    loss = sigmoid_bce.forward(logits, sparse.csr_array(x))
    assert loss == pytest.approx(-np.sum(w * (x * np.log(h) + (1 - x) * np.log(1 - h))), rel=1e-13)
    np.testing.assert_allclose(sigmoid_bce.backward(), w * (h - x), rtol=1e-13)


@pytest.mark.parametrize("weight", [0, -0.3, float("inf"), float("nan")])
def test_a_weight_that_cannot_be_is_refused(weight):
    with pytest.raises(ValueError, match=f"negative_weight must be a finite number above 0, got {weight}"):
        WeightedBCE(weight)


# Softmax and the multinomial likelihood


def test_multinomial_is_its_equations():
    rng = np.random.default_rng(0)
    logits, x = rng.normal(0, 3, (6, 8)), (rng.random((6, 8)) < 0.3) * 1.0
    x[2] = 0  # a user without likes costs nothing, whatever the logits
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    multinomial = Multinomial()
    loss = multinomial.forward(logits, sparse.csr_array(x))
    assert isinstance(loss, float)
    assert loss == pytest.approx(-np.sum(x * np.log(softmax)), rel=1e-13)
    grad_logits = multinomial.backward()
    np.testing.assert_allclose(grad_logits, x.sum(axis=1, keepdims=True) * softmax - x, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(grad_logits[2], 0)
    np.testing.assert_allclose(grad_logits.sum(axis=1), 0, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_multinomial_stays_finite_however_wrong_the_logits(dtype):
    logits = np.array([[1e4, -1e4, 0, 9999], [1e4] * 4, [-1e4] * 4], dtype)
    user_items = sparse.csr_array(np.array([[0, 1, 1, 0], [1, 0, 0, 1], [0, 0, 1, 0]], dtype))
    multinomial = Multinomial()
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        loss = multinomial.forward(logits, user_items)
        grad_logits = multinomial.backward()
    e = np.exp(-1.0)
    assert loss == pytest.approx(2e4 + 1e4 + 2 * np.log(1 + e) + 3 * np.log(4), rel=1e-6)
    answer = [[2 / (1 + e), -1, -1, 2 * e / (1 + e)], [-0.5, 0.5, 0.5, -0.5], [0.25, 0.25, -0.75, 0.25]]
    np.testing.assert_allclose(grad_logits, answer, rtol=1e-5)


def test_multinomial_does_not_see_a_shift_of_a_row():
    rng = np.random.default_rng(0)
    logits, user_items = rng.normal(0, 3, (5, 8)), sparse.csr_array((rng.random((5, 8)) < 0.4) * 1.0)
    multinomial = Multinomial()
    loss, grad_logits = multinomial.forward(logits, user_items), multinomial.backward()
    shifted = logits + rng.normal(0, 9, (5, 1))
    assert multinomial.forward(shifted, user_items) == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(multinomial.backward(), grad_logits, rtol=1e-12)


# Input dropout


def random_likes(n_users=300, n_items=200):
    liked = np.random.default_rng(0).random((n_users, n_items)) < 0.3
    liked[5] = False
    return sparse.csr_array(liked.astype(np.float32))


@pytest.mark.parametrize("p", [0.0, 0.3, 0.9])
def test_input_dropout_keeps_a_like_with_probability_1_minus_p(p):
    likes = random_likes()
    kept = InputDropout(p).forward(likes, True, KEY)
    assert kept.shape == likes.shape and kept.dtype == likes.dtype and kept.indptr.dtype == likes.indptr.dtype
    assert kept.has_canonical_format
    dense, before = kept.toarray(), likes.toarray()
    assert set(np.unique(dense)) <= {0, 1} and (dense <= before).all()
    assert abs(kept.nnz / likes.nnz - (1 - p)) <= 5 * np.sqrt(p * (1 - p) / likes.nnz)


def test_input_dropout_takes_a_draw_a_like_in_their_order():
    likes = random_likes()
    keeps = draw_mask((1, likes.nnz), 32768, KEY)[0]
    kept = InputDropout(0.5).forward(likes, True, KEY)
    np.testing.assert_array_equal(kept.indices, likes.indices[keeps])
    rows = np.repeat(np.arange(300), np.diff(likes.indptr))
    np.testing.assert_array_equal(np.diff(kept.indptr), np.bincount(rows[keeps], minlength=300))


def test_input_dropout_in_evaluation_gives_back_what_it_got():
    likes = random_likes()
    assert InputDropout(0.5).forward(likes, training=False) is likes


def test_input_dropout_refuses_what_is_no_probability_below_1():
    with pytest.raises(ValueError, match="dropout must be at least 0 and below 1, got 1"):
        InputDropout(1)


# Input normalization


def test_input_normalization_of_the_sum_is_that_of_the_row():
    rng = np.random.default_rng(0)
    likes, weight, bias = random_likes(20, 30).astype(float), rng.standard_normal((30, 4)), rng.standard_normal(4)
    x = likes.toarray()
    length = np.linalg.norm(x, axis=1, keepdims=True)
    rows = np.divide(x, length, out=np.zeros_like(x), where=length > 0)
    output = InputNormalization(bias).forward(likes @ weight, np.diff(likes.indptr))
    np.testing.assert_allclose(output, rows @ weight + bias, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(output[5], bias)


# Tanh


def test_tanh_at_its_ends():
    tanh = Tanh()
    np.testing.assert_array_equal(tanh.forward(np.array([[-1e4, 0.0, 1e4]], np.float32)), [[-1, 0, 1]])
    np.testing.assert_array_equal(tanh.backward(np.full((1, 3), 3, np.float32)), [[0, 3, 0]])


# The Gaussian sample


def test_the_sample_has_the_mean_and_the_variance_that_it_is_given():
    x = np.tile([2.0, -1.0, np.log(4.0), np.log(0.25)], (20_000, 1))
    output = GaussianSample(beta=1).forward(x, True, KEY)
    np.testing.assert_allclose(output.mean(axis=0), [2, -1], atol=5 * 2 / np.sqrt(20_000))
    np.testing.assert_allclose(output.var(axis=0), [4, 0.25], rtol=0.06)


def test_the_kl_is_0_for_a_standard_normal_alone_and_beta_weighs_it():
    sample = GaussianSample(beta=1)
    sample.forward(np.zeros((3, 8)), True, KEY)
    assert sample.penalty == 0
    x = np.random.default_rng(0).standard_normal((3, 8))
    sample.forward(x, True, KEY)
    of_1 = sample.penalty
    sample.beta = 0.25
    sample.forward(x, True, KEY)
    assert sample.penalty == pytest.approx(of_1 / 4) and of_1 > 0


def test_noise_depends_on_the_key_alone_and_is_the_same_on_every_machine():
    noise = draw_noise((2, 3), KEY)
    draw_noise((9, 9), (9, 9, 9, 9))
    np.testing.assert_array_equal(draw_noise((2, 3), KEY), noise)
    for place in range(4):
        other = list(KEY)
        other[place] += 1
        assert not np.isclose(draw_noise((2, 3), tuple(other)), noise).any(), f"part {place} of the key"
    assert noise.dtype == np.float32
    np.testing.assert_allclose(noise, [[0.4494, -0.19901, -0.84824], [-0.47787, -1.37623, -0.02688]], atol=1e-5)


# SELU


def test_selu_keeps_a_mean_of_0_and_a_variance_of_1():
    output = SELU().forward(np.random.default_rng(0).standard_normal((1000, 1000)))
    assert abs(output.mean()) < 0.005 and abs(output.var() - 1) < 0.005


def test_selu_at_its_ends_does_not_overflow():
    selu = SELU()
    with np.errstate(all="raise", under="ignore"):
        output = selu.forward(np.array([[-1e4, 0.0, 1e4]], np.float32))
        slope = selu.backward(np.ones((1, 3), np.float32))
    np.testing.assert_allclose(output, [[-1.758099, 0, 10507.01]], rtol=1e-6)
    np.testing.assert_allclose(slope, [[0, 1.758099, 1.050701]], rtol=1e-6, atol=1e-6)


# The masked squared error


def test_masked_squared_error_is_its_equation_and_sees_what_was_rated_alone():
    rng = np.random.default_rng(0)
    rated = rng.random((6, 8)) < 0.3
    output, dense = rng.standard_normal((6, 8)), rng.integers(0, 6, (6, 8)).astype(float)
    users, items = rated.nonzero()
    ratings = sparse.csr_array((dense[rated], (users, items)), shape=(6, 8))
    assert (ratings.data == 0).any()  # a rating of 0 is one
    masked = MaskedSquaredError()
    loss = masked.forward(output, ratings)
    assert loss == pytest.approx(((output - dense)[rated] ** 2).mean(), rel=1e-13)
    grad_output = masked.backward()
    np.testing.assert_allclose(grad_output, rated * 2 * (output - dense) / rated.sum(), rtol=1e-13)
    assert masked.forward(np.where(rated, output, 1e9), ratings) == loss


def test_masked_squared_error_of_dense_ratings_and_of_none():
    rng = np.random.default_rng(0)
    output, dense = rng.standard_normal((2, 6, 8))
    masked = MaskedSquaredError()
    assert masked.forward_dense(output, dense) == pytest.approx(((output - dense) ** 2).mean(), rel=1e-13)
    np.testing.assert_allclose(masked.backward(), 2 * (output - dense) / 48, rtol=1e-13)
    assert masked.forward(output, sparse.csr_array((6, 8))) == 0
    assert not masked.backward().any()


# The cross-entropy against probabilities


def test_soft_bce_of_likes_is_sigmoid_bce():
    rng = np.random.default_rng(0)
    logits, likes = rng.normal(0, 3, (6, 8)), (rng.random((6, 8)) < 0.3) * 1.0
    soft, bce = SoftBCE(), SigmoidBCE()
    assert soft.forward(logits, likes) == pytest.approx(bce.forward(logits, sparse.csr_array(likes)), rel=1e-13)
    np.testing.assert_allclose(soft.backward(), bce.backward(), rtol=1e-12)


def test_soft_bce_is_least_where_the_answer_is_the_target():
    logits = np.random.default_rng(0).normal(0, 3, (6, 8))
    soft = SoftBCE()
    least = soft.forward(logits, sigmoid(logits))
    np.testing.assert_array_equal(soft.backward(), 0)
    assert 0 < least < min(soft.forward(logits + d, sigmoid(logits)) for d in (-0.1, 0.1))
