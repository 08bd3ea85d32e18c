"""`autoenc doctor`: the right advice from facts, a wrong kernel is detected, and the command as a user runs it."""

from __future__ import annotations

import copy
import json
import os
import shlex
import subprocess
import sys

import pytest

from autoenc import cli, doctor, machine
from autoenc.cli import doctor as command
from autoenc.training import fused
from tests.helpers import ROOT

# A machine that nothing holds back.
FACTS = {
    "versions": doctor.versions(),
    "processors": {"model": "A processor", "installed": 4, "usable": 4, "quota": None},
    "load": 0.2,
    "variables": {},
    "self_check": [{"name": "loss", "error": 1e-7, "ok": True}, {"name": "top_n", "error": 2e-6, "ok": True}],
    "blas": [
        {"used_by": ["numpy"], "name": "openblas", "version": "0.3.31", "kernel": "Zen", "threads": 4},
        {"used_by": ["scipy"], "name": "openblas", "version": "0.3.30", "kernel": "Zen", "threads": 4},
    ],
    "unpinned": None,
    "numba": {
        "threads": 4,
        "threading_layer": "omp",
        "svml": False,
        "jit_disabled": False,
        "cache": "/somewhere/__pycache__",
        "cached": 40,
    },
    "probe": {
        "blas_gflops": 200.0,
        "step_ms": 48.0,
        "step_gflops": 147.0,
        "share_of_blas": 0.73,
        "epoch_seconds": 13.1,
        "epoch_seconds_by_threads": {"1": 49.5, "2": 25.0, "4": 13.1},
    },
    "advice": [],
    "ok": True,
}


@pytest.fixture
def quick_probe(monkeypatch):
    """The probe at sizes that take no time."""
    real = doctor.probe
    monkeypatch.setattr(doctor, "probe", lambda: real(0.0, batch=16, n_items=60, emb_dim=8, hidden_dim=8))
    monkeypatch.setattr(doctor, "matmul_rate", lambda: 1e11)


def test_the_tasks_step_has_7_gflop():
    assert doctor.step_flops() == pytest.approx(7.05e9, rel=1e-3)


def test_nothing_to_change():
    assert doctor.advice(FACTS) == []
    assert doctor.as_text(FACTS).endswith("\n\nNo problems found.")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("self_check", 1, "ok"), False, "The kernels differ from the layers in top_n: reinstall numba"),
        (("numba", "jit_disabled"), True, "NUMBA_DISABLE_JIT is set, so the kernels run as plain Python: unset it."),
        (("numba", "cache"), None, "set NUMBA_CACHE_DIR to a writable folder."),
        (("variables", "OPENBLAS_CORETYPE"), "Haswell", "makes BLAS use its kernels for Zen instead of "
         "those for SkylakeX, which it would choose itself: unset it."),
        (("variables", "OPENBLAS_L2_SIZE"), "512", "OPENBLAS_L2_SIZE=512 overrides the cache size"),
        (("variables", "NUMBA_OPT"), "0", "NUMBA_OPT changes how numba compiles the kernels: unset it."),
        (("blas", 1, "used_by"), ["numpy"], "SciPy's BLAS is unknown to threadpoolctl"),
        (("numba", "threads"), 1, "The kernels use 1 of the 4 available processors: unset NUMBA_NUM_THREADS."),
        (("processors", "quota"), 2.5, "the time of 2.5 processors, which 4 threads have to share: set "
         "NUMBA_NUM_THREADS=2,"),
        (("load",), 3.1, "Other work keeps 3.1 of 4 processors busy"),
        (("probe", "share_of_blas"), 0.2, "A training step reaches 20% of the speed of BLAS alone"),
    ],
)  # fmt: skip
def test_each_thing_that_holds_back_gets_its_one_sentence(path, value, sentence):
    facts = copy.deepcopy(FACTS) | {"unpinned": ["SkylakeX", "SkylakeX"]}
    inner = facts
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    (advice,) = doctor.advice(facts)
    assert sentence in advice
    assert advice.endswith(".")


def test_a_pinned_kernel_that_blas_would_pick_itself_holds_nothing_back():
    variables = {"OPENBLAS_CORETYPE": "Zen"}
    assert doctor.advice(FACTS | {"variables": variables, "unpinned": ["Zen", "Zen"]}) == []


