"""The benchmarks' arithmetic: from seconds to rates, ratios of pairs, and the targets met or not."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from autoenc.doctor import step_flops
from autoenc.training.minibatches import batch_bounds

USERS, ITEMS, LIKES = 69_878, 10_677, 10_000_054  # MovieLens 10M
BATCH, EMB_DIM, HIDDEN_DIM = 256, 800, 400


def steps_per_epoch(n_users: int = USERS, batch_size: int = BATCH) -> int:
    return len(batch_bounds(n_users, batch_size)) - 1


def steps_of(contestant: str, n_users: int = USERS) -> int:
    """How many steps are a training: an epoch's, and for implicit's ALS its 15 iterations."""
    return 15 if contestant == "implicit-als" else steps_per_epoch(n_users)


def epoch_flops(n_users: int = USERS, n_items: int = ITEMS) -> int:
    """The matmuls of an epoch's steps: 7.05 GFLOP each at the task's sizes."""
    return steps_per_epoch(n_users) * step_flops(BATCH, n_items, EMB_DIM, HIDDEN_DIM)


def scoring_flops(n_users: int = USERS, n_items: int = ITEMS) -> int:
    """The matmuls of scoring users: 0.64 TFLOP at the task's sizes."""
    return 2 * n_users * HIDDEN_DIM * (EMB_DIM + n_items)


def epoch_seconds(step_seconds: Sequence[float], n_steps: int) -> float:
    """What an epoch takes: its own sum if these are all its steps, else the median step times their number."""
    if len(step_seconds) >= n_steps:
        return sum(step_seconds) * n_steps / len(step_seconds)
    return statistics.median(step_seconds) * n_steps


def paired(a: Sequence[float], b: Sequence[float]) -> float:
    """The median of a / b over the turns, each pair measured one after the other."""
    return statistics.median(x / y for x, y in zip(a, b))


def median_and_range(values: Sequence[float]) -> tuple[float, float, float]:
    return statistics.median(values), min(values), max(values)


class Target(NamedTuple):
    """A figure beside what it should be: at least `limit`, or at most it."""

    name: str
    got: float
    sense: str  # "at least" or "at most"
    limit: float
    form: str = "{:.2f}"

    @property
    def met(self) -> bool:
        return self.got >= self.limit if self.sense == "at least" else self.got <= self.limit

    def row(self) -> list[str]:
        limit = f"{self.sense} {self.form.format(self.limit)}"
        return [self.name, self.form.format(self.got), limit, "met" if self.met else "NOT MET"]


def targets(parts: dict) -> list[Target]:
    """The targets of those parts of a run that have been measured, at the task's sizes."""
    return [target for name, judge in JUDGES.items() if name in parts for target in judge(parts[name])]


def judge_epoch(part: dict) -> list[Target]:
    seconds, rates = part["seconds"], part["gflops"]
    ours = seconds["autoenc"]
    shares = [epoch_flops() / 1e9 / s for s in ours]
    found = [Target("training, share of NumPy's BLAS", paired(shares, rates["numpy-matmul"]), "at least", 0.70)]
    if "torch-tuned" in seconds:
        outruns = "torch-matmul" in rates and paired(rates["numpy-matmul"], rates["torch-matmul"]) > 1.1
        name = "training, of tuned PyTorch's time" + (" (its BLAS is the slower one)" if outruns else "")
        found.append(Target(name, paired(ours, seconds["torch-tuned"]), "at most", 0.35 if outruns else 0.5))
    if "torch-plain" in seconds:
        name = "training, of plain PyTorch's time"
        found.append(Target(name, paired(ours, seconds["torch-plain"]), "at most", 0.03, "{:.3f}"))
    return found


def judge_score(part: dict) -> list[Target]:
    seconds, rates = part["seconds"], part["gflops"]
    shares = [scoring_flops() / 1e9 / s for s in seconds["autoenc"]]
    found = [Target("scoring, share of NumPy's BLAS", paired(shares, rates["numpy-matmul"]), "at least", 0.70)]
    if "torch-tuned" in seconds:
        ratio = paired(seconds["autoenc"], seconds["torch-tuned"])
        found.append(Target("scoring, of tuned PyTorch's time", ratio, "at most", 0.6))
    return found


def judge_memory(part: dict) -> list[Target]:
    above = part["megabytes"]
    ours = statistics.median(above["autoenc"])
    found = [Target("training's peak above the imports, MB", ours, "at most", 600, "{:.0f}")]
    if "torch-tuned" in above:
        for name, megabytes in (("the same", above), ("the process's whole peak", part["process"])):
            ratio = paired(megabytes["autoenc"], megabytes["torch-tuned"])
            found.append(Target(f"{name}, of tuned PyTorch's", ratio, "at most", 0.5))
    return found


def judge_start(part: dict) -> list[Target]:
    def seconds(name, values, limit):
        return Target(name, statistics.median(values), "at most", limit)

    return [
        seconds("import to the first step, warm cache, s", part["seconds"]["autoenc"], 1.5),
        seconds("compiling every kernel, s", part["compile"], 20),
        seconds("autoenc --help, s", part["help"], 0.3),
    ]


def judge_scaling(part: dict) -> list[Target]:
    """Linear or less: four times as much costs at most four times as much, with a tenth for noise."""
    found = []
    for axis in ("users", "likes", "items"):
        growth = paired(part[axis]["4"], part[axis]["1"])
        found.append(Target(f"epoch at 4 times the {axis}, of its time at 1", growth, "at most", 4.4))
    memory, data = part["memory"], part["data_megabytes"]
    grown = statistics.median(memory["4"]) - statistics.median(memory["1"])
    share = grown / (data["4"] - data["1"])
    found.append(Target("memory's growth with users, of the data's own", share, "at most", 1.1))
    if "2" in part["threads"]:
        speedup = paired(part["threads"]["2"], part["threads"]["1"])
        found.append(Target("two threads, of one's time", speedup, "at most", 0.56))
    return found


JUDGES = {
    "epoch": judge_epoch,
    "score": judge_score,
    "memory": judge_memory,
    "start": judge_start,
    "scaling": judge_scaling,
}


def as_text(rows: list[list[str]]) -> str:
    """Rows as a table, the first its head."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
