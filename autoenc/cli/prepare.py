"""`autoenc prepare`: likes in any format as one .npz, which loads fast."""

from __future__ import annotations

import json

HELP = "turn likes of any format into one .npz that loads fast"
EPILOG = """\
IN is what `train --data` takes: a file, or a zip or folder with one. The .npz is what
scipy.sparse.load_npz reads, users x items, with user_ids, item_ids and titles beside it; no pickle.
Where --out is a folder, the file is called likes.npz in it.

example:
  autoenc prepare ml-1m.zip --out ml-1m.npz
"""


def add_arguments(parser) -> None:
    parser.add_argument("likes", metavar="IN", help="the likes")
    parser.add_argument("--out", metavar="PATH", required=True, help="the .npz, or a folder for it")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a sentence")


def run(args) -> int:
    from pathlib import Path

    from autoenc import datasets
    from autoenc.population import save_likes
    from autoenc.run import check_writable

    out = Path(args.out)
    if out.suffix != ".npz":
        if out.suffix:
            raise ValueError(f"--out is {out}; name a file that ends in .npz, or a folder")
        out = out / "likes.npz"
    check_writable(out)
    likes = datasets.load(path=args.likes)
    save_likes(likes, out)
    counts = {"users": likes.n_users, "items": likes.n_items, "likes": likes.n_likes}
    if args.json:
        print(json.dumps({"out": str(out), **counts, "titles": likes.titles is not None}))
    else:
        print(f"wrote {likes.n_likes:,} likes of {likes.n_users:,} users x {likes.n_items:,} items to {out}")
    return 0
