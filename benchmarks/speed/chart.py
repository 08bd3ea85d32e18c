"""Pictures of the stored figures: all processors by threads, and the bars and scaling curves of one."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib

from benchmarks.speed.contestants import label
from benchmarks.speed.parts import FAST
from benchmarks.speed.results import by_threads, machine, processor_of
from benchmarks.speed.targets import share_of_blas

matplotlib.use("Agg")
from matplotlib import pyplot as plt

OURS, OTHERS, DOTS = "#0b6e99", "#b9bec4", "#30343a"
COLORS = dict(zip(FAST, (OURS, "#c8553d", "#8a6fb0")))
AXES = {"users": "#0b6e99", "likes": "#c8553d", "items": "#4f8a3b"}
BARS = (
    ("memory", "megabytes", "Training's peak memory\nabove the imports, MB"),
    ("start", "seconds", "From the first import\nto the first step, s"),
)


def draw_threads(stored: list[dict], path: Path) -> Path:
    """Draw the figures of each processor against the number of threads, one row each. Returns `path`."""
    stored = [one for one in stored if "epoch" in one["parts"]]
    if not stored:
        return path
    figure = plt.figure(figsize=(15, 4.4 * len(stored)), layout="constrained")
    for one, panel in zip(stored, figure.subfigures(len(stored), 1, squeeze=False)[:, 0]):
        panel.suptitle(str(processor_of(one)), fontsize=12, fontweight="bold")
        epochs, shares, scores = panel.subplots(1, 3)
        parts = by_threads(one["parts"]["epoch"])
        for name in FAST:
            found = {threads: part for threads, part in parts.items() if name in part["seconds"]}
            if not found:
                continue
            spread(epochs, {t: part["seconds"][name] for t, part in found.items()}, COLORS[name], label(name))
            percent = [100 * share_of_blas(part, name, one["shape"][:2]) for part in found.values()]
            shares.plot(list(found), percent, color=COLORS[name], marker="o", markersize=4, label=label(name))
        finish_threads(epochs, list(parts), one, "Training an epoch, s")
        finish_threads(shares, list(parts), one, "Training's rate, % of NumPy's BLAS on as many threads")
        ranked = by_threads(one["parts"].get("score", {}))
        for name in FAST:
            seconds = {t: part["seconds"]["all"][name] for t, part in ranked.items() if name in part["seconds"]["all"]}
            if seconds:
                spread(scores, seconds, COLORS[name], label(name))
        finish_threads(scores, list(ranked), one, "Top 10 of every user, s")
    figure.savefig(path, dpi=110, facecolor="white")
    plt.close(figure)
    return path


def finish_threads(ax, threads: list[int], stored: dict, title: str) -> None:
    """Finish an axis of threads, with over-subscription shaded."""
    processors = processor_of(stored).count
    if threads:
        ax.set_xscale("log", base=2)
        ax.set_xticks(threads, [str(t) for t in threads])
        ax.set_xlim(threads[0] / 1.2, threads[-1] * 1.2)
        ax.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        ax.legend(frameon=False)
    if threads and threads[-1] > processors:
        ax.axvspan(processors * 1.2, threads[-1] * 1.2, color=OTHERS, alpha=0.25, linewidth=0)
        ax.annotate("more threads than processors", (1, 0), (-4, 4), "axes fraction", "offset points", fontsize=8,
                    ha="right", color=DOTS)  # fmt: skip
    ax.set(xlabel="threads")
    ax.set_ylim(bottom=0)
    finish(ax, title)


def draw(stored: dict, path: Path) -> Path:
    """Draw one processor's results, without parts that were not measured. Returns `path`."""
    parts = stored["parts"]
    bars = [bar for bar in BARS if bar[0] in parts]
    curves = [curve for curve in (by_size, by_users) if "scaling" in parts]
    panels = len(bars) + len(curves)
    if not panels:
        return path
    figure, axes = plt.subplots(1, panels, figsize=(5 * panels, 4.8), squeeze=False, layout="constrained")
    for ax, bar in zip(axes[0], bars):
        bar_chart(ax, parts[bar[0]][bar[1]], *bar[2:])
    for ax, curve in zip(axes[0][len(bars) :], curves):
        curve(ax, parts["scaling"])
    shape = "{:,} users, {:,} items, {:,} likes".format(*stored["shape"])
    figure.suptitle(f"{shape}: {machine(stored)}", fontsize=8, color=DOTS, wrap=True)
    figure.savefig(path, dpi=110, facecolor="white")
    plt.close(figure)
    return path


def bar_chart(ax, values: dict[str, list[float]], title: str) -> None:
    """A bar for each contestant's median, the first at the top, with its turns as dots."""
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
    ax.set_xlim(0, max(map(max, values.values())) * 1.2)
    finish(ax, title)


def by_size(ax, part: dict) -> None:
    """Epoch seconds against the number of users, likes or items, compared with linear growth."""
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
    """Peak memory against the number of users, compared with the data itself."""
    spread(ax, part["memory"], AXES["users"], "peak above the imports")
    data = part["data_megabytes"]
    ax.plot([float(s) for s in data], list(data.values()), "--", color=DOTS, label="the likes themselves")
    ax.set(xlabel="times as many users")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    finish(ax, "Peak memory, MB, by users")


def spread(ax, values: dict, color: str, name: str) -> None:
    """Medians as a line, with the range of the turns as bars."""
    x = [float(key) for key in values]
    medians = [statistics.median(turns) for turns in values.values()]
    below = [median - min(turns) for median, turns in zip(medians, values.values())]
    above = [max(turns) - median for median, turns in zip(medians, values.values())]
    ax.errorbar(x, medians, (below, above), color=color, marker="o", markersize=4, capsize=3, label=name)


def plain_numbers(axis, subs) -> None:
    """A logarithmic axis with ticks at `subs` times powers of ten, written as 0.3 instead of 3 x 10^-1."""
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=subs))
    axis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axis.set_minor_locator(matplotlib.ticker.NullLocator())


def finish(ax, title: str) -> None:
    ax.set_title(title, fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="both" if ax.get_legend() else "x", alpha=0.25)
    ax.set_axisbelow(True)
