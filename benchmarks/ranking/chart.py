"""The picture of a comparison: quality by training time, one point per model, one panel per data set and protocol."""

from __future__ import annotations

from benchmarks.ranking.lines import Lines
from benchmarks.speed.chart import plain_numbers

# Markers and colors by model. Popular is not drawn, as it is so far below the others.
POINTS = {
    "best": ("*", "#3182bd"),
    "fast": ("s", "#3182bd"),
    "EASE": ("o", "#e6550d"),
    "EDLAE": ("D", "#e6550d"),
    "ELSA": ("^", "#31a354"),
    "IALS": ("D", "#31a354"),
    "ItemKNN": ("o", "#31a354"),
    "AutoEncoder": ("v", "#9e7bd0"),
    "DenoisingAutoEncoder": ("P", "#9e7bd0"),
    "MultVAE": ("X", "#9e7bd0"),
    "DeepRecommender": ("D", "#9e7bd0"),
    "implicit's ALS": ("s", "#888888"),
    "PyTorch's Mult-VAE": ("X", "#888888"),
}


def draw(all_lines: list[Lines], plans: dict):
    """The figure: one row per data set and one column per protocol with lines."""
    from matplotlib import pyplot as plt

    protocols = [lines for lines in all_lines if lines.lines]
    names = [name for name, plan in plans.items() if any(lines.models(name, plan) for lines in protocols)]
    size = (3.9 * len(protocols), 2.3 * len(names) + 0.9)
    figure, axes = plt.subplots(len(names), len(protocols), figsize=size, layout="constrained", squeeze=False)
    handles: dict[str, object] = {}
    for row, name in zip(axes, names):
        for ax, lines in zip(row, protocols):
            if lines.models(name, plans[name]):
                handles |= points(ax, lines, name, plans[name])
            else:
                ax.set_axis_off()
    for ax in axes[-1]:
        ax.set_xlabel("processor seconds to fit")
    for ax in axes[:, 0]:
        ax.set_ylabel("nDCG@100")
    models = [model for model in POINTS if model in handles]
    figure.legend(
        [handles[model] for model in models],
        models,
        loc="outside lower center",
        ncols=2 * len(protocols),
        frameon=False,
        fontsize=9,
    )
    return figure


def points(ax, lines: Lines, dataset: str, plan) -> dict[str, object]:
    """nDCG@100 by seconds, with paired standard errors of the difference from the reference (dotted line) as bars."""
    handles = {}
    for model in (model for model in lines.models(dataset, plan) if model in POINTS):
        marker, color = POINTS[model]
        seconds = max(0.01, lines.median(dataset, model, "fit_seconds"))
        at = (seconds, lines.mean(dataset, model, "ndcg@100").value)
        error = None if model == plan.reference else lines.difference(dataset, model, "ndcg@100").error
        size = 9 if marker == "*" else 5
        handles[model] = ax.errorbar(*at, yerr=error, fmt=marker, color=color, markersize=size, elinewidth=1)
    if plan.reference in handles:
        ax.axhline(lines.mean(dataset, plan.reference, "ndcg@100").value, ls=":", lw=1, color="#888888")
    ax.set_xscale("log")
    ax.set_title(f"{dataset}, {lines.protocol}", fontsize=10)
    plain_numbers(ax.xaxis, (1,))
    ax.minorticks_off()
    ax.margins(0.12)
    ax.grid(alpha=0.3, axis="y")
    return handles
