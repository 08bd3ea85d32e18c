"""What is in `best`, chosen by leaving one data set out in turn; and whether its search finds the best weights.

    python -m benchmarks.ranking.choices                        what is stored, and what is lacking of the small sets
    python -m benchmarks.ranking.choices --run pinterest:weak   runs this data set and protocol

A run fits every part that was considered once, on a part of the training likes, and looks for weights of
each set of parts, for scores as they are and for scores standardized by user. Each blend is compared, on
the test likes, with EASE alone, whose l2 is the one that validated best; where EASE doesn't fit into memory,
with IALS.

The check: on the validation users, the search's best is at least as good as each part alone and each pair,
and as the best of a fine grid of several hundred points, to .0005.

Leaving one set out: the blend is chosen that is furthest ahead of the reference in the mean over the other
sets, each difference divided by the reference's nDCG@100 there. What counts is how it does on the set that
was left out, compared with the blend that is best there. Sets where EASE doesn't fit are chosen among
themselves.
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

from autoenc.evaluation.splits import holdout_users
from autoenc.models.blend_search import Judge, Stopping, number_who_validate
from autoenc.models.blend_weights import Values, best_of, choice, coarse_trials, finer_trials
from autoenc.models.ials import IALS
from autoenc.models.item_knn import ItemKNN
from autoenc.models.presets import preset
from autoenc.progress import no_progress
from benchmarks import datasets
from benchmarks.ranking.lines import RESULTS
from benchmarks.ranking.plans import PLANS
from benchmarks.ranking.run import in_own_process, split
from benchmarks.tables import as_markdown, as_text

STORED = RESULTS / "blend-choices.jsonl"
METRIC, FIRST, WITHIN = "ndcg@100", "precision@1", 0.0005
MORE_PARTS = {"EASE": IALS(emb_dim=256), "IALS": ItemKNN(k=200)}  # by what the preset has at EASE's place
FINE_POINTS = 400
MOST_TESTED = 4_000  # users


def measure(dataset: str, protocol: str, seed: int = 0) -> dict:
    """The line of a run: the check, and how far each blend is ahead of EASE on the test likes."""
    likes = datasets.load(dataset).user_items
    train, shown, held_out = split(likes, protocol, seed, PLANS[dataset].test_users)
    tested = np.flatnonzero(np.diff(held_out.indptr))
    tested = np.sort(np.random.default_rng(seed).permutation(tested)[:MOST_TESTED])
    inner, fold_in, to_find, _ = holdout_users(train, number_who_validate(train, None, protocol), seed=seed)
    if protocol == "weak":
        inner = sparse.vstack([inner, fold_in], format="csr")
    started = time.process_time()
    parts = fitted_parts(inner, Judge(fold_in, to_find, METRIC))
    seconds = time.process_time() - started
    scores = {name: Remembered(part) for name, part in parts.items()}

    blends, checks = {}, {}
    for standardize in (True, False):
        validation = Judge(fold_in, to_find, METRIC, standardize=standardize)
        tests = [Judge(shown[tested], held_out[tested], metric, standardize=standardize)
                 for metric in (METRIC, FIRST)]  # fmt: skip
        for names in sets_of(tuple(parts)):
            blend = " + ".join(names) + (", standardized" if standardize else "")
            scorers = [scores[name] for name in names]
            blends[blend], best, chosen = blended(scorers, validation, tests)
            if names == tuple(parts):
                checks[blend] = check(scorers, validation, best) | {"choice": chosen}
    reference = "EASE" if "EASE" in parts else "IALS"
    alone = blends[reference].pop("values")
    for blend in blends.values():
        for key, ahead in zip(("ahead", FIRST), blend.pop("values", alone) - alone):
            blend[key] = [round(float(ahead.mean()), 6), round(float(ahead.std() / len(ahead) ** 0.5), 6)]
    return {
        "dataset": dataset,
        "protocol": protocol,
        "seed": seed,
        "users": len(tested),
        "seconds": round(seconds, 1),
        "check": checks,
        "reference": reference,
        "alone": round(float(alone[0].mean()), 6),
        "blends": blends,
        "date": time.strftime("%Y-%m-%d"),
    }


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
    """The parts of `best` and one more, chosen and stopped as the fit of `best` does it, by name."""
    best = preset("best")
    best.search_, best._progress, best._replaced = [], no_progress, {}
    network, *others = (best._that_fits(name, model, train.shape) for name, model in best.named_models())
    others.append(MORE_PARTS[type(others[0]).__name__])
    best.models = [network, *others]
    others = [best._best_candidate(i, model, train, judge) for i, model in enumerate(others, 1)]
    stopping = Stopping(judge, others, best.stop_every, best.patience, no_progress)
    network.fit(train, callbacks=[stopping])
    return {"network": network} | {type(part).__name__: part for part in others}


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
    """How far the search's best is ahead of each part alone, each pair, and a fine grid, at the least."""
    alone = np.eye(len(scorers))
    pairs = [a * share + b * (1 - share) for a, b in itertools.combinations(alone, 2) for share in shares()]
    everywhere = np.exp(np.random.default_rng(0).uniform(-5, 5, (FINE_POINTS, len(scorers))))
    found = validation.values(scorers, np.concatenate([alone, pairs, everywhere])).mean(axis=1)
    bounds = np.cumsum([0, len(alone), len(pairs), len(everywhere)])
    kinds = ("alone", "pairs", "fine grid")
    ahead = [best - float(found[a:b].max()) for a, b in itertools.pairwise(bounds)]
    return {"best": round(best, 6)} | {kind: round(by, 6) for kind, by in zip(kinds, ahead)}


