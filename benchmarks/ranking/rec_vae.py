"""RecVAE against Mult-VAE, and as a part of `best`: is it worth implementing by hand?

    python -m benchmarks.ranking.rec_vae                     the table of the stored results
    python -m benchmarks.ranking.rec_vae --run lastfm-2k     run this data set (on a GPU if PyTorch finds one)

The strong split. Each network is trained with each of a few weights of its KL divergence; its epoch and this weight
are chosen on validation users. With --blend, RecVAE is also added to the network, EASE and ELSA of `best`, all fitted
on the same likes, with weights chosen on the same validation users.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import sparse

from autoenc.models.blend_search import Judge
from benchmarks import datasets
from benchmarks.ranking.choices import FIRST, METRIC, Remembered, blended, fitted_parts, leads, split_twice, stored
from benchmarks.ranking.lines import RESULTS
from benchmarks.tables import as_markdown, as_text

STORED = RESULTS / "rec-vae.jsonl"
BETAS, GAMMAS = (0.2, 0.5, 1.0), (0.0015, 0.005, 0.015)  # of Mult-VAE, of RecVAE
PARTS = ("network", "EASE", "ELSA")


def measure(dataset: str, seed: int, seconds: float, blend: bool) -> dict:
    """The line of a run: both networks' values, RecVAE's lead, and what it adds to a blend."""
    import torch

    from benchmarks.peers.rec_vae import MultVae, RecVae, fit

    inner, validation_likes, test_likes = split_twice(dataset, "strong", seed)
    judge = Judge(*validation_likes, METRIC)
    tests = [Judge(*test_likes, metric) for metric in (METRIC, FIRST)]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = torch.from_numpy(inner.toarray().astype(np.uint8)).to(device)
    one = np.ones((1, 1))
    found = {}
    for kind, weights in ((MultVae, BETAS), (RecVae, GAMMAS)):
        tried = []
        for weight in weights:
            torch.manual_seed(seed)
            network = kind(inner.shape[1], weight).to(device)
            value = fit(network, rows, lambda it: judge.values([scores_of(it)], one).mean(), seconds, seed)
            tried.append((value, weight, network))
        found[kind.__name__] = max(tried, key=lambda trial: trial[0])
    values = {
        name: np.concatenate([test.values([scores_of(network)], one) for test in tests])
        for name, (_, _, network) in found.items()
    }
    line = {"dataset": dataset, "seed": seed, "users": values["RecVae"].shape[1]}
    for name, of_users in values.items():
        line[name] = {"weight": found[name][1], "values": [round(float(v), 6) for v in of_users.mean(axis=1)]}
    line["ahead"] = leads(values["RecVae"] - values["MultVae"])
    if blend:
        scorers = {name: Remembered(part) for name, part in fitted_parts(inner, judge).items() if name in PARTS}
        without, *_ = blended(list(scorers.values()), judge, tests)
        with_it, *_ = blended([*scorers.values(), scores_of(found["RecVae"][2])], judge, tests)
        line["fourth"] = {"weights": with_it["weights"], "ahead": leads(with_it["values"] - without["values"])}
    return line | {"date": time.strftime("%Y-%m-%d")}


def scores_of(network) -> Callable[[sparse.csr_array], np.ndarray]:
    import torch

    device = next(network.parameters()).device

    @torch.inference_mode()
    def scores(liked: sparse.csr_array) -> np.ndarray:
        return network.eval()(torch.from_numpy(liked.toarray().astype(np.float32)).to(device)).cpu().numpy()

    return scores


def table(lines: list[dict]) -> list[list[str]]:
    rows = [
        [
            "likes, strong",
            "users",
            "Mult-VAE",
            "RecVAE",
            "RecVAE's lead",
            "in p@1",
            "lead of the blend with it",
            "in p@1",
        ]
    ]
    for line in lines:
        values = [f"{line[name]['values'][0]:.4f}" for name in ("MultVae", "RecVae")]
        ahead = ["{:+.4f} ± {:.4f}".format(*lead) for lead in line["ahead"]]
        fourth = (
            ["{:+.4f} ± {:.4f}".format(*lead) for lead in line["fourth"]["ahead"]] if "fourth" in line else ["", ""]
        )
        rows.append([f"{line['dataset']}, seed {line['seed']}", f"{line['users']:,}", *values, *ahead, *fourth])
    return rows


def stored_runs(path: Path = STORED) -> list[dict]:
    return stored(path, ("dataset", "seed"))


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.ranking.rec_vae",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", nargs="+", choices=datasets.available(), metavar="DATASET", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=600, help="of training, at most (default: %(default)g)")
    parser.add_argument("--blend", action="store_true", help="add RecVAE to a blend, too")
    parser.add_argument("--results", type=Path, metavar="FILE", default=STORED, help="default: %(default)s")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    args = parser.parse_args(argv)
    for dataset in args.run:
        line = measure(dataset, args.seed, args.seconds, args.blend)
        with args.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    print((as_markdown if args.markdown else as_text)(table(stored_runs(args.results))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
