"""Makes docs/which_model_first.md: the words of page.md, the figures of the stored lines.

    python -m benchmarks.ranking.page

What stands in double braces there is asked of the lines: {{difference pinterest weak best ndcg@100}}.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from autoenc.storage.atomic import replacing
from benchmarks.ranking.lines import RESULTS, Lines
from benchmarks.ranking.plans import PLANS
from benchmarks.ranking.report import setting, table
from benchmarks.tables import as_markdown

PAGE = Path(__file__).parents[2] / "docs" / "which_model_first.md"
PROTOCOLS = ("weak", "strong")

LEFT_OUT = ("p@5", "p@10", "recall@50", "seeds")  # columns of the tables that the page does without

TEXT = Path(__file__).parent / "page.md"


def stored(folder: Path = RESULTS) -> dict[str, Lines]:
    return {protocol: Lines(folder / f"ranking-{protocol}.jsonl", protocol) for protocol in PROTOCOLS}


class Answers:
    """What can be asked of the lines: a method a kind of question, its arguments the words after it."""

    def __init__(self, lines: dict[str, Lines]):
        self.lines = lines

    def tables(self) -> str:
        """A section for each data set and protocol that there are lines of."""
        sections = []
        for protocol, lines in self.lines.items():
            for dataset, plan in PLANS.items():
                if lines.models(dataset, plan):
                    head, *rows = table(lines, dataset, plan)
                    kept = [i for i, title in enumerate(head) if title not in LEFT_OUT]
                    rows = [[row[i] for i in kept] for row in [head, *rows]]
                    title = f"### {dataset}, {protocol}"
                    sections.append(f"\n{title}\n\n{setting(lines, dataset, plan)}\n\n{as_markdown(rows)}")
        return "\n".join(sections)

    def difference(self, dataset: str, protocol: str, model: str, metric: str) -> str:
        return self.lines[protocol].difference(dataset, model, metric).signed()

    def ahead(self, dataset: str, protocol: str, model: str, metric: str) -> str:
        """Best less the model."""
        return self.lines[protocol].behind_best(dataset, model, metric).signed()

    def mean(self, dataset: str, protocol: str, model: str, metric: str) -> str:
        return f"{self.lines[protocol].mean(dataset, model, metric).value:.4f}"

    def seconds(self, dataset: str, protocol: str, model: str) -> str:
        return f"{self.lines[protocol].median(dataset, model, 'fit_seconds'):.0f}"

    def minutes(self, dataset: str, protocol: str, model: str) -> str:
        return f"{self.lines[protocol].median(dataset, model, 'fit_seconds') / 60:.0f}"

    def trials(self, dataset: str, protocol: str, model: str) -> str:
        return f"{self.lines[protocol].median(dataset, model, 'trials'):.0f}"

    def megabytes(self, dataset: str, protocol: str, model: str) -> str:
        return f"{self.lines[protocol].median(dataset, model, 'peak_megabytes'):,.0f}"

    def answer(self, question: str) -> str:
        kind, *words = (word.replace("_", " ") for word in question.split())
        answer = getattr(self, kind)(*words)
        if answer in ("", "nan"):
            raise ValueError(f"no stored line answers {question}")
        return answer


def page(lines: dict[str, Lines], text: str) -> str:
    """The page: the text with its questions answered."""
    answers = Answers(lines)
    return re.sub(r"\{\{(.*?)\}\}", lambda found: answers.answer(found[1]), text)


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
