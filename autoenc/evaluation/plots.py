"""Plots of a training and an evaluation. They require matplotlib, which the extra `plot` installs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from autoenc.evaluation.align import aligned
from autoenc.evaluation.evaluate import Report
from autoenc.evaluation.ranking import ScorerLike, rank
from autoenc.interactions import Interactions, UserItemsLike, as_user_items
from autoenc.storage.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def check_matplotlib() -> None:
    """Raise ValueError, with installation instructions, if matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ValueError("a plot needs matplotlib: pip install '.[plot]', or leave the plot out") from None


def _new_figure(size: tuple[float, float]) -> Figure:
    check_matplotlib()
    from matplotlib.figure import Figure  # not pyplot, which needs a display

    return Figure(figsize=size, layout="constrained")


def draw_history(history: list[dict[str, Any]], axes: Axes | None = None) -> Figure:
    """The loss by epoch, and the validation metric on a second axis, as a matplotlib Figure.

    Parameters
    ----------
    history : list of dict
        `AutoEncoder.history_`: epoch, loss, lr, and the validation metric if there is one.
    axes : matplotlib Axes, optional
        Axes to draw on, instead of a new figure.
    """
    if axes is None:
        axes = _new_figure((7, 4)).add_subplot()
    axes.plot([row["epoch"] for row in history], [row["loss"] for row in history], color="tab:blue", marker=".")
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss, per user", color="tab:blue")
    axes.locator_params("x", integer=True)
    for metric in {name: None for row in history for name in row if "@" in name}:
        rows = [row for row in history if metric in row]
        other = axes.twinx()
        other.plot([row["epoch"] for row in rows], [row[metric] for row in rows], color="tab:orange", marker=".")
        other.set_ylabel(f"validation {metric}", color="tab:orange")
    return cast("Figure", axes.figure)


def hits_by_popularity(
    scorer: ScorerLike, train: UserItemsLike, held_out: UserItemsLike, k: int = 10, n_groups: int = 10
) -> np.ndarray:
    """Recall of the first k items, by the popularity of the held-out items.

    The items, most liked first, are divided into groups with about the same number of held-out likes.

    Parameters
    ----------
    scorer, train, held_out
        As in `autoenc.evaluate`.

    Returns
    -------
    array (n_groups,)
        From the most to the least popular items; NaN for a group with nothing held out.
    """
    if isinstance(train, Interactions) and isinstance(held_out, Interactions):
        train, held_out = aligned(scorer, train, held_out)
    train, held_out = as_user_items(train, scorer.n_items), as_user_items(held_out, scorer.n_items)
    users = np.flatnonzero(np.diff(held_out.indptr))
    n_items = scorer.n_items
    n_hits = np.zeros(n_items, np.int64)
    for batch, items, _ in rank(scorer, train[users], min(k, n_items)):
        rows, places = np.nonzero(items >= 0)
        columns = items[rows, places]
        hit = np.asarray(held_out[users[batch]][rows, columns]).ravel() > 0
        n_hits += np.bincount(columns[hit], minlength=n_items)
    n_held = np.bincount(held_out.indices, minlength=n_items)
    most_liked_first = np.argsort(-np.bincount(train.indices, minlength=n_items), kind="stable")
    held_before = np.cumsum(n_held[most_liked_first]) - n_held[most_liked_first]
    group = np.minimum(held_before * n_groups // max(1, n_held.sum()), n_groups - 1)
    hits, held = (np.bincount(group, n[most_liked_first], n_groups) for n in (n_hits, n_held))
    shares = np.full(n_groups, np.nan)
    np.divide(hits, held, out=shares, where=held > 0)
    return shares


def draw_evaluation(reports: Mapping[str, Report], hits: Mapping[str, np.ndarray], k: int) -> Figure:
    """Precision and recall by k for several models, and recall by popularity, as a matplotlib Figure.

    Parameters
    ----------
    reports : mapping of a model's name to a result of `autoenc.evaluate`
        Error bars extend two standard errors to each side.
    hits : mapping of a model's name to a result of `hits_by_popularity` at k
    """
    figure = _new_figure((12, 4.4))
    panels = figure.subplots(1, 3)
    for axes, metric in zip(panels, ("precision", "recall")):
        for number, (name, report) in enumerate(reports.items()):
            at = [key for key in report.means if key.startswith(f"{metric}@")]
            ks = np.array([int(key.partition("@")[2]) for key in at])
            beside = 0.01 * ks.max(initial=1) * (number - (len(reports) - 1) / 2)  # so that no bar hides another
            errors = [2 * report.standard_errors[key] for key in at]
            axes.errorbar(ks + beside, [report[key] for key in at], errors, marker=".", capsize=3, label=name)
            axes.set_xticks(ks)
        axes.set(xlabel="k", ylabel=f"{metric}@k", ylim=(0, None))
    width = 0.8 / max(1, len(hits))
    for number, (name, shares) in enumerate(hits.items()):
        places = np.arange(1, len(shares) + 1)
        panels[2].bar(places + (number - (len(hits) - 1) / 2) * width, shares, width, label=name)
        panels[2].set_xticks(places)
    panels[2].set(xlabel="held-out likes, popular items first", ylabel=f"share found in the first {k}")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=max(1, len(reports)))
    return figure


def draw_description(found: Mapping[str, Any]) -> Figure:
    """Histograms of likes per user and per item, as a matplotlib Figure.

    Parameters
    ----------
    found : dict
        The result of `autoenc.datasets.describe.describe_likes`.
    """
    figure = _new_figure((9, 4))
    figure.suptitle(f"{found['users']:,} users x {found['items']:,} items, {found['likes']:,} likes")
    for axes, whose, color in zip(figure.subplots(1, 2), ("user", "item"), ("tab:blue", "tab:orange")):
        groups = found[f"likes_per_{whose}"]["histogram"]
        axes.bar(range(len(groups)), [group["n"] for group in groups], color=color)
        labels = [f"{g['from']:,}" if g["from"] == g["to"] else f"{g['from']:,} to {g['to']:,}" for g in groups]
        axes.set_xticks(range(len(groups)), labels, rotation=45, ha="right")
        axes.set_xlabel(f"likes per {whose}, median {found[f'likes_per_{whose}']['median']:,.6g}")
        axes.set_ylabel(f"{whose}s")
    return figure


def check_plot(path: str | Path) -> None:
    """Raise ValueError if no figure can be saved at `path`: matplotlib is missing, or does not support its ending."""
    check_matplotlib()
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    if _kind(path) not in known:
        raise ValueError(f"{path} must end in one of {', '.join(sorted(known))}; call it plot.png, for example")


def save(figure: Figure, path: str | Path) -> None:
    """Write a Figure to `path`, atomically, in the format given by its ending (png if there is none)."""
    check_plot(path)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=_kind(path), dpi=150)


def _kind(path: str | Path) -> str:
    return Path(path).suffix.removeprefix(".").lower() or "png"
