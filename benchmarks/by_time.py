"""Every model with and without a half-life, on likes that are cut by time.

    python -m benchmarks.by_time                      the bundled ratings, minutes; prints the table
    python -m benchmarks.by_time --data ratings.csv   others that have times

At each of several moments the models are fitted on what came before, and asked for what the same users
liked from then on; a user counts once at each moment that parts their likes. The half-life of a closed
form is the one that `choose_half_life` takes on the likes before the moment; the networks have EASE's,
as their fits take long. Differences are paired by user and moment.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np

from autoenc import datasets
from autoenc.evaluation.evaluate import Mean, evaluate, with_error
from autoenc.evaluation.splits import TimeSplit, holdout_by_time
from autoenc.models import EASE, EDLAE, AutoEncoder, DeepRecommender, DenoisingAutoEncoder, ItemKNN, MultVAE, Popular
from autoenc.models.base import Recommender
from autoenc.models.half_life import choose_half_life
from benchmarks.tables import as_markdown

SHARES = (0.2, 0.35, 0.5)
METRICS = ("ndcg@100", "precision@1")
Make = Callable[..., Recommender]
CLOSED_FORMS: dict[str, Make] = {"EASE": EASE, "EDLAE": EDLAE, "ItemKNN": ItemKNN, "Popular": Popular}
NETWORKS: dict[str, Make] = {
    "AutoEncoder": AutoEncoder,
    "DenoisingAutoEncoder": DenoisingAutoEncoder,
    "MultVAE": MultVAE,
    "DeepRecommender": DeepRecommender,
}
WITHOUT, WITH, IN_INPUT = "without", "half-life", "half-life, in the input too"

Values = dict[tuple[str, str], list[dict[str, np.ndarray]]]
"""By model and variant, at each moment each user's value of each metric."""


def values_of(model: Recommender, split: TimeSplit) -> dict[str, np.ndarray]:
    report = evaluate(model.fit(split.train), split.train, split.held_out, ks=[1, 100], per_user=True)
    assert report.per_user is not None
    return {metric: report.per_user[metric] for metric in METRICS}


def measured(likes, share: float, networks: bool, found: Values) -> None:
    """Fit every model on what came before the moment, and note what each user's ranking is worth."""
    split = holdout_by_time(likes, share)
    chosen = {}
    for name, make in CLOSED_FORMS.items():
        chosen[name] = choose_half_life(make(), split.train).half_life
        values = found.setdefault((name, WITHOUT), [])
        values.append(values_of(make(), split))
        decayed = values[-1] if chosen[name] is None else values_of(make(half_life=chosen[name]), split)
        found.setdefault((name, WITH), []).append(decayed)
    for name, make in NETWORKS.items() if networks else ():
        variants = {WITHOUT: {}, WITH: {"half_life": chosen["EASE"]}}
        variants[IN_INPUT] = {**variants[WITH], "weighted_input": True}
        for variant, params in variants.items():
            of_variant = found.setdefault((name, variant), [])
            same = params.get("half_life", 0) is None  # then nothing decays
            of_variant.append(found[name, WITHOUT][-1] if same else values_of(make(**params), split))
    told = ", ".join(f"{name} {days}" for name, days in chosen.items())
    print(f"{np.datetime64(split.cut, 's')}, days chosen: {told}", file=sys.stderr, flush=True)


def mean_of(values: np.ndarray, sign: str = "") -> str:
    mean = Mean()
    mean.add(values)
    return with_error(mean.mean, mean.standard_error, sign)


def rows_of(found: Values) -> list[list[str]]:
    rows = []
    for (name, variant), values in found.items():
        row = [name if variant == WITHOUT else "", variant]
        for metric in METRICS:
            own = np.concatenate([at_moment[metric] for at_moment in values])
            reference = np.concatenate([at_moment[metric] for at_moment in found[name, WITHOUT]])
            row += [mean_of(own), "" if variant == WITHOUT else mean_of(own - reference, "+")]
        rows.append(row)
    return rows


def main(argv=None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.by_time", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", metavar="PATH", help="ratings with times (default: those bundled)")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="of the likes, after each moment")
    parser.add_argument("--no-networks", dest="networks", action="store_false", help="closed forms alone")
    args = parser.parse_args(argv)
    likes = datasets.load(path=args.data, times=True) if args.data else datasets.load(times=True)
    found: Values = {}
    for share in args.shares:
        measured(likes, share, args.networks, found)
    n_users = sum(len(values[METRICS[0]]) for values in found["EASE", WITHOUT])
    print(f"{likes}; {len(args.shares)} moments, {n_users} users\n")
    header = ["model", "", *(title for metric in METRICS for title in (metric, "difference"))]
    print(as_markdown([header, *rows_of(found)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
