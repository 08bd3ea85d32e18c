"""The picture of `quality.py --protocol`: quality against training seconds, a point a model, a panel a data set."""

from __future__ import annotations

import matplotlib
from ranking_report import Lines

OURS, OTHERS = "#3182bd", "#e6550d"


def draw(all_lines: list[Lines], plans: dict, figure=None):
    """The figure: a row a protocol, a column a data set, of what there are lines."""
    from matplotlib import pyplot as plt

    panels = [[(lines, name) for name, plan in plans.items() if lines.models(name, plan)] for lines in all_lines]
    panels = [row for row in panels if row]
    columns = max(map(len, panels))
    figure, axes = plt.subplots(
        len(panels), columns, figsize=(4.6 * columns, 3.6 * len(panels)), layout="constrained", squeeze=False
    )
    for row, of_protocol in zip(axes, panels):
        for ax in row[len(of_protocol) :]:
            ax.set_axis_off()
        for ax, (lines, name) in zip(row, of_protocol):
            points(ax, lines, name, plans[name])
    return figure


def points(ax, lines: Lines, dataset: str, plan) -> None:
    """nDCG@100 by seconds; the bars are paired standard errors of the difference to the reference."""
    reference = lines.mean(dataset, plan.reference, "ndcg@100").value
    for model in lines.models(dataset, plan):
        seconds = max(0.01, lines.median(dataset, model, "fit_seconds"))
        difference = lines.difference(dataset, model, "ndcg@100")
        at = (seconds, lines.mean(dataset, model, "ndcg@100").value)
        error = None if model == plan.reference else difference.error
        color = OURS if model == "best" else OTHERS
        ax.errorbar(*at, yerr=error, fmt="o", color=color, markersize=4, capsize=2, elinewidth=1)
        left = seconds > 20
        ax.annotate(model, at, (-5 if left else 5, 3), textcoords="offset points", fontsize=7,
                    ha="right" if left else "left")  # fmt: skip
    ax.axhline(reference, linestyle=":", linewidth=1, color="#888888")
    ax.set(xscale="log", xlabel="processor seconds to fit", ylabel="nDCG@100")
    ax.set_title(f"{dataset}, {lines.protocol}", fontsize=10)
    ax.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    ax.margins(0.12)
    ax.grid(alpha=0.3)
