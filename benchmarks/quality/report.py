"""The table and verdict of the lines stored by `python -m benchmarks.quality`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

OURS, PEER = "autoenc", "torch-tuned"
METRICS = {"p_at_01": "precision@1", "p_at_05": "precision@5", "p_at_10": "precision@10"}


class Plan(NamedTuple):
    """The runs on a data set: the epochs after which networks are evaluated, the models, and EASE's l2."""

    epochs: tuple[int, ...]
    models: tuple[str, ...]
    l2: float | None = None

    def epochs_of(self, model: str) -> tuple[int, ...]:
        """The epochs after which a model is evaluated; (0,) for models in closed form."""
        return (0,) if model in ("popular", "ease") else self.epochs


class Results:
    """The lines of a results file by (dataset, seed, model, epochs).

    A later line replaces an earlier one, and all lines with another split of the same data set and seed.
    """

    def __init__(self, path: Path):
        self.path = path
        self.lines: dict[tuple, dict] = {}
        self.splits: dict[tuple, str] = {}
        for line in map(json.loads, path.read_text().splitlines()) if path.exists() else ():
            self._take(line)

    def _take(self, line: dict) -> None:
        self.lines[line["dataset"], line["seed"], line["model"], line["epochs"]] = line
        self.splits[line["dataset"], line["seed"]] = line["split"]

    def add(self, lines: list[dict]) -> None:
        self.path.parent.mkdir(exist_ok=True)
        with self.path.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        for line in lines:
            self._take(line)

    def value(self, name: str, seed: int, model: str, epochs: int, key: str) -> float:
        """A stored figure, or NaN if there is none."""
        line = self.lines.get((name, seed, model, epochs))
        return line[key] if line and line["split"] == self.splits[name, seed] else np.nan

    def values(self, name: str, model: str, epochs: int, key: str, seeds) -> np.ndarray:
        """The figure for each seed: (n_seeds,)."""
        return np.array([self.value(name, seed, model, epochs, key) for seed in seeds])

    def differences(self, name: str, epochs: int, key: str, seeds) -> np.ndarray:
        """Our figure minus the peer's, on the same split, for each seed: (n_seeds,)."""
        return self.values(name, OURS, epochs, key, seeds) - self.values(name, PEER, epochs, key, seeds)

    def has(self, name: str, seed: int, model: str, plan: Plan) -> bool:
        return all(np.isfinite(self.value(name, seed, model, epochs, "p_at_01")) for epochs in plan.epochs_of(model))


def digest(user_items) -> str:
    """A short digest that identifies a split."""
    sha = hashlib.sha256(user_items.indptr.tobytes())
    sha.update(user_items.indices.tobytes())
    return sha.hexdigest()[:12]


def mean_and_error(values: np.ndarray) -> tuple[float, float, int]:
    """Mean, its standard error (NaN for fewer than two), and the number of values; NaNs are left out.

    >>> mean_and_error(np.array([1.0, 3.0, np.nan]))
    (2.0, 1.0, 2)
    """
    values = values[np.isfinite(values)]
    n = len(values)
    mean = float(values.mean()) if n else np.nan
    return mean, (float(values.std(ddof=1)) / n**0.5 if n > 1 else np.nan), n


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """The mean, and the ends of its 95% confidence interval (Student's t).

    >>> [round(x, 3) for x in interval(np.array([0.0, 1.0, 2.0]))]
    [1.0, -1.484, 3.484]
    """
    mean, error, n = mean_and_error(values)
    reach = float(stats.t.ppf(0.975, n - 1)) * error if n > 1 else np.nan
    return mean, mean - reach, mean + reach


def with_error(values: np.ndarray) -> str:
    mean, error, n = mean_and_error(values)
    return f"{mean:.4f} ± {error:.4f}" if n > 1 else f"{mean:.4f}"


def with_interval(values: np.ndarray) -> str:
    mean, low, high = interval(values)
    return f"{mean:+.4f}" if np.isnan(low) else f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"


def n_found(values: np.ndarray) -> str:
    return str(np.isfinite(values).sum())


def table(results: Results, plans: dict[str, Plan], seeds) -> list[list[str]]:
    """The header and the rows: means with standard errors, then differences with their intervals."""
    rows = [["data set", "epochs", "model", "seeds", *METRICS.values()]]
    for name, plan in plans.items():
        for model in plan.models:
            label = f"{model} (l2 {plan.l2:g})" if model == "ease" else model
            for epochs in plan.epochs_of(model):
                figures = [results.values(name, model, epochs, key, seeds) for key in METRICS]
                rows.append([name, str(epochs or ""), label, n_found(figures[0]), *map(with_error, figures)])
        for epochs in plan.epochs:
            differences = [results.differences(name, epochs, key, seeds) for key in METRICS]
            rows.append(
                [name, str(epochs), f"{OURS} - {PEER}", n_found(differences[0]), *map(with_interval, differences)]
            )
    return [row for row in rows if row[3] != "0"]


def verdict(results: Results, plans: dict[str, Plan], seeds) -> tuple[bool, list[str]]:
    """Whether autoenc is not behind the peer, and the lines with the reasons.

    To PASS, for each metric, the upper end of the 95% interval of the difference, pooled over the data sets, must
    be at least 0; and on no data set, for none of its epochs, may autoenc be behind by both 3 standard errors and
    0.005. A data set counts if at least two seeds have run for all its epochs. All data sets have the same weight.
    Each seed's mean is pooled, as its figures for several epochs come from the same run.
    """
    passed, lines, counted = True, [], []
    for name, plan in plans.items():
        differences = [results.differences(name, epochs, "p_at_01", seeds) for epochs in plan.epochs]
        if np.isfinite(differences).all(axis=0).sum() > 1:
            counted.append(name)
        else:
            lines.append(f"{name} is not counted: it needs two seeds of both {OURS} and {PEER}")
    if not counted:
        return False, [*lines, "there are no results to judge"]
    for key, metric in METRICS.items():
        by_set = []
        for name in counted:
            differences = [results.differences(name, epochs, key, seeds) for epochs in plans[name].epochs]
            by_set.append(np.mean(differences, axis=0))
            for epochs, values in zip(plans[name].epochs, differences):
                mean, error, _ = mean_and_error(values)
                if mean < -max(3 * error, 0.005):
                    passed = False
                    lines.append(f"{name}, epochs {epochs}, {metric}: behind by {-mean:.4f} ± {error:.4f}")
        pooled = np.mean(by_set, axis=0)  # (n_seeds,)
        passed = passed and interval(pooled)[2] >= 0
        lines.append(f"pooled over {', '.join(counted)}, {metric}: {OURS} - {PEER} = {with_interval(pooled)}")
    return passed, lines
