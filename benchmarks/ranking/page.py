"""Generate docs/which_model_first.md from the text of page.md and the figures of the stored lines.

    python -m benchmarks.ranking.page

Queries in double braces are replaced by figures: {{difference pinterest weak best ndcg@100}}.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from autoenc.storage.atomic import replacing
from benchmarks.ranking import choices, derived, rec_vae, settings
from benchmarks.ranking.choices import left_out_table
from benchmarks.ranking.choices import stored as stored_lines
from benchmarks.ranking.lines import RESULTS, Lines
from benchmarks.ranking.plans import PLANS
from benchmarks.ranking.run import PROTOCOLS
from benchmarks.tables import as_markdown

PAGE = Path(__file__).parents[2] / "docs" / "which_model_first.md"

TITLES = ("likes", "model", "nDCG@100", "difference", "difference in p@1", "CPU s")

TEXT = Path(__file__).parent / "page.md"


def stored(folder: Path = RESULTS) -> dict[str, Lines]:
    return {protocol: Lines(folder / f"ranking-{protocol}.jsonl", protocol) for protocol in PROTOCOLS}


HOW = {
    "weak": "A fifth of each user's likes is held out; all users are in the training data.",
    "strong": "A fifth of the users (a tenth on Pinterest and Gowalla) is held out; a model is shown four fifths of "
    "their likes and evaluated on the rest.",
}


def seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"


class Answers:
    """The queries: one method for each kind, with the words after it as arguments."""

    def __init__(self, lines: dict[str, Lines]):
        self.lines = lines

    def tables(self) -> str:
        """One section per protocol: its description, and a table of all data sets."""
        return "\n".join(
            f"\n### {protocol}\n\n{HOW[protocol]}\n\n{as_markdown([list(TITLES), *self.rows(lines)])}"
            for protocol, lines in self.lines.items()
            if lines.lines
        )

    def rows(self, lines: Lines) -> list[list[str]]:
        """One row for each model of each data set with lines; the first row of a data set has its name."""
        rows = []
        for dataset, plan in PLANS.items():
            for i, model in enumerate(lines.models(dataset, plan)):
                name = f"{dataset}, {seeds(len(lines.of(dataset, model)))}" if i == 0 else ""
                of_reference = model == plan.reference
                rows.append(
                    [
                        name,
                        model,
                        str(lines.mean(dataset, model, "ndcg@100")),
                        "reference" if of_reference else lines.difference(dataset, model, "ndcg@100").signed(),
                        "" if of_reference else lines.difference(dataset, model, "precision@1").signed(),
                        f"{lines.median(dataset, model, 'fit_seconds'):.0f}",
                    ]
                )
        return rows

    def leads(self) -> str:
        """The lead of `best` over tuned EASE, or IALS if there are too many items for EASE: one row per set."""
        columns = ("lead in nDCG@100", "in p@1", "CPU s")
        rows = [["likes", "over", *(f"{protocol}: {column}" for protocol in self.lines for column in columns)]]
        for dataset, plan in PLANS.items():
            peer = plan.reference if plan.reference == "EASE" else "IALS"
            row = [dataset, peer]
            for lines in self.lines.values():
                if not lines.of(dataset, "best"):
                    row += [""] * len(columns)
                    continue
                for metric in ("ndcg@100", "precision@1"):
                    if peer == plan.reference:
                        row.append(lines.difference(dataset, "best", metric).signed())
                    else:
                        row.append(lines.lead_of_best(dataset, peer, metric).signed())
                row.append(f"{lines.median(dataset, 'best', 'fit_seconds'):.0f}")
            rows.append(row)
        return as_markdown(rows)

    def choices(self) -> str:
        """The table of blends chosen by leaving out one data set."""
        return as_markdown(left_out_table(stored_lines(choices.STORED)))

    def derived(self) -> str:
        """The table of the data sets derived from the others."""
        return as_markdown(derived.table(stored_lines(derived.STORED)))

    def settings(self) -> str:
        """The table of changed settings of `best`."""
        return as_markdown(settings.settings_table(stored_lines(settings.STORED)))

    def settings_left_out(self) -> str:
        """The table of settings chosen by leaving out one data set."""
        return as_markdown(left_out_table(stored_lines(settings.STORED)))

    def rec_vae(self) -> str:
        """The table of RecVAE and Mult-VAE."""
        return as_markdown(rec_vae.table(rec_vae.stored_runs()))

    def difference(self, dataset: str, protocol: str, model: str, metric: str) -> str:
        return self.lines[protocol].difference(dataset, model, metric).signed()

    def seconds(self, dataset: str, protocol: str, model: str) -> str:
        return f"{self.lines[protocol].median(dataset, model, 'fit_seconds'):.0f}"

    def trials(self, dataset: str, protocol: str, model: str) -> str:
        return f"{self.lines[protocol].median(dataset, model, 'trials'):.0f}"

    def megabytes(self, dataset: str, protocol: str, model: str) -> str:
        return f"{self.lines[protocol].median(dataset, model, 'peak_megabytes'):,.0f}"

    def answer(self, question: str) -> str:
        kind, *words = question.split()
        answer = getattr(self, kind)(*(word.replace("_", " ") for word in words))
        if answer in ("", "nan"):
            raise ValueError(f"there is no stored line for {question}")
        return answer


def page(lines: dict[str, Lines], text: str) -> str:
    """The page: the text with its queries replaced by figures."""
    answers = Answers(lines)
    return re.sub(r"\{\{(.*?)\}\}", lambda found: answers.answer(found[1]), text, flags=re.DOTALL)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.ranking.page", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, metavar="FILE", default=PAGE, help="default: %(default)s")
    args = parser.parse_args(argv)
    text = page(stored(), TEXT.read_text(encoding="utf-8"))
    with replacing(args.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
