"""`autoenc recommend`: what somebody would like, for one person by name or for everybody in a file."""

from __future__ import annotations

import argparse
import functools
from typing import TYPE_CHECKING, Any

from autoenc.checks import whole_number
from autoenc.cli.common import (
    MODEL_HELP,
    add_engine,
    add_progress,
    add_reading,
    check_engine,
    load_as_asked,
    print_json,
    reading_of,
    say,
    show,
    wants_progress,
)
from autoenc.messages import printable

if TYPE_CHECKING:
    import numpy as np

    from autoenc.models.base import Recommender

HELP = "recommend items to one person, or to everybody in a file"
EPILOG = """\
With --liked a table of items with their scores, and the likes that drove each: those without which
its score would be lowest. A score is the model's own: higher is better, and no more is meant.

With --users a file of any format that `train --data` takes, and --out names another: .csv and
.parquet have the columns user, rank, item, score; .npz has user_ids, item_ids and scores. Items
that the model doesn't know are left out, and counted on stderr. A model with a half-life counts old
likes less where FILE has times, and a user's likes alike where it hasn't. Cells of a .csv are the ids as they
are: one that begins with =, +, - or @ is a formula to a spreadsheet, so import them as text. Users
pass in batches: the memory is that of the model, 200 MB, and of an .npz (see `autoenc prepare`) 50
bytes a like.

With --engine dask FILE is a prepared folder (`autoenc prepare --memory`) and --out a new folder of
parquet, a file for every 50,000 users, in their order. It is computed by the workers of a scheduler, or by
processes on this machine, and is the same whatever workers there are and whichever of them die.

example:
  autoenc recommend model.safetensors --liked "Heat (1995)" --liked "Ronin (1998)"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--liked", metavar="TITLE", action="append", help="a title or an id; again for each like")
    parser.add_argument("--users", metavar="FILE", help="everybody's likes")
    parser.add_argument("--out", metavar="FILE", help="where their recommendations go: .csv, .parquet or .npz")
    parser.add_argument("-n", type=int, default=10, help="how many items (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the table")
    add_reading(parser)
    add_engine(parser)
    add_progress(parser)


def run(args: argparse.Namespace) -> int:
    check_engine(args)
    if (args.liked is None) == (args.users is None) or (args.users is None) != (args.out is None):
        raise ValueError("pass either --liked, once for each like, or --users with --out")
    whole_number("-n", args.n, 1)
    if args.engine == "dask":
        if args.users is None:
            raise ValueError("--engine dask is for everybody in a folder; pass --users with --out")
        return by_dask(args)
    return for_one(args) if args.users is None else for_all(args)


def for_one(args: argparse.Namespace) -> int:
    from autoenc.models import load_model

    model = load_model(args.model)
    names = functools.partial(named, model)
    row = model.row_of(args.liked)
    items, scores = model.recommend(row, N=min(args.n, model.n_items))
    rows: list[dict[str, Any]] = []
    for item, score in zip(items[0], scores[0]):
        if item < 0:
            break  # fewer are left
        likes, contributions = model.explain(row, item)
        drivers = [{"item": name, "contribution": float(c)} for name, c in zip(names(likes), contributions)]
        rows.append({"item": names([item])[0], "score": float(score), "because": drivers})
    if args.json:
        print_json({"liked": args.liked, "recommended": rows})
        return 0
    titles = [printable(row["item"]) for row in rows]
    width = max(map(len, titles), default=0)
    for place, (title, row) in enumerate(zip(titles, rows), 1):
        drivers = [driver for driver in row["because"][:3] if driver["contribution"] > 0]
        because = ", ".join(f"{printable(d['item'])} {d['contribution']:+.2f}" for d in drivers)
        show(f"{place:>3}  {title:<{width}}  {row['score']:8.3f}  {because}")
    return 0


def named(model: Recommender, columns: list[int] | np.ndarray) -> list[str]:
    """Titles, or else ids, of a model's items."""
    return [str(c) for c in columns] if model.catalogue_ is None else model.catalogue_.item_names(columns)


def for_all(args: argparse.Namespace) -> int:
    from autoenc.models import load_model
    from autoenc.models.export import check_ending, on_items_of, write_recommendations
    from autoenc.storage.atomic import check_writable
    from autoenc.train_job import progress_bar

    check_ending(args.out)
    check_writable(args.out, args.model, args.users)
    model = load_model(args.model)
    likes = load_as_asked(args.users, [model], reading_of(args))
    user_items, n_unknown, n_dropped = on_items_of(model, likes)
    if n_unknown:
        say(f"left out {n_dropped:,} likes of {n_unknown:,} items that the model doesn't know")
    with progress_bar(wants_progress(args), "recommending") as progress:
        write_recommendations(args.out, model, user_items, likes.user_ids, args.n, progress)
    counts = {"users": likes.n_users, "unknown_items": n_unknown, "likes_left_out": n_dropped}
    return told(args, model.n_items, counts)


def by_dask(args: argparse.Namespace) -> int:
    from pathlib import Path

    from autoenc.models import load_model
    from autoenc.models.export import check_ending
    from autoenc.scale.dask import check_new, cluster, prepared, recommend_parts
    from autoenc.train_job import progress_bar

    check_ending("part.parquet")
    check_new(Path(args.out))
    model = load_model(args.model)  # that they are good is known before there is a cluster
    prepared(args.users)
    with (
        cluster(args.scheduler, args.workers, say) as client,
        progress_bar(wants_progress(args), "recommending") as progress,
    ):
        n_users, n_dropped = recommend_parts(client, args.model, args.users, args.out, args.n, progress=progress)
    if n_dropped:
        say(f"left out {n_dropped:,} likes of items that the model doesn't know")
    return told(args, model.n_items, {"users": n_users, "likes_left_out": n_dropped})


def told(args: argparse.Namespace, n_items: int, counts: dict[str, Any]) -> int:
    if args.json:
        print_json({"out": args.out, **counts})
    else:
        show(f"wrote the {min(args.n, n_items)} best of {counts['users']:,} users to {args.out}")
    return 0
