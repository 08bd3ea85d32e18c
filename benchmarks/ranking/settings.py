"""Choose the epochs, rates and widths of the models in `best` by leaving out one data set at a time.

    python -m benchmarks.ranking.settings                     the tables of the stored results
    python -m benchmarks.ranking.settings --run pinterest:weak     run all settings on this data set

A run fits the network, EASE and ELSA of `best` on one split into training and test likes, and then, for each
setting, fits the model that it changes again. One setting is changed at a time. Each blend is compared on the test
likes with the blend of the presets' settings.

Leaving one set out: the setting that is furthest ahead on average over the other sets, with differences
relative to nDCG@100, is evaluated on the set that was left out. All blends have EASE, so sets with too
many items for EASE are not used.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from scipy import sparse

from autoenc.models.blend_search import Judge
from autoenc.models.elsa import ELSA, LEAST_EPOCHS, LEAST_STEPS
from autoenc.models.presets import preset
from autoenc.training.minibatches import default_epochs
from benchmarks.ranking.choices import (
    FIRST,
    METRIC,
    Remembered,
    blended,
    fitted_parts,
    leads,
    left_out_table,
    name_of,
    run_and_print,
    split_twice,
    stopped,
)
from benchmarks.ranking.lines import RESULTS

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
    inner, validation_likes, test_likes = split_twice(dataset, protocol, seed)
    judge = Judge(*validation_likes, METRIC)
    tests = [Judge(*test_likes, metric) for metric in (METRIC, FIRST)]

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
        blend |= zip(("ahead", FIRST), leads(blend.pop("values") - base))
    return {
        "dataset": dataset,
        "protocol": protocol,
        "seed": seed,
        "users": base.shape[1],
        "reference": AS_IT_IS,
        "alone": round(float(base[0].mean()), 6),
        "blends": found,
        "date": time.strftime("%Y-%m-%d"),
    }


def refitted(setting: str, params: dict, parts: dict, train: sparse.csr_array, judge: Judge) -> dict:
    """The model that a setting changes, fitted with it, by its name in the blend; the network if nothing changes."""
    network, elsa = preset("best").models[0], ELSA()
    if setting in OF_ELSA:
        return {"ELSA": changed(elsa, params, train, LEAST_STEPS, LEAST_EPOCHS).fit(train)}
    network = changed(network, params, train, network.default_steps, network.default_epochs)
    return {"network": stopped(network, [parts["EASE"], parts["ELSA"]], train, judge)}


def changed(model, params: dict, train: sparse.csr_array, steps: int, least: int):
    """The model with these hyperparameters, where "epochs" is a multiple of the default number."""
    if "epochs" in params:
        epochs = default_epochs(int((np.diff(train.indptr) > 0).sum()), model.batch_size, steps, least)
        params = params | {"epochs": max(1, round(params["epochs"] * epochs))}
    return model.set_params(**params)


def settings_table(lines: list[dict]) -> list[list[str]]:
    """One row per setting: its lead on each set, in nDCG@100."""
    rows = [["setting", *(name_of(line) for line in lines)]]
    for setting in {AS_IT_IS: {}, **NETWORK, **OF_ELSA}:
        rows.append([setting, *("{:+.4f} ± {:.4f}".format(*line["blends"][setting]["ahead"]) for line in lines)])
    return rows


def main(argv=None) -> int:
    run_and_print(argv, "settings", __doc__, STORED, measure, (settings_table, left_out_table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
