"""Kill a training run again and again: it must end with the bits of an uninterrupted run, and lose little time.

    python tests/helpers/torture.py --kills 200

It is a small run on the bundled ratings, with validation that keeps the best weights, in a separate process.
It is killed with SIGKILL, half of the times after a random time and half of the times at a random file
operation of writing a checkpoint, and started again with the same command. If it ends with kills left,
another one is started.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)] if str(ROOT) not in sys.path else []

from autoenc.datasets import load  # noqa: E402
from autoenc.evaluation.splits import holdout_per_user  # noqa: E402
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state  # noqa: E402
from autoenc.training.callbacks import Callback, History, Validation  # noqa: E402
from autoenc.training.checkpoint import MANIFEST, Checkpoints  # noqa: E402
from autoenc.training.trainer import Trainer  # noqa: E402

EPOCHS = 6
OF_A_CHECKPOINT = ("open", "os.chmod", "os.rename", "os.remove")


def small_split():
    """(train, held_out) of the bundled ratings' first 800 items, so that a life is short."""
    return holdout_per_user(load().user_items[:, :800], seed=0)


def train(split, *callbacks, backend="numba", seed=0, epochs=3):
    """Train on a split; return a digest of all arrays that come of it, and what history took down."""
    train_items, held_out = split
    network = AutoEncoderNetwork(initial_state(train_items.shape[1], emb_dim=12, hidden_dim=8, seed=seed))
    validation = Validation(train_items, held_out, "precision@10")
    history = History(validation)
    trainer = Trainer(
        network,
        epochs=epochs,
        batch_size=128,
        schedule="cosine",
        seed=seed,
        backend=backend,
        callbacks=[validation, history, *callbacks],
    )
    trainer.fit(train_items)
    states = network.state, trainer.adam.first_moment, trainer.adam.second_moment, validation.best_state
    return digest(*states), history.epochs


def digest(*states) -> str:
    return hashlib.sha256(b"".join(state[name].tobytes() for state in states for name in sorted(state))).hexdigest()


class Say(Callback):
    """Tells the process that watches, line by line, which step is behind it."""

    def __init__(self, what):
        self.what = what

    def on_step_end(self, trainer):
        print(self.what, trainer.adam.step_count, flush=True)

    on_epoch_end = on_step_end


def live(folder, backend, every_steps, die_at) -> None:
    """What the killed process does: train, from the checkpoint in `folder` if there is one, and print a digest."""
    split = small_split()
    callbacks = [Say("took"), Checkpoints(folder, every_steps=every_steps), Say("kept")]
    if die_at:
        die_at_operation(die_at, folder)
    print("ready", flush=True)
    print("done", train(split, *callbacks, backend=backend, epochs=EPOCHS)[0], flush=True)


def die_at_operation(number, folder):
    """Kill this process by SIGKILL just before the number-th file operation in `folder`."""
    left = number

    def hook(event, arguments):
        nonlocal left
        if event in OF_A_CHECKPOINT and str(arguments[0]).startswith(folder):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


@dataclass
class Summary:
    """How often the training was killed and how often while it wrote a checkpoint, how many trainings
    ended, the most steps that a kill lost, and the digests of what they ended in."""

    kills: int = 0
    in_a_write: int = 0
    trainings: int = 0
    lost_steps: int = 0
    digests: frozenset[str] = frozenset()


def torture(folder, kills, backend="numba", every_steps=1, seed=0, say=lambda line: None) -> Summary:
    """Kill trainings in `folder` so often, and let the last one end.

    Raises AssertionError if a life ends by anything but the kill or success, or leaves more in
    `folder` than a checkpoint when it has ended.
    """
    rng = np.random.default_rng(seed)
    summary, folder, span = Summary(), Path(folder), 1.0
    while summary.kills < kills or _step_in(folder):
        killing = summary.kills < kills
        by_time = killing and summary.kills % 2 == 0
        by_operation = killing and not by_time
        process = _start(folder, backend, every_steps, die_at=int(rng.integers(1, 60)) if by_operation else 0)
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
        started = time.monotonic()
        if by_time:
            try:
                process.wait(rng.uniform(0, span))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        out = process.stdout.read()  # communicate would miss what readline has buffered
        err = process.communicate()[1]
        if process.returncode == 0:
            span = 0.5 * (span + time.monotonic() - started)
            summary.trainings += 1
            summary.digests |= {out.split()[-1]}
            left = sorted(path.name for path in folder.iterdir())
            assert len(left) == 2 and left[0] == MANIFEST, left
            shutil.rmtree(folder)
            say(f"training {summary.trainings} ended after {summary.kills} kills in all")
            continue
        assert process.returncode == -signal.SIGKILL, err
        summary.kills += 1
        whole = out.rpartition("\n")[0].splitlines()  # the kill may have cut the last line off
        lines = [line.split() for line in whole if not line.startswith("done")]
        in_a_write = bool(lines) and lines[-1][0] == "took"
        summary.in_a_write += in_a_write
        if lines:
            summary.lost_steps = max(summary.lost_steps, int(lines[-1][1]) - _step_in(folder))
    return summary


def _start(folder, backend, every_steps, die_at):
    arguments = {"--live": folder, "--backend": backend, "--every-steps": every_steps, "--die-at": die_at}
    return subprocess.Popen(
        [sys.executable, __file__, *(str(part) for pair in arguments.items() for part in pair)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
    )


def _step_in(folder) -> int:
    """The step of the checkpoint in `folder`; 0 without one."""
    path = folder / MANIFEST
    return json.loads(path.read_text(encoding="utf-8"))["step_count"] if path.exists() else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="in all, halved between the backends (default: 50)")
    parser.add_argument("--backend", choices=("numba", "numpy"), help="one of them alone")
    parser.add_argument("--every-steps", type=int, default=1, help="how often a checkpoint is written (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    for name, kind in (("--live", str), ("--die-at", int)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.live is not None:
        live(args.live, args.backend, args.every_steps, args.die_at)
        return 0

    split = small_split()
    backends = [args.backend] if args.backend else ["numba", "numpy"]
    same = True
    for backend in backends:
        with tempfile.TemporaryDirectory() as scratch:
            summary = torture(
                Path(scratch) / "checkpoint", args.kills // len(backends), backend, args.every_steps, args.seed, print
            )
        ended_same = summary.digests == {train(split, backend=backend, epochs=EPOCHS)[0]}
        within = summary.lost_steps <= args.every_steps
        same = same and ended_same and within
        print(
            f"{backend}: {summary.kills} kills, {summary.in_a_write} of them while a checkpoint was being written; "
            f"{summary.trainings} trainings ended, {'all in the same bits as' if ended_same else 'NOT ALL LIKE'} one "
            f"never killed; a kill lost {summary.lost_steps} steps at most, of {args.every_steps} allowed"
        )
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
