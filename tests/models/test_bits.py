"""The same seed gives the same bits with any number of threads, in any Python thread, for every model."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from autoenc import EASE, ELSA, AutoEncoder, Blend, ItemKNN
from autoenc.datasets.synthetic import synthetic
from autoenc.interactions import carrying
from autoenc.models.rating_predictor import RatingPredictor
from autoenc.models.registry import MODELS
from tests.helpers import ROOT

LIKES = synthetic(400, 1500, 8000).user_items  # BLAS would share products of this size among its threads
SHORT = {"epochs": 1, "random_state": 0}


def new_models():
    """One of each, and the task's on its other backend."""
    yield AutoEncoder(backend="numpy", **SHORT)
    for model in MODELS.values():
        if model is Blend:
            yield Blend([AutoEncoder(emb_dim=64, hidden_dim=48, **SHORT), ELSA(**SHORT), EASE()], weights=[1, 2, 10])
        else:
            yield model(**(SHORT if hasattr(model, "epochs") else {}))


def answers_of(model) -> str:
    arrays = [model.score(LIKES), *model.recommend(LIKES, N=5), *model.explain(LIKES[:1], 7)]
    if hasattr(model, "user_embedding"):
        arrays.append(model.user_embedding(LIKES))
    return digest(arrays)


def digest(arrays) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:16]


def digests() -> list[str]:
    """Of each model: what it learned, and what it answers."""
    found = []
    for model in new_models():
        model.fit(LIKES)
        found += [digest(array for _, array in sorted(model._arrays().items())), answers_of(model)]
    rng = np.random.default_rng(0)
    weighted = carrying(LIKES, rng.integers(0, 10**8, LIKES.nnz), rng.lognormal(0, 1, LIKES.nnz))
    for model in (EASE(half_life=90), ItemKNN(), AutoEncoder(half_life=90, **SHORT)):
        model.fit(weighted)
        found += [digest(array for _, array in sorted(model._arrays().items())), digest([model.score(weighted)])]
    ratings = LIKES * 3
    found.append(digest([RatingPredictor(epochs=1).fit(ratings).predict(ratings).data]))
    return found


def digests_with(numba_threads, blas_threads):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "NUMBA_NUM_THREADS": str(numba_threads),
        "OPENBLAS_NUM_THREADS": str(blas_threads),
        "OMP_WAIT_POLICY": "passive",
    }
    code = f"import {__name__} as t; print(*t.digests())"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def here():
    with threadpool_limits(1, user_api="blas"):
        return digests()


def test_the_same_bits_with_other_numbers_of_threads(here):
    assert digests_with(3, 4) == here


@pytest.mark.long
@pytest.mark.parametrize("blas_threads", [1, 2, 4])
@pytest.mark.parametrize("numba_threads", [1, 2, 3, 4])
def test_the_same_bits_with_any_number_of_threads(here, numba_threads, blas_threads):
    assert digests_with(numba_threads, blas_threads) == here


@pytest.mark.parametrize("model", list(new_models()), ids=lambda model: type(model).__name__)
def test_any_python_thread_gets_the_same_bits(model):
    """Not only the one that was the first to limit BLAS's threads, whom alone threadpoolctl obeys by itself."""
    model.fit(LIKES)
    expected = answers_of(model)
    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: answers_of(model), range(4))) == [expected] * 4
