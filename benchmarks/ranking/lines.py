"""The lines that a comparison stores, a run each, and the figures that they come to together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

RESULTS = Path(__file__).parents[1] / "results"
ROUNDING = 2e-6  # of three figures of six digits


class Figure(NamedTuple):
    """A mean over seeds and users, with its standard error; NaN where there is none."""

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
        """A model's lines, a seed each."""
        return [self.lines[key] for key in sorted(self.lines) if (key[0], key[2]) == (dataset, model)]

    def mean(self, dataset: str, model: str, metric: str) -> Figure:
        return self._combined([line["metrics"][metric] for line in self.of(dataset, model)])

    def difference(self, dataset: str, model: str, metric: str) -> Figure:
        """To the reference, paired by user on each seed's split."""
        lines = [line for line in self.of(dataset, model) if line["differences"]]
        return self._combined([line["differences"][metric] for line in lines])

    def behind_best(self, dataset: str, model: str, metric: str) -> Figure:
        """By how much `best` is ahead of it, paired like `difference`.

        NaN where a seed has no pairs, or has those of another run of `best` than the one stored.
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
        """Of a mean and a standard error a seed.

        Under strong generalization each seed draws the users that it tests, of whom few are drawn
        twice, and the errors are taken as independent. Under weak all seeds have the same users: their errors'
        root mean square is what that of the mean is at most.
        """
        if not pairs:
            return Figure(np.nan, np.nan)
        values, errors = np.transpose(pairs)
        error = np.sqrt(np.mean(errors**2))
        return Figure(float(values.mean()), float(error / (len(pairs) ** 0.5 if self.protocol == "strong" else 1)))

    def median(self, dataset: str, model: str, key: str) -> float:
        """Of the seeds' seconds or megabytes."""
        return float(np.median([line[key] for line in self.of(dataset, model)]))

    def models(self, dataset: str, plan) -> list[str]:
        """Those that have lines, the best first."""
        found = [model for model in plan.spaces if self.of(dataset, model)]
        return sorted(found, key=lambda model: -self.mean(dataset, model, "ndcg@100").value)
