"""How a training scales over ranks: measured on this machine, and predicted for several.

    python benchmarks/scaling.py                     measure at 1, 2 and 4 ranks, fit, predict, draw
    python benchmarks/scaling.py --memory 1000000    what each of 2 ranks holds at so many items

A rank computes on one thread. Measured are seconds a step, what of them passes in sums over the
ranks (waiting for the slowest included), and the bytes that a rank gives to those sums.

The model, of which the first two numbers are fitted to one rank at two catalogue sizes:

    step = replicated + an_item * n_items / ranks + sums
    sums = for each of them   2 (ranks - 1) / ranks * bytes / bandwidth + 2 log2(ranks) * latency

which is an Allreduce by halving and doubling (Rabenseifner), whose every step has all ranks talk at once.
With several cores a machine computes faster and sends no less: --cores divides the first two terms.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy import sparse

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

BATCH, EMB_DIM, HIDDEN_DIM = 256, 800, 400
LIKES = 115  # of a user
SIZES = (10_677, 42_708)
RANKS = (1, 2, 4)
LINKS = {"10 Gbit/s, 30 us": (10e9 / 8, 30e-6), "100 Gbit/s, 5 us": (100e9 / 8, 5e-6)}
MACHINES = (1, 2, 4, 8, 16, 32, 64)
SUMS = (4 * BATCH * EMB_DIM, 4 * BATCH * HIDDEN_DIM, 8)  # bytes: item_sum, grad_hidden, the loss


def popularity(n_items):
    """Zipf-like."""
    return np.arange(1, n_items + 1) ** -0.8


def batches(n_items, n):
    """Users who like items by their popularity, the same on every rank."""
    rng = np.random.default_rng(0)
    bounds = np.cumsum(popularity(n_items))
    bounds /= bounds[-1]
    for _ in range(n):
        items = np.searchsorted(bounds, rng.random(BATCH * LIKES))
        users = np.repeat(np.arange(BATCH), LIKES)
        likes = sparse.coo_array((np.ones(len(items), np.float32), (users, items)), (BATCH, n_items)).tocsr()
        likes.data[:] = 1
        likes.indices = likes.indices.astype(np.int32)
        likes.indptr = likes.indptr.astype(np.int32)
        yield likes


def rank_job(n_items, n_steps):
    """One rank: train some steps and print what they took, on the talker."""
    from autoenc.machine import compute_threads, peak_memory_mb
    from autoenc.networks.autoencoder import Network, initial_state
    from autoenc.optim import Adam
    from autoenc.scale.ranks import world
    from autoenc.scale.sharded import ShardedNetwork
    from autoenc.scale.shards import Shard
    from autoenc.training.fused import FusedNetwork
    from autoenc.training.warm_up import warm_up

    ranks = world()
    warm_up()
    before = peak_memory_mb()
    users = list(batches(n_items, 4))
    shard = Shard.dealt((popularity(n_items) * 1e7).astype(np.int64), ranks)
    network = Network(initial_state(n_items, EMB_DIM, HIDDEN_DIM, items=shard.items))
    adam = Adam(network.params)
    model = ShardedNetwork(FusedNetwork(network, adam), shard)
    seconds, waits = [], []
    with compute_threads(1):
        for step in range(n_steps):
            ranks.sum_number(0)  # all begin at once
            ranks.waited, ranks.sent = 0.0, 0
            started = time.perf_counter()
            model.train_step(users[step % len(users)], (0, 0, step))
            seconds.append(time.perf_counter() - started)
            waits.append(ranks.waited)
    state = sum(a.nbytes for d in (network.state, adam.first_moment, adam.second_moment) for a in d.values())
    facts = {
        "seconds": statistics.median(seconds[2:]),
        "waited": statistics.median(waits[2:]),
        "bytes": ranks.sent,
        "state_mb": round(state / 1e6),
        "peak_mb": peak_memory_mb(),
        "before_mb": before,
    }
    of_ranks = ranks.gather(facts)
    if ranks.talks:
        print(json.dumps(of_ranks))


def run_ranks(n, n_items, n_steps):
    """What each of n ranks says of its steps."""
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    command = [mpiexec, "-n", str(n), sys.executable, __file__, "--rank-job", str(n_items), str(n_steps)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def predicted(model, n_items, ranks, bandwidth, latency, cores=1):
    """Seconds a step."""
    computing = (model["replicated"] + model["an_item"] * n_items / ranks) / cores
    return computing + sum(allreduce(n_bytes, ranks, bandwidth, latency) for n_bytes in SUMS)


def allreduce(n_bytes, ranks, bandwidth, latency):
    return 2 * (ranks - 1) / ranks * n_bytes / bandwidth + 2 * math.log2(ranks) * latency


def measure(n_steps):
    measured = []
    for n_items in SIZES:
        for n in RANKS:
            of_ranks = run_ranks(n, n_items, n_steps)
            row = {"items": n_items, "ranks": n, "seconds": max(r["seconds"] for r in of_ranks)}
            row["waited"] = statistics.mean(r["waited"] for r in of_ranks)
            row["bytes"] = of_ranks[0]["bytes"]
            measured.append(row)
            print(
                f"{n_items:>7,} items, {n} ranks: {row['seconds'] * 1e3:6.1f} ms a step, {row['waited'] * 1e3:5.2f} "
                f"of them in sums ({row['waited'] / row['seconds']:.1%}), {row['bytes']:,} bytes"
            )
    return measured


def fit(measured):
    """The line through one rank's two sizes."""
    few, many = [next(r["seconds"] for r in measured if r["items"] == n and r["ranks"] == 1) for n in SIZES]
    an_item = (many - few) / (SIZES[1] - SIZES[0])
    return {"replicated": few - an_item * SIZES[0], "an_item": an_item}


