"""Choose the epochs, rates and widths of the models in `best` by leaving out one data set at a time.

    python -m benchmarks.ranking.settings                     the tables of the stored results
    python -m benchmarks.ranking.settings --run pinterest:weak     run all settings on this data set

A run fits the models of `best` on one split into training and test likes, as `fit` does, once for each
setting. One setting is changed at a time. Each blend is compared on the test likes with the blend of the
presets' settings.

Leaving one set out: the setting that is furthest ahead on average over the other sets, with differences
relative to nDCG@100, is evaluated on the set that was left out. All blends have three models, so sets with too
many items for EASE are not used.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from scipy import sparse

from autoenc.evaluation.splits import holdout_users
from autoenc.models.blend_search import Judge, number_of_validation_users
from autoenc.models.elsa import ELSA, LEAST_STEPS
from autoenc.models.presets import preset
from autoenc.training.minibatches import default_epochs
from benchmarks import datasets
from benchmarks.ranking.choices import (
    FIRST,
    METRIC,
    MOST_TESTED,
    Remembered,
    blended,
    fitted_parts,
    name_of,
    run_all,
    stopped,
    stored,
)
from benchmarks.ranking.lines import RESULTS
from benchmarks.ranking.plans import PLANS
from benchmarks.ranking.run import split
from benchmarks.tables import as_markdown, as_text

STORED = RESULTS / "blend-settings.jsonl"
AS_IT_IS = "as it is"
NETWORK = {
    "network: lr 0.0025": {"lr": 0.0025},
    "network: lr 0.01": {"lr": 0.01},
    "network: 300 wide": {"hidden_dim": 300},
    "network: 1,200 wide": {"hidden_dim": 1200},
    "network: half the epochs": {"epochs": 0.5},  # times the default number
    "network: twice the epochs": {"epochs": 2.0},
}
OF_ELSA = {
    "ELSA: lr 0.015": {"lr": 0.015},
    "ELSA: lr 0.06": {"lr": 0.06},
    "ELSA: 128 wide": {"emb_dim": 128},
    "ELSA: 512 wide": {"emb_dim": 512},
    "ELSA: twice the epochs": {"epochs": 2.0},
}


def measure(dataset: str, protocol: str, seed: int = 0) -> dict:
    """The line of a run: for each setting, the blend's lead over the blend with the presets' settings."""
    likes = datasets.load(dataset).user_items
    train, shown, held_out = split(likes, protocol, seed, PLANS[dataset].test_users)
    tested = np.flatnonzero(np.diff(held_out.indptr))
    tested = np.sort(np.random.default_rng(seed).permutation(tested)[:MOST_TESTED])
    inner, fold_in, to_find, _ = holdout_users(train, number_of_validation_users(train, None, protocol), seed=seed)
    if protocol == "weak":
        inner = sparse.vstack([inner, fold_in], format="csr")
    judge = Judge(fold_in, to_find, METRIC)
    tests = [Judge(shown[tested], held_out[tested], metric) for metric in (METRIC, FIRST)]

    fitted = fitted_parts(inner, judge)
    parts = {name: fitted[name] for name in ("network", "EASE", "ELSA")}
    scores = {name: Remembered(part) for name, part in parts.items()}
    found = {}
    for setting, params in {AS_IT_IS: {}, **NETWORK, **OF_ELSA}.items():
        started = time.process_time()
        again = {name: Remembered(part) for name, part in refitted(setting, params, parts, inner, judge).items()}
        if setting == AS_IT_IS:
            scores |= again  # the network that is stopped in a blend of these three models
        blend, *_ = blended(list((scores | again).values()), judge, tests)
        found[setting] = blend | {"seconds": round(time.process_time() - started, 1)}
    base = found[AS_IT_IS]["values"]
    for blend in found.values():
        for key, ahead in zip(("ahead", FIRST), blend.pop("values") - base):
            blend[key] = [round(float(ahead.mean()), 6), round(float(ahead.std() / len(ahead) ** 0.5), 6)]
    return {
        "dataset": dataset,
        "protocol": protocol,
        "seed": seed,
        "users": len(tested),
        "value": round(float(base[0].mean()), 6),
        "settings": found,
        "date": time.strftime("%Y-%m-%d"),
    }


def refitted(setting: str, params: dict, parts: dict, train: sparse.csr_array, judge: Judge) -> dict:
    """The model that a setting changes, fitted with it, by its name in the blend; the network if nothing changes."""
    network, elsa = preset("best").models[0], ELSA()
    if setting in OF_ELSA:
        return {"ELSA": changed(elsa, params, train, LEAST_STEPS, 4).fit(train)}
    network = changed(network, params, train, network.default_steps, network.default_epochs)
    return {"network": stopped(network, [parts["EASE"], parts["ELSA"]], train, judge)}


def changed(model, params: dict, train: sparse.csr_array, steps: int, least: int):
    """The model with these hyperparameters, where "epochs" is a multiple of the default number."""
    if "epochs" in params:
        epochs = default_epochs(int((np.diff(train.indptr) > 0).sum()), model.batch_size, steps, least)
        params = params | {"epochs": max(1, round(params["epochs"] * epochs))}
    return model.set_params(**params)


def left_out_table(lines: list[dict]) -> list[list[str]]:
    """One row per set left out: the setting chosen on the others, and its lead over the presets' settings."""
    rows = [["left out", "chosen on the others", "its lead", "best on the set left out", "its lead"]]
    for line in lines:
        others = [other for other in lines if other["dataset"] != line["dataset"]]
        if others:
            chosen = max(line["settings"], key=lambda name: mean_ahead(others, name))
            best = max(line["settings"], key=lambda name: line["settings"][name]["ahead"][0])
            rows.append([name_of(line), chosen, lead(line, chosen), best, lead(line, best)])
    return rows


def settings_table(lines: list[dict]) -> list[list[str]]:
    """One row per setting: its lead on each set."""
    rows = [["setting", *(name_of(line) for line in lines)]]
    for setting in {AS_IT_IS: {}, **NETWORK, **OF_ELSA}:
        rows.append([setting, *(lead(line, setting) for line in lines)])
    return rows


def mean_ahead(lines: list[dict], setting: str) -> float:
    """The mean lead over sets, each the mean over its protocols, relative to nDCG@100."""
    by_set: dict[str, list[float]] = {}
    for line in lines:
        by_set.setdefault(line["dataset"], []).append(line["settings"][setting]["ahead"][0] / line["value"])
    return float(np.mean([np.mean(of_set) for of_set in by_set.values()]))


def lead(line: dict, setting: str) -> str:
    return "{:+.4f} ± {:.4f}".format(*line["settings"][setting]["ahead"])


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.ranking.settings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", nargs="+", metavar="DATASET:PROTOCOL", default=[])
    parser.add_argument("--results", type=Path, metavar="FILE", default=STORED, help="default: %(default)s")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    args = parser.parse_args(argv)
    run_all(parser, args.run, args.results, measure)
    lines = stored(args.results)
    as_table = as_markdown if args.markdown else as_text
    print(as_table(settings_table(lines)), as_table(left_out_table(lines)), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
