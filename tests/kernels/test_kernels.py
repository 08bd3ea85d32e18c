"""Each kernel against the layers that it replaces, with difficult shapes; run again with NUMBA_DISABLE_JIT=1.

Sizes are small; the larger ones are near the edges of tiles and blocks, which are fixed in the compiled
kernels.
"""

from __future__ import annotations

import ast
import os
import pkgutil
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config, njit
from scipy import sparse

import autoenc.kernels.jit
from autoenc.batch_invariant import BLOCK_SIZES, UserBlock
from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.kernels import linear as linear_module
from autoenc.kernels import normalize as normalize_module
from autoenc.kernels import output_tile as output_module
from autoenc.kernels import top_n as top_n_module
from autoenc.kernels.adam import Trained, adam_rows, adam_slice, rates_at
from autoenc.kernels.bottleneck import bottleneck, bottleneck_backward
from autoenc.kernels.exp import exp_of_negative
from autoenc.kernels.gather_sum import balanced_blocks, gather_sum
from autoenc.kernels.jit import kernel
from autoenc.kernels.linear import linear
from autoenc.kernels.log_normalizer import log_normalizer
from autoenc.kernels.normalize import Kept, Mask, Normalizer, normalize, normalize_backward, normalize_eval
from autoenc.kernels.output_tile import Targets, output_tile
from autoenc.kernels.ranks_of_sum import ranks_of_sum
from autoenc.kernels.scatter_add import catch_up, flush, scatter_add
from autoenc.kernels.top_n import top_n
from autoenc.layers import (
    BatchNorm1d,
    ConfidenceBCE,
    ConfidenceMultinomial,
    Dropout,
    Linear,
    Multinomial,
    ReLU,
    SigmoidBCE,
    SparseEmbedding,
    WeightedBCE,
)
from autoenc.machine import compute_threads
from autoenc.models.weighted_sum import weighted_sum
from autoenc.optim import Adam
from autoenc.training.fused import DriftTable
from tests.helpers import ROOT

pytestmark = pytest.mark.kernels


# The largest difference, in units of the largest number of its kind: a few roundings.
ROUNDING = {"float32": 2e-6, "float64": 1e-12}

both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
needs_jit = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="about the compiled code")
few_examples = settings(max_examples=25)
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True)
def one_threaded_blas():
    """As the package runs the kernels; BLAS's own pool would compete with numba's."""
    with compute_threads():
        yield


def around(edge):
    return [edge - 1, edge, edge + 1]


def assert_near(ours, answer, size=None, name=""):
    """Equal up to rounding, relative to `size`, by default the largest number of the result."""
    assert ours.shape == answer.shape and ours.dtype == answer.dtype, name
    size = np.abs(answer).max(initial=0) if size is None else size
    atol = ROUNDING[str(answer.dtype)] * size + 1e-37  # kernels keep clear of subnormals
    np.testing.assert_allclose(ours, answer, rtol=0, atol=atol, err_msg=name)


def random_csr(rng, n_users, n_items, density) -> sparse.csr_array:
    liked = rng.random((n_users, n_items)) < density
    csr = sparse.csr_array(liked.astype(np.float32))
    return sparse.csr_array((csr.data, csr.indices.astype(np.int32), csr.indptr.astype(np.int32)), shape=csr.shape)


@st.composite
def batches(draw, max_users=9, max_items=9):
    """Users x items from 1 x 1, some with empty, with no and with only full rows and columns."""
    n_users, n_items = draw(st.integers(1, max_users)), draw(st.integers(1, max_items))
    rng = np.random.default_rng(draw(seeds))
    return random_csr(rng, n_users, n_items, draw(st.sampled_from([0.0, 0.15, 0.5, 1.0])))


def normal(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)


def mid_training(rng, **params) -> tuple[Adam, Adam]:
    """Two Adams in the same state after three steps, each on its own arrays."""
    adams = []
    moments = {name: normal(rng, w.dtype, *w.shape) for name, w in params.items()}
    for _ in range(2):
        adam = Adam({name: w.copy() for name, w in params.items()}, lr=0.03)
        adam.step_count = 3
        for name, m in moments.items():
            adam.first_moment[name][:] = m
            adam.second_moment[name][:] = m * m + m.dtype.type(0.1)
        adams.append(adam)
    return adams[0], adams[1]


def trained(adam: Adam, name: str) -> Trained:
    return Trained(adam.params[name], adam.first_moment[name], adam.second_moment[name])


def next_rates(adam: Adam):
    adam.step_count += 1
    return rates_at(adam)


def assert_same_state(ours: Adam, definition: Adam):
    for name in definition.params:
        for part in ("params", "first_moment", "second_moment"):
            assert_near(getattr(ours, part)[name], getattr(definition, part)[name], name=f"{part} {name}")