def test_where_the_system_says_nothing_or_nothing_was_measured():
    facts = FACTS | {"load": None, "probe": None}
    assert doctor.advice(facts) == []
    assert "load" not in doctor.as_text(facts)


def test_self_check_is_within_rounding():
    checks = doctor.self_check()
    assert {"loss", "top_n", "embedding.weight", "batchnorm1.running_var", "output.weight"} <= {
        c["name"] for c in checks
    }
    assert max(check["error"] for check in checks) < 1e-5
    assert all(check["ok"] for check in checks)


def test_a_wrong_kernel_is_noticed_and_is_exit_code_1(monkeypatch, quick_probe, capsys):
    right = fused.bottleneck_backward
    monkeypatch.setattr(fused, "bottleneck_backward", lambda grad, *rest: right(1.01 * grad, *rest))
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "WRONG" in out
    assert "The kernels differ from the layers in " in out
    assert "bottleneck.weight" in out


def test_the_example_runs(quick_probe, capsys):
    program, *arguments = shlex.split(command.EPILOG.strip().splitlines()[-1])
    assert program == "autoenc"
    assert cli.main(arguments) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts.keys() == FACTS.keys()
    assert facts["ok"]
    assert facts["probe"]["epoch_seconds"] == pytest.approx(273e-3 * facts["probe"]["step_ms"])
    for key in ("processors", "numba", "probe"):
        assert facts[key].keys() == FACTS[key].keys()


def test_the_page_says_what_to_expect_by_threads():
    assert "13.1 s per epoch expected; by threads: 1: 49.5 s, 2: 25.0 s, 4: 13.1 s" in doctor.as_text(FACTS)
    assert [doctor.powers_of_two_below(n) for n in (1, 2, 3, 4, 16)] == [[], [1], [1, 2], [1, 2], [1, 2, 4, 8]]


def test_a_quota_limits_what_the_probe_measures(quick_probe, monkeypatch):
    monkeypatch.setattr(machine, "threads_by_quota", lambda: 1)
    assert list(doctor.probe()["epoch_seconds_by_threads"]) == ["1"]
    assert doctor.numba_facts()["threads"] == 1


def test_the_page_says_what_was_found(quick_probe, capsys):
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    for name in ("processor", "BLAS", "numba", "cache", "SVML", "variables", "self-check", "training", "ML-10M"):
        assert f"\n{name}" in out


def test_without_compilation_it_says_so_and_measures_nothing():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_DISABLE_JIT": "1", "OPENBLAS_CORETYPE": "Haswell"}
    run = subprocess.run(
        [sys.executable, "-m", "autoenc", "doctor", "--json"], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    facts = json.loads(run.stdout)
    assert facts["probe"] is None
    assert "NUMBA_DISABLE_JIT is set, so the kernels run as plain Python: unset it." in facts["advice"]
    assert facts["variables"]["OPENBLAS_CORETYPE"] == "Haswell"
    is_slower = {pool["kernel"] for pool in facts["blas"]} != set(facts["unpinned"])
    assert any("OPENBLAS_CORETYPE=Haswell makes BLAS use" in sentence for sentence in facts["advice"]) == is_slower


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_a_containers_quota(tmp_path, files, quota):
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert machine.cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"memory.max": "max\n"}, None),
        ({"memory.max": "123456789\n"}, 123_456_789),
        ({"memory/memory.limit_in_bytes": "1000000\n"}, 1_000_000),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
    ],
)
def test_what_may_be_used_is_what_is_installed_or_the_containers_limit(tmp_path, files, limit):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    installed = machine.usable_memory(tmp_path / "none")
    assert installed is None or 2**20 < installed < 2**50
    assert machine.usable_memory(tmp_path) == (limit or installed)


@pytest.mark.parametrize(
    ("library", "users"),
    [
        ("/env/site-packages/numpy.libs/libscipy_openblas64_-32a4b2a6.so", ["numpy"]),
        ("/env/site-packages/scipy.libs/libscipy_openblas-6cdc3b4a.so", ["scipy"]),
        ("/env/site-packages/scipy/.dylibs/libscipy_openblas.dylib", ["scipy"]),
        ("/usr/lib/x86_64-linux-gnu/libblas.so.3", ["numpy", "scipy"]),
    ],
)
def test_whose_library_it_is(library, users):
    assert machine.users_of(library) == users
