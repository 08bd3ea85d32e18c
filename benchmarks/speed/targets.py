"""What was measured beside what it should be: ratios of pairs, and the targets met or not."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.speed.task import epoch_flops, scoring_flops


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