@both_dtypes
@few_examples
@given(rows=st.integers(1, 5), columns=st.integers(1, 5), scale=st.sampled_from([1e-12, 1e-8, 1.0, 1e4]), seed=seeds)
def test_adam_is_optim_adam(dtype, rows, columns, scale, seed):
    rng = np.random.default_rng(seed)
    matrix, vector = normal(rng, dtype, rows, columns), normal(rng, dtype, rows)
    ours, definition = (Adam({"matrix": matrix.copy(), "vector": vector.copy()}) for _ in range(2))
    for _ in range(3):
        grads = {name: normal(rng, dtype, *w.shape) * np.dtype(dtype).type(scale) for name, w in ours.params.items()}
        definition.step(grads)
        rates = next_rates(ours)
        adam_rows(trained(ours, "matrix"), 0, rows, grads["matrix"], rates)
        adam_slice(trained(ours, "vector"), 0, rows, grads["vector"], rates)
    assert_same_state(ours, definition)


def test_adam_touches_its_rows_alone():
    ours = Adam({"matrix": np.zeros((5, 2)), "vector": np.zeros(5)})
    rates = next_rates(ours)
    adam_rows(trained(ours, "matrix"), 1, 3, np.ones((2, 2)), rates)
    adam_slice(trained(ours, "vector"), 1, 3, np.ones(2), rates)
    np.testing.assert_array_equal(ours.params["vector"] != 0, [False, True, True, False, False])
    np.testing.assert_array_equal(ours.params["matrix"].any(axis=1), [False, True, True, False, False])


@both_dtypes
@few_examples
@given(user_items=batches(max_items=13), emb_dim=st.integers(1, 9), seed=seeds)
def test_gather_sum_is_the_embeddings_forward(dtype, user_items, emb_dim, seed):
    weight = normal(np.random.default_rng(seed), dtype, user_items.shape[1], emb_dim)
    indptr, indices = user_items.indptr, user_items.indices
    ours = gather_sum(indptr, indices, weight, balanced_blocks(indptr))
    assert_near(ours, SparseEmbedding(weight).forward(user_items.astype(dtype)), size=np.abs(weight).sum(axis=0).max())
    in_one_block = gather_sum(indptr, indices, weight, np.array([0, user_items.shape[0]]))
    np.testing.assert_array_equal(ours, in_one_block)


@given(user_items=batches(max_users=200, max_items=6), n_blocks=st.integers(1, 70))
def test_balanced_blocks_are_a_partition(user_items, n_blocks):
    blocks = balanced_blocks(user_items.indptr, n_blocks)
    assert blocks[0] == 0 and blocks[-1] == user_items.shape[0]
    assert (np.diff(blocks) > 0).all() and len(blocks) <= n_blocks + 1


def test_balanced_blocks_hold_about_equal_work():
    entries = np.array([1000, *[1] * 992, *[0] * 5000])
    blocks = balanced_blocks(np.concatenate([[0], np.cumsum(entries)]), n_blocks=10, row_cost=8)
    work = np.add.reduceat(entries + 8 * (entries > 0), blocks[:-1])
    assert work.max() <= work.sum() / 10 + 1008


@both_dtypes
@few_examples
@given(
    users=st.integers(0, 9) | st.sampled_from([n for size in (BLOCK_SIZES[0], BLOCK_SIZES[-1]) for n in around(size)]),
    in_features=st.integers(1, 6),
    out_features=st.integers(1, 9) | st.sampled_from(around(linear_module.TILE)),
    seed=seeds,
)
def test_linear_is_the_layer(dtype, users, in_features, out_features, seed):
    rng = np.random.default_rng(seed)
    x, weight = normal(rng, dtype, users, in_features), normal(rng, dtype, out_features, in_features)
    bias = normal(rng, dtype, out_features)
    assert_near(linear(x, weight, bias), Linear(weight, bias).forward(x), size=in_features * 10)


@pytest.mark.parametrize("block", [UserBlock(5, 1, 3), UserBlock(3, 2, 3)])
@pytest.mark.parametrize("users", [0, 1, 2, 3, 7])
def test_users_stand_where_the_block_has_room_for_them(block, users, monkeypatch):
    """As if BLAS rounded some rows, or all but one, differently."""
    monkeypatch.setattr(linear_module, "user_block", lambda *_: block)
    monkeypatch.setattr(top_n_module, "user_block", lambda *_: block)
    rng = np.random.default_rng(users)
    x, weight, bias = normal(rng, "float64", users, 4), normal(rng, "float64", 6, 4), normal(rng, "float64", 6)
    assert_near(linear(x, weight, bias), Linear(weight, bias).forward(x), size=40)
    check_top_n("float32", random_csr(rng, users, 9, 0.3), 3, seed=users)


@st.composite
def bottleneck_shapes(draw):
    features = st.integers(1, 9) | st.sampled_from(
        [edge for n in (1, 2, normalize_module.MOST_BLOCKS, 25) for edge in around(n * normalize_module.LINE)]
    )
    return draw(st.integers(2, 9)), draw(features), draw(features)


