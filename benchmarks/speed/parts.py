"""The parts of a run, each a function that takes the plan and returns its figures."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.speed import likes
from benchmarks.speed.contestants import label, missing_package
from benchmarks.speed.results import read
from benchmarks.speed.task import epoch_seconds, steps_of, steps_per_epoch
from benchmarks.speed.turns import environment, once, take_turns

SCALES = (0.25, 0.5, 1, 2, 4)
FAST = ("autoenc", "torch-tuned", "torch-bfloat16")


class Plan(NamedTuple):
    """The settings of a part: the folder and size of the likes, the threads, and the number of measurements."""

    folder: Path
    shape: tuple[int, int, int]
    threads: int
    turns: int
    quick: bool = False
    others: bool = True  # whether to measure the slow contestants too, not only autoenc and tuned PyTorch

    @property
    def env(self) -> dict[str, str]:
        return environment(self.threads)

    @property
    def likes(self) -> Path:
        return likes.train_file(self.folder, *self.shape)

    def on_likes(self, contestant: str, task: str, **options) -> list[str]:
        return command(contestant, task, arrays=self.likes, **options)


def command(contestant: str, task: str, **options) -> list[str]:
    """The arguments of a worker."""
    pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in options.items())
    return [contestant, task, *(word for pair in pairs for word in pair)]


def installed(*names: str) -> list[str]:
    """The contestants that can be measured here; reports why the others can't."""
    for name in names:
        if package := missing_package(name):
            say(f"{label(name)} is left out: {package} is not installed (pip install {package}, or make bench)")
    return [name for name in names if not missing_package(name)]


def epoch(plan: Plan) -> dict:
    """Seconds of a training epoch, extrapolated from the median of a few steps."""
    steps = dict.fromkeys(FAST, 20 if plan.quick else 60)
    if plan.others:
        steps |= {"autoenc-numpy": 20, "torch-plain": 3, "implicit-als": 3}
        if plan.quick:
            steps |= {"autoenc-numpy": 4, "torch-plain": 1, "implicit-als": 1}
    whole = steps_per_epoch(plan.shape[0])
    steps = {name: min(whole, n) for name, n in steps.items()}
    tasks = {
        name: plan.on_likes(name, "epoch", steps=steps[name], warm_up=min(3, steps[name])) for name in installed(*steps)
    }
    tasks |= {name: command(name, "matmul") for name in installed("numpy-matmul", "torch-matmul")}
    answers = take_turns({name: (task, plan.env) for name, task in tasks.items()}, plan.turns, say)
    seconds = {
        name: [epoch_seconds(a["step_seconds"], steps_of(name, plan.shape[0])) for a in answers[name]]
        for name in tasks
        if name in steps
    }
    return {"seconds": seconds, "steps": steps, "gflops": rates(answers)}


def score(plan: Plan) -> dict:
    """Seconds for the ten best items, without liked ones: in calls of 256 and 4,096 users, and for all users."""
    users = min(4096, plan.shape[0]) if plan.quick else plan.shape[0]
    warm_up = dict.fromkeys(FAST, 20) | ({"implicit-als": 1} if plan.others else {})
    tasks = {name: plan.on_likes(name, "score", users=users, warm_up=warm_up[name]) for name in installed(*warm_up)}
    tasks["numpy-matmul"] = command("numpy-matmul", "matmul")
    answers = take_turns({name: (task, plan.env) for name, task in tasks.items()}, plan.turns, say)
    seconds = {
        call: {name: [a["seconds"][call] for a in answers[name]] for name in tasks if name in warm_up}
        for call in ("256", "4096")
    }
    seconds["all"] = {
        name: [a["seconds"]["all"] * plan.shape[0] / a["users"] for a in answers[name]]
        for name in tasks
        if name in warm_up
    }
    return {"seconds": seconds, "users": users, "gflops": rates(answers)}


def quality(plan: Plan) -> dict:
    """p@1 on the bundled ratings, after the same epochs on the same splits: a mean over seeds."""
    seeds = 1 if plan.quick else 5
    found = {}
    for name in installed(*FAST):
        say(label(name))
        found[name] = [once(*command(name, "quality", seed=seed), env=plan.env)["p_at_01"] for seed in range(seeds)]
    return {"p_at_01": found}


def rates(answers: dict) -> dict:
    return {name: [a["gflops"] for a in answers[name]] for name in answers if name.endswith("-matmul")}


