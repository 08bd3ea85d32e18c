"""A wrong call of a layer raises one sentence and leaves the layer unchanged; repr shows its shapes."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
from scipy import sparse

from autoenc import layers
from autoenc.gradcheck import CASES
from autoenc.layers import (
    BatchNorm1d,
    Dropout,
    GaussianSample,
    InputDropout,
    InputNormalization,
    Linear,
    MaskedSquaredError,
    ReLU,
    SigmoidBCE,
    SoftBCE,
    SparseEmbedding,
)
from autoenc.safeguards import constructor_arguments

SINGLE = [name for name in CASES if not name.endswith("network")]
LIKES = sparse.csr_array(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
X = np.array([[1.0, -2.0, 3.0], [0.5, 2.0, -1.0]])


def a_case(name):
    return CASES[name](np.random.default_rng(0))


def upstream_for(output):
    return [] if np.ndim(output) == 0 else [np.ones_like(output)]


def a_linear():
    return Linear(np.ones((4, 3)), np.zeros(4))


def a_batchnorm():
    return BatchNorm1d(np.ones(3), np.zeros(3), np.zeros(3), np.ones(3))


def frozen(layer):
    """All that a layer holds, as bytes."""
    return pickle.dumps({name: value for name, value in vars(layer).items() if name != "_output_shape"})


@pytest.mark.parametrize("name", SINGLE)
def test_backward_needs_a_forward_of_its_own(name):
    layer, *args = a_case(name)
    output = layer.forward(*args)
    layer.backward(*upstream_for(output))
    before = frozen(layer)
    with pytest.raises(ValueError, match=f"{type(layer).__name__}.backward needs what forward keeps in training; call"):
        layer.backward(*upstream_for(output))
    assert frozen(layer) == before
    fresh, *_ = a_case(name)
    with pytest.raises(ValueError, match="call forward before each backward"):
        fresh.backward(*upstream_for(output))


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (
            lambda: a_linear().forward(X[:, :2]),
            ValueError,
            r"Linear.forward: x must have shape \(batch, 3\), got \(2, 2\)",
        ),
        (lambda: a_linear().forward(X[0]), ValueError, r"x must have shape \(batch, 3\), got \(3,\)"),
        (lambda: ReLU().forward(X[0]), ValueError, r"ReLU.forward: x must have shape \(batch, features\), got \(3,\)"),
        (lambda: a_batchnorm().forward(X[:, :1], True), ValueError, r"x must have shape \(batch, 3\), got \(2, 1\)"),
        (lambda: a_linear().forward(X.tolist()), TypeError, "x must be a NumPy array of floats, got list"),
        (lambda: ReLU().forward(X.astype(int)), TypeError, "x must be an array of floats, got int64; convert it with"),
        (lambda: ReLU().forward(X.astype(str)), TypeError, "x must be an array of floats, got <U32"),
        (
            lambda: SparseEmbedding(np.ones((4, 2))).forward(LIKES),
            ValueError,
            r"SparseEmbedding.forward: user_items must have shape \(batch, 4\), got \(2, 3\)",
        ),
        (
            lambda: SparseEmbedding(np.ones((3, 2))).forward([[0, 2], [1]]),
            TypeError,
            r"user_items must be a scipy.sparse.csr_array with one row per user and one column per item, got list$",
        ),
        (
            lambda: InputDropout(0.5).forward(LIKES.tocsc(), True, (0, 0, 0, 0)),
            TypeError,
            r"per item, got csc_array; convert it with scipy.sparse.csr_array\(user_items\)",
        ),
        (
            lambda: SigmoidBCE().forward(np.zeros((3, 3)), LIKES),
            ValueError,
            r"SigmoidBCE.forward: user_items must have shape \(3, 3\), got \(2, 3\)",
        ),
        (
            lambda: SigmoidBCE().forward(X, LIKES.toarray()),
            TypeError,
            "user_items must be a scipy.sparse.csr_array with",
        ),
        (
            lambda: MaskedSquaredError().forward(X, LIKES[:1]),
            ValueError,
            r"ratings must have shape \(2, 3\), got \(1, 3\)",
        ),
        (lambda: SoftBCE().forward(X, X[:1]), ValueError, r"targets must have shape \(2, 3\), got \(1, 3\)"),
        (
            lambda: InputNormalization(np.zeros(3)).forward(X, np.array([1, 2, 3])),
            ValueError,
            r"n_likes must have shape \(2,\), got \(3,\)",
        ),
        (
            lambda: Dropout(0.5).forward(X, training=True),
            ValueError,
            r"Dropout.forward draws random numbers in training and needs key=\(seed, epoch, step, layer\), .* got None",
        ),
        (lambda: InputDropout(0.5).forward(LIKES, True, (1, 2)), ValueError, r"four whole numbers, got \(1, 2\)"),
        (
            lambda: GaussianSample(1.0).forward(X, True, (0, 0, 0, 1)),
            ValueError,
            "takes a mean and a log_var per feature, so an even number of columns, got 3",
        ),
    ],
)
def test_a_wrong_argument_is_named(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


@pytest.mark.parametrize("name", SINGLE)
def test_a_refused_forward_leaves_the_layer_as_it_was(name):
    layer, *args = a_case(name)
    layer.forward(*args)
    before = frozen(layer)
    with pytest.raises((TypeError, ValueError)):
        layer.forward([[1.0]], *args[1:])
    assert frozen(layer) == before


@pytest.mark.parametrize("name", [name for name in SINGLE if np.ndim(a_case(name)[0].forward(*a_case(name)[1:]))])
def test_a_refused_backward_can_be_called_again(name):
    layer, *args = a_case(name)
    upstream = np.random.default_rng(1).standard_normal(layer.forward(*args).shape)
    before = frozen(layer)
    for wrong, error in (
        (upstream[:-1], ValueError),
        (upstream.tolist(), TypeError),
        (upstream.astype(int), TypeError),
    ):
        with pytest.raises(error, match=f"{type(layer).__name__}.backward: grad_output must"):
            layer.backward(wrong)
        assert frozen(layer) == before
    layer.backward(upstream)
    assert layer.kept is None


def test_a_failure_within_forward_or_backward_is_undone(monkeypatch):
    batchnorm = a_batchnorm()
    batchnorm.forward(X, training=True)
    before = frozen(batchnorm)
    large = np.full((2, 3), 1e200) * [[1], [-1]]
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        batchnorm.forward(large, training=True)
    assert frozen(batchnorm) == before
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        batchnorm.backward(np.full((2, 3), 1e308))
    assert frozen(batchnorm) == before


def test_arguments_may_be_named():
    linear = a_linear()
    linear.forward(x=X, training=True)
    assert linear.backward(grad_output=np.ones((2, 4))).shape == (2, 3)
    with pytest.raises(TypeError, match="x must be a NumPy array of floats, got list"):
        linear.forward(x=X.tolist())
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        linear.forward()
    linear.forward(X)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'grad_output'"):
        linear.backward()
    assert linear.kept is X


def test_an_evaluation_between_changes_nothing_for_backward():
    linear = a_linear()
    linear.forward(X)
    linear.forward(X[:1], training=False)
    with pytest.raises(ValueError, match=r"must have shape \(2, 4\), got \(1, 4\)"):
        linear.backward(np.ones((1, 4)))
    assert linear.backward(np.ones((2, 4))).shape == (2, 3)


@pytest.mark.parametrize("name", SINGLE)
def test_a_layer_is_made_again_from_what_it_shows(name):
    layer, *args = a_case(name)
    arguments = constructor_arguments(layer)
    assert list(arguments) == list(inspect.signature(type(layer)).parameters)
    np.testing.assert_array_equal(type(layer)(**arguments).forward(*args), layer.forward(*args))


def test_how_layers_are_shown():
    assert repr(ReLU()) == "ReLU()"
    assert repr(Dropout(0.3)) == "Dropout(p=0.3)"
    assert repr(a_linear()) == "Linear(weight: (4, 3) float64, bias: (4,) float64)"
    assert repr(a_batchnorm()).endswith("running_var: (3,) float64, eps=1e-05, momentum=0.1)")
    network, *_ = a_case("network")
    lines = repr(network).splitlines()
    assert lines[:2] == ["AutoEncoderNetwork(", "    embedding: SparseEmbedding(weight: (9, 6) float64)"]
    assert lines[-1] == ")"


@pytest.mark.parametrize("name", layers.__all__)
def test_every_layer_is_guarded_and_keeps_its_source(name):
    layer = getattr(layers, name)
    assert layer.forward.__code__.co_name == "checked_forward"
    assert inspect.getsource(layer.forward).lstrip().startswith("def forward(self")