@both_dtypes
@few_examples
@given(shape=bottleneck_shapes(), p=st.sampled_from([0.0, 0.5]), seed=seeds)
def test_bottleneck_is_linear_relu_batchnorm_dropout(dtype, shape, p, seed):
    batch, emb_dim, hidden_dim = shape
    rng = np.random.default_rng(seed)
    x, weight = normal(rng, dtype, batch, emb_dim), normal(rng, dtype, hidden_dim, emb_dim)
    bias, scale, shift, mean = (normal(rng, dtype, hidden_dim) for _ in range(4))
    linear_layer, relu, dropout = Linear(weight, bias), ReLU(), Dropout(p)
    batchnorm = BatchNorm1d(scale, shift, running_mean=mean, running_var=mean * mean)
    norm = normalizer(batchnorm, dtype)

    z = linear_layer.forward(x)
    answer = dropout.forward(batchnorm.forward(relu.forward(z), training=True), training=True, key=(seed, 0, 1, 2))
    output, kept = bottleneck(x, weight, bias, Mask(dropout.kept, np.dtype(dtype).type(dropout.scale)), norm)
    assert_near(kept.x, z, size=emb_dim * 10)
    steep = 1 + kept.inv_std.max()  # where a column hardly varies, a rounding of z is magnified
    assert_near(output, answer, size=emb_dim * 10 * steep**3)
    assert_near(kept.x_hat, batchnorm.kept[0], size=emb_dim * 10 * steep**3)
    assert_near(norm.running_mean, batchnorm.buffers["running_mean"], size=emb_dim * 10)
    assert_near(norm.running_var, batchnorm.buffers["running_var"], size=(emb_dim * 10) ** 2)


@both_dtypes
@few_examples
@given(shape=bottleneck_shapes(), p=st.sampled_from([0.0, 0.5]), seed=seeds)
def test_bottleneck_backward_is_linear_and_the_normalization_before_it(dtype, shape, p, seed):
    batch, emb_dim, hidden_dim = shape
    rng = np.random.default_rng(seed)
    before, grad_z = relu_input(rng, dtype, batch, emb_dim), normal(rng, dtype, batch, hidden_dim)
    names = {"weight": (hidden_dim, emb_dim), "bias": (hidden_dim,), "scale": (emb_dim,), "shift": (emb_dim,)}
    ours, definition = mid_training(rng, **{name: normal(rng, dtype, *size) for name, size in names.items()})
    params = definition.params
    relu, dropout = ReLU(), Dropout(p)
    batchnorm = BatchNorm1d(params["scale"], params["shift"], np.zeros(emb_dim, dtype), np.ones(emb_dim, dtype))
    layer = Linear(params["weight"], params["bias"])
    x = dropout.forward(batchnorm.forward(relu.forward(before), training=True), training=True, key=(seed, 0, 1, 2))
    mask, kept = Mask(dropout.kept, np.dtype(dtype).type(dropout.scale)), Kept(before, *batchnorm.kept)

    layer.forward(x)
    grad_x = layer.backward(grad_z)
    answer = relu.backward(batchnorm.backward(dropout.backward(grad_x)))
    of_linear, of_scale = (
        (trained(ours, "weight"), trained(ours, "bias")),
        (trained(ours, "scale"), trained(ours, "shift")),
    )
    grad_input = bottleneck_backward(grad_z, *of_linear, kept, mask, *of_scale, next_rates(ours))
    size = (
        np.abs(grad_z).max()
        * np.abs(layer.params["weight"]).max()
        * hidden_dim
        * (np.abs(params["scale"]) * kept.inv_std)
    )
    assert_near(grad_input, answer, size=5 * mask.scale * size.max())
    definition.step({**layer.grads, "scale": batchnorm.grads["weight"], "shift": batchnorm.grads["bias"]})
    assert_same_state(ours, definition)


@st.composite
def normalize_shapes(draw):
    return draw(st.integers(2, 9)), draw(
        st.integers(1, 9)
        | st.sampled_from(
            [edge for n in (1, 2, normalize_module.MOST_BLOCKS, 25) for edge in around(n * normalize_module.LINE)]
        )
    )


def relu_input(rng, dtype, batch, features):
    """Multiples of 1/8, with exact sums, so that small variances are 0; with dead and constant columns."""
    x = (rng.integers(-16, 17, (batch, features)) / 8).astype(dtype)
    kind = rng.integers(5, size=features)
    x[:, kind == 0] = -1
    x[:, kind == 1] = 1.125
    return x


def normalizer(layer: BatchNorm1d, dtype) -> Normalizer:
    """The kernel's view of a layer, with copies of the arrays that a forward changes."""
    number = np.dtype(dtype).type
    buffers = {name: array.copy() for name, array in layer.buffers.items()}
    return Normalizer(**layer.params, **buffers, eps=number(layer.eps), momentum=number(layer.momentum))


