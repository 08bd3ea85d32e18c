"""A process started by one that has run kernels gives the same bits, however it was started."""

from __future__ import annotations

import os
import subprocess
import sys

import numba
import pytest

from autoenc import AutoEncoder, machine
from autoenc.kernels import launch
from tests.helpers import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

WAYS = ["fork", "spawn", "forkserver", "grandchild", "prefork"]


def differing(way, layer, *handled):
    """The kinds of work whose bits differ in the child, and how often it warned."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "2", "NUMBA_THREADING_LAYER": layer}
    command = [sys.executable, "-m", "tests.helpers.children", way, *handled]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    *kinds, n_warnings = done.stdout.split()
    return kinds, int(n_warnings)


def check(way, layer, *handled):
    is_gnu = layer == "omp" and machine_has_gnu_openmp()
    inherits = way not in ("spawn", "forkserver", "loky")
    assert differing(way, layer, *handled) == ([], int(is_gnu and inherits))


def machine_has_gnu_openmp():
    omppool = pytest.importorskip("numba.np.ufunc.omppool")
    return omppool.openmp_vendor == "GNU"


def test_a_forked_worker_that_handles_sigterm():
    check("fork", "omp", "handled")


def test_a_fork_while_another_thread_computes():
    check("locked", "workqueue")


@pytest.mark.long
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
@pytest.mark.parametrize("way", ["locked", "thread"])
def test_a_process_of_several_threads_forks(way, layer):
    check(way, layer)


@pytest.mark.long
@pytest.mark.parametrize("handled", [(), ("handled",)], ids=["", "SIGTERM handled"])
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
@pytest.mark.parametrize("way", WAYS)
def test_however_a_process_is_started(way, layer, handled):
    check(way, layer, *handled)


@pytest.mark.long
@pytest.mark.optional
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
@pytest.mark.parametrize("way", ["loky", "joblib"])
def test_a_worker_of_joblibs(way, layer):
    pytest.importorskip("joblib")
    check(way, layer)


def test_kernels_wait_for_each_other_where_numba_would_abort(monkeypatch):
    monkeypatch.setattr(numba, "threading_layer", lambda: "workqueue")
    assert not launch.allows_concurrent_calls()
    monkeypatch.setattr(numba, "threading_layer", lambda: "omp")
    assert launch.allows_concurrent_calls()


def test_a_process_that_was_not_forked_keeps_its_threads():
    assert machine.numba_layer_at_fork() is None


def test_a_fork_before_the_first_kernel_has_all_threads(tmp_path):
    """As of a server that loads the model, and then forks its workers."""
    AutoEncoder(emb_dim=4, hidden_dim=4, epochs=1).fit([[0, 1], [1, 2]]).save(tmp_path / "model")
    code = """
import os, sys, warnings
warnings.simplefilter("error")
from autoenc import load_model
model = load_model(sys.argv[1])
import numba
if os.fork() == 0:
    model.recommend([[0, 1]], N=1)
    print(numba.get_num_threads(), flush=True)
    os._exit(0)
assert os.wait()[1] == 0
"""
    command = [sys.executable, "-c", code, str(tmp_path / "model")]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)
    assert done.stdout == "2\n", done.stderr
