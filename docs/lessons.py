"""Write the order of the lessons into the pages that state it. Run this after adding, moving or renaming a lesson.

python docs/lessons.py

The order is that of autoenc.layers.__all__, with Adam after the layers of the task's network, and how to trust a
gradient after Linear. Each lesson begins with its title, a sentence, and a line that starts with "Lesson", which is
rewritten; title and sentence are its entry in docs/README.md. docs/index.rst lists the pages, docs/reference.rst the
layers' classes.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

from autoenc import layers  # noqa: E402

TRUST = DOCS / "trust_a_gradient.md"
AFTER_LINEAR = 2
LAST_OF_THE_TASK = "SigmoidBCE"
N_OF_THE_TASK = layers.__all__.index(LAST_OF_THE_TASK) + 3  # with TRUST and Adam


class Lesson(NamedTuple):
    path: Path
    title: str
    sentence: str

    def link(self, page: Path) -> str:
        return f"[{self.title}]({Path(os.path.relpath(self.path, page.parent)).as_posix()})"


def lessons() -> list[Lesson]:
    """All lessons, in the order in which to read them."""
    names = [module_of(layer).rpartition(".")[2] for layer in layers.__all__]
    names.insert(layers.__all__.index(LAST_OF_THE_TASK) + 1, "adam")
    pages = [DOCS / "lessons" / f"{name}.md" for name in names]
    return [read(page) for page in [*pages[:AFTER_LINEAR], TRUST, *pages[AFTER_LINEAR:]]]


def module_of(layer: str) -> str:
    return getattr(layers, layer).__module__


def read(path: Path) -> Lesson:
    """The lesson on a page. Raises ValueError if the page does not begin like a lesson."""
    start = re.match(r"# (.+)\n\n(.+)\n\nLesson", path.read_text(encoding="utf-8"))
    if not start:
        raise ValueError(f"{path} must begin with a title, a sentence and a line that starts with 'Lesson'")
    return Lesson(path, *start.groups())


def texts() -> dict[Path, str]:
    """The right text of every page that states the order."""
    all_lessons = lessons()
    pages = {lesson.path: with_place(all_lessons, number) for number, lesson in enumerate(all_lessons)}
    readme = DOCS / "README.md"
    entries = [f"{number}. {lesson.link(readme)}. {lesson.sentence}\n" for number, lesson in enumerate(all_lessons, 1)]
    lists = iter(["".join(entries[:N_OF_THE_TASK]), "".join(entries[N_OF_THE_TASK:])])
    pages[DOCS / "README.md"] = replaced("README.md", r"(?:^\d+\. .*\n)+", lambda _: next(lists, ""), count=2)
    names = "".join(f"   {lesson.path.relative_to(DOCS).with_suffix('').as_posix()}\n" for lesson in all_lessons)
    pages[DOCS / "index.rst"] = replaced("index.rst", rf"(?:^   (?:lessons/.*|{TRUST.stem})\n)+", lambda _: names)
    options = "\n   :members:\n   :inherited-members:\n\n"
    classes = "".join(f".. autoclass:: {module_of(layer)}.{layer}{options}" for layer in layers.__all__)
    pattern = rf"(?:^\.\. autoclass:: autoenc\.layers\..*{options})+"
    pages[DOCS / "reference.rst"] = replaced("reference.rst", pattern, lambda _: classes)
    return pages


def with_place(all_lessons: list[Lesson], number: int) -> str:
    """A lesson's text with its position among the others."""
    place, page = f"Lesson {number + 1} of {len(all_lessons)}", all_lessons[number].path
    if number > 0:
        place += f", after {all_lessons[number - 1].link(page)}"
    if number + 1 < len(all_lessons):
        place += f"; next is {all_lessons[number + 1].link(page)}"
    text = page.read_text(encoding="utf-8")
    return re.sub("^Lesson.*$", lambda _: f"{place}.", text, count=1, flags=re.MULTILINE)


def replaced(name: str, pattern: str, new, count: int = 1) -> str:
    """A page's text with its `count` matches of a pattern replaced. Raises ValueError if there are more or fewer."""
    text, found = re.subn(pattern, new, (DOCS / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    if found != count:
        raise ValueError(f"docs/{name} has {found} lists of lessons or layers, but should have {count}")
    return text


if __name__ == "__main__":
    for path, text in texts().items():
        path.write_text(text, encoding="utf-8")
