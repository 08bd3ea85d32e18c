"""Diagnosis of the kernels on this machine: whether they are correct, how fast they are, and what slows them down.

`examine` gathers facts in a dict that JSON can represent. `advice` turns them into one sentence for each
problem, and `as_text` into a page.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from autoenc import __version__
from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.machine import blas_pools, compute_threads, kernel_threads, processors
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.optim import Adam
from autoenc.training.fused import FusedEngine
from autoenc.training.plain import train_step

# The task's sizes, on MovieLens 10M.
BATCH, N_ITEMS, EMB_DIM, HIDDEN_DIM = 256, 10_677, 800, 400
STEPS_PER_EPOCH, LIKES_PER_USER = 273, 115

PREFIXES = ("OPENBLAS_", "GOTO_", "MKL_", "BLIS_", "VECLIB_", "OMP_", "KMP_", "NUMBA_")
PINNING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
SLOWING = (
    "NUMBA_OPT",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
    "NUMBA_BOUNDSCHECK",
    "NUMBA_DEBUG",
    "NUMBA_LOOP_VECTORIZE",
)
TOLERANCE = 1e-4  # of float32 sums over a few dozen numbers, relative to the largest


def step_flops(batch: int = BATCH, n_items: int = N_ITEMS, emb_dim: int = EMB_DIM, hidden_dim: int = HIDDEN_DIM) -> int:
    """Flops of the matrix products in a training step: bottleneck and output layer, once forward and twice backward."""
    return 6 * batch * hidden_dim * (emb_dim + n_items)


def examine() -> dict[str, Any]:
    """All facts: versions, processors, BLAS, numba, environment variables, self-check, probe, and advice."""
    facts: dict[str, Any] = {
        "versions": versions(),
        "processors": processors(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "variables": {name: os.environ[name] for name in sorted(os.environ) if name.startswith(PREFIXES)},
    }
    facts["self_check"] = self_check()
    facts["blas"] = blas_pools()
    facts["unpinned"] = unpinned_kernels() if any(name in facts["variables"] for name in PINNING) else None
    facts["numba"] = numba_facts()
    facts["probe"] = None if facts["numba"]["jit_disabled"] else probe()
    facts["advice"] = advice(facts)
    facts["ok"] = all(check["ok"] for check in facts["self_check"])
    return facts


def versions() -> dict[str, str]:
    names = ("numpy", "scipy", "numba", "llvmlite", "threadpoolctl")
    system = f"{platform.system()} {platform.machine()}"
    return {"autoenc": __version__, "python": platform.python_version(), "system": system} | {
        n: version(n) for n in names
    }


def unpinned_kernels() -> list[str | None]:
    """The kernels that BLAS chooses without environment variables, determined in a separate process."""
    script = (
        "import json; from autoenc.machine import blas_pools; print(json.dumps([p['kernel'] for p in blas_pools()]))"
    )
    environment = {name: value for name, value in os.environ.items() if name not in PINNING}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    kernels: list[str | None] = json.loads(run.stdout)
    return kernels


def numba_facts() -> dict[str, Any]:
    import numba

    from autoenc.kernels.gather_sum import gather_sum

    cache = None if numba.config.DISABLE_JIT else gather_sum.stats.cache_path
    try:
        layer = numba.threading_layer()
    except ValueError:  # no kernel has run in parallel yet
        layer = None
    with compute_threads():
        threads = kernel_threads()
    return {
        "threads": threads,
        "threading_layer": layer,
        "svml": bool(numba.config.USING_SVML),
        "jit_disabled": bool(numba.config.DISABLE_JIT),
        "cache": cache,
        "cached": len(list(Path(cache).glob("*.nbc"))) if cache else 0,
    }


def self_check() -> list[dict[str, Any]]:
    """Compare the kernels with the layers in three training steps and a ranking, on a tiny batch.

    Each check is a tensor's largest difference relative to its largest value. The moments start far from
    0, as Adam's first steps are close to sign(gradient), which rounding may flip.
    """
    rng = np.random.default_rng(0)
    state = initial_state(n_items=70, emb_dim=24, hidden_dim=12, bias_offset=-2.0)
    networks = [AutoEncoderNetwork({name: array.copy() for name, array in state.items()}) for _ in range(2)]
    adams = [Adam(network.params) for network in networks]
    for name, w in adams[0].params.items():
        m = 0.1 * rng.standard_normal(w.shape)
        for adam in adams:
            adam.first_moment[name][:], adam.second_moment[name][:] = m, 1.0
            adam.step_count = 50
    definition, fused = networks[0], FusedEngine(networks[1], adams[1])
    liked = sparse.csr_array((rng.random((3, 16, 70)) < 0.1).reshape(48, 70).astype(np.float32))
    losses = []
    with compute_threads():
        for step in range(3):
            batch = liked[16 * step : 16 * (step + 1)]
            key = (0, 0, step)
            losses.append((fused.train_step(batch, key), train_step(definition, adams[0], batch, key)))
        fused.flush()
        scores = top_n_of_scores(networks[1].score(batch), batch, 5)[1]
        pairs = {"loss": tuple(np.array(losses).T)}
        pairs |= {name: (networks[1].state[name], definition.state[name]) for name in state}
        pairs["top_n"] = fused.top_n(batch, 5)[1], scores
    errors = {name: float(abs(kernel - layer).max() / abs(layer).max()) for name, (kernel, layer) in pairs.items()}
    return [{"name": name, "error": error, "ok": error < TOLERANCE} for name, error in errors.items()]


def probe(
    seconds: float = 0.5,
    batch: int = BATCH,
    n_items: int = N_ITEMS,
    emb_dim: int = EMB_DIM,
    hidden_dim: int = HIDDEN_DIM,
) -> dict[str, Any]:
    """Measure training at the task's sizes for `seconds`, at least three steps, after measuring BLAS alone.

    Then measure it for a quarter of that time on 1, 2, 4 ... threads each.
    """
    blas = matmul_rate()
    rng = np.random.default_rng(0)
    likes = (rng.random((batch, min(LIKES_PER_USER, n_items))) ** 2 * n_items).astype(np.int32)  # low items are popular
    indptr = np.arange(0, likes.size + 1, likes.shape[1])
    user_items = sparse.csr_array((np.ones(likes.size, np.float32), likes.ravel(), indptr), (batch, n_items))
    user_items.sum_duplicates()
    user_items.data[:] = 1
    network = AutoEncoderNetwork(initial_state(n_items, emb_dim, hidden_dim))
    adam = Adam(network.params)
    model = FusedEngine(network, adam)
    model.train_step(user_items, (0, 0, 0))  # warms up memory and kernels

    def step_seconds(seconds: float) -> float:
        took: list[float] = []
        while len(took) < 3 or sum(took) < seconds:
            start = time.perf_counter()
            model.train_step(user_items, (0, 0, adam.step_count))
            took.append(time.perf_counter() - start)
        return float(np.median(took))

    with compute_threads():
        most = kernel_threads()
    step = step_seconds(seconds)
    by_threads = {}
    for threads in powers_of_two_below(most):
        with compute_threads(threads):
            by_threads[str(threads)] = STEPS_PER_EPOCH * step_seconds(seconds / 4)
    by_threads[str(most)] = STEPS_PER_EPOCH * step
    rate = step_flops(batch, n_items, emb_dim, hidden_dim) / step
    return {
        "blas_gflops": blas / 1e9,
        "step_ms": step * 1e3,
        "step_gflops": rate / 1e9,
        "share_of_blas": rate / blas,
        "epoch_seconds": step * STEPS_PER_EPOCH,
        "epoch_seconds_by_threads": by_threads,
    }


def powers_of_two_below(n: int) -> list[int]:
    return [2**i for i in range(n.bit_length()) if 2**i < n]


def matmul_rate(size: int = 2048, seconds: float = 0.25) -> float:
    """Flops per second of NumPy's BLAS in a square float32 matrix product, on all its threads."""
    a, b, out = np.ones((3, size, size), np.float32)
    np.matmul(a, b, out)  # starts the threads
    took: list[float] = []
    while not took or sum(took) < seconds:
        start = time.perf_counter()
        np.matmul(a, b, out)
        took.append(time.perf_counter() - start)
    return 2 * size**3 / float(np.median(took))


