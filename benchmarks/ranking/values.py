"""Each model's metrics for each user, stored by its run for paired comparisons."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from autoenc.evaluation.compare import paired_difference
from autoenc.evaluation.evaluate import Report
from autoenc.storage.atomic import replacing
from benchmarks.quality.report import digest

METRICS = ("ndcg@100", "precision@1", "precision@5", "precision@10", "recall@20", "recall@50")


def values_file(folder: Path, dataset: str, protocol: str, seed: int, model: str, split: str) -> Path:
    """The file of a model's values for each user; `split` is the digest of the training likes, or *."""
    return folder / f"ranking-{dataset}-{protocol}-{seed}-{re.sub('[^A-Za-z]+', '-', model)}-{split}.npz"


def store(report: Report, path: Path) -> None:
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, users=report.users, **{metric: report.per_user[metric] for metric in METRICS})


def values_of(folder: Path, dataset: str, protocol: str, seed: int, model: str, train) -> Report | None:
    """A model's values on this split, written by `store`; None if it has not been run."""
    path = values_file(folder, dataset, protocol, seed, model, digest(train))
    if not path.exists():
        return None
    with np.load(path) as stored:
        per_user = {metric: stored[metric] for metric in METRICS}
        return Report({}, {}, len(stored["users"]), 0, stored["users"], per_user)


def differences(report: Report, other: Report | None) -> dict[str, list[float]]:
    """By metric, the mean over users of the report's values minus the other's, and its standard error."""
    if other is None:
        return {}
    found = {metric: paired_difference(report, other, metric) for metric in METRICS}
    return {metric: [round(pair.difference, 6), round(pair.standard_error, 6)] for metric, pair in found.items()}
