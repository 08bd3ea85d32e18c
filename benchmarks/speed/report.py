"""The figures of a run as text, beside their targets."""

from __future__ import annotations

import statistics

from benchmarks.speed.contestants import label
from benchmarks.speed.parts import SCALES
from benchmarks.speed.targets import median_and_range, paired, targets
from benchmarks.tables import as_text


def tables(parts: dict, is_the_tasks: bool) -> str:
    """The figures of all parts as text, beside their targets where the shape is the task's."""
    blocks = []
    for part, title, unit in (
        ("epoch", "Training, an epoch (implicit's ALS: 15 iterations)", "seconds"),
        ("score", "Scoring every user, top 10", "seconds"),
        ("memory", "Training's peak memory above the imports", "megabytes"),
        ("start", "From the first import to the first step", "seconds"),
    ):
        if part in parts:
            blocks.append(f"{title}\n{as_text(comparison(parts[part][unit], unit))}")
    if "memory" in parts:
        at_work = ", ".join(f"{label(name)} {mb:.0f}" for name, mb in parts["memory"]["at_work"].items())
        data = f"{parts['memory']['data']:.0f}"
        blocks.append(f"Of these megabytes the likes take {data}, and the libraries, once at work: {at_work}")
    if "scaling" in parts:
        blocks.append("An epoch's seconds by size\n" + as_text(scaling_rows(parts["scaling"])))
    if is_the_tasks:
        head = ["target", "measured", "wanted", ""]
        blocks.append(as_text([head, *(target.row() for target in targets(parts))]))
    else:
        blocks.append("The targets are for MovieLens 10M's shape, so nothing is held against them here.")
    return "\n\n".join(blocks)


def comparison(values: dict[str, list[float]], unit: str) -> list[list[str]]:
    rows = [["", f"median {unit}", "range", "ours / theirs"]]
    for name, turns in values.items():
        median, low, high = median_and_range(turns)
        ratio = "" if name == "autoenc" else f"{paired(values['autoenc'], turns):.3f}"
        rows.append([label(name), f"{median:.2f}", f"{low:.2f} to {high:.2f}", ratio])
    return rows


def scaling_rows(part: dict) -> list[list[str]]:
    rows = [["times", *(f"{s:g}" for s in SCALES)]]
    for axis in ("users", "likes", "items"):
        rows.append([axis, *(f"{statistics.median(part[axis][f'{s:g}']):.2f}" for s in SCALES)])
    rows.append(["memory, MB, by users", *(f"{statistics.median(part['memory'][f'{s:g}']):.0f}" for s in SCALES)])
    rows.append(["data itself, MB", *(f"{part['data_megabytes'][f'{s:g}']:.0f}" for s in SCALES)])
    rows += [[f"{n} threads", f"{statistics.median(seconds):.2f}"] + [""] * 4 for n, seconds in part["threads"].items()]
    return rows
