"""The stored lines of a comparison, one per run, and the figures computed from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

RESULTS = Path(__file__).parents[1] / "results"
ROUNDING = 2e-6  # of three figures with six digits


class Figure(NamedTuple):
    """A mean over seeds and users, with its standard error; NaN if there is none."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.error:.4f}"

    def signed(self) -> str:
        return "" if np.isnan(self.value) else f"{self.value:+.4f} ± {self.error:.4f}"


class Lines:
    """The lines of a protocol's file by (dataset, seed, model); a later line replaces an earlier one.

    Parameters
    ----------
    path : Path
    protocol : "weak" or "strong"
    """

    def __init__(self, path: Path, protocol: str):
        self.path, self.protocol = path, protocol
        self.lines: dict[tuple, dict] = {}
        for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()) if path.exists() else ():
            self._take(line)

    def _take(self, line: dict) -> None:
        self.lines[line["dataset"], line["seed"], line["model"]] = line

    def add(self, line: dict) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._take(line)

    def of(self, dataset: str, model: str) -> list[dict]:
        """A model's lines, one per seed."""
        return [self.lines[key] for key in sorted(self.lines) if (key[0], key[2]) == (dataset, model)]

    def mean(self, dataset: str, model: str, metric: str) -> Figure:
        return self._combined([line["metrics"][metric] for line in self.of(dataset, model)])

    def difference(self, dataset: str, model: str, metric: str) -> Figure:
        """The difference from the reference, paired by user on each seed's split."""
        lines = [line for line in self.of(dataset, model) if line["differences"]]
        return self._combined([line["differences"][metric] for line in lines])

    def lead_of_best(self, dataset: str, model: str, metric: str) -> Figure:
        """The lead of `best` over the model, paired like `difference`.

        NaN if a seed has no pairs, or pairs with a run of `best` that is not the one stored.
        """
        pairs = []
        for line in self.of(dataset, model):
            best = self.lines.get((dataset, line["seed"], "best"))
            if not line.get("to_best") or best is None:
                return self._combined([])
            behind, error = line["to_best"][metric]
            if abs(line["metrics"][metric][0] - behind - best["metrics"][metric][0]) > ROUNDING:
                return self._combined([])
            pairs.append([-behind, error])
        return self._combined(pairs)

    def _combined(self, pairs: list[list[float]]) -> Figure:
        """The mean over seeds, given a mean and a standard error for each.

        Under strong generalization, each seed draws its own test users, few of whom are drawn twice, so the
        errors are treated as independent. Under weak generalization, all seeds have the same users: the root
        mean square of their errors is an upper bound for the error of the mean.
        """
        if not pairs:
            return Figure(np.nan, np.nan)
        values, errors = np.transpose(pairs)
        error = np.sqrt(np.mean(errors**2))
        return Figure(float(values.mean()), float(error / (len(pairs) ** 0.5 if self.protocol == "strong" else 1)))

    def median(self, dataset: str, model: str, key: str) -> float:
        """The median over the seeds' seconds or megabytes."""
        return float(np.median([line[key] for line in self.of(dataset, model)]))

    def models(self, dataset: str, plan) -> list[str]:
        """The models that have lines, best first."""
        found = [model for model in plan.spaces if self.of(dataset, model)]
        return sorted(found, key=lambda model: -self.mean(dataset, model, "ndcg@100").value)