@both_dtypes
@few_examples
@given(shape=normalize_shapes(), p=st.sampled_from([0.0, 0.3, 0.5]), seed=seeds)
def test_normalize_is_relu_batchnorm_dropout(dtype, shape, p, seed):
    batch, features = shape
    rng = np.random.default_rng(seed)
    x, grad_output = relu_input(rng, dtype, batch, features), normal(rng, dtype, batch, features)
    weight, bias, mean = (normal(rng, dtype, features) for _ in range(3))
    ours, definition = mid_training(rng, weight=weight, bias=bias)
    relu, dropout = ReLU(), Dropout(p)
    batchnorm = BatchNorm1d(**definition.params, running_mean=mean, running_var=mean * mean)
    norm = normalizer(batchnorm, dtype)._replace(**ours.params)

    answer = dropout.forward(batchnorm.forward(relu.forward(x), training=True), training=True, key=(seed, 0, 1, 2))
    mask = Mask(dropout.kept, np.dtype(dtype).type(dropout.scale))
    x_hat_of_layer, inv_std_of_layer = batchnorm.kept
    output, kept = normalize(x, mask, norm)
    assert_near(output, answer, size=10)
    assert_near(kept.x_hat, x_hat_of_layer, size=10)
    assert_near(kept.inv_std, inv_std_of_layer)
    assert_near(norm.running_mean, batchnorm.buffers["running_mean"])
    assert_near(norm.running_var, batchnorm.buffers["running_var"])

    answer = relu.backward(batchnorm.backward(dropout.backward(grad_output)))
    rates = next_rates(ours)
    grad_x = grad_output.copy()
    normalize_backward(grad_x, kept, mask, trained(ours, "weight"), trained(ours, "bias"), rates)
    # of two rows the terms cancel, but for the rounding of each
    size = np.abs(grad_output).max(axis=0) * np.abs(weight) * kept.inv_std * mask.scale
    np.testing.assert_allclose(grad_x - answer, 0, atol=5 * ROUNDING[dtype] * size.max())
    assert ((x <= 0) <= (grad_x == 0)).all()
    definition.step(batchnorm.grads)
    assert_same_state(ours, definition)


@both_dtypes
@few_examples
@given(n_users=st.integers(0, 9), features=st.integers(1, 9), seed=seeds)
def test_normalize_eval_is_relu_and_batchnorm_in_evaluation(dtype, n_users, features, seed):
    rng = np.random.default_rng(seed)
    x = relu_input(rng, dtype, n_users, features)
    weight, bias, mean = (normal(rng, dtype, features) for _ in range(3))
    layer = BatchNorm1d(weight, bias, mean, mean * mean)
    answer = layer.forward(ReLU().forward(x), training=False)
    normalize_eval(x, normalizer(layer, dtype))
    # where the running variance is small, scale and shift are large and cancel
    assert_near(x, answer, size=10 + 10 * np.abs(weight / np.sqrt(mean * mean + layer.eps)).max())


OUTPUT_EDGES = sorted(
    {
        *around(2 * output_module.LEAST),
        *around(output_module.PARTS * output_module.LEAST),
        *around(output_module.PARTS * output_module.TILE),
    }
)


def no_numbers(dtype):
    """The log_z that `output_tile` takes under BCE, and the confidence of likes that all count 1."""
    return np.empty(0, dtype)


def check_output_tile(dtype, user_items, hidden_dim, bias_of_items, seed, of_loss):
    batch, n_items = user_items.shape
    rng = np.random.default_rng(seed)
    h2 = normal(rng, dtype, batch, hidden_dim)
    bias = np.resize(bias_of_items, n_items).astype(dtype)
    ours, definition = mid_training(rng, weight=normal(rng, dtype, n_items, hidden_dim), bias=bias)
    layer = Linear(**definition.params)
    multinomial = isinstance(of_loss, Multinomial)
    item_users = user_items.tocsc()

    weight, bias, rates = trained(ours, "weight"), trained(ours, "bias"), next_rates(ours)
    log_z = log_normalizer(weight.weight, bias.weight, h2) if multinomial else no_numbers(dtype)
    negative_weight = getattr(of_loss, "negative_weight", 1.0)
    confidence = no_numbers(dtype)
    if isinstance(of_loss, (ConfidenceBCE, ConfidenceMultinomial)):
        confidence = item_users.data
    targets = Targets(item_users.indptr, item_users.indices, confidence, log_z, negative_weight)
    loss, grad_h2 = output_tile(weight, bias, h2, targets, rates)
    logits = layer.forward(h2)
    answer = of_loss.forward(logits, user_items)
    # In float32 each log(1 + exp(-|z|)) is exact to a rounding of 1 + exp(-|z|), not of itself; and each log_p to one
    # of the logit and of log_z.
    largest = float(np.abs(logits).max()) if multinomial else 1
    rounding = float(np.finfo(dtype).eps) * logits.size * max(1, largest)
    assert loss == pytest.approx(answer, rel=ROUNDING[dtype], abs=rounding)

    grad_logits = of_loss.backward()
    # A liked item's is 1 less than a probability, and near 0 exact only to a rounding of 1.
    size = (np.abs(grad_logits) + user_items.toarray()).sum(axis=1).max() * np.abs(layer.params["weight"]).max()
    assert_near(grad_h2, layer.backward(grad_logits), size=size)
    definition.step(layer.grads)
    assert_same_state(ours, definition)


@both_dtypes
@few_examples
@given(
    user_items=batches(max_items=2 * output_module.PARTS + 1),
    hidden_dim=st.integers(1, 6),
    bias=st.sampled_from([[0.0], [-10.0], [-10.0, 5.0], [-60.0, 60.0], [-200.0, 0.0, 200.0]]),
    negative_weight=st.sampled_from([1.0, 0.3]),
    seed=seeds,
)
def test_output_tile_is_linear_and_sigmoid_bce(dtype, user_items, hidden_dim, bias, negative_weight, seed):
    check_output_tile(dtype, user_items, hidden_dim, bias, seed, WeightedBCE(negative_weight))


