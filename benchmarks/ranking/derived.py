"""Compare `best` with `fast` and with its own parts on data sets derived from the others.

    python -m benchmarks.ranking.derived                        the table of the stored results
    python -m benchmarks.ranking.derived --run gowalla-core:weak    run this data set and protocol

No choice in the presets was made on these sets: dense cores, the most popular items, random users, and likes
with users and items exchanged. Each preset is fitted as a user would, with its own validation. The best part is
the model in the fitted blend with the highest nDCG@100 on the test likes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import sparse

from autoenc.datasets.core import core
from autoenc.interactions import Interactions
from autoenc.models.blend_search import Judge
from autoenc.models.presets import preset
from benchmarks import datasets
from benchmarks.ranking.choices import FIRST, METRIC, leads, run_and_print, with_p_at_1
from benchmarks.ranking.lines import RESULTS
from benchmarks.ranking.run import PROTOCOLS, split

STORED = RESULTS / "ranking-derived.jsonl"
TEST_USERS = 0.2  # in the strong protocol


def popular(likes: sparse.csr_array, n: int) -> sparse.csr_array:
    """The n items with the most likes."""
    counts = np.bincount(likes.indices, minlength=likes.shape[1])
    return likes[:, np.sort(np.argsort(-counts, kind="stable")[:n])]


def sample(likes: sparse.csr_array, n: int) -> sparse.csr_array:
    """n random users."""
    return likes[np.sort(np.random.default_rng(0).permutation(likes.shape[0])[:n])]


def dense(likes: sparse.csr_array, min_likes_per_user: int, min_likes_per_item: int = 1) -> sparse.csr_array:
    """The users and items with enough likes, as `datasets.load` leaves them."""
    return core(Interactions.from_csr(likes), min_likes_per_user, min_likes_per_item).user_items


def exchanged(likes: sparse.csr_array) -> sparse.csr_array:
    """The items as users, and the users as items."""
    return likes.T.tocsr()


class Derived(NamedTuple):
    """The name of the original data set, what is derived from it in words, and the function that does it."""

    original: str
    description: str
    derive: Callable[[sparse.csr_array], sparse.csr_array]


DERIVED = {
    "latest-small-popular": Derived("ml-latest-small", "the 800 most popular films", lambda x: popular(x, 800)),
    "latest-small-exchanged": Derived("ml-latest-small", "users and films exchanged", exchanged),
    "lastfm-2k-popular": Derived("lastfm-2k", "the 1,500 most popular artists", lambda x: popular(x, 1_500)),
    "lastfm-2k-exchanged": Derived("lastfm-2k", "users and artists exchanged", exchanged),
    "citeulike-core": Derived("citeulike", "at least 12 likes per user and item", lambda x: dense(x, 12, 12)),
    "citeulike-exchanged": Derived(
        "citeulike", "users and items exchanged, at least 4 likes each", lambda x: dense(exchanged(x), 4, 4)
    ),
    "pinterest-sample": Derived("pinterest", "3,000 random users", lambda x: sample(x, 3_000)),
    "gowalla-core": Derived("gowalla", "at least 25 likes per user and item", lambda x: dense(x, 25, 25)),
    "gowalla-sample": Derived(
        "gowalla", "6,000 random users, at least 5 likes per user and item", lambda x: dense(sample(x, 6_000), 5, 5)
    ),
}


def likes_of(name: str) -> sparse.csr_array:
    """A derived set's likes: users with at least two, and items that they like."""
    derived = DERIVED[name]
    return dense(derived.derive(datasets.load(derived.original).user_items), min_likes_per_user=2)


def available() -> list[str]:
    """The names of the derived sets whose original can be loaded on this machine."""
    return [name for name, derived in DERIVED.items() if derived.original in datasets.available()]


def measure(name: str, protocol: str, seed: int = 0) -> dict:
    """The line of a run: the leads of `best` over `fast` and over its best part, in nDCG@100 and p@1."""
    likes = likes_of(name)
    train, shown, held_out = split(likes, protocol, seed, TEST_USERS)
    judges = [Judge(shown, held_out, metric) for metric in (METRIC, FIRST)]

    def values(score) -> np.ndarray:
        """A model's nDCG@100 and p@1 for each test user: (2, n_users)."""
        return np.concatenate([judge.values([score], np.ones((1, 1))) for judge in judges])

    found, seconds = {}, {}
    for preset_name in ("fast", "best"):
        started = time.process_time()
        model = preset(preset_name).set_params(validation=protocol).fit(train)
        seconds[preset_name] = round(time.process_time() - started, 1)
        found[preset_name] = values(model.score)
    parts = {type(part).__name__: values(part.score) for part in model.models_}
    best_part = max(parts, key=lambda part: parts[part][0].mean())
    return {
        "dataset": name,
        "protocol": protocol,
        "seed": seed,
        "users": likes.shape[0],
        "items": likes.shape[1],
        "likes": likes.nnz,
        "tested": found["best"].shape[1],
        "fast": [round(float(value), 6) for value in found["fast"].mean(axis=1)],
        "best": [round(float(value), 6) for value in found["best"].mean(axis=1)],
        "over_fast": leads(found["best"] - found["fast"]),
        "best_part": best_part,
        "over_best_part": leads(found["best"] - parts[best_part]),
        "seconds": seconds,
        "date": time.strftime("%Y-%m-%d"),
    }


def table(lines: list[dict]) -> list[list[str]]:
    """One row per derived set: its sizes, and the leads under each protocol, in nDCG@100 and in p@1 in brackets."""
    by_run = {(line["dataset"], line["protocol"]): line for line in lines}
    columns = [f"{protocol}: lead over {over}" for protocol in PROTOCOLS for over in ("`fast`", "its best part")]
    rows = [["likes", "users x items", *columns]]
    for name, derived in DERIVED.items():
        found = [by_run.get((name, protocol)) for protocol in PROTOCOLS]
        if not any(found):
            continue
        sizes = next("{users:,} x {items:,}".format(**line) for line in found if line)
        row = [f"{derived.original}: {derived.description}", sizes]
        for line in found:
            over_part = f"{with_p_at_1(*line['over_best_part'])}, {line['best_part']}" if line else ""
            row += [with_p_at_1(*line["over_fast"]) if line else "", over_part]
        rows.append(row)
    return rows


def main(argv=None) -> int:
    run_and_print(argv, "derived", __doc__, STORED, measure, (table,), available())
    return 0


if __name__ == "__main__":
    sys.exit(main())
