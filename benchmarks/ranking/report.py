"""From the lines of a comparison to its table and its verdict."""

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
MANY_USERS = 5_000  # from so many on, ahead means by two standard errors


UNPAIRED = "not paired; run best, then --refit --models with this one"


def table(lines: Lines, dataset: str, plan) -> list[list[str]]:
    """The head and a row a model."""
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
    """Under which rules the table came about, in a few sentences."""
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
        budget = f"{plan.cpu_minutes:g} CPU minutes a model, its last fit included"
    return (
        f"{dataset}, {lines.protocol} generalization: {held_out}; seeds {', '.join(map(str, seeds))}, which draw the "
        "split and the start. What has trials is tuned for nDCG@100 on likes held out of the training likes in the "
        f"same way: {budget}; what has none has its defaults, or chooses for itself. Differences are to "
        f"{plan.reference}, standard errors over users, paired. CPU s: the last fit's processor time, summed over "
        "threads; best chooses within it. MB: its peak above the likes."
    )


def choices(lines: Lines, dataset: str, plan) -> list[str]:
    """What validation chose, a model a line, its seeds apart by semicolons."""
    found = []
    for model in lines.models(dataset, plan):
        each = [
            ", ".join(f"{key} {value:g}" for key, value in line["params"].items()) for line in lines.of(dataset, model)
        ]
        if any(each):
            found.append(f"{model}: {'; '.join(each)}")
    return found


def verdict(lines: Lines, dataset: str, plan) -> list[tuple[bool, str]]:
    """Whether `best` is where it should be: met or not, and the sentence that says it.

    Ahead at nDCG@100, of the reference and of every model in other hands; of the reference, where
    there are many users, by two paired standard errors. At p@1 not behind by more than one. What has no
    paired error, since the values of each user weren't kept, is not met.
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
                ahead = lines.behind_best(dataset, peer, metric)
            if metric == "ndcg@100":
                errors = 2 if peer == plan.reference and users >= MANY_USERS else 0
                met = ahead.value > 0 and ahead.value >= errors * ahead.error
            else:
                met = ahead.value >= -ahead.error
            found.append((met, f"best - {peer}, {COLUMNS[metric]}: {ahead.signed() or UNPAIRED}"))
    return found