@both_dtypes
@pytest.mark.parametrize("n_items", OUTPUT_EDGES)
def test_output_tile_at_the_edges_of_parts_and_tiles(dtype, n_items):
    user_items = random_csr(np.random.default_rng(n_items), 3, n_items, 0.1)
    check_output_tile(dtype, user_items, 2, [-10.0, 1.0, 0.0], n_items, SigmoidBCE())


@both_dtypes
@few_examples
@given(
    user_items=batches(max_items=2 * output_module.PARTS + 1),
    hidden_dim=st.integers(1, 6),
    bias=st.sampled_from([[0.0], [-10.0], [-10.0, 5.0], [1e4]]),
    seed=seeds,
)
def test_output_tile_is_linear_and_multinomial(dtype, user_items, hidden_dim, bias, seed):
    if bias == [1e4]:
        dtype = "float64"  # in float32 a logit of 10,000 is itself off by a thousandth
    check_output_tile(dtype, user_items, hidden_dim, bias, seed, Multinomial())


@both_dtypes
@few_examples
@given(
    user_items=batches(max_items=2 * output_module.PARTS + 1),
    hidden_dim=st.integers(1, 6),
    of_loss=st.sampled_from([ConfidenceBCE(1.0), ConfidenceBCE(0.3), ConfidenceMultinomial()]),
    seed=seeds,
)
def test_output_tile_weighs_likes(dtype, user_items, hidden_dim, of_loss, seed):
    confidence = np.random.default_rng(seed).uniform(0.1, 3, user_items.nnz).astype(dtype)
    weighted = sparse.csr_array((confidence, user_items.indices, user_items.indptr), user_items.shape)
    check_output_tile(dtype, weighted, hidden_dim, [-10.0, 5.0], seed, of_loss)


@pytest.mark.parametrize("n_items", OUTPUT_EDGES)
def test_multinomial_at_the_edges_of_parts_and_tiles(n_items):
    user_items = random_csr(np.random.default_rng(n_items), 3, n_items, 0.1)
    check_output_tile("float64", user_items, 2, [-10.0, 1.0, 0.0], n_items, Multinomial())


@both_dtypes
def test_output_tiles_product_of_a_tile_does_not_overflow(dtype):
    """At logits of 0 each factor is 2, the largest possible."""
    n_items, batch = output_module.PARTS * output_module.TILE, 2
    adam = Adam({"weight": np.zeros((n_items, 1), dtype), "bias": np.zeros(n_items, dtype)})
    item_users = random_csr(np.random.default_rng(0), batch, n_items, 0).tocsc()
    h2 = np.ones((batch, 1), dtype)
    rates = next_rates(adam)
    loss, _ = output_tile(
        trained(adam, "weight"),
        trained(adam, "bias"),
        h2,
        Targets(item_users.indptr, item_users.indices, no_numbers(dtype), no_numbers(dtype), 1.0),
        rates,
    )
    assert loss == pytest.approx(n_items * batch * np.log(2), rel=1e-12)


@both_dtypes
def test_output_tile_does_not_hide_nan(dtype):
    adam = Adam({"weight": np.ones((3, 1), dtype), "bias": np.zeros(3, dtype)})
    item_users = random_csr(np.random.default_rng(0), 2, 3, 1).tocsc()
    h2 = np.array([[1], [np.nan]], dtype)
    rates = next_rates(adam)
    loss, grad_h2 = output_tile(
        trained(adam, "weight"),
        trained(adam, "bias"),
        h2,
        Targets(item_users.indptr, item_users.indices, no_numbers(dtype), no_numbers(dtype), 1.0),
        rates,
    )
    assert np.isnan(loss) and np.isnan(grad_h2).any() and np.isnan(adam.params["weight"]).all()


# The task's; moments that decay fast; a second that decays as fast as the first; no momentum.
BETAS = [(0.9, 0.999), (0.5, 0.9), (0.9, 0.9), (0.0, 0.999)]


class LazyRows:
    """An embedding trained by the kernels as in `fused`: a row is updated when a batch contains its item."""

    def __init__(self, weight, lr=0.01, betas=(0.9, 0.999), eps=1e-8):
        self.adam = Adam({"weight": weight}, lr, betas, eps)
        self.rows = trained(self.adam, "weight")
        self.last_step = np.zeros(len(weight), np.int64)
        self.drift = DriftTable(self.adam)

    def step(self, user_items, grad_output):
        item_users = user_items.tocsc()
        items = np.flatnonzero(np.diff(item_users.indptr))
        catch_up(items, self.rows, self.last_step, self.drift.history(), self.rows.weight)
        self.adam.step_count += 1
        self.drift.advance()
        rates, blocks = rates_at(self.adam), balanced_blocks(item_users.indptr)
        history = self.drift.history()
        scatter_add(
            item_users.indptr, item_users.indices, grad_output, self.rows, self.last_step, history, rates, blocks
        )

    def flush(self):
        flush(self.rows, self.last_step, self.drift.history())


def dense_step(adam: Adam, user_items, grad_output):
    layer = SparseEmbedding(adam.params["weight"])
    layer.forward(user_items.astype(np.float64))
    layer.backward(grad_output.astype(np.float64))
    adam.step({"weight": layer.grads["weight"]})


