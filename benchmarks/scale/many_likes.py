"""Write more likes than fit into memory as parquet, for `autoenc prepare` and training.

    python -m benchmarks.scale.many_likes likes          100 million rows in 20 files, about 700 MB

Few users and few items have most of the likes. Four in ten likes are drawn by the overall popularity, and six
by that of the user's taste, one of a hundred: the same popularity, with the items rotated.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

N_FILES, N_TASTES = 20, 100


def rows(n, n_users, n_items, rng):
    """The columns user and item of n rows, some of which are duplicates."""
    users = (n_users * rng.random(n) ** 1.5).astype(np.int64)
    items = (n_items * rng.random(n) ** 3).astype(np.int64)
    by_taste = rng.random(n) < 0.6
    items[by_taste] += users[by_taste] % N_TASTES * (n_items // N_TASTES)
    return {"user": users, "item": items % n_items}


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.scale.many_likes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder to write, created if it doesn't exist")
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--items", type=int, default=40_000)
    parser.add_argument("--rows", type=int, default=100_000_000)
    args = parser.parse_args()
    import pyarrow
    from pyarrow import parquet

    args.folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(N_FILES):
        table = pyarrow.table(rows(args.rows // N_FILES, args.users, args.items, rng))
        parquet.write_table(table, args.folder / f"{number:02}.parquet")
    return 0


if __name__ == "__main__":
    sys.exit(main())