def shares() -> np.ndarray:
    """Of a pair, from next to nothing to nearly all."""
    return 1 / (1 + np.exp(np.linspace(-5, 5, 21)))


def is_met(line: dict) -> bool:
    return all(found["alone"] >= 0 and found[kind] >= -WITHIN for found in line["check"].values()
               for kind in ("pairs", "fine grid"))  # fmt: skip


def check_table(lines: list[dict]) -> list[list[str]]:
    rows = [["likes", "blend", "best", "ahead of each alone", "of each pair", "of a fine grid", "chosen", ""]]
    for line in lines:
        for blend, found in line["check"].items():
            figures = [f"{found[kind]:+.4f}" for kind in ("alone", "pairs", "fine grid")]
            rows.append([name_of(line), blend, f"{found['best']:.4f}", *figures, f"{found['choice']:.4f}",
                         "met" if is_met(line) else "NOT MET"])  # fmt: skip
    return rows


def left_out_table(lines: list[dict]) -> list[list[str]]:
    """A row per set left out and protocol: what the others choose, and how that does on it."""
    rows = [["left out", "chosen on the others", "ahead of EASE", "the best there", "ahead of EASE"]]
    for name in dict.fromkeys(line["dataset"] for line in lines):
        for line in (line for line in lines if line["dataset"] == name):
            others = [o for o in lines if o["dataset"] != name and o["reference"] == line["reference"]]
            if others:
                chosen = max(line["blends"], key=lambda blend: mean_ahead(others, blend))
                best = max(line["blends"], key=lambda blend: line["blends"][blend]["ahead"][0])
                rows.append([name_of(line), chosen, ahead(line, chosen), best, ahead(line, best)])
    return rows


def mean_ahead(lines: list[dict], blend: str) -> float:
    """The mean over sets of the mean over a set's protocols, as a share of the reference's metric."""
    by_set: dict[str, list[float]] = {}
    for line in lines:
        by_set.setdefault(line["dataset"], []).append(line["blends"][blend]["ahead"][0] / line["alone"])
    return float(np.mean([np.mean(of_set) for of_set in by_set.values()]))


def ahead(line: dict, blend: str) -> str:
    """At nDCG@100, and in brackets at p@1."""
    of_list, of_first = (line["blends"][blend][key] for key in ("ahead", FIRST))
    return "{:+.4f} ± {:.4f}".format(*of_list) + " ({:+.4f} ± {:.4f})".format(*of_first)


def name_of(line: dict) -> str:
    return f"{line['dataset']}, {line['protocol']}"


def stored(path: Path = STORED) -> list[dict]:
    """The lines, the last of each data set and protocol."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines()) if path.exists() else ()
    return list({(line["dataset"], line["protocol"]): line for line in lines}.values())


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.ranking.choices",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", nargs="+", metavar="DATASET:PROTOCOL", default=[])
    parser.add_argument("--results", type=Path, metavar="FILE", default=STORED, help="default: %(default)s")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    args = parser.parse_args(argv)
    for run in args.run:
        dataset, _, protocol = run.partition(":")
        if dataset not in datasets.available() or protocol not in ("weak", "strong"):
            parser.error(f"{run} is not DATASET:PROTOCOL of {', '.join(datasets.available())} and weak, strong")
        line = in_own_process(measure, dataset, protocol)
        with args.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    lines = stored(args.results)
    as_table = as_markdown if args.markdown else as_text
    print(as_table(check_table(lines)), as_table(left_out_table(lines)), sep="\n\n")
    return 0 if all(map(is_met, lines)) else 1


if __name__ == "__main__":
    sys.exit(main())