def advice(facts: dict[str, Any]) -> list[str]:
    """One sentence for each problem, which says what to change."""
    return [*_advice_on_kernels(facts), *_advice_on_libraries(facts), *_advice_on_processors(facts)]


def _advice_on_kernels(facts: dict[str, Any]) -> Iterator[str]:
    wrong = [check["name"] for check in facts["self_check"] if not check["ok"]]
    if wrong:
        yield (
            f"The kernels differ from the layers in {', '.join(wrong)}: reinstall numba and SciPy, and until then "
            "train with --backend numpy."
        )
    if facts["numba"]["jit_disabled"]:
        yield "NUMBA_DISABLE_JIT is set, so the kernels run as plain Python: unset it."
    elif facts["numba"]["cache"] is None:
        yield (
            "numba finds no writable folder for its cache, so every start compiles the kernels again: "
            "set NUMBA_CACHE_DIR to a writable folder."
        )


def _advice_on_libraries(facts: dict[str, Any]) -> Iterator[str]:
    variables, kernels = facts["variables"], {pool["kernel"] for pool in facts["blas"]}
    if "OPENBLAS_CORETYPE" in variables and set(facts["unpinned"]) != kernels:
        yield (
            f"OPENBLAS_CORETYPE={variables['OPENBLAS_CORETYPE']} makes BLAS use its kernels for {_and(kernels)} "
            f"instead of those for {_and(facts['unpinned'])}, which it would choose itself: unset it."
        )
    if "OPENBLAS_L2_SIZE" in variables:
        yield (
            f"OPENBLAS_L2_SIZE={variables['OPENBLAS_L2_SIZE']} overrides the cache size that BLAS would read from "
            "the processor: unset it."
        )
    slowing = [name for name in SLOWING if name in variables]
    if slowing:
        yield f"{_and(slowing)} changes how numba compiles the kernels: unset it."
    if not any("scipy" in pool["used_by"] for pool in facts["blas"]):
        yield (
            "SciPy's BLAS is unknown to threadpoolctl, so it can't be limited to one thread inside the kernels: "
            "install SciPy from its wheel (pip install --force-reinstall scipy)."
        )


