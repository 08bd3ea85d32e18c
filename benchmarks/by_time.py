"""Every model with and without a half-life, on likes split by time.

    python -m benchmarks.by_time                        the bundled ratings; prints the table
    python -m benchmarks.by_time --models EASE Popular  only these models
    python -m benchmarks.by_time --least-likes 20       without rare items, a few minutes
    python -m benchmarks.by_time --data ratings.csv     other ratings with times

The likes are split at several times. For each, the models are fitted on the earlier likes and evaluated on
the later likes of the same users; a user counts once for each time that splits their likes. For closed-form
models, `choose_half_life` chooses the half-life on the earlier likes; models that are trained use EASE's, as
their fits take long. `best` and `fast` choose their own if they validate by time; without a half-life they
validate on likes of any time. Differences are paired by user and time: from the same model without a
half-life, and from EASE with one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np

from autoenc import datasets
from autoenc.evaluation.evaluate import Mean, evaluate, with_error
from autoenc.evaluation.splits import TimeSplit, holdout_by_time
from autoenc.interactions import Interactions, likes_per_item
from autoenc.models import (
    EASE,
    EDLAE,
    IALS,
    AutoEncoder,
    DeepRecommender,
    DenoisingAutoEncoder,
    ItemKNN,
    MultVAE,
    Popular,
)
from autoenc.models.base import Recommender
from autoenc.models.half_life import choose_half_life
from autoenc.models.presets import preset
from benchmarks.tables import as_markdown

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
METRICS = ("ndcg@100", "precision@1")
Make = Callable[..., Recommender]
CLOSED_FORMS: dict[str, Make] = {"EASE": EASE, "EDLAE": EDLAE, "ItemKNN": ItemKNN, "Popular": Popular}
ITERATIVE: dict[str, Make] = {
    "AutoEncoder": AutoEncoder,
    "DenoisingAutoEncoder": DenoisingAutoEncoder,
    "MultVAE": MultVAE,
    "DeepRecommender": DeepRecommender,
    "IALS": IALS,
}
BLENDS = ("best", "fast")
WITHOUT, WITH, IN_INPUT = "without", "half-life", "half-life, in the input too"

Values = dict[tuple[str, str], list[dict[str, np.ndarray]]]
"""Each user's value of each metric at each time, by model and variant."""


def without_rare_items(likes: Interactions, least: int) -> Interactions:
    rows, columns = likes.user_items.nonzero()
    kept = likes_per_item(likes.user_items)[columns] >= least
    ids = likes.user_ids[rows[kept]], likes.item_ids[columns[kept]]
    assert likes.times is not None
    return Interactions.from_pairs(*ids, times=likes.times[kept], name=likes.name)


def values_of(model: Recommender, split: TimeSplit) -> dict[str, np.ndarray]:
    report = evaluate(model.fit(split.train), split.train, split.held_out, ks=[1, 100], per_user=True)
    assert report.per_user is not None
    return {metric: report.per_user[metric] for metric in METRICS}


def measured(likes, share: float, names: list[str], found: Values) -> None:
    """Fit the models on the likes before a time, and store the metrics of each user's ranking."""
    split = holdout_by_time(likes, share)
    of_ease = choose_half_life(EASE(), split.train).half_life if set(names) & set(ITERATIVE) else None
    for name in names:
        for variant, model in variants(name, split, of_ease).items():
            values = found[name, WITHOUT][-1] if model is None else values_of(model, split)
            found.setdefault((name, variant), []).append(values)
            told = f"{np.datetime64(split.cut, 's')} {name}, {variant}: {values[METRICS[0]].mean():.4f}"
            print(told, file=sys.stderr, flush=True)


def variants(name: str, split: TimeSplit, of_ease: float | None) -> dict[str, Recommender | None]:
    """The unfitted models to compare; None if no half-life was chosen."""
    if name in BLENDS:
        return {WITHOUT: preset(name), WITH: preset(name).set_params(validation="time")}
    make = (CLOSED_FORMS | ITERATIVE)[name]
    half_life = of_ease if name in ITERATIVE else choose_half_life(make(), split.train).half_life
    found = {WITHOUT: make(), WITH: half_life and make(half_life=half_life)}
    if "weighted_input" in make().get_params():
        found[IN_INPUT] = half_life and make(half_life=half_life, weighted_input=True)
    return found


def mean_of(values: np.ndarray, sign: str = "") -> str:
    mean = Mean()
    mean.add(values)
    return with_error(mean.mean, mean.standard_error, sign)


def rows_of(found: Values) -> list[list[str]]:
    rows = []
    for name, variant in found:
        row = [name if variant == WITHOUT else "", variant]
        for metric in METRICS:
            own, without, ease = (
                np.concatenate([at_moment[metric] for at_moment in found.get(key, [])] or [[]])
                for key in ((name, variant), (name, WITHOUT), ("EASE", WITH))
            )
            row += [
                mean_of(own),
                "" if variant == WITHOUT else mean_of(own - without, "+"),
                "" if name == "EASE" or not len(ease) else mean_of(own - ease, "+"),
            ]
        rows.append(row)
    return rows


def main(argv=None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.by_time", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", metavar="PATH", help="ratings with times (default: the bundled ones)")
    parser.add_argument("--least-likes", type=int, default=1, metavar="N", help="leave out items with fewer likes")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="shares of the likes to hold out")
    names = [*CLOSED_FORMS, *BLENDS, *ITERATIVE]
    parser.add_argument("--models", nargs="+", choices=names, default=names)
    args = parser.parse_args(argv)
    likes = datasets.load(path=args.data, times=True) if args.data else datasets.load(times=True)
    likes = without_rare_items(likes, args.least_likes)
    found: Values = {}
    for share in args.shares:
        measured(likes, share, args.models, found)
    n_users = sum(len(values[METRICS[0]]) for values in found[args.models[0], WITHOUT])
    print(f"{likes}; {len(args.shares)} times, {n_users} users\n")
    header = ["model", "", *(title for metric in METRICS for title in (metric, "from without", "from EASE with"))]
    print(as_markdown([header, *rows_of(found)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