def memory(plan: Plan) -> dict:
    """Peak memory of training in megabytes, above that of its process after the imports."""
    steps = {"autoenc": 60, "torch-tuned": 60, "implicit-als": 1}
    found: dict[str, list[dict]] = {name: [] for name in installed(*steps)}
    for turn in range(1 if plan.quick else plan.turns):
        say(f"turn {turn + 1}")
        for name in found:
            found[name].append(once(*plan.on_likes(name, "memory", steps=steps[name]), env=plan.env))
    return {
        "megabytes": {name: [a["above_imports"] for a in answers] for name, answers in found.items()},
        "process": {name: [a["above_imports"] + a["imports"] for a in answers] for name, answers in found.items()},
        "imports": {name: statistics.median(a["imports"] for a in answers) for name, answers in found.items()},
        "at_work": {name: statistics.median(a["at_work"] for a in answers) for name, answers in found.items()},
        "data": found["autoenc"][0]["data"],
    }


def start(plan: Plan) -> dict:
    """Seconds from the first import to the first step, of compiling everything, and of `autoenc --help`."""
    names = installed("autoenc", "torch-tuned", "implicit-als")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(plan.turns + 1):
        say(f"turn {turn} of {plan.turns}" if turn else "reading files once before")
        for name in names:
            took = once(*plan.on_likes(name, "first-step"), env=plan.env)["seconds"]
            if turn:
                seconds[name].append(took)
    compiled = []
    for _ in range(1 if plan.quick else 3):
        say("compiling all kernels")
        with tempfile.TemporaryDirectory() as empty:
            compiled.append(once("autoenc", "compile", env=environment(plan.threads, NUMBA_CACHE_DIR=empty))["seconds"])
    helped = [seconds_of([sys.executable, "-m", "autoenc", "--help"], plan.env) for _ in range(plan.turns + 1)][1:]
    return {"seconds": seconds, "compile": compiled, "help": helped}


def seconds_of(program: list[str], env: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(program, env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def scaling(plan: Plan) -> dict:
    """Seconds of an epoch and peak memory with more or fewer users, likes or items.

    More users are the same ones repeated. For likes and items, steps are measured on a twelfth of the users
    and extrapolated to all.
    """
    n_users, n_items, n_likes = plan.shape
    few = max(512, n_users // 12)
    likes_of_few = round(n_likes * few / n_users)
    files = {
        "users": {f"{s:g}": likes.with_users(plan.likes, s) for s in SCALES},
        "likes": {f"{s:g}": likes.train_file(plan.folder, few, n_items, round(likes_of_few * s)) for s in SCALES},
        "items": {f"{s:g}": likes.train_file(plan.folder, few, round(n_items * s), likes_of_few) for s in SCALES},
    }
    found: dict[str, dict] = {}
    for axis, by_scale in files.items():
        say(f"scaling with {axis}")
        commands = {
            scale: (command("autoenc", "epoch", arrays=file, steps=20, warm_up=3), plan.env)
            for scale, file in by_scale.items()
        }
        answers = take_turns(commands, plan.turns, lambda line: None)
        users = {scale: round(n_users * float(scale)) if axis == "users" else n_users for scale in by_scale}
        found[axis] = {
            scale: [epoch_seconds(a["step_seconds"], steps_per_epoch(users[scale])) for a in answers[scale]]
            for scale in by_scale
        }
    say("memory with users")
    peaks = {
        scale: [once(*command("autoenc", "memory", arrays=file, steps=20), env=plan.env) for _ in range(3)]
        for scale, file in files["users"].items()
    }
    found["memory"] = {scale: [a["above_imports"] for a in answers] for scale, answers in peaks.items()}
    found["data_megabytes"] = {scale: answers[0]["data"] for scale, answers in peaks.items()}
    return found


def profile(plan: Plan) -> dict:
    return measured_by("benchmarks.speed.profile", plan)["profile"][str(plan.threads)]


def busy(plan: Plan) -> dict:
    """The profile next to as many busy processes as there are threads."""
    return measured_by("benchmarks.speed.profile", plan, busy=[plan.threads])["busy"]


def kernels(plan: Plan) -> dict:
    return measured_by("benchmarks.speed.kernels", plan)["kernels"]


def measured_by(module: str, plan: Plan, **more: list) -> dict:
    """The parts that a module measures and stores itself."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "part.json"
        options = {"shape": plan.shape, "cache": [plan.folder], "threads": [plan.threads], "out": [out], **more}
        words = [word for name, values in options.items() for word in (f"--{name}", *map(str, values))]
        subprocess.run([sys.executable, "-m", module, *words], env=plan.env, check=True, stdout=sys.stderr)
        return read(out)["parts"]


PARTS = {f.__name__: f for f in (epoch, score, quality, memory, start, scaling, profile, busy, kernels)}
QUICK = ("epoch", "score", "quality", "memory", "start")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