def _advice_on_processors(facts: dict[str, Any]) -> Iterator[str]:
    cpu, threads, measured = facts["processors"], facts["numba"]["threads"], facts["probe"]
    if threads < cpu["usable"]:
        yield f"The kernels use {threads} of the {cpu['usable']} available processors: unset NUMBA_NUM_THREADS."
    if cpu["quota"] is not None and cpu["quota"] < threads:
        yield (
            f"This container may use the time of {cpu['quota']:g} processors, which {threads} threads have to share: "
            f"set NUMBA_NUM_THREADS={max(1, math.floor(cpu['quota']))}, or raise the container's limit."
        )
    if facts["load"] is not None and facts["load"] > 0.5 * cpu["usable"]:
        yield (
            f"Other work keeps {facts['load']:.1f} of {cpu['usable']} processors busy (the load over the last minute): "
            "without it training is faster than measured here."
        )
    elif measured and measured["share_of_blas"] < 0.4:
        yield (
            f"A training step reaches {measured['share_of_blas']:.0%} of the speed of BLAS alone, but 60% to 80% is "
            "usual: look for other programs, or other virtual machines of the host, that use the processor or memory."
        )


def as_text(facts: dict[str, Any]) -> str:
    """The facts as readable text, with the advice at the end."""
    v, cpu, numba, measured = facts["versions"], facts["processors"], facts["numba"], facts["probe"]
    quota = "no quota" if cpu["quota"] is None else f"a quota of {cpu['quota']:g}"
    load = "" if facts["load"] is None else f", load {facts['load']:.1f}"
    worst = max(facts["self_check"], key=lambda check: check["error"])
    lines = [
        ("versions", f"autoenc {v['autoenc']}, Python {v['python']}, NumPy {v['numpy']}, SciPy {v['scipy']}, "
                     f"numba {v['numba']}, {v['system']}"),
        ("processor", f"{cpu['model']}, {cpu['usable']} of {cpu['installed']} usable, {quota}{load}"),
    ]  # fmt: skip
    for pool in facts["blas"]:
        owners = _and({"numpy": "NumPy", "scipy": "SciPy and the kernels"}[name] for name in pool["used_by"])
        name = {"openblas": "OpenBLAS", "mkl": "MKL", "blis": "BLIS"}.get(pool["name"], pool["name"])
        kernel = f" for {pool['kernel']}" if pool["kernel"] else ""
        lines.append(("BLAS", f"{name} {pool['version']}{kernel}, {pool['threads']} threads: {owners}"))
    lines += [
        ("numba", f"{numba['threads']} threads, layer {numba['threading_layer']}"),
        ("cache", f"{numba['cache']}, {numba['cached']} compiled kernels" if numba["cache"] else "none"),
        ("SVML", "installed" if numba["svml"] else "not installed, and not needed: the kernels have their own exp"),
        ("variables", ", ".join(f"{name}={value}" for name, value in facts["variables"].items()) or "none set"),
        ("self-check", f"{'right' if facts['ok'] else 'WRONG'}: kernels and layers differ by at most "
                       f"{worst['error']:.0e} of the largest value, in {worst['name']}"),
    ]  # fmt: skip
    if measured:
        by_threads = ", ".join(f"{n}: {s:.1f} s" for n, s in measured["epoch_seconds_by_threads"].items())
        lines += [
            ("BLAS alone", f"{measured['blas_gflops']:.0f} GFLOP/s"),
            ("training", f"{measured['step_ms']:.1f} ms per step, {measured['step_gflops']:.0f} GFLOP/s, "
                         f"{measured['share_of_blas']:.0%} of BLAS's"),
            ("ML-10M", f"{measured['epoch_seconds']:.1f} s per epoch expected; by threads: {by_threads}"),
        ]  # fmt: skip
    page = "\n".join(f"{name:<11} {value}" for name, value in lines)
    return page + "\n\n" + ("\n".join(facts["advice"]) or "No problems found.")


def _and(names: Iterable[Any]) -> str:
    return " and ".join(sorted(set(map(str, names))))
