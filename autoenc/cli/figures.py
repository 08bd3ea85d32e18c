"""What `autoenc evaluate` reports besides the usual figures."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from autoenc.messages import printable

if TYPE_CHECKING:
    import numpy as np

    from autoenc.cli.evaluate import Asked, Scorers
    from autoenc.evaluation.evaluate import Report


def by_quartiles(args: argparse.Namespace, scorers: Scorers, asked: Asked) -> dict[str, dict[str, Report]]:
    """The models' reports on each quartile, by the quartile's description."""
    from autoenc.evaluation.evaluate import evaluate
    from autoenc.evaluation.quartiles import quartiles

    return {
        part: {name: evaluate(scorer, asked.shown, held_out, args.k) for name, scorer in scorers.items()}
        for part, held_out in quartiles(asked.shown, asked.held_out, args.by).items()
    }


def table_of_quartiles(parts: dict[str, dict[str, Report]], metric: str) -> str:
    """A row for each quartile, a column for each model."""
    from autoenc.evaluation.evaluate import with_error

    names = list(next(iter(parts.values())))
    width = max(map(len, parts))
    lines = [f"{metric:<{width}}" + "".join(f"{printable(name):>19}" for name in names)]
    for part, reports in parts.items():
        cells = (with_error(report[metric], report.standard_errors[metric]) for report in reports.values())
        lines.append(f"{part:<{width}}" + "".join(f"{cell:>19}" for cell in cells))
    return "\n".join(lines)


def behind(reports: dict[str, Report], k: int) -> list[str]:
    """A sentence for each model that does worse than popularity, if that was evaluated too."""
    popular = next((report for name, report in reports.items() if name.startswith("Popular")), None)
    if popular is None:
        return []
    metric = f"ndcg@{k}"
    return [
        f"{name} is behind popularity: {metric} {report[metric]:.4f}, popularity {popular[metric]:.4f}"
        for name, report in reports.items()
        if report[metric] < popular[metric]
    ]


def vectors_of(path: str, scorers: Scorers) -> np.ndarray:
    """The item vectors of the model in a file, which must be of the same items."""
    from autoenc.models import load_model
    from autoenc.models.export import ids_of

    model = load_model(path)
    if list(ids_of(model)) != list(ids_of(next(iter(scorers.values())))):
        raise ValueError(f"{path} and the models have different items; pass a --diversity model with the same items")
    return model.item_vectors()
