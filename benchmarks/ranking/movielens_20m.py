"""The published protocol of MovieLens 20M, on the user's own copy of the data.

    python -m benchmarks.ranking.movielens_20m ml-20m.zip                       EASE, IALS and MultVAE
    python -m benchmarks.ranking.movielens_20m ratings.csv --models best fast

A rating above 3.5 is a like, and users with fewer than 5 likes are left out. Of the others, 10,000 random
users are for validation and 10,000 for testing; a model is fitted on the rest. Items that none of the rest
likes are left out. A fifth of the likes of each test user, rounded down, is held out; a model is shown the
others and evaluated on those held out. Users with fewer than 5 remaining likes have none held out. Models
with hyperparameters to choose are tuned for nDCG@100 on the validation users, in the same way.

Recall is the number of hits among k, divided by the smaller of k and the number of held-out likes:
metrics.capped_recall_at_k.

Source
    Liang, Krishnan, Hoffman and Jebara 2018, Variational Autoencoders for Collaborative Filtering
    (arXiv 1802.05814), sections 4.1 to 4.3, and its code, which draws other users.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import sparse

from autoenc import datasets, evaluate, models, preset
from autoenc.evaluation.splits import keep
from autoenc.interactions import Interactions, as_user_items, likes_per_item
from benchmarks.ranking.search import search
from benchmarks.tables import as_text

LIKED_ABOVE, LEAST_LIKES = 3.5, 5
METRICS = ("ndcg@100", "capped_recall@20", "capped_recall@50")

# nDCG@100, recall@20 and recall@50, as published by the authors.
PUBLISHED = {
    "RecVAE": ((0.442, 0.414, 0.553), "Shenbin et al. 2020"),
    "Mult-VAE": ((0.426, 0.395, 0.537), "Liang et al. 2018"),
    "iALS": ((0.425, 0.395, 0.532), "Rendle et al. 2022"),
    "EASE": ((0.420, 0.391, 0.521), "Steck 2019"),
    "Mult-DAE": ((0.419, 0.387, 0.524), "Liang et al. 2018"),
}

# Unfitted models with given hyperparameters, and the values to tune.
MODELS = {
    "EASE": (partial(models.EASE, max_memory=np.inf), {"l2": [200.0, 500.0, 1000.0]}),
    "EDLAE": (partial(models.EDLAE, max_memory=np.inf), {"l2": [200.0, 500.0, 1000.0], "dropout": [0.2, 0.33, 0.5]}),
    "IALS": (
        partial(models.IALS, emb_dim=512, l2_exponent=1.0, epochs=16),
        {"l2": [0.001, 0.003, 0.01], "unobserved_weight": [0.03, 0.1, 0.3]},
    ),
    "ELSA": (models.ELSA, {}),
    "ItemKNN": (models.ItemKNN, {"k": [100, 200, 500]}),
    "MultVAE": (models.MultVAE, {}),
    "DenoisingAutoEncoder": (models.DenoisingAutoEncoder, {}),
    "Popular": (models.Popular, {}),
    "best": (lambda: preset("best").set_params(validation="strong"), {}),
    "fast": (lambda: preset("fast").set_params(validation="strong"), {}),
}


class Asked(NamedTuple):
    """Users to evaluate on: the likes shown to a model, and those it should find, (n, n_items) each."""

    shown: sparse.csr_array
    held_out: sparse.csr_array


class Split(NamedTuple):
    train: sparse.csr_array  # (n_train, n_items)
    validation: Asked
    test: Asked


def likes_of(path: str) -> sparse.csr_array:
    """The likes of the users with enough of them, from a file of ratings."""
    ratings = datasets.read(path, values=True)
    if ratings.ratings is None:
        raise ValueError(f"{path} has no column of ratings; pass ml-20m.zip or its ratings.csv.")
    liked = ratings.ratings > LIKED_ABOVE
    likes = Interactions.from_pairs(ratings.users[liked], ratings.items[liked]).user_items
    return likes[np.flatnonzero(np.diff(likes.indptr) >= LEAST_LIKES)]


def split(likes: sparse.csr_array, n_held_out: int, seed: int) -> Split:
    """Draw `n_held_out` users for validation and as many for testing, and hold out a fifth of the likes of each."""
    n_users = likes.shape[0]
    if n_users <= 2 * n_held_out:
        raise ValueError(
            f"there are {n_users:,} users with {LEAST_LIKES} likes or more, of whom {2 * n_held_out:,} cannot be held "
            "out; pass a larger file, or a smaller --held-out-users."
        )
    rng = np.random.default_rng(seed)
    validating, tested, trained_on = np.split(rng.permutation(n_users), [n_held_out, 2 * n_held_out])
    train = likes[np.sort(trained_on)]
    known = np.flatnonzero(likes_per_item(train))
    asked = (as_user_items(likes[np.sort(users)][:, known]) for users in (validating, tested))
    return Split(as_user_items(train[:, known]), *(hold_out(of_users, rng) for of_users in asked))


def hold_out(likes: sparse.csr_array, rng: np.random.Generator) -> Asked:
    """A random fifth of each user's likes, rounded down."""
    n_likes = np.diff(likes.indptr)
    row = np.repeat(np.arange(len(n_likes)), n_likes)
    in_random_order = np.lexsort((rng.random(len(row)), row))
    chosen = np.zeros(len(row), bool)
    chosen[in_random_order] = np.arange(len(row)) - likes.indptr[row] < n_likes[row] // 5
    return Asked(keep(likes, ~chosen), keep(likes, chosen))


