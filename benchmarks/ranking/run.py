"""One run of a comparison: split, tune on validation, fit, and report on the test likes once."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from scipy import sparse

import autoenc
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.splits import holdout_per_user, holdout_users
from autoenc.models import Blend
from benchmarks import datasets
from benchmarks.memory import resident_megabytes
from benchmarks.quality.report import digest
from benchmarks.ranking.plans import MODELS, PLANS, Space
from benchmarks.ranking.search import search
from benchmarks.ranking.values import METRICS, differences, store, values_file, values_of

PROTOCOLS = ("weak", "strong")
CHOSEN_BY = "ndcg@100"
MOST_USERS = 4_000  # for validation; more would add little information
KS = (1, 5, 10, 20, 50, 100)


def split(user_items, protocol: str, seed: int, test_users: float):
    """The training likes, the likes of the test users shown to a model, and those it should predict."""
    if protocol == "weak":
        train, held_out = holdout_per_user(user_items, seed=seed)
        return train, train, held_out
    train, shown, held_out, _ = holdout_users(user_items, test_users, seed=seed)
    return train, shown, held_out


def new(name: str, params: dict, protocol: str, seed: int):
    """An unfitted model with the seed for all its randomness; a blend validates with the given protocol."""
    model = MODELS[name](**params)
    if isinstance(model, Blend):
        model.set_params(validation=protocol)
    if hasattr(model, "get_params"):
        return model.set_params(**{key: seed for key in model.get_params() if key.endswith("random_state")})
    model.random_state = seed
    return model


def tuned(name: str, space: Space, train, protocol: str, seed: int, test_users: float, seconds: float | None):
    """The best hyperparameters on validation likes taken from `train`, and the trials."""
    if not space:
        return {}, []
    inner, shown, held_out = split(train, protocol, seed, test_users)
    users = np.flatnonzero(np.diff(held_out.indptr))
    users = np.random.default_rng(seed).permutation(users)[:MOST_USERS]

    def judge(params: dict) -> float:
        model = new(name, params, protocol, seed).fit(inner)
        return evaluate(model, shown[users], held_out[users], ks=[100])[CHOSEN_BY]

    return search(judge, space, seconds)


def measure(dataset: str, protocol: str, seed: int, name: str, folder: Path, earlier: dict | None = None) -> dict:
    """The line of a run. `folder` holds each model's values of each user, for paired comparisons.

    With `earlier`, a line of the same run, its hyperparameters are fitted without another search.
    """
    plan = PLANS[dataset]
    train, shown, held_out = split(datasets.load(dataset).user_items, protocol, seed, plan.test_users)
    pairs = {"differences": plan.reference, "to_best": "best"}
    others = {key: values_of(folder, dataset, protocol, seed, model, train)
              for key, model in pairs.items() if model != name}  # fmt: skip
    if "differences" in others and others["differences"] is None:
        raise FileNotFoundError(f"{folder} has no values for {plan.reference}; run it first")
    warm_up(name, protocol)
    before = resident_megabytes("VmRSS")

    if earlier is None:
        started = time.process_time()
        seconds = None if plan.cpu_minutes is None else 60 * plan.cpu_minutes
        params, trials = tuned(name, plan.spaces[name], train, protocol, seed, plan.test_users, seconds)
        n_trials, tuning_seconds = len(trials), round(time.process_time() - started, 1)
    else:
        params = earlier["params"] if plan.spaces[name] else {}
        n_trials, tuning_seconds = earlier["trials"], earlier["tuning_seconds"]

    model = new(name, params, protocol, seed)
    forget_peak()  # of the search
    started, wall = time.process_time(), time.perf_counter()
    model.fit(train)
    fit_seconds, wall = time.process_time() - started, time.perf_counter() - wall
    peak = resident_megabytes("VmHWM") - before

    report = evaluate(model, shown, held_out, ks=KS, per_user=True)
    store(report, values_file(folder, dataset, protocol, seed, name, digest(train)))
    return {
        "dataset": dataset,
        "seed": seed,
        "model": name,
        "params": chosen(model, params),
        "trials": n_trials,
        "tuning_seconds": tuning_seconds,
        "fit_seconds": round(fit_seconds, 2),
        "fit_wall_seconds": round(wall, 2),
        "peak_megabytes": round(peak),
        "users": report.n_users,
        "metrics": {metric: [round(report[metric], 6), round(report.standard_errors[metric], 6)] for metric in METRICS},
        **{key: differences(report, others.get(key)) for key in pairs},
        "split": digest(train),
        "version": version(name),
        "date": time.strftime("%Y-%m-%d"),
    }


def chosen(model, params: dict) -> dict:
    """The choices made on validation likes, by the search or by a blend itself."""
    if not isinstance(model, Blend):
        return params
    found = {f"{type(part).__name__}'s weight": round(float(w), 3) for part, w in zip(model.models_, model.weights_)}
    for part in model.models_:
        found |= {f"{type(part).__name__}'s {key}": part.get_params()[key] for key in ("l2", "epochs", "k")
                  if part.get_params().get(key) is not None}  # fmt: skip
    return found


def version(name: str) -> str:
    package = {"implicit's ALS": "implicit", "PyTorch's Mult-VAE": "torch"}.get(name)
    if package is None:
        return f"autoenc {autoenc.__version__}"
    from importlib.metadata import version

    return f"{package} {version(package)}"


def warm_up(name: str, protocol: str) -> None:
    """Load kernels and libraries with a tiny fit, so that their time and memory are not measured."""
    model = new(name, {}, protocol, 0)
    if isinstance(model, Blend):
        model = model.models[0]
    if hasattr(model, "epochs"):
        model.epochs = 1
    likes = sparse.csr_array(np.tri(24, 12, dtype=np.float32))
    evaluate(model.fit(likes), likes, sparse.csr_array(1 - likes.toarray()), ks=[1])


def forget_peak() -> None:
    """Reset the peak of memory, if the system supports it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def in_own_process(function: Callable, *args):
    """The function's result from a new process, whose memory is only the function's.

    Its OpenMP threads sleep while waiting; on a busy machine, they would otherwise waste processor time.
    """
    os.environ["OMP_WAIT_POLICY"] = "passive"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()
