"""Choose the parts of `best` by leaving out one data set at a time, and check that its search finds the best weights.

    python -m benchmarks.ranking.choices                        the tables of the stored results
    python -m benchmarks.ranking.choices --run pinterest:weak   run this data set and protocol

A run fits every part that was considered once, on training likes only, and searches for the weights of each
set of parts, with scores on their own scales and standardized per user. Each blend is compared on the test
likes with EASE, whose l2 is the best on validation likes; with IALS, if EASE doesn't fit into memory.

The check: on the validation users, the weights found by the search are at least as good as each part alone,
each pair, and a fine grid of several hundred points, up to 0.0005.

Leaving one set out: the blend that is furthest ahead of the reference on average over the other sets, with
differences relative to the reference's nDCG@100, is evaluated on the set that was left out, and compared with
the best blend there. Sets that are too large for EASE are compared among themselves.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np
from scipy import sparse

from autoenc.models.blend_search import Judge, Stopping, validation_split
from autoenc.models.blend_weights import Values, best_of, choice, coarse_trials, finer_trials
from autoenc.models.presets import preset
from autoenc.training.progress import no_progress
from benchmarks import datasets
from benchmarks.ranking.lines import RESULTS
from benchmarks.ranking.plans import PLANS
from benchmarks.ranking.run import PROTOCOLS, in_own_process, split
from benchmarks.tables import as_markdown, as_text

STORED = RESULTS / "blend-choices.jsonl"
METRIC, FIRST, WITHIN = "ndcg@100", "precision@1", 0.0005
FINE_POINTS = 400
MOST_TESTED = 4_000  # users


def measure(dataset: str, protocol: str, seed: int = 0) -> dict:
    """The line of a run: the check, and the lead of each blend over EASE on the test likes."""
    inner, validation_likes, test_likes = split_twice(dataset, protocol, seed)
    started = time.process_time()
    parts = fitted_parts(inner, Judge(*validation_likes, METRIC))
    seconds = time.process_time() - started
    scores = {name: Remembered(part) for name, part in parts.items()}

    blends, checks = {}, {}
    for standardize in (True, False):
        validation = Judge(*validation_likes, METRIC, standardize=standardize)
        tests = [Judge(*test_likes, metric, standardize=standardize) for metric in (METRIC, FIRST)]
        for names in sets_of(tuple(parts)):
            blend = " + ".join(names) + (", standardized" if standardize else "")
            scorers = [scores[name] for name in names]
            blends[blend], best, chosen = blended(scorers, validation, tests)
            if names == tuple(parts):
                checks[blend] = check(scorers, validation, best) | {"choice": chosen}
    reference = "EASE" if "EASE" in parts else "IALS"
    alone = blends[reference].pop("values")
    for blend in blends.values():
        blend |= zip(("ahead", FIRST), leads(blend.pop("values", alone) - alone))
    return {
        "dataset": dataset,
        "protocol": protocol,
        "seed": seed,
        "users": alone.shape[1],
        "seconds": round(seconds, 1),
        "check": checks,
        "reference": reference,
        "alone": round(float(alone[0].mean()), 6),
        "blends": blends,
        "date": time.strftime("%Y-%m-%d"),
    }


def split_twice(dataset: str, protocol: str, seed: int) -> tuple[sparse.csr_array, tuple, tuple]:
    """Training likes, and (likes to show, likes to predict) of the validation users and of the test users."""
    likes = datasets.load(dataset).user_items
    train, shown, held_out = split(likes, protocol, seed, PLANS[dataset].test_users)
    tested = np.flatnonzero(np.diff(held_out.indptr))
    tested = np.sort(np.random.default_rng(seed).permutation(tested)[:MOST_TESTED])
    inner, fold_in, to_find = validation_split(train, protocol, None, seed)
    return inner, (fold_in, to_find), (shown[tested], held_out[tested])


def leads(differences: np.ndarray) -> list[list[float]]:
    """For nDCG@100 and p@1, the mean of the differences (2, n_users) and its standard error."""
    return [[round(float(of.mean()), 6), round(float(of.std(ddof=1) / len(of) ** 0.5), 6)] for of in differences]


class Remembered:
    """A fitted model's scores, each batch of users computed once."""

    def __init__(self, model):
        self.model, self.scores = model, {}

    def __call__(self, liked: sparse.csr_array) -> np.ndarray:
        key = (liked.indptr.tobytes(), liked.indices.tobytes())
        if key not in self.scores:
            self.scores[key] = self.model.score(liked)
        return self.scores[key]


def fitted_parts(train: sparse.csr_array, judge: Judge) -> dict:
    """The models of `best` by name, with hyperparameters and early stopping as in its fit; always with the network."""
    best = preset("best")
    best.search_, best._progress, best._replaced = [], no_progress, {}
    parts = best._models_that_fit(train.shape)
    others = parts[1:] if parts is best.models else parts
    others = [best._searched(type(part).__name__.lower(), part, train, judge).finish() for part in others]
    network = stopped(best.models[0], others, train, judge)
    return {"network": network} | {type(part).__name__: part for part in others}


def stopped(network, others: list, train: sparse.csr_array, judge: Judge):
    """The network, trained up to the epoch at which its blend with the others, already fitted, is best."""
    best = preset("best")
    return network.fit(train, callbacks=[Stopping(judge, others, best.stop_every, best.patience, no_progress)])