def measured(name: str, users: Split) -> list[str]:
    """A model's row of the table, tuned on the validation users and evaluated on the test users."""
    make, space = MODELS[name]
    chosen: dict = {}
    if space:
        chosen, _ = search(
            lambda params: report_of(make(**params).fit(users.train), users.validation)[METRICS[0]], space
        )
    begun = time.perf_counter()
    model = make(**chosen).fit(users.train)
    seconds = time.perf_counter() - begun
    report = report_of(model, users.test)
    figures = [f"{report[metric]:.4f} ± {report.standard_errors[metric]:.4f}" for metric in METRICS]
    return [name, *figures, f"{seconds:.0f} s", ", ".join(f"{key} {value:g}" for key, value in chosen.items())]


def report_of(model, asked: Asked):
    return evaluate(model, *asked, ks=[20, 50, 100])


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.ranking.movielens_20m",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", metavar="FILE", help="ml-20m.zip, or ratings.csv from it")
    parser.add_argument("--models", nargs="+", choices=MODELS, metavar="MODEL", default=["EASE", "IALS", "MultVAE"],
                        help=f"any of {', '.join(MODELS)} (default: EASE IALS MultVAE)")  # fmt: skip
    parser.add_argument("--held-out-users", type=int, default=10_000, metavar="N",
                        help="number of validation users, and of test users (default: %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed for drawing users and likes (default: %(default)s)")
    args = parser.parse_args(argv)
    try:
        users = split(likes_of(args.data), args.held_out_users, args.seed)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    train, test = users.train, users.test
    print(f"{train.shape[0]:,} users to train on, {train.shape[1]:,} items, {train.nnz:,} likes", file=sys.stderr)
    rows = [["model", "nDCG@100", "recall@20", "recall@50", "last fit", "chosen on validation"]]
    for name in args.models:
        print(f"{name} ...", file=sys.stderr)
        rows.append(measured(name, users))
    for name, (figures, source) in PUBLISHED.items():
        rows.append([f"{name}, published", *(f"{figure:.3f}" for figure in figures), "", source])
    print(as_text(rows))
    n_asked = int((np.diff(test.held_out.indptr) > 0).sum())
    print(f"means over {n_asked:,} test users, with their standard errors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
