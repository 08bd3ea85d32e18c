"""`autoenc recommend`: recommend items to one person, or to all users in a file."""

from __future__ import annotations

import argparse
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
    say_if_without_times,
    show,
    wants_progress,
)
from autoenc.cli.items import check_offer, names, offer_of, row_of
from autoenc.messages import printable

if TYPE_CHECKING:
    from scipy import sparse

    from autoenc.models.base import Recommender
    from autoenc.models.rankings import Ranking

HELP = "recommend items to one person, or to all users in a file"
EPILOG = """\
With --liked, print a table of items, their scores, and the likes that contributed most to each. Scores
depend on the model; only their order has a meaning. If the likes lead to too few items, the list is
filled with popular ones, which are marked. If the model knows none of the likes, the whole list is, and
the score of an item is the number of users who like it.

With --users, read a file of likes in any format that `train --data` accepts, and write recommendations
for all its users to --out: .csv and .parquet have the columns user, rank, item, score, by_popularity; .npz
has user_ids, item_ids, scores and by_popularity, which marks items to which none of the likes leads. Items
unknown to the model are left out and counted on stderr. Users who get only the most popular items are
counted too. If FILE has times, a model with a half-life counts old likes less; otherwise all likes of a
user count equally. A .csv contains the ids unchanged: a spreadsheet takes one that begins with =, +, - or @
for a formula, so import them as text. Users are processed in batches. Memory use is that of the model plus
about 200 MB, and 50 bytes per like for an .npz file (see `autoenc prepare`).

--items names a file of the only items that may be recommended (such as those in stock today), and
--filter-items a file of items that may not be. Both have one id or title per line. To use different items
for each user, pass --users with --items-per-user or --filter-items-per-user: files with a user and an
item per line, read like files of likes.

With --engine dask, FILE is a prepared folder (`autoenc prepare --memory`) and --out a new folder of
parquet files, one for every 50,000 users, in order. The work is done by the workers of a Dask scheduler
or by processes on this machine; the result does not depend on their number, even if some of them die.

example:
  autoenc recommend model.safetensors --liked "Heat (1995)" --liked "Ronin (1998)"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--liked", metavar="TITLE", action="append", help="title or id of a liked item; repeat "
                        "for each like")  # fmt: skip
    parser.add_argument("--users", metavar="FILE", help="file of likes, to recommend to each of its users")
    parser.add_argument("--out", metavar="FILE", help="with --users: file to write, .csv, .parquet or .npz")
    offer = parser.add_argument_group("what may be recommended, by one of (default: all items)")
    offer.add_argument("--items", metavar="FILE", help="file of items, one per line: recommend only these")
    offer.add_argument("--filter-items", metavar="FILE", help="file of items, one per line: recommend none of these")
    offer.add_argument("--items-per-user", metavar="FILE", help="with --users: file of users and items; recommend only "
                       "these items to each user")  # fmt: skip
    offer.add_argument("--filter-items-per-user", metavar="FILE", help="with --users: file of users and items; "
                       "recommend none of these items to each user")  # fmt: skip
    parser.add_argument("-n", type=int, default=10, help="number of items (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of the table")
    add_reading(parser)
    add_engine(parser)
    add_progress(parser)


def run(args: argparse.Namespace) -> int:
    check_engine(args)
    if (args.liked is None) == (args.users is None) or (args.users is None) != (args.out is None):
        raise ValueError("pass either --liked, once for each like, or --users with --out")
    whole_number("-n", args.n, 1)
    check_offer(args)
    if args.engine == "dask":
        if args.users is None:
            raise ValueError("--engine dask recommends to all users in a folder; pass --users with --out")
        return by_dask(args)
    return for_one(args) if args.users is None else for_all(args)


def for_one(args: argparse.Namespace) -> int:
    from autoenc.models import load_model

    model = load_model(args.model)
    row = row_of(model, args.liked)
    rows = rows_of(model, row, model.recommend(row, N=args.n, **offer_of(args, model, None)))
    if args.json:
        print_json({"liked": names(model, row.indices), "recommended": rows})
        return 0
    titles = [printable(row["item"]) for row in rows]
    width = max(map(len, titles), default=0)
    for place, (title, row) in enumerate(zip(titles, rows), 1):
        drivers = [driver for driver in row["because"][:3] if driver["contribution"] > 0]
        because = ", ".join(f"{printable(d['item'])} {d['contribution']:+.2f}" for d in drivers)
        because = "popular" if row["by_popularity"] else because
        show(f"{place:>3}  {title:<{width}}  {row['score']:8.3f}  {because}")
    return 0


def rows_of(model: Recommender, row: sparse.csr_array, ranking: Ranking) -> list[dict[str, Any]]:
    """What the answer says about each item that is recommended to the user of a row."""
    rows = []
    for item, score, by_popularity in zip(*(array[0].tolist() for array in (*ranking, ranking.by_popularity))):
        if item < 0:
            break  # fewer are left
        likes, contributions = model.explain(row, item)
        drivers = [{"item": name, "contribution": float(c)} for name, c in zip(names(model, likes), contributions)]
        [name] = names(model, [item])
        rows.append({"item": name, "score": score, "by_popularity": by_popularity, "because": drivers})
    return rows


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
    offer = offer_of(args, model, likes.user_ids)
    with progress_bar(wants_progress(args), "recommending") as progress:
        written = write_recommendations(args.out, model, user_items, likes.user_ids, args.n, progress, **offer)
    counts = {"users": likes.n_users, "unknown_items": n_unknown, "likes_left_out": n_dropped}
    return told(args, model.n_items, counts, *written)


def by_dask(args: argparse.Namespace) -> int:
    from pathlib import Path

    from autoenc.models import load_model
    from autoenc.models.export import check_ending
    from autoenc.scale.dask import check_new, cluster, prepared, recommend_parts
    from autoenc.train_job import progress_bar

    check_ending("part.parquet")
    check_new(Path(args.out))
    model = load_model(args.model)  # bad input is found before a cluster is started
    say_if_without_times(args.users, prepared(args.users), [model])
    with (
        cluster(args.scheduler, args.workers, say) as client,
        progress_bar(wants_progress(args), "recommending") as progress,
    ):
        found = recommend_parts(client, args.model, args.users, args.out, args.n, progress=progress)
    n_users, n_dropped, *written = found
    if n_dropped:
        say(f"left out {n_dropped:,} likes of items that the model doesn't know")
    return told(args, model.n_items, {"users": n_users, "likes_left_out": n_dropped}, *written)


def told(args: argparse.Namespace, n_items: int, counts: dict[str, Any], n_popular: int, n_without: int) -> int:
    if n_popular:
        say(f"{n_popular:,} of {counts['users']:,} users got the most popular items, as their likes lead to no others")
    if n_without:
        say(f"{n_without:,} of {counts['users']:,} users got no items, as none was left to recommend to them")
    if args.json:
        print_json({"out": args.out, **counts, "users_by_popularity": n_popular, "users_without_items": n_without})
    else:
        show(f"wrote the {min(args.n, n_items)} best of {counts['users']:,} users to {args.out}")
    return 0