def draw(measured, model, path):
    from matplotlib.figure import Figure

    figure = Figure((9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, cores in ((left, 1), (right, 16)):
        for color, n_items in zip(("tab:blue", "tab:orange", "tab:green"), (10_677, 100_000, 1_000_000)):
            one = predicted(model, n_items, 1, math.inf, 0, cores)
            for style, (link, (bandwidth, latency)) in zip(("--", "-"), LINKS.items()):
                speedups = [one / predicted(model, n_items, n, bandwidth, latency, cores) for n in MACHINES]
                axes.plot(MACHINES, speedups, style, color=color, label=f"{n_items:,} items, {link}")
        axes.plot(MACHINES, MACHINES, color="lightgray", zorder=0)
        axes.set(xscale="log", yscale="log", xlabel="machines", title=f"{cores} core{'s' * (cores > 1)} a machine")
        axes.set_xticks(MACHINES, MACHINES)
        axes.set_yticks(MACHINES, MACHINES)
        axes.minorticks_off()
    for n_items, color in zip(SIZES, ("tab:blue", "black")):
        one = next(r["seconds"] for r in measured if r["items"] == n_items and r["ranks"] == 1)
        points = [(r["ranks"], one / r["seconds"]) for r in measured if r["items"] == n_items and r["ranks"] <= 2]
        left.plot(
            *zip(*points), "o", color=color, fillstyle="none", label=f"{n_items:,} items, measured on one machine"
        )
    left.set_ylabel("times as fast as one machine (predicted)")
    left.legend(fontsize=7)
    figure.savefig(path, dpi=120)


def table(model, cores):
    for n_items in (10_677, 100_000, 1_000_000):
        for link, (bandwidth, latency) in LINKS.items():
            times = [predicted(model, n_items, n, bandwidth, latency, cores) for n in MACHINES]
            cells = "  ".join(f"{n}: {seconds * 1e3:.1f}" for n, seconds in zip(MACHINES, times))
            print(f"{n_items:>9,} items, {cores:>2} cores, {link}: ms a step at {cells}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12, help="a measurement (default: %(default)s)")
    parser.add_argument("--memory", type=int, metavar="ITEMS", help="look at the memory of 2 ranks instead")
    parser.add_argument("--refit", action="store_true", help="predict and draw from the stored measurements")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "scaling", help="beginning of .json and .png")
    parser.add_argument("--rank-job", nargs=2, type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rank_job:
        rank_job(*args.rank_job)
        return 0
    if args.memory:
        whole = 3 * 4 * args.memory * (EMB_DIM + HIDDEN_DIM + 1) / 1e6
        for rank, r in enumerate(run_ranks(2, args.memory, 6)):
            print(
                f"rank {rank}: {r['state_mb']:,} MB of state of {whole:,.0f} ({r['state_mb'] / whole:.1%}), peak "
                f"{r['peak_mb']:,} MB ({r['peak_mb'] / whole:.1%}), {r['before_mb']} before the network; "
                f"{r['seconds']:.3f} s a step"
            )
        return 0
    path = args.out.with_suffix(".json")
    measured = json.loads(path.read_text(encoding="utf-8"))["measured"] if args.refit else measure(args.steps)
    model = fit(measured)
    print(f"replicated {model['replicated'] * 1e3:.2f} ms, and {model['an_item'] * 1e6:.3f} us an item")
    for r in measured:
        if r["ranks"] == 2:
            expected = model["replicated"] + model["an_item"] * r["items"] / 2
            print(
                f"check: {r['items']:,} items on 2 ranks compute {expected * 1e3:.1f} ms by the model, "
                f"{(r['seconds'] - r['waited']) * 1e3:.1f} measured"
            )
    for cores in (1, 16):
        table(model, cores)
    from autoenc.machine import processors

    facts = {"processor": processors()["model"], "measured": measured, "model": model, "bytes": SUMS}
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    draw(measured, model, args.out.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