def train_both(dtype, steps, betas, seed, n_items=6, last_items=0):
    """The kernels in `dtype` compared with dense Adam in float64; gradients are so small that eps matters.

    Item 0 is in no batch, item 1 only in the first, and item 2 in the first and the last.
    """
    rng = np.random.default_rng(seed)
    scale = np.array([1, 1e-4, 1e-8, 1e-12], dtype)  # of each feature's gradients
    weight = normal(rng, dtype, n_items, len(scale))
    ours, definition = LazyRows(weight.copy(), betas=betas), Adam({"weight": weight.astype(np.float64)}, betas=betas)
    for step in range(steps):
        liked = rng.random((5, n_items)) < 0.15
        liked[:, :3] = [False, step == 0, step in (0, steps - 1)]
        user_items = sparse.csr_array(liked.astype(np.float32))
        grad_output = normal(rng, dtype, 5, len(scale)) * scale
        ours.step(user_items, grad_output)
        dense_step(definition, user_items, grad_output)
    return weight, ours, definition


@both_dtypes
@pytest.mark.parametrize("betas", BETAS)
@pytest.mark.parametrize("steps", [1, 2, 60])
def test_rows_that_missed_steps_are_where_dense_adam_has_them(dtype, steps, betas):
    """In float64 up to rounding, and beyond the horizon of the fast-decaying betas (49 steps).

    In float32 the weights to 5e-6 of the largest movement and the rounding of 60 steps, the
    moments to 1e-5.
    """
    weight, ours, definition = train_both(dtype, steps, betas, seed=steps)
    np.testing.assert_array_equal(ours.rows.weight[0], weight[0])
    ours.flush()
    assert (ours.last_step == steps).all()
    np.testing.assert_array_equal(ours.rows.weight[0], weight[0])
    np.testing.assert_array_equal(ours.rows.first_moment[0], 0)

    answer = definition.params["weight"]
    moved = np.abs(answer - weight).max()
    tolerance = 1e-12 if dtype == "float64" else 5e-6 * moved + steps * np.spacing(np.abs(weight).max())
    np.testing.assert_allclose(ours.rows.weight, answer, rtol=0, atol=tolerance)
    relative = {"float64": 1e-12, "float32": 1e-5}[dtype]
    for name in ("first_moment", "second_moment"):
        answer = getattr(definition, name)["weight"]
        largest = np.abs(answer).max(axis=0)  # features differ in scale, and m may cancel
        np.testing.assert_allclose((getattr(ours.rows, name) - answer) / (largest + 1e-37), 0, atol=relative)


@both_dtypes
def test_catch_up_into_a_copy_leaves_the_rows_alone(dtype):
    _, ours, _ = train_both(dtype, 20, (0.9, 0.999), seed=1)
    before = [array.copy() for array in (*ours.rows, ours.last_step)]
    copy = np.full_like(ours.rows.weight, np.nan)
    catch_up(np.arange(1, len(copy)), ours.rows, ours.last_step, ours.drift.history(), copy)
    for array, was in zip((*ours.rows, ours.last_step), before):
        np.testing.assert_array_equal(array, was)
    assert np.isnan(copy[0]).all()
    ours.flush()
    np.testing.assert_array_equal(copy[1:], ours.rows.weight[1:])


def exact_movement(m, v, t0, history) -> np.ndarray:
    """The movement of a row under dense Adam after step t0 with gradients of 0, in float64."""
    m, v, moved = m.astype(np.float64), v.astype(np.float64), np.zeros(len(m))
    for s in range(t0 + 1, history.step + 1):
        m, v = m * history.beta1, v * history.beta2
        moved += history.step_size[s] * m / (np.sqrt(v) * history.inv_root[s] + history.eps)
    return moved


@both_dtypes
@pytest.mark.parametrize(
    ("betas", "missed"),
    [
        ((0.9, 0.999), 1),
        ((0.9, 0.999), 400),
        ((0.5, 0.9), 30),
        ((0.9, 0.9), 9),
        ((0.9, 0.9), 400),
        ((0.95, 0.9), 400),
        ((0.9, 0.0), 5),
        ((0.0, 0.9), 9),
    ],
)
@pytest.mark.parametrize("t0", [1, 30])
def test_the_drift_of_a_row_is_the_sum_of_its_steps(dtype, t0, betas, missed):
    """Relative to the movement, for every size of v: 2.5e-6 in float32 (1e-6 from the expansion, plus rounding)."""
    rng = np.random.default_rng(missed)
    v = (10.0 ** np.linspace(-30, 6, 73)).astype(dtype)  # (features,)
    m = (np.sqrt(v) * rng.uniform(-3, 3, len(v))).astype(dtype)
    ours = LazyRows(np.zeros((1, len(v)), dtype), betas=betas)
    for _ in range(t0 + missed):
        ours.adam.step_count += 1
        ours.drift.advance()
    ours.rows.first_moment[0], ours.rows.second_moment[0], ours.last_step[0] = m, v, t0

    weight = np.empty_like(ours.rows.weight)
    history = ours.drift.history()
    catch_up(np.array([0]), ours.rows, ours.last_step, history, weight)
    relative = {"float32": 2.5e-6, "float64": 1e-11}[dtype]  # 1e-12 of a movement lies beyond the horizon
    np.testing.assert_allclose(-weight[0], exact_movement(m, v, t0, history), rtol=relative)


