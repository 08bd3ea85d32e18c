"""The memory of preparing tables and of training on a prepared folder, in separate processes.

RssAnon is measured, the memory that the system can't reclaim by dropping pages of files; the prepared
arrays are such pages.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.child import run

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")
pytestmark = [
    pytest.mark.long,
    pytest.mark.optional,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux' /proc"),
]


MAKE = """
import sys
import numpy as np
import pyarrow
from pyarrow import parquet

folder, n_users, n_items, n_rows = sys.argv[1], *map(int, sys.argv[2:])
rng = np.random.default_rng(0)
for part in range(10):
    users = (n_users * rng.random(n_rows // 10) ** 1.5).astype(np.int64)
    items = (n_items * rng.random(n_rows // 10) ** 3).astype(np.int64)
    parquet.write_table(pyarrow.table({"user": users, "item": items}), f"{folder}/{part}.parquet")
"""

MEASURE = """
import json
import sys
import threading
import time
from pathlib import Path
from autoenc.cli import main
from autoenc.training.warm_up import warm_up

def anonymous():
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1]) * 1024 / 1e6

def watch():
    global peak
    while True:
        peak = max(peak, anonymous())
        time.sleep(0.01)

if sys.argv[1] == "train":
    warm_up()
started = peak = anonymous()
threading.Thread(target=watch, daemon=True).start()
assert main(sys.argv[1:]) == 0
print(json.dumps({"started": started, "peak": peak}))
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """tables(n_rows): a folder of parquet of 50,000 users and 5,000 items."""

    def make(n_rows):
        folder = tmp_path_factory.mktemp(f"rows{n_rows}")
        run(MAKE, folder, 50_000, 5_000, n_rows)
        return folder

    return make


def test_preparing_keeps_to_the_memory_that_it_is_given(tables, tmp_path):
    """30 million rows, of which the pairs alone are 240 MB, the indices and data as much."""
    said = run(MEASURE, "prepare", tables(30_000_000), "--out", tmp_path / "out", "--memory", "500MB")
    print(said)
    assert json.loads(said.splitlines()[-1])["peak"] < 500


def test_training_takes_no_memory_a_like(tables, tmp_path):
    """From 2 million rows to 20 million, of as many users and items; in memory these likes are 80 MB more."""
    peaks = {}
    for n_rows in (2_000_000, 20_000_000):
        out = tmp_path / str(n_rows)
        run(MEASURE, "prepare", tables(n_rows), "--out", out)
        network = ["--emb-dim", 16, "--hidden-dim", 8, "--epochs", 1, "--early-stopping", "ndcg@10"]
        figures = json.loads(run(MEASURE, "train", "--data", out, *network).splitlines()[-1])
        peaks[n_rows] = figures["peak"] - figures["started"]
    print(peaks)
    assert peaks[20_000_000] - peaks[2_000_000] < 40
