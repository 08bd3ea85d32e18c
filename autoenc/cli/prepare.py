"""`autoenc prepare`: convert likes in any format to an .npz, or tables of any size to a folder, which load fast."""

from __future__ import annotations

import argparse
import math
import re

from autoenc.checks import whole_number
from autoenc.cli.common import add_reading, print_json, reading_of, say, say_source, show

HELP = "convert likes in any format to one .npz that loads fast, or tables of any size to a folder"
EPILOG = """\
IN is anything that `train --data` accepts: a file, or a zip or folder with one, or - for standard input.
The .npz is a users x items matrix that scipy.sparse.load_npz can read. It also contains user_ids, item_ids
and titles, and no pickles. If --out is a folder, the file is written there as likes.npz.

With --memory, or if IN is a folder of parquet or CSV files, at any depth, IN may have any size, and --out
is a folder of arrays, which `train --data` maps into memory instead of reading them. This needs the extra
`scale` (pip install '.[scale]'), the memory given, and as much free disk space at --out as IN
takes: autoenc prepare likes/ --out prepared --memory 2GB.

example:
  autoenc prepare ml-1m.zip --out ml-1m.npz
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("likes", metavar="IN", help="likes to convert")
    parser.add_argument("--out", metavar="PATH", required=True, help="the .npz file or the folder to write")
    parser.add_argument("--memory", metavar="SIZE", help="memory limit, such as 500MB (default, for a "
                        "folder of tables: 2GB)")  # fmt: skip
    parser.add_argument("--times", action="store_true", help="keep the time of each like, for "
                        "`evaluate --protocol time` (default: leave it out)")  # fmt: skip
    parser.add_argument(
        "--threads", type=int, metavar="N", help="number of threads, for tables (default: all processors)"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of the sentence")
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from autoenc.datasets.relation import is_partitioned

    if args.memory is not None or is_partitioned(Path(args.likes)):
        return to_folder(args)
    if args.threads:
        raise ValueError("--threads is only used with --memory or a folder of tables; leave it out, or pass --memory")
    return to_npz(args)


def to_folder(args: argparse.Namespace) -> int:
    from pathlib import Path

    from autoenc.datasets.tables import prepare

    if Path(args.out).suffix == ".npz":
        raise ValueError(f"--out is {args.out}; name a folder, as tables of any size are written to one")
    if args.threads is not None:
        whole_number("--threads", args.threads, 1)
    memory = bytes_of(args.memory or "2GB")
    counts = prepare(
        args.likes, args.out, memory=memory, times=args.times, threads=args.threads, options=reading_of(args)
    )
    say(counts.source)
    if args.json:
        print_json({"out": args.out, **counts._asdict()})
    else:
        show(
            f"wrote {counts.likes:,} likes of {counts.users:,} users x {counts.items:,} items, from {counts.rows:,} "
            f"rows, to {args.out}"
        )
    return 0


def bytes_of(size: str) -> float:
    """A size such as 2GB in bytes; MB and GB are 10**6 and 10**9 bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([MG])B?", size.strip(), re.IGNORECASE)
    if not found or math.isinf(float(found[1])):
        raise ValueError(f"--memory is {size}; pass a size such as 2GB or 800MB")
    return float(found[1]) * {"M": 1e6, "G": 1e9}[found[2].upper()]


def to_npz(args: argparse.Namespace) -> int:
    from pathlib import Path

    from autoenc import datasets
    from autoenc.datasets.npz import save_likes
    from autoenc.storage.atomic import check_writable

    out = Path(args.out)
    if out.suffix != ".npz":
        if out.suffix:
            raise ValueError(f"--out is {out}; pass the name of an .npz file or of a folder")
        out = out / "likes.npz"
    check_writable(out, args.likes)
    likes = datasets.load(path=args.likes, times=args.times, **vars(reading_of(args)))
    say_source(likes)
    save_likes(likes, out)
    counts = {"users": likes.n_users, "items": likes.n_items, "likes": likes.n_likes}
    if args.json:
        print_json({"out": str(out), **counts, "titles": likes.titles is not None})
    else:
        show(f"wrote {likes.n_likes:,} likes of {likes.n_users:,} users x {likes.n_items:,} items to {out}")
    return 0