def test_moments_do_not_decay_into_subnormals():
    ours = LazyRows(np.ones((1, 4), np.float32), betas=(0.5, 0.9))
    ours.rows.first_moment[0] = [1e-30, 1e-37, 1.0, 0.0]
    ours.rows.second_moment[0] = [1e-37, 1e-36, 1e-10, 0.0]
    for _ in range(40):
        ours.adam.step_count += 1
        ours.drift.advance()
    ours.flush()
    m, v = ours.rows.first_moment[0], ours.rows.second_moment[0]
    np.testing.assert_allclose(m, [0, 0, 0.5**40, 0], rtol=1e-6)
    np.testing.assert_allclose(v, [0, 0, 1e-10 * 0.9**40, 0], rtol=1e-5)


def check_top_n(dtype, liked, n, seed, levels=3):
    """Integers, so that scores are exact and many are equal."""
    n_users, n_items = liked.shape
    rng = np.random.default_rng(seed)
    h2, weight, bias = (
        rng.integers(-levels, levels + 1, shape).astype(dtype) for shape in [(n_users, 2), (n_items, 2), n_items]
    )
    items, scores = top_n(h2, weight, bias, liked.indptr, liked.indices, n)
    answer_items, answer_scores = top_n_of_scores(Linear(weight, bias).forward(h2), liked, n)
    np.testing.assert_array_equal(items, answer_items)
    np.testing.assert_array_equal(scores, answer_scores)
    assert items.dtype == np.int32 and scores.dtype == np.dtype(dtype)


@both_dtypes
@few_examples
@given(liked=batches(max_items=20), n=st.integers(1, 25), seed=seeds)
def test_top_n_is_top_n_of_scores(dtype, liked, n, seed):
    """With ties, with fewer than n items left, and with none left."""
    check_top_n(dtype, liked, n, seed)


@pytest.mark.parametrize("n_items", [*(n for tiles in (1, 2, 16) for n in around(tiles * top_n_module.TILE))])
def test_top_n_at_the_edges_of_tiles(n_items):
    check_top_n("float32", random_csr(np.random.default_rng(n_items), 2, n_items, 0.3), 10, n_items, levels=9)
    check_top_n("float32", random_csr(np.random.default_rng(n_items), 2, n_items, 0.99), 10, n_items)


@pytest.mark.parametrize("n_users", [0, 1, *around(BLOCK_SIZES[0]), *around(BLOCK_SIZES[-1]), 2 * BLOCK_SIZES[-1] + 1])
def test_top_n_at_the_edges_of_blocks(n_users):
    check_top_n("float32", random_csr(np.random.default_rng(n_users), n_users, 5, 0.3), 3, n_users)


