"""Does dense refeeding help? RMSE on the bundled ratings; p@1 and nDCG@100 on the likes of 2,000 items.

    python -m benchmarks.refeeding                about 9 minutes on 2 shared cores

Each seed draws a split (a tenth of the ratings; a fifth of each user's likes), on which a network is
trained with and without refeeding from the same initial weights, so that their difference is paired. As
refeeding takes twice as many steps, a network is also trained without it for twice the epochs. There is only
one split by time: for it, the seeds only determine the weights and the batches.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from autoenc import datasets
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.splits import holdout_per_user
from autoenc.models.deep_recommender import DeepRecommender
from autoenc.models.popular import Popular
from autoenc.models.rating_predictor import RatingPredictor, holdout_ratings, ratings_matrix

BUNDLED = Path(datasets.__file__).parent / "bundled" / "ml-latest-small.zip"
MODES = {"plain": {}, "refed": {"refeed": True}, "twice": {"twice": True}}


def on_ratings(split, seed, twice=False, **params):
    train, held_out = split
    model = RatingPredictor(random_state=seed, **params)
    model.epochs *= 1 + twice
    return {"RMSE": model.fit(train).rmse(train, held_out)}


def on_likes(split, seed, twice=False, **params):
    train, held_out = split
    model = DeepRecommender(random_state=seed, epochs=EPOCHS_ON_LIKES * (1 + twice), **params).fit(train)
    report = evaluate(model, train, held_out, ks=(1, 100))
    return {"p@1": report["precision@1"], "nDCG@100": report["ndcg@100"]}


EPOCHS_ON_LIKES = 40


def of_the_most_liked(user_items, n_items=2000):
    """The most liked items only, as the time for refeeding is proportional to items x users."""
    return user_items[:, np.sort(np.argsort(-user_items.sum(axis=0), kind="stable")[:n_items])]


def of_item_means(split):
    """The RMSE of each item's mean rating, shrunk towards the overall mean with the weight of five ratings."""
    train, held_out = split
    mean = train.data.mean(dtype=np.float64)
    counts = np.bincount(train.indices, minlength=train.shape[1])
    item_means = (np.bincount(train.indices, train.data, train.shape[1]) + 5 * mean) / (counts + 5)
    return float(np.sqrt(np.mean((item_means[held_out.indices] - held_out.data) ** 2)))


def compare(name, splits, measure):
    """Print the means over the seeds, and each difference from the plain network with its standard error."""
    rows = {mode: [measure(split, seed, **kind) for seed, split in splits.items()] for mode, kind in MODES.items()}
    for metric in rows["plain"][0]:
        of = {mode: np.array([row[metric] for row in rows[mode]]) for mode in MODES}
        line = f"{name:24} {metric:9}" + "".join(f"  {mode} {values.mean():.4f}" for mode, values in of.items())
        for mode in ("refed", "twice"):
            difference = of[mode] - of["plain"]
            error = difference.std(ddof=1) / np.sqrt(len(difference))
            line += f"  {mode} - plain {difference.mean():+.4f} ± {error:.4f}"
        print(line, flush=True)


def main(argv=None):
    parser = argparse.ArgumentParser("python -m benchmarks.refeeding", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4, help="number of splits (default: 4)")
    args = parser.parse_args(argv)
    if args.seeds < 2:
        parser.error(f"--seeds is {args.seeds}; a standard error needs 2 or more")
    seeds = range(args.seeds)
    values, times = ratings_matrix(datasets.read(BUNDLED, values=True))
    at_random = {seed: holdout_ratings(values, seed=seed) for seed in seeds}
    by_time = {seed: holdout_ratings(values, times) for seed in seeds}
    print(f"RMSE of the items' means: {np.mean([of_item_means(split) for split in at_random.values()]):.4f} at random,")
    print(f"                          {of_item_means(by_time[0]):.4f} by time")
    compare("ratings, split at random", at_random, on_ratings)
    compare("ratings, split by time", by_time, on_ratings)
    likes = of_the_most_liked(datasets.load().user_items)
    per_user = {seed: holdout_per_user(likes, seed=seed) for seed in seeds}
    popular = [evaluate(Popular().fit(train), train, held, ks=(1, 100)) for train, held in per_user.values()]
    print(f"most popular: p@1 {np.mean([r['precision@1'] for r in popular]):.4f}")
    compare("likes, a fifth held out", per_user, on_likes)


if __name__ == "__main__":
    main()
