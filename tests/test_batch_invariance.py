"""A user's results are the same bits whatever else is in the batch, for every model and on every BLAS kernel.

BLAS chooses its kernel when the process starts, so this file runs itself with others.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from autoenc import (
    EASE,
    EDLAE,
    ELSA,
    IALS,
    AutoEncoder,
    Blend,
    DeepRecommender,
    DenoisingAutoEncoder,
    ItemKNN,
    MultVAE,
    Popular,
)
from autoenc.batch_invariant import SIZES, by_fixed_rows
from autoenc.datasets.synthetic import synthetic
from autoenc.evaluation.ranking import rank
from autoenc.models.rating_predictor import RatingPredictor

N_USERS = 1000
TOGETHER = (1, 5, 37, 100, 128)
SHORT = {"epochs": 1, "random_state": 0}
MODELS = [
    AutoEncoder(**SHORT),
    AutoEncoder(emb_dim=16, hidden_dim=8, **SHORT),
    AutoEncoder(backend="numpy", **SHORT),
    DenoisingAutoEncoder(**SHORT),
    MultVAE(**SHORT),
    DeepRecommender(**SHORT),
    ELSA(**SHORT),
    IALS(**SHORT),
    IALS(emb_dim=8, backend="numpy", **SHORT),
    EASE(),
    EDLAE(),
    ItemKNN(),
    Popular(),
    Blend([AutoEncoder(emb_dim=64, hidden_dim=48, **SHORT), ELSA(**SHORT), EASE()], weights=[1, 2, 10]),
]


@pytest.fixture(scope="module")
def likes():
    return synthetic(N_USERS, 1500, 30_000).user_items


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_nobody_changes_anothers_bits(model, likes):
    model.fit(likes)
    items, scores = model.recommend(likes, N=10)
    all_scores = model.score(likes)
    for n in TOGETHER:
        few = slice(0, 4 * n)  # some calls of n users are enough
        parts = [model.recommend(likes[start : start + n], N=10) for start in range(0, 4 * n, n)]
        np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), items[few])
        np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), scores[few])
        scored = np.concatenate([model.score(likes[start : start + n]) for start in range(0, 4 * n, n)])
        np.testing.assert_array_equal(scored, all_scores[few])
    for users, _, batch_scores in rank(model, likes, 10, batch_size=333):
        np.testing.assert_array_equal(batch_scores, scores[users])


def test_user_embeddings_and_predicted_ratings(likes):
    model = MultVAE(**SHORT).fit(likes)
    together = model.user_embedding(likes)
    np.testing.assert_array_equal(model.user_embedding(likes[5:8]), together[5:8])
    ratings = likes * 3
    predictor = RatingPredictor(epochs=1).fit(ratings)
    np.testing.assert_array_equal(predictor.predict(ratings[5:8]), predictor.predict(ratings)[5:8])


NARROW = [
    AutoEncoder(emb_dim=32, hidden_dim=16, **SHORT),
    AutoEncoder(emb_dim=8, hidden_dim=200, **SHORT),
    AutoEncoder(emb_dim=3, hidden_dim=1, **SHORT),
    MultVAE(hidden_dim=600, latent_dim=10, **SHORT),
    MultVAE(hidden_dim=600, latent_dim=1, **SHORT),
    DenoisingAutoEncoder(hidden_dim=512, backend="numpy", **SHORT),
    ELSA(emb_dim=512, **SHORT),
    IALS(emb_dim=32, **SHORT),
    IALS(emb_dim=1, **SHORT),
]


@pytest.mark.parametrize("n_items", [2, 8, 15])
@pytest.mark.parametrize("model", NARROW, ids=repr)
def test_nobody_changes_anothers_bits_where_products_are_narrow(model, n_items):
    """BLAS has other kernels for small products and for vectors."""
    liked = np.random.default_rng(0).random((400, n_items)) < 0.5
    likes = sparse.csr_array(liked.astype(np.float32))
    model.fit(likes)
    scores, (items, best) = model.score(likes), model.recommend(likes, N=3, filter_already_liked_items=False)
    for first, last in [(0, 0), (0, 1), (3, 13), (190, 290), (37, 400)]:
        part = likes[first:last]
        np.testing.assert_array_equal(model.score(part), scores[first:last])
        part_items, part_best = model.recommend(part, N=3, filter_already_liked_items=False)
        np.testing.assert_array_equal(part_items, items[first:last])
        np.testing.assert_array_equal(part_best, best[first:last])


shapes = st.sampled_from(
    [
        *((3, 7), (33, 64), (70, 5), (64, 33), (256, 400), (400, 800), (700, 1001)),
        *((600, 10), (600, 24), (512, 15), (400, 16), (700, 9), (100, 1), (1, 9)),
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2 * SIZES[-1] + 1), shapes, st.sampled_from(["float32", "float64"]))
def test_fixed_rows_of_a_product(n_users, shape, dtype):
    """Whatever the sizes of the calls: for small products there is only one size."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((n_users, shape[0])).astype(dtype), rng.standard_normal(shape).astype(dtype)

    def product(rows):
        return by_fixed_rows(lambda rows: rows @ b, rows, weights=[b])

    together = product(a)
    assert together.shape == (n_users, shape[1]) and together.dtype == a.dtype
    np.testing.assert_allclose(together, a @ b, rtol=1e-3, atol=1e-4)
    for first, last in [(0, 1), (n_users // 2, n_users // 2 + 20), (n_users // 3, n_users), (7, 70)]:
        np.testing.assert_array_equal(product(a[first:last]), together[first:last])


def run_under(environment):
    """Run this file's tests in a process whose BLAS or numba targets another processor; skip if that is impossible."""
    code = "import numpy, threadpoolctl; print([i.get('architecture') for i in threadpoolctl.threadpool_info()])"
    env = {**os.environ, **environment}
    wanted = environment.get("OPENBLAS_CORETYPE")
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    if wanted and (
        found.returncode != 0 or wanted.replace("Zen", "Haswell") not in found.stdout.replace("Zen", "Haswell")
    ):
        pytest.skip(f"this NumPy's BLAS can't be {wanted} here: {found.stdout}")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", "not another", __file__]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.long
@pytest.mark.parametrize("core", ["Haswell", "Zen", "SkylakeX", "Sandybridge"])
def test_on_another_kernel_of_blas(core):
    run_under({"OPENBLAS_CORETYPE": core})


@pytest.mark.long
@pytest.mark.parametrize("processor", ["haswell", "nehalem"])
def test_on_another_processor_of_numbas(processor, tmp_path):
    run_under(
        {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": features_of(processor), "NUMBA_CACHE_DIR": str(tmp_path)}
    )


def features_of(processor):
    older = "+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt"
    return {"nehalem": older, "haswell": f"{older},+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+lzcnt,+movbe"}[processor]