@given(st.integers(1, 10**6))
def test_threads_can_share_the_tiles_of_items_evenly(n_items):
    tiles = top_n_module.tiles_of(n_items)
    assert -(-n_items // tiles) <= top_n_module.TILE
    assert tiles in (1, 2, 4, 8) or tiles % 16 == 0
    assert tiles == 1 or n_items // tiles >= top_n_module.TILE // 2


@pytest.mark.parametrize(("threads", "shares"), [(1, 1), (2, 2), (7, 4), (64, 8)])
def test_top_n_is_the_same_however_many_shares_the_items_are_divided_into(threads, shares, monkeypatch):
    """The number of shares depends on the number of threads."""
    monkeypatch.setattr(top_n_module, "kernel_threads", lambda: threads)
    n_items = 5 * top_n_module.TILE
    tiles = top_n_module.tiles_of(n_items)
    assert (top_n_module.shares(1, tiles, 10), top_n_module.shares(1000, tiles, 10)) == (shares, 1)
    check_top_n("float32", random_csr(np.random.default_rng(0), 3, n_items, 0.3), 10, seed=1, levels=9)
    check_top_n("float32", random_csr(np.random.default_rng(0), 3, n_items, 0.999), 10, seed=1)


def test_top_n_of_equal_scores_is_the_lower_item():
    n_items = top_n_module.TILE + 9
    liked = random_csr(np.random.default_rng(0), 1, n_items, 0)
    weight, bias = np.zeros((n_items, 1), np.float32), np.zeros(n_items, np.float32)
    bias[-1] = 1
    items, _ = top_n(np.ones((1, 1), np.float32), weight, bias, liked.indptr, liked.indices, 4)
    assert items.tolist() == [[n_items - 1, 0, 1, 2]]


@both_dtypes
@few_examples
@given(batches(max_items=90), st.integers(1, 3), st.sampled_from([2, 10**6]), seeds)
def test_ranks_of_sum_are_the_places_in_top_n_of_scores_of_the_weighted_sum(dtype, liked, n_models, levels, seed):
    """With and without ties, with liked items that are held out too, and with items excluded by their score."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels + 1, (n_models, *liked.shape)).astype(dtype) / 3
    scores[0, rng.random(liked.shape) < 0.1] = -np.inf
    weights = rng.choice([0.1, 1 / 3, 1, 7.7], (4, n_models))
    held_out = sparse.csr_array((rng.random(liked.shape) < 0.3).astype(dtype))
    of_liked, of_held_out = (liked.indptr, liked.indices), (held_out.indptr, held_out.indices)
    ranks, any_nan = ranks_of_sum(scores, weights.astype(dtype), of_liked, of_held_out)
    assert ranks.shape == (4, held_out.nnz) and ranks.dtype == np.int32 and not any_nan
    users, items = held_out.nonzero()
    for of_sum, each in zip(ranks, weights):
        order, _ = top_n_of_scores(weighted_sum(scores, each), liked, liked.shape[1])
        for rank, user, item in zip(of_sum.tolist(), users, items):
            place = np.flatnonzero(order[user] == item)
            assert rank == (place[0] if len(place) else liked.shape[1])


@pytest.mark.parametrize("where", [(0, 0, 0), (1, 2, 4)])
def test_ranks_of_sum_see_a_nan_of_any_model_and_of_a_liked_item(where):
    scores, liked = np.ones((2, 3, 5), np.float32), random_csr(np.random.default_rng(0), 3, 5, 1.0)
    scores[where] = np.nan
    pairs = liked.indptr, liked.indices
    assert ranks_of_sum(scores, np.ones((1, 2), np.float32), pairs, pairs)[1]


@njit
def exps(x):
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = exp_of_negative(x[i])
    return out


@needs_jit
def test_exp_of_negative_is_exact_to_1_ulp():
    """Every 257th of the 1.1 billion float32 in [-87, 0]; 257 is prime, so all bit patterns occur among them."""
    last = np.float32(87).view(np.int32)
    x = -np.arange(0, last + 1, 257, dtype=np.int32).view(np.float32)
    x = np.concatenate([x, np.float32([0.0, -0.0, -87.0]), np.linspace(-87, 0, 100_001, dtype=np.float32)])
    exact = np.exp(x.astype(np.float64))
    ours = exps(x)
    assert ours.dtype == np.float32
    ulps = np.abs(ours - exact) / np.spacing(exact.astype(np.float32))
    assert ulps.max() <= 1
    assert (ours <= 1).all() and ours[x == 0].min() == 1


@needs_jit
def test_exp_of_negative_below_87_is_never_subnormal():
    x = np.float32([-87, np.nextafter(np.float32(-87), np.float32(-88)), -88, -103.9, -1e30, -np.inf])
    np.testing.assert_allclose(exps(x), np.exp(-87.0), rtol=2e-7)
    assert (exps(x) >= np.finfo(np.float32).tiny).all()


def test_exp_of_negative_keeps_nan_and_is_the_c_librarys_in_float64():
    assert np.isnan(exps(np.float32([np.nan]))).all()
    x = np.concatenate([-np.geomspace(1e-300, 800, 1000), [0.0, -0.0, -np.inf]])
    np.testing.assert_allclose(exps(x), np.exp(x), rtol=3e-16)


@needs_jit
def test_a_kernel_is_compiled_without_the_lock_and_fuses_but_does_not_reorder():
    options = adam_rows.targetoptions
    assert options["nogil"] and options["fastmath"] == {"contract"}


def test_another_error_of_numbas_is_not_hidden(monkeypatch):
    def broken(**options):
        raise RuntimeError("LLVM is not well")

    monkeypatch.setattr(autoenc.kernels.jit, "njit", broken)
    with pytest.raises(RuntimeError, match="LLVM is not well"):
        kernel(lambda x: x)


@pytest.mark.parametrize("path", sorted((ROOT / "kernels").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_the_definitions_that_a_kernel_names_are_there(path):
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    for name in re.findall(r"\bautoenc(?:\.\w+)+", doc):
        pkgutil.resolve_name(name)


@needs_jit
def test_without_a_cache_folder_there_is_one_warning(tmp_path):
    """If neither __pycache__ nor the user's cache folder can be created, kernels are still compiled, in memory."""
    (tmp_path / "autoenc").mkdir()
    for name in ("__init__.py", "machine.py"):
        shutil.copy(ROOT / "autoenc" / name, tmp_path / "autoenc")
    shutil.copytree(ROOT / "kernels", tmp_path / "autoenc" / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for blocked in (tmp_path / "autoenc" / "kernels" / "__pycache__", tmp_path / "file"):
        blocked.write_text("where a folder would be")
    code = """
import numpy as np
from autoenc.kernels.gather_sum import gather_sum
from autoenc.kernels.exp import exp_of_negative
from autoenc.kernels.output_tile import add_to
x = np.ones((1, 1))
add_to(x, x)
print(x[0, 0])
"""
    nowhere = str(tmp_path / "file" / "folder")
    folders = dict.fromkeys(("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "USERPROFILE"), nowhere)
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=tmp_path,
        env={**os.environ, **folders, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "2.0\n", done.stderr
    assert done.stderr.count("RuntimeWarning") == 1
    assert "numba finds no writable cache folder" in done.stderr and "set NUMBA_CACHE_DIR" in done.stderr
