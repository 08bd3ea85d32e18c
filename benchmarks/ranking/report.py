"""The table and verdict of a comparison."""

from __future__ import annotations

import numpy as np

from benchmarks.ranking.lines import Lines

COLUMNS = {
    "ndcg@100": "nDCG@100",
    "precision@1": "p@1",
    "precision@5": "p@5",
    "precision@10": "p@10",
    "recall@20": "recall@20",
    "recall@50": "recall@50",
}
COMPARED = ("ndcg@100", "precision@1")
MANY_USERS = 5_000  # with at least this many, a lead must be two standard errors


UNPAIRED = "not paired; run best, then --refit --models with this one"


def table(lines: Lines, dataset: str, plan) -> list[list[str]]:
    """The header, and one row per model."""
    head = ["model"]
    for metric, title in COLUMNS.items():
        head += [title, f"to {plan.reference}"] if metric in COMPARED else [title]
    rows = [[*head, "seeds", "trials", "CPU s", "MB"]]
    for model in lines.models(dataset, plan):
        row = [model]
        for metric in COLUMNS:
            mean = lines.mean(dataset, model, metric)
            if metric in COMPARED:
                row += [str(mean), lines.difference(dataset, model, metric).signed()]
            else:
                row.append(f"{mean.value:.4f}")
        trials = [line["trials"] for line in lines.of(dataset, model)]
        row += [
            str(len(trials)),
            str(round(float(np.mean(trials)))) if any(trials) else "",
            f"{lines.median(dataset, model, 'fit_seconds'):.1f}",
            f"{lines.median(dataset, model, 'peak_megabytes'):,.0f}",
        ]
        rows.append(row)
    return rows


def setting(lines: Lines, dataset: str, plan) -> str:
    """The rules behind the table, in a few sentences."""
    seeds = sorted({seed for name, seed, _ in lines.lines if name == dataset})
    users = max(line["users"] for (name, *_), line in lines.lines.items() if name == dataset)
    if lines.protocol == "weak":
        held_out = f"a fifth of each user's likes held out ({users:,} users have some)"
    else:
        held_out = (
            f"a share of {plan.test_users:g} of the users held out ({users:,}), a fifth of their likes to predict"
        )
    budget = "until no neighbouring value of ranking/plans.py validates better"
    if plan.cpu_minutes is not None:
        budget = f"{plan.cpu_minutes:g} CPU minutes per model, including its last fit"
    return (
        f"{dataset}, {lines.protocol} generalization: {held_out}; seeds {', '.join(map(str, seeds))} of the split and "
        "the initial weights. Models with trials are tuned for nDCG@100 on likes held out of the training likes in the "
        f"same way: {budget}; the others use their defaults, or choose for themselves. Differences are from "
        f"{plan.reference}, with standard errors over users, paired. CPU s: the last fit's processor time, summed over "
        "threads, including the choices of best. MB: its peak memory, without the likes."
    )


def choices(lines: Lines, dataset: str, plan) -> list[str]:
    """The choices made on validation likes, one line per model, with seeds separated by semicolons."""
    found = []
    for model in lines.models(dataset, plan):
        each = [
            ", ".join(f"{key} {value:g}" for key, value in line["params"].items()) for line in lines.of(dataset, model)
        ]
        if any(each):
            found.append(f"{model}: {'; '.join(each)}")
    return found


def verdict(lines: Lines, dataset: str, plan) -> list[tuple[bool, str]]:
    """Whether `best` meets its targets, and a sentence for each.

    It must be ahead of the reference and of all models of other libraries in nDCG@100; of the reference, if
    there are many users, by two paired standard errors. In p@1, it must not be behind by more than one. A
    target without a paired error, as the values of each user weren't stored, is not met.
    """
    if not lines.of(dataset, "best"):
        return []
    users = max(line["users"] for line in lines.of(dataset, "best"))
    found = []
    for peer in (model for model in plan.spaces if model == plan.reference or "'s " in model):
        if not lines.of(dataset, peer):
            continue
        for metric in COMPARED:
            if peer == plan.reference:
                ahead = lines.difference(dataset, "best", metric)
            else:
                ahead = lines.lead_of_best(dataset, peer, metric)
            if metric == "ndcg@100":
                errors = 2 if peer == plan.reference and users >= MANY_USERS else 0
                met = ahead.value > 0 and ahead.value >= errors * ahead.error
            else:
                met = ahead.value >= -ahead.error
            found.append((met, f"best - {peer}, {COLUMNS[metric]}: {ahead.signed() or UNPAIRED}"))
    return found