def sets_of(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [names for n in range(1, len(parts) + 1) for names in itertools.combinations(parts, n)]


def blended(scorers: list, validation: Judge, tests: list[Judge]) -> tuple[dict, float, float]:
    """The chosen weights with their values for each test user; the best validation value, and that of the chosen."""
    values: Values = lambda weights: validation.values(scorers, weights)  # noqa: E731
    trials = finer_trials(coarse_trials(len(scorers), values), values)
    chosen = choice(trials, values)
    of_test = chosen.weights / validation.scales(scorers) * tests[0].scales(scorers)
    tested = np.concatenate([test.values(scorers, of_test[None]) for test in tests])
    weights = [round(weight, 4) for weight in chosen.weights.tolist()]
    return {"weights": weights, "values": tested}, best_of(trials).value, chosen.value


def check(scorers: list, validation: Judge, best: float) -> dict:
    """The smallest lead of the search's best over each part alone, each pair, and a fine grid."""
    alone = np.eye(len(scorers))
    pairs = [a * share + b * (1 - share) for a, b in itertools.combinations(alone, 2) for share in shares()]
    everywhere = np.exp(np.random.default_rng(0).uniform(-5, 5, (FINE_POINTS, len(scorers))))
    found = validation.values(scorers, np.concatenate([alone, pairs, everywhere])).mean(axis=1)
    bounds = np.cumsum([0, len(alone), len(pairs), len(everywhere)])
    kinds = ("alone", "pairs", "fine grid")
    ahead = [best - float(found[a:b].max()) for a, b in itertools.pairwise(bounds)]
    return {"best": round(best, 6)} | {kind: round(by, 6) for kind, by in zip(kinds, ahead)}


def shares() -> np.ndarray:
    """Shares of the first model of a pair, from almost 0 to almost 1."""
    return 1 / (1 + np.exp(np.linspace(-5, 5, 21)))


def is_met(line: dict) -> bool:
    return all(found["alone"] >= 0 and found[kind] >= -WITHIN for found in line["check"].values()
               for kind in ("pairs", "fine grid"))  # fmt: skip


def check_table(lines: list[dict]) -> list[list[str]]:
    rows = [["likes", "blend", "best", "lead over each alone", "over each pair", "over a fine grid", "chosen", ""]]
    for line in lines:
        for blend, found in line["check"].items():
            figures = [f"{found[kind]:+.4f}" for kind in ("alone", "pairs", "fine grid")]
            rows.append([name_of(line), blend, f"{found['best']:.4f}", *figures, f"{found['choice']:.4f}",
                         "met" if is_met(line) else "NOT MET"])  # fmt: skip
    return rows


def left_out_table(lines: list[dict]) -> list[list[str]]:
    """One row per set left out and protocol: the blend chosen on the others, and its lead over the reference."""
    rows = [["left out", "chosen on the others", "its lead", "best on the set left out", "its lead"]]
    for name in dict.fromkeys(line["dataset"] for line in lines):
        for line in (line for line in lines if line["dataset"] == name):
            others = [o for o in lines if o["dataset"] != name and o["reference"] == line["reference"]]
            if others:
                chosen = max(line["blends"], key=lambda blend: mean_ahead(others, blend))
                best = max(line["blends"], key=lambda blend: line["blends"][blend]["ahead"][0])
                rows.append([name_of(line), chosen, ahead(line, chosen), best, ahead(line, best)])
    return rows


def mean_ahead(lines: list[dict], blend: str) -> float:
    """The mean lead over sets, each the mean over its protocols, relative to the reference's figure."""
    by_set: dict[str, list[float]] = {}
    for line in lines:
        by_set.setdefault(line["dataset"], []).append(line["blends"][blend]["ahead"][0] / line["alone"])
    return float(np.mean([np.mean(of_set) for of_set in by_set.values()]))


def ahead(line: dict, blend: str) -> str:
    return with_p_at_1(*(line["blends"][blend][key] for key in ("ahead", FIRST)))


def with_p_at_1(of_list: list[float], of_first: list[float]) -> str:
    """The lead in nDCG@100, and that in p@1 in brackets; each is a difference and its standard error."""
    return "{:+.4f} ± {:.4f}".format(*of_list) + " ({:+.4f} ± {:.4f})".format(*of_first)


def name_of(line: dict) -> str:
    return f"{line['dataset']}, {line['protocol']}"


def stored(path: Path = STORED, key: tuple[str, str] = ("dataset", "protocol")) -> list[dict]:
    """The last line of each data set and protocol, or of another key."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines()) if path.exists() else ()
    return list({tuple(line[name] for name in key): line for line in lines}.values())


def run_and_print(argv, module: str, description: str, path: Path, measure, tables, names=None) -> list[dict]:
    """Append the line of each run to the results, print the tables of all lines, and return these.

    names are the data sets to choose from: by default, all that are available.
    """
    names = datasets.available() if names is None else names
    parser = argparse.ArgumentParser(
        f"python -m benchmarks.ranking.{module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", nargs="+", metavar="DATASET:PROTOCOL", default=[])
    parser.add_argument("--results", type=Path, metavar="FILE", default=path, help="default: %(default)s")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    args = parser.parse_args(argv)
    for run in args.run:
        dataset, _, protocol = run.partition(":")
        if dataset not in names or protocol not in PROTOCOLS:
            parser.error(f"{run} is not DATASET:PROTOCOL of {', '.join(names)} and {', '.join(PROTOCOLS)}")
        line = in_own_process(measure, dataset, protocol)
        with args.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    lines = stored(args.results)
    print(*((as_markdown if args.markdown else as_text)(table(lines)) for table in tables), sep="\n\n")
    return lines


def main(argv=None) -> int:
    lines = run_and_print(argv, "choices", __doc__, STORED, measure, (check_table, left_out_table))
    return 0 if all(map(is_met, lines)) else 1


if __name__ == "__main__":
    sys.exit(main())
