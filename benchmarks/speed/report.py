"""The figures of a run as text, with their targets."""

from __future__ import annotations

import statistics

from benchmarks.speed.contestants import label
from benchmarks.speed.parts import FAST, SCALES
from benchmarks.speed.results import by_threads, processor_of
from benchmarks.speed.targets import median_and_range, paired, share_of_blas, targets, users_of
from benchmarks.tables import as_text


def tables(stored: dict, is_the_tasks: bool) -> str:
    """The figures of all parts as text, with their targets if the size is the task's."""
    parts, blocks = stored["parts"], []
    if "epoch" in parts:
        blocks.append(f"Training, seconds per epoch\n{as_text(training_rows(stored))}")
        blocks += [
            f"With {threads} threads (implicit's ALS: 15 iterations)\n{as_text(comparison(part['seconds'], 'seconds'))}"
            for threads, part in by_threads(parts["epoch"]).items()
            if part["seconds"].keys() - set(FAST)
        ]
    if "score" in parts:
        blocks.append(f"Top 10, seconds\n{as_text(ranking_rows(stored))}")
    for part, title, unit in (
        ("memory", "Training's peak memory above the imports", "megabytes"),
        ("start", "From the first import to the first step", "seconds"),
    ):
        if part in parts:
            blocks.append(f"{title}\n{as_text(comparison(parts[part][unit], unit))}")
    if "memory" in parts:
        at_work = ", ".join(f"{label(name)} {mb:.0f}" for name, mb in parts["memory"]["at_work"].items())
        data = f"{parts['memory']['data']:.0f}"
        blocks.append(f"Of these megabytes, the likes take {data}, and the libraries during training: {at_work}")
    if "scaling" in parts:
        blocks.append("Seconds per epoch by size\n" + as_text(scaling_rows(parts["scaling"])))
    if is_the_tasks:
        head = ["target", "measured", "wanted", ""]
        blocks.append(as_text([head, *(target.row() for target in targets(stored))]))
    else:
        blocks.append("The targets are for MovieLens 10M's size, so they are not checked here.")
    return "\n\n".join(blocks)


def training_rows(stored: dict) -> list[list[str]]:
    """Epochs by threads: autoenc, and tuned PyTorch in float32 and bfloat16, with p@1 in the header."""
    qualities = stored["parts"].get("quality", {}).get("p_at_01", {})
    processors = processor_of(stored).count
    parts = by_threads(stored["parts"]["epoch"])
    names = [name for name in FAST if any(name in part["seconds"] for part in parts.values())]
    head = [headed(name, qualities) for name in names]
    rows = [["threads", *head[:1], "share of BLAS", *(cell for title in head[1:] for cell in (title, "ours / theirs"))]]
    for threads, part in parts.items():
        row = [over_subscribed(threads, processors)]
        for name in names:
            if name not in part["seconds"]:
                row += ["", ""]
                continue
            share = share_of_blas(part, name, stored["shape"][:2])
            second = f"{share:.0%}" if name == "autoenc" else of_theirs(part["seconds"], name)
            row += [f"{statistics.median(part['seconds'][name]):.1f} s", second]
        rows.append(row)
    return rows


def headed(name: str, qualities: dict[str, list[float]]) -> str:
    return f"{label(name)} (p@1 {statistics.fmean(qualities[name]):.3f})" if name in qualities else label(name)


def of_theirs(seconds: dict[str, list[float]], name: str) -> str:
    """Our time relative to another's, with a note if the other is faster."""
    ratio = paired(seconds["autoenc"], seconds[name])
    return f"{ratio:.2f}" + (", theirs is faster" if ratio > 1 else "")


def over_subscribed(threads: int, processors: int) -> str:
    return f"{threads} (over-subscribed)" if threads > processors else str(threads)


def threads_named(threads: int, processors: int) -> str:
    """A number of threads as the header of a column."""
    return f"{threads} thread{'s' * (threads > 1)}" + " (over-subscribed)" * (threads > processors)


def ranking_rows(stored: dict) -> list[list[str]]:
    """The top 10 by threads and by the size of the call."""
    processors = processor_of(stored).count
    parts = by_threads(stored["parts"]["score"])
    names = list(dict.fromkeys(name for part in parts.values() for name in part["seconds"]["all"] if name != "autoenc"))
    pairs = (cell for name in names for cell in (label(name), "ours / theirs"))
    rows = [["threads", "users", label("autoenc"), *pairs]]
    for threads, part in parts.items():
        for call, seconds in part["seconds"].items():
            row = [over_subscribed(threads, processors), users_of(call), in_unit(seconds["autoenc"])]
            for name in names:
                row += [in_unit(seconds[name]), of_theirs(seconds, name)] if name in seconds else ["", ""]
            rows.append(row)
    return rows


def in_unit(turns: list[float]) -> str:
    """The median in seconds, or in milliseconds if it is below one second."""
    median = statistics.median(turns)
    return f"{median:.2f} s" if median >= 1 else f"{1e3 * median:.1f} ms"


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
    return rows
