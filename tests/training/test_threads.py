"""The same bits with any number of threads, and thread limits that are restored."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_info, threadpool_limits

from autoenc.kernels import output_tile
from autoenc.layers import Multinomial, SigmoidBCE
from autoenc.machine import compute_threads
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.training.trainer import Trainer
from tests.helpers import ROOT
from tests.helpers.child import run

MOST = numba.config.NUMBA_NUM_THREADS

# Sizes that no block, tile or part divides, and more than one of each.
N_USERS, N_ITEMS = 301, output_tile.PARTS * output_tile.TILE + 101
EMB_DIM, HIDDEN_DIM, BATCH_SIZE = 37, 61, 137

at_two_threads = pytest.mark.skipif(MOST < 2, reason="numba's pool has one thread on this machine")


def digest_of_training(threads, backend="numba", loss=SigmoidBCE) -> str:
    """A hash of all the bits of a training and of a ranking by it."""
    rng = np.random.default_rng(0)
    popularity = np.minimum(0.5, 5 / np.arange(1, N_ITEMS + 1))
    user_items = sparse.csr_array((rng.random((N_USERS, N_ITEMS)) < popularity).astype(np.float32))
    network = AutoEncoderNetwork(initial_state(N_ITEMS, EMB_DIM, HIDDEN_DIM), loss=loss())
    trainer = Trainer(network, epochs=2, batch_size=BATCH_SIZE, backend=backend, threads=threads).fit(user_items)
    arrays = [*network.state.values(), *trainer.adam.first_moment.values(), *trainer.adam.second_moment.values()]
    with compute_threads(threads):
        arrays += [trainer.engine.score(user_items)]
        if backend == "numba":
            arrays += trainer.engine.top_n(user_items, 10)
    return hashlib.sha256(
        b"".join(np.ascontiguousarray(array).tobytes() for array in [*arrays, trainer.loss])
    ).hexdigest()


def blas_threads() -> set[int]:
    """How many threads each BLAS that is loaded would take: NumPy's and SciPy's may be two."""
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@at_two_threads
@pytest.mark.parametrize("loss", [SigmoidBCE, Multinomial])
def test_the_same_bits_at_1_and_2_threads(loss):
    assert digest_of_training(1, loss=loss) == digest_of_training(2, loss=loss)


def test_the_same_bits_at_1_to_16_threads_whatever_the_processors():
    code = f"import {__name__} as t; print(*(t.digest_of_training(n) for n in (1, 2, 3, 4, 8, 16)))"
    environment = os.environ | {"NUMBA_NUM_THREADS": "16", "OMP_WAIT_POLICY": "passive"}
    assert run(code, environment=environment).split() == [digest_of_training(1)] * 6


def test_the_numpy_backend_has_the_same_bits_whatever_blas_would_take():
    digests = set()
    for outside in (1, 2):
        with threadpool_limits(outside, user_api="blas"):
            digests.add(digest_of_training(None, "numpy"))
            assert blas_threads() == {outside}
    assert len(digests) == 1


def test_one_network_answers_several_threads_at_once():
    """Evaluation keeps nothing in the layers, so that no thread sees what another one asks."""
    user_items = sparse.csr_array((np.random.default_rng(0).random((64, N_ITEMS)) < 0.05).astype(np.float32))
    network = AutoEncoderNetwork(initial_state(N_ITEMS, EMB_DIM, HIDDEN_DIM))
    with compute_threads(), ThreadPoolExecutor(8) as pool:
        alone = [network.score(user_items[u : u + 8]) for u in range(56)]
        together = list(pool.map(lambda u: network.score(user_items[u : u + 8]), list(range(56)) * 4))
    for u, scores in enumerate(together):
        np.testing.assert_array_equal(scores, alone[u % 56])


def test_blas_has_one_thread_inside_and_its_own_number_after():
    with threadpool_limits(2, user_api="blas"):
        with compute_threads():
            assert blas_threads() == {1}
            with compute_threads():
                assert blas_threads() == {1}
            assert blas_threads() == {1}
        assert blas_threads() == {2}
        with pytest.raises(ZeroDivisionError), compute_threads():
            raise ZeroDivisionError
        assert blas_threads() == {2}


def test_blas_has_one_thread_until_the_last_python_thread_has_left():
    other_is_in, first_has_left = threading.Event(), threading.Event()
    seen = []

    def stay():
        with compute_threads():
            other_is_in.set()
            first_has_left.wait(10)
            seen.append(blas_threads())

    with threadpool_limits(2, user_api="blas"):
        with compute_threads():
            other = threading.Thread(target=stay)
            other.start()
            other_is_in.wait(10)
        first_has_left.set()
        other.join()
    assert seen == [{1}]


@at_two_threads
def test_numba_has_what_was_asked_for_inside_and_its_own_number_after():
    before = numba.get_num_threads()
    with compute_threads(2):
        assert numba.get_num_threads() == 2
        with compute_threads(1):
            assert numba.get_num_threads() == 1
            with compute_threads():
                assert numba.get_num_threads() == 1
        assert numba.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError), compute_threads(1):
            raise ZeroDivisionError
        assert numba.get_num_threads() == 2
    assert numba.get_num_threads() == before


def test_what_needs_no_kernel_starts_no_thread_of_numbas():
    """They would be lost in a fork."""
    code = """
