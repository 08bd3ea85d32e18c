"""The picture of a run of `python -m benchmarks.speed`: bars with every turn as a dot, and the scaling curves."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib

from benchmarks.speed.contestants import label
from benchmarks.speed.results import machine

matplotlib.use("Agg")
from matplotlib import pyplot as plt

OURS, OTHERS, DOTS = "#0b6e99", "#b9bec4", "#30343a"
AXES = {"users": "#0b6e99", "likes": "#c8553d", "items": "#4f8a3b"}
BARS = (
    ("epoch", "seconds", "Training an epoch, s", True),
    ("score", "seconds", "Top 10 of every user, s", False),
    ("memory", "megabytes", "Training's peak memory\nabove the imports, MB", False),
    ("start", "seconds", "From the first import\nto the first step, s", False),
)


def draw(stored: dict, path: Path) -> Path:
    """Draw what the results hold; parts that were not measured stay out. Returns `path`."""
    parts = stored["parts"]
    bars = [bar for bar in BARS if bar[0] in parts]
    curves = [curve for curve in (by_size, by_users, by_threads) if "scaling" in parts]
    rows = bool(bars) + bool(curves)
    if not rows:
        return path
    figure = plt.figure(figsize=(15, 4.2 * rows + 0.6), layout="constrained")
    panels = iter(figure.subfigures(rows, 1, squeeze=False)[:, 0])
    if bars:
        for ax, bar in zip(next(panels).subplots(1, len(bars), squeeze=False)[0], bars):
            bar_chart(ax, parts[bar[0]][bar[1]], *bar[2:])
    if curves:
        for ax, curve in zip(next(panels).subplots(1, len(curves), squeeze=False)[0], curves):
            curve(ax, parts["scaling"])
    shape = "{:,} users, {:,} items, {:,} likes".format(*stored["shape"])
    figure.suptitle(f"{shape}: {machine(stored)}", fontsize=8, color=DOTS, wrap=True)
    figure.savefig(path, dpi=110, facecolor="white")
    plt.close(figure)
    return path


def bar_chart(ax, values: dict[str, list[float]], title: str, logarithmic: bool) -> None:
    """A bar for each contestant's median, the first on top, its turns as dots."""
    names = list(values)
    medians = [statistics.median(values[name]) for name in names]
    colors = [OURS if name.startswith("autoenc") else OTHERS for name in names]
    ax.barh(range(len(names)), medians, color=colors, height=0.62)
    for row, name in enumerate(names):
        ax.plot(values[name], [row] * len(values[name]), "o", color=DOTS, markersize=3, alpha=0.6)
        figure = f"{medians[row]:,.0f}" if medians[row] >= 100 else f"{medians[row]:.3g}"
        ax.annotate(figure, (max(values[name]), row), (5, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(names)), [label(name) for name in names])
    ax.invert_yaxis()
    if logarithmic:
        ax.set_xscale("log")
        ax.set_xlim(min(medians) / 2, max(map(max, values.values())) * 2.5)
        plain_numbers(ax.xaxis, (1, 3))
    else:
        ax.set_xlim(0, max(map(max, values.values())) * 1.2)
    finish(ax, title)


def by_size(ax, part: dict) -> None:
    """Epoch seconds against the number of users, likes or items, and what linear growth would be."""
    for axis, color in AXES.items():
        spread(ax, part[axis], color, axis)
    first = statistics.median(part["users"]["1"])
    ends = [float(min(part["users"], key=float)), float(max(part["users"], key=float))]
    ax.plot(ends, [first * end for end in ends], ":", color=DOTS, linewidth=1, label="linear")
    ax.set(xscale="log", yscale="log", xlabel="times as many")
    ax.set_xticks([float(s) for s in part["users"]], list(part["users"]))
    ax.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    plain_numbers(ax.yaxis, (1, 2, 5))
    ax.legend(frameon=False)
    finish(ax, "Training an epoch, s, by size")


def by_users(ax, part: dict) -> None:
    """Peak memory against users, above the data itself."""
    spread(ax, part["memory"], AXES["users"], "peak above the imports")
    data = part["data_megabytes"]
    ax.plot([float(s) for s in data], list(data.values()), "--", color=DOTS, label="the likes themselves")
    ax.set(xlabel="times as many users")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    finish(ax, "Peak memory, MB, by users")


def by_threads(ax, part: dict) -> None:
    seconds = part["threads"]
    spread(ax, seconds, OURS, "measured")
    one = statistics.median(seconds["1"])
    ax.plot(
        [int(n) for n in seconds], [one / int(n) for n in seconds], ":", color=DOTS, label="one thread's time, divided"
    )
    ax.set(xlabel="threads")
    ax.set_xticks([int(n) for n in seconds])
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    finish(ax, "Training an epoch, s, by threads")


def spread(ax, values: dict[str, list[float]], color: str, name: str) -> None:
    """Medians as a line, the range of the turns as bars."""
    x = [float(key) for key in values]
    medians = [statistics.median(turns) for turns in values.values()]
    below = [median - min(turns) for median, turns in zip(medians, values.values())]
    above = [max(turns) - median for median, turns in zip(medians, values.values())]
    ax.errorbar(x, medians, (below, above), color=color, marker="o", markersize=4, capsize=3, label=name)


def plain_numbers(axis, subs) -> None:
    """A logarithmic axis with a tick at each of `subs` times a power of ten, written as 0.3 and not 3 x 10^-1."""
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=subs))
    axis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axis.set_minor_locator(matplotlib.ticker.NullLocator())


def finish(ax, title: str) -> None:
    ax.set_title(title, fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="both" if ax.get_legend() else "x", alpha=0.25)
    ax.set_axisbelow(True)
