"""Ratios of paired measurements, and whether they meet the targets."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.speed.results import BY_THREADS, by_threads
from benchmarks.speed.task import ITEMS, USERS, epoch_flops, scoring_flops


def paired(a: Sequence[float], b: Sequence[float]) -> float:
    """The median of a / b over the turns, in which each pair is measured in succession."""
    return statistics.median(x / y for x, y in zip(a, b))


def median_and_range(values: Sequence[float]) -> tuple[float, float, float]:
    return statistics.median(values), min(values), max(values)


class Target(NamedTuple):
    """A figure and its target: at least, or at most, `limit`."""

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


SHARES = {4: 0.70, 8: 0.60, 16: 0.50}  # of NumPy's BLAS in training, up to this number of threads
SLOWER = 1.05  # the time that more threads may take relative to fewer, to allow for noise


def targets(stored: dict) -> list[Target]:
    """The targets for the parts of a run that have been measured, at the task's sizes."""
    parts, processors = stored["parts"], stored["processor"]["count"]
    found = []
    for name, judge in JUDGES.items():
        if name in BY_THREADS:
            found += judge(by_threads(parts.get(name, {})), processors)
        elif name in parts:
            found += judge(parts[name])
    return found


def with_threads(name: str, threads: int, processors: int) -> str:
    """The name of a target at a number of threads."""
    over = ", over-subscribed" if threads > processors else ""
    return f"{name}, {threads} thread{'s' * (threads > 1)}{over}"


def share_of_blas(part: dict, contestant: str = "autoenc", sizes: Sequence[int] = (USERS, ITEMS)) -> float:
    """The speed of a contestant's training relative to NumPy's BLAS; sizes are the numbers of users and items."""
    rates = [epoch_flops(*sizes) / 1e9 / seconds for seconds in part["seconds"][contestant]]
    return paired(rates, part["gflops"]["numpy-matmul"])


def judge_epoch(part: dict[int, dict], processors: int) -> list[Target]:
    found = []
    for threads, measured in part.items():
        seconds = measured["seconds"]

        def target(name, got, sense, limit, form="{:.2f}"):
            found.append(Target(with_threads(f"training, {name}", threads, processors), got, sense, limit, form))  # noqa: B023

        if threads <= max(SHARES):
            limit = next(limit for most, limit in SHARES.items() if threads <= most)
            target("share of NumPy's BLAS", share_of_blas(measured), "at least", limit)
        if "torch-tuned" in seconds:
            limit = 0.66 if threads == 1 else 0.5
            target(
                "time relative to tuned PyTorch", paired(seconds["autoenc"], seconds["torch-tuned"]), "at most", limit
            )
        if "torch-plain" in seconds:
            ratio = paired(seconds["autoenc"], seconds["torch-plain"])
            target("time relative to plain PyTorch", ratio, "at most", 0.03, "{:.3f}")
    if {1, 2} <= part.keys() and processors > 1:
        one, two = (statistics.median(part[threads]["seconds"]["autoenc"]) for threads in (1, 2))
        found.append(Target("training, two threads relative to one", two / one, "at most", 0.56))
    return found


def judge_score(part: dict[int, dict], processors: int) -> list[Target]:
    found = []
    for threads, measured in part.items():
        for call, seconds in measured["seconds"].items():
            if "torch-tuned" in seconds:
                name = with_threads(f"ranking, {users_of(call)}, time relative to tuned PyTorch", threads, processors)
                found.append(Target(name, paired(seconds["autoenc"], seconds["torch-tuned"]), "at most", 0.6))
    for fewer, more in itertools.pairwise(part):
        for call in part[more]["seconds"]:
            took = [statistics.median(part[threads]["seconds"][call]["autoenc"]) for threads in (fewer, more)]
            name = with_threads(f"ranking, {users_of(call)}, relative to the time with {fewer}", more, processors)
            found.append(Target(name, took[1] / took[0], "at most", SLOWER))
    if processors in part:
        measured = part[processors]
        shares = [scoring_flops() / 1e9 / s for s in measured["seconds"]["all"]["autoenc"]]
        share = paired(shares, measured["gflops"]["numpy-matmul"])
        name = with_threads("ranking, share of NumPy's BLAS", processors, processors)
        found.append(Target(name, share, "at least", 0.70))
    return found


def users_of(call: str) -> str:
    return "all users" if call == "all" else f"calls of {int(call):,}"


def judge_busy(part: dict) -> list[Target]:
    """The largest ratio of a phase's share of a step next to busy processes to its share on idle processors."""
    idle, beside = parts_of_a_step(part["idle"]), parts_of_a_step(part["beside"])
    times, phase = max((beside[phase] / idle[phase], phase) for phase in idle)
    name = f"{phase}, share of a step next to {part['busy']} busy loops, relative to idle processors"
    return [Target(name, times, "at most", 2)]


def parts_of_a_step(rows: list[dict]) -> dict[str, float]:
    """Each phase's share of the total, which is the last row."""
    return {row["phase"]: row["ms"] / rows[-1]["ms"] for row in rows[:-1]}


def judge_memory(part: dict) -> list[Target]:
    above = part["megabytes"]
    ours = statistics.median(above["autoenc"])
    found = [Target("training's peak above the imports, MB", ours, "at most", 335, "{:.0f}")]
    if "torch-tuned" in above:
        for name, megabytes in (("the same", above), ("the process's whole peak", part["process"])):
            ratio = paired(megabytes["autoenc"], megabytes["torch-tuned"])
            found.append(Target(f"{name}, relative to tuned PyTorch's", ratio, "at most", 0.5))
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
    """Growth must be linear or less: four times the size may take four times as long, plus a tenth for noise."""
    found = []
    for axis in ("users", "likes", "items"):
        growth = paired(part[axis]["4"], part[axis]["1"])
        found.append(Target(f"epoch with 4 times the {axis}, relative to 1", growth, "at most", 4.4))
    memory, data = part["memory"], part["data_megabytes"]
    grown = statistics.median(memory["4"]) - statistics.median(memory["1"])
    share = grown / (data["4"] - data["1"])
    found.append(Target("growth of memory with users, relative to the data's", share, "at most", 1.1))
    return found


JUDGES = {
    "epoch": judge_epoch,
    "score": judge_score,
    "memory": judge_memory,
    "start": judge_start,
    "scaling": judge_scaling,
    "busy": judge_busy,
}