import numba
from autoenc import EASE
EASE().fit([[0, 1], [1]]).recommend([[0]], N=1)
try:
    print(numba.threading_layer())
except ValueError:
    print("none")
"""
    assert run(code) == "none\n"


@at_two_threads
@pytest.mark.parametrize(("quota", "variables", "threads"), [(None, {}, 2), (1.5, {}, 1), (0.5, {}, 1), (9.0, {}, 2),
                                                             (1.0, {"NUMBA_NUM_THREADS": "2"}, 2)])  # fmt: skip
def test_a_containers_quota_limits_the_kernels_unless_a_number_is_asked_for(quota, variables, threads):
    code = f"""
import numba
from autoenc import machine
machine.cpu_quota = lambda: {quota}
numba.set_num_threads(2)
with machine.compute_threads():
    inside = numba.get_num_threads()
with machine.compute_threads(2):
    assert numba.get_num_threads() == 2
print(inside, numba.get_num_threads())
"""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_NUM_THREADS"} | variables
    assert run(code, environment=environment).split() == [str(threads), "2"]


@pytest.mark.parametrize("threads", [0, -1, MOST + 1])
def test_a_number_of_threads_that_cannot_be_is_refused(threads):
    sentence = rf"threads must be from 1 to {MOST}, got {threads}; for more, set NUMBA_NUM_THREADS={threads} before"
    before = numba.get_num_threads(), blas_threads()
    with pytest.raises(ValueError, match=sentence), compute_threads(threads):
        pass
    with pytest.raises(ValueError, match=sentence):
        Trainer(AutoEncoderNetwork(initial_state(2, 2, 2)), threads=threads).fit([[0], [1]])
    assert (numba.get_num_threads(), blas_threads()) == before


@pytest.mark.parametrize("threads", [1.5, "2"])
def test_threads_are_a_whole_number(threads):
    with pytest.raises(TypeError, match=f"^threads must be a whole number, got {threads!r}$"), compute_threads(threads):
        pass


def test_a_number_of_threads_does_not_import_numba_and_holds_once_it_is():
    code = """
import sys
from autoenc.machine import compute_threads
try:
    with compute_threads(3):
        pass
except ValueError as error:
    print(error)
with compute_threads(2):
    with compute_threads(1):
        assert "numba" not in sys.modules
        import numba
        with compute_threads():
            print(numba.get_num_threads())
    with compute_threads():
        with compute_threads(1):
            with compute_threads():
                print(numba.get_num_threads())
        print(numba.get_num_threads())
with compute_threads():
    print(numba.get_num_threads())
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    sentence, *numbers = done.stdout.splitlines()
    assert sentence.startswith("threads must be from 1 to 2, got 3; for more, set NUMBA_NUM_THREADS=3 before")
    assert numbers == ["1", "1", "2", "2"], done.stderr


@pytest.mark.parametrize("layer", ["workqueue", "default"])
def test_several_python_threads_may_ask_one_model(layer):
    """numba's workqueue layer aborts the process where two threads run parallel kernels at once."""
    code = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import autoenc
from autoenc.datasets.synthetic import synthetic
likes = synthetic(400, 300, 8000)
model = autoenc.AutoEncoder(emb_dim=64, hidden_dim=32, epochs=1, random_state=0).fit(likes)
alone = model.recommend(likes, N=5)[1]
with ThreadPoolExecutor(4) as pool:
    for _, scores in pool.map(lambda _: model.recommend(likes, N=5), range(60)):
        assert np.array_equal(scores, alone)
"""
    env = {**os.environ, "NUMBA_THREADING_LAYER": layer}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])
