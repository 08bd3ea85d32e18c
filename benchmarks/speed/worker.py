"""A contestant in its own process: it loads, warms up, reports that it is ready, then measures on request.

    python -m benchmarks.speed.worker autoenc epoch --arrays FILE --steps 60

Each answer is one line of JSON on stdout. `epoch`, `score` and `matmul` first answer {"ready": true}, then once
for each line on stdin; the other tasks answer once. Nothing large is imported at the top, as some tasks measure
the imports.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.speed.worker", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("contestant", help="a name in contestants.py")
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--arrays", metavar="FILE", help="the training likes, written by likes.py")
    parser.add_argument("--steps", type=int, default=60, metavar="N", help="steps per turn (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=3, metavar="N", help="warm-up steps (default: %(default)s)")
    parser.add_argument("--users", type=int, default=8192, metavar="N", help="users per turn (default: %(default)s)")
    parser.add_argument("--size", type=int, default=4096, metavar="N", help="size of matrices (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of split and weights (default: 0)")
    args = parser.parse_args(argv)
    TASKS[args.task](args, take_stdout())


def take_stdout():
    """Reserve stdout for answers, and return a function that writes them."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(**values):
        print(json.dumps(values), file=answers, flush=True)

    return answer


def told_to_go_on() -> bool:
    return bool(sys.stdin.readline())


def contestant_of(args):
    from benchmarks.speed.contestants import CONTESTANTS

    return CONTESTANTS[args.contestant][2]()


class Turns:
    """The clock of `epoch`, with a number of steps per turn; training waits between turns."""

    def __init__(self, answer, warm_up: int, steps: int):
        self.answer, self.steps = answer, steps
        self.warm_up = warm_up
        self.took: list[float] = []
        self.over = False

    def start(self) -> None:
        self.last = time.perf_counter()

    def tick(self) -> bool:
        self.took.append(time.perf_counter() - self.last)
        if self.warm_up is not None and len(self.took) == self.warm_up:
            self.answer(ready=True)
            self.warm_up = None
            self._wait()
        elif self.warm_up is None and len(self.took) == self.steps:
            self.answer(step_seconds=self.took)
            self._wait()
        self.last = time.perf_counter()
        return self.over

    def _wait(self):
        self.took = []
        self.over = not told_to_go_on()


class Few:
    """A clock that ends training after a number of steps."""

    def __init__(self, steps: int):
        self.left = steps

    def start(self) -> None: ...

    def tick(self) -> bool:
        self.left -= 1
        return self.left <= 0


def epoch(args, answer):
    """The seconds of each of --steps steps per turn; training starts again when it ends."""
    from benchmarks.speed import likes

    contestant = contestant_of(args)
    user_items = likes.load(args.arrays)
    clock = Turns(answer, args.warm_up, args.steps)
    while not clock.over:
        contestant.train(user_items, clock)


def score(args, answer):
    """The seconds of the top 10 per turn: for calls with 256 and 4,096 users, and for all of --users.

    For all users, the calls have the size that was fastest in the warm-up.
    """
    from benchmarks.speed import likes

    user_items = likes.load(args.arrays)
    recommend = contestant_of(args).train(user_items, Few(args.warm_up))
    n_users = min(args.users, user_items.shape[0])
    few = min(n_users, 8192)

    def seconds(n_users, size):
        start = time.perf_counter()
        for first in range(0, n_users, size):
            recommend(slice(first, min(n_users, first + size)))
        return time.perf_counter() - start

    def seconds_of_a_call(size):
        return seconds(few, size) / -(-few // size)

    seconds(few, 1024)
    best = min((256, 1024, 4096, 8192), key=lambda size: seconds(few, size))
    answer(ready=True)
    while told_to_go_on():
        by_call = {str(size): seconds_of_a_call(size) for size in (256, 4096)}
        answer(seconds=by_call | {"all": seconds(n_users, best)}, users=n_users, batch_size=best)


def matmul(args, answer):
    """The speed of one square matmul per turn."""
    from benchmarks.speed.contestants import CONTESTANTS

    contestant = CONTESTANTS[args.contestant][2](args.size)
    contestant.multiply()
    answer(ready=True)
    while told_to_go_on():
        start = time.perf_counter()
        contestant.multiply()
        answer(gflops=contestant.flops / (time.perf_counter() - start) / 1e9)


def memory(args, answer):
    """The peak memory of --steps training steps on prepared likes, above that after the imports.

    The memory that the libraries use during training, mostly for compiled kernels, is also measured, with a tiny
    data set.
    """
    from benchmarks.memory import resident_megabytes
    from benchmarks.speed import likes  # NumPy and SciPy, for contestants that don't import them

    contestant = contestant_of(args)
    imports = resident_megabytes("VmRSS")
    contestant.train(likes.tiny(), Few(2))
    at_work = resident_megabytes("VmRSS") - imports
    user_items = likes.load(args.arrays)
    contestant.train(user_items, Few(args.steps))
    peak = resident_megabytes("VmHWM") - imports
    answer(above_imports=peak, imports=imports, at_work=at_work, data=likes.megabytes(user_items))


def first_step(args, answer):
    """Seconds from the first import to the end of the first training step."""
    start = time.perf_counter()
    contestant = contestant_of(args)
    from benchmarks.speed import likes

    contestant.train(likes.load(args.arrays), Few(1))
    answer(seconds=time.perf_counter() - start)


def quality(args, answer):
    """p@1 on the bundled ratings, as `python -m benchmarks.quality` measures it."""
    from autoenc.evaluation.splits import holdout_per_user
    from benchmarks import datasets
    from benchmarks.quality.__main__ import measure

    name = "ml-latest-small"
    train, held_out = holdout_per_user(datasets.load(name).user_items, seed=args.seed)
    last = measure(args.contestant, name, args.seed, train, held_out)[-1]
    answer(p_at_01=last["p_at_01"], epochs=last["epochs"])


def compile_all(args, answer):
    """Seconds to load all kernels, or to compile them if NUMBA_CACHE_DIR is empty."""
    start = time.perf_counter()
    from autoenc.training.warm_up import warm_up

    warm_up(lambda line: print(line, file=sys.stderr))
    answer(seconds=time.perf_counter() - start)


TASKS = {
    "epoch": epoch,
    "score": score,
    "matmul": matmul,
    "memory": memory,
    "quality": quality,
    "first-step": first_step,
    "compile": compile_all,
}

if __name__ == "__main__":
    main()
