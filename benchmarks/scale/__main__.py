"""How training scales with the number of ranks: measured on this machine, and predicted for several.

    python -m benchmarks.scale                     measure with 1, 2 and 4 ranks, fit, predict, draw
    python -m benchmarks.scale --memory 1000000    the memory of each of 2 ranks with this many items

Each rank computes on one thread. The seconds per step are measured, their share spent in sums over the
ranks (including waiting for the slowest), and the bytes that a rank passes to these sums.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from autoenc.doctor import processors
from benchmarks.scale.model import EMB_DIM, HIDDEN_DIM, LINKS, MACHINES, SIZES, SUMS, fit, predicted

ROOT = Path(__file__).parents[2]
RANKS = (1, 2, 4)


def run_ranks(n, n_items, n_steps):
    """The results of n ranks for their steps."""
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "PYTHONPATH": path}
    command = [mpiexec, "-n", str(n), sys.executable, "-m", "benchmarks.scale.rank_job", str(n_items), str(n_steps)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


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
                f"{n_items:>7,} items, {n} ranks: {row['seconds'] * 1e3:6.1f} ms per step, {row['waited'] * 1e3:5.2f} "
                f"of them in sums ({row['waited'] / row['seconds']:.1%}), {row['bytes']:,} bytes"
            )
    return measured


def table(model, cores):
    for n_items in (10_677, 100_000, 1_000_000):
        for link, (bandwidth, latency) in LINKS.items():
            times = [predicted(model, n_items, n, bandwidth, latency, cores) for n in MACHINES]
            cells = "  ".join(f"{n}: {seconds * 1e3:.1f}" for n, seconds in zip(MACHINES, times))
            print(f"{n_items:>9,} items, {cores:>2} cores, {link}: ms per step with {cells}")


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=12, help="steps per measurement (default: %(default)s)")
    parser.add_argument("--memory", type=int, metavar="ITEMS", help="measure the memory of 2 ranks instead")
    parser.add_argument("--refit", action="store_true", help="predict and draw from the stored measurements")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "scaling",
                        help="path without .json and .png")  # fmt: skip
    args = parser.parse_args()
    if args.memory:
        whole = 3 * 4 * args.memory * (EMB_DIM + HIDDEN_DIM + 1) / 1e6
        for rank, r in enumerate(run_ranks(2, args.memory, 6)):
            print(
                f"rank {rank}: {r['state_mb']:,} MB of state of {whole:,.0f} ({r['state_mb'] / whole:.1%}), peak "
                f"{r['peak_mb']:,} MB ({r['peak_mb'] / whole:.1%}), {r['before_mb']} before the network; "
                f"{r['seconds']:.3f} s per step"
            )
        return 0
    path = args.out.with_suffix(".json")
    measured = json.loads(path.read_text(encoding="utf-8"))["measured"] if args.refit else measure(args.steps)
    model = fit(measured)
    print(f"replicated {model['replicated'] * 1e3:.2f} ms, and {model['an_item'] * 1e6:.3f} us per item")
    for r in measured:
        if r["ranks"] == 2:
            expected = model["replicated"] + model["an_item"] * r["items"] / 2
            print(
                f"check: {r['items']:,} items on 2 ranks compute {expected * 1e3:.1f} ms by the model, "
                f"{(r['seconds'] - r['waited']) * 1e3:.1f} measured"
            )
    for cores in (1, 16):
        table(model, cores)
    facts = {"processor": processors()["model"], "measured": measured, "model": model, "bytes": SUMS}
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    from benchmarks.scale.chart import draw  # matplotlib

    draw(measured, model, args.out.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
