"""The picture: the predicted speedup with N machines, and the measurements on one."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from benchmarks.scale.model import LINKS, MACHINES, SIZES, predicted


def draw(measured, model, path):
    figure = Figure((9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, cores in ((left, 1), (right, 16)):
        for color, n_items in zip(("tab:blue", "tab:orange", "tab:green"), (10_677, 100_000, 1_000_000)):
            one = predicted(model, n_items, 1, math.inf, 0, cores)
            for style, (link, (bandwidth, latency)) in zip(("--", "-"), LINKS.items()):
                speedups = [one / predicted(model, n_items, n, bandwidth, latency, cores) for n in MACHINES]
                axes.plot(MACHINES, speedups, style, color=color, label=f"{n_items:,} items, {link}")
        axes.plot(MACHINES, MACHINES, color="lightgray", zorder=0)
        axes.set(xscale="log", yscale="log", xlabel="machines", title=f"{cores} core{'s' * (cores > 1)} per machine")
        axes.set_xticks(MACHINES, MACHINES)
        axes.set_yticks(MACHINES, MACHINES)
        axes.minorticks_off()
    for n_items, color in zip(SIZES, ("tab:blue", "black")):
        one = next(r["seconds"] for r in measured if r["items"] == n_items and r["ranks"] == 1)
        points = [(r["ranks"], one / r["seconds"]) for r in measured if r["items"] == n_items and r["ranks"] <= 2]
        left.plot(
            *zip(*points), "o", color=color, fillstyle="none", label=f"{n_items:,} items, measured on one machine"
        )
    left.set_ylabel("predicted speedup over one machine")
    left.legend(fontsize=7)
    figure.savefig(path, dpi=120)
