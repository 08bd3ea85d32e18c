"""Alternating turns: each contestant has its own process, which sleeps while another measures."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.speed.processor import limited_to_avx2

ROOT = Path(__file__).parents[2]
WORKER = (sys.executable, "-m", "benchmarks.speed.worker")
CLEARED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
REST = 0.5  # seconds before each turn, as OpenBLAS's threads stay busy for 0.1 s after another worker's last product
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def environment(threads: int, **more: str) -> dict[str, str]:
    """The environment of all contestants: `threads` threads for every library, and each BLAS's own kernels."""
    own = {name: value for name, value in os.environ.items() if name not in CLEARED}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    kernels = without_avx512() if limited_to_avx2() else {}
    return own | dict.fromkeys(THREADS, str(threads)) | {"PYTHONPATH": path} | kernels | more


def without_avx512() -> dict[str, str]:
    """The variables that keep OpenBLAS, numba and PyTorch from using AVX-512."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    used = {name: has and not name.startswith(("avx512", "avx10", "amx")) for name, has in features.items()}
    return {
        "OPENBLAS_CORETYPE": "Haswell",
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": ",".join(f"{'+' if used[name] else '-'}{name}" for name in sorted(used)),
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    }


def run_again_if_pinned(module: str, argv: list[str] | None, threads: int) -> int | None:
    """Run a module in the contestants' environment, unless this is it; return its exit code, or None."""
    wanted = environment(threads)
    if all(os.environ.get(name) == wanted.get(name) for name in (*CLEARED, *THREADS)):
        return None
    pinned = [f"{name}={os.environ[name]}" for name in CLEARED if name in os.environ and name not in wanted]
    if pinned:
        print(f"{' and '.join(pinned)} cleared, so that each library chooses its own kernels", file=sys.stderr)
    words = sys.argv[1:] if argv is None else argv
    return subprocess.run([sys.executable, "-m", module, *words], env=wanted).returncode


class Worker:
    """A worker process that is ready to measure. A context manager: it ends with the block."""

    def __init__(self, *arguments: str, env: dict[str, str]):
        self.name = " ".join(arguments)
        self.process = subprocess.Popen(
            [*WORKER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        self._answer()

    def turn(self) -> dict:
        """One measurement."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker {self.name} ended with code {self.process.wait()} before it answered")
        return json.loads(line)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error) -> None:
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def take_turns(commands: dict[str, tuple[list[str], dict[str, str]]], turns: int, say) -> dict[str, list[dict]]:
    """Start a worker for each (arguments, environment), then let all measure in turns, `turns` times."""
    answers: dict[str, list[dict]] = {name: [] for name in commands}
    with contextlib.ExitStack() as stack:
        workers = {}
        for name, (arguments, env) in commands.items():
            say(f"{name} is warming up")
            workers[name] = stack.enter_context(Worker(*arguments, env=env))
        for turn in range(turns):
            say(f"turn {turn + 1} of {turns}")
            for name, worker in workers.items():
                time.sleep(REST)
                answers[name].append(worker.turn())
    return answers


def once(*arguments: str, env: dict[str, str]) -> dict:
    """The answer of a task that measures a whole process."""
    run = subprocess.run([*WORKER, *arguments], env=env, stdout=subprocess.PIPE, text=True)
    if run.returncode:
        raise RuntimeError(f"the worker {' '.join(arguments)} ended with code {run.returncode}")
    return json.loads(run.stdout.splitlines()[-1])
