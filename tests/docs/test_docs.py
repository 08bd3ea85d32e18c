"""The pages in docs/ are right.

- A `python` block runs in the namespace of those before it on its page, in an empty folder, and prints the
  `text` block after it: the same words, with numbers within a thousandth. In a block marked `text about`,
  for results that depend on the processor, numbers may differ as in the README.
- A block marked `python quoted from FILE` is in that file, word for word.
- A link leads to an existing page, heading, file or line of a file, and files that are named exist.
- The parameters in a docstring are those of its signature, in the same order (docs/docstrings.py).
- All lessons have the same parts in the same order, and link to their code.
- The order of the lessons is that of the layers (docs/lessons.py).
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

import autoenc
from autoenc.gradcheck.exercises import exercise_names
from tests.helpers import ROOT
from tests.helpers.pages import NUMBER, QUOTED, blocks, is_quoted, missing

DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if not {"_build", "gallery"} & set(page.relative_to(DOCS).parts))
NAMES = [str(page.relative_to(DOCS)) for page in PAGES]

# Their code is run, or written, by others: tests/docs/test_model_in_torch.py, benchmarks/speed/kernels_page.py.
NOT_RUN = ("model_file_in_pytorch.md", "kernels.md")

# Their code needs the packages of an extra.
OPTIONAL = ("how_to/dask.md", "how_to/prepare.md")
RUN = [pytest.param(name, marks=[pytest.mark.optional] * (name in OPTIONAL)) for name in NAMES if name not in NOT_RUN]


def module_of_docs(name: str):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


docstrings, lessons = module_of_docs("docstrings"), module_of_docs("lessons")

LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")


def same_output(wanted: str, got: str) -> bool:
    """Whether a block's output is the page's: words and whole numbers equal, others within a thousandth."""
    if NUMBER.sub("0", wanted).split() != NUMBER.sub("0", got).split():
        return False
    pairs = zip(NUMBER.findall(wanted), NUMBER.findall(got), strict=True)
    return all(a == b or ("." in a + b and math.isclose(float(a), float(b), rel_tol=1e-3)) for a, b in pairs)


def anchors(markdown: str) -> set[str]:
    """The headings of a page as links name them."""
    outside = re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", outside, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(target: str, page: Path) -> bool:
    """Whether a link on a page leads nowhere in the tree. Other sites are taken at their word."""
    if re.match(r"https?:|mailto:", target):
        return False
    name, _, fragment = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    if not file.is_relative_to(ROOT.resolve()) or not file.exists():
        return True
    if not fragment:
        return False
    if file.suffix == ".md":
        return fragment not in anchors(file.read_text(encoding="utf-8"))
    line = re.fullmatch(r"L(\d+)", fragment)
    return not line or int(line[1]) > len(file.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("name", RUN)
def test_what_is_shown_is_what_is_printed(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "page"}
    printed = ""
    for line, kind, text in blocks((DOCS / name).read_text(encoding="utf-8")):
        where = f"docs/{name}, line {line}"
        if kind == "python":
            assert not printed, f"{where}: what the block before prints isn't shown:\n{printed}"
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile("\n" * line + text, name, "exec"), namespace)
            printed = out.getvalue()
        elif kind == "text":
            assert same_output(text, printed), f"{where}; printed was:\n{printed}"
            printed = ""
        elif kind == "text about":
            assert missing(text, printed) == [], f"{where}; printed was:\n{printed}"
            printed = ""
        else:
            assert kind in ("", "console") or kind.startswith(QUOTED), f"{where}: {kind!r} would not be checked"
    assert not printed, f"docs/{name}: what the last block prints isn't shown:\n{printed}"


@pytest.mark.parametrize("name", NAMES)
def test_quoted_code_stands_in_its_source(name):
    for line, kind, text in blocks((DOCS / name).read_text(encoding="utf-8")):
        if kind.startswith(QUOTED):
            source = (ROOT / kind.removeprefix(QUOTED)).read_text(encoding="utf-8")
            assert is_quoted(text, source), f"docs/{name}, line {line}: not what {kind.removeprefix(QUOTED)} has"


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    page = DOCS / name
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]*`(?!\])", "", text)
    assert [target for at in LINK.finditer(text) if broken(target := at[1] or at[2], page)] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", *(f"docs/{name}" for name in NAMES)])
def test_files_that_are_named_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    paths = re.findall(r"(?<![\w/.])(?:autoenc|kernels|docs|tests|benchmarks)/[\w/-]+\.(?:py|md|rst|sh|jsonl?)\b", text)
    assert [path for path in paths if "NAME" not in path and not (ROOT / path).exists()] == []


def test_every_lesson_links_to_its_code():
    for lesson in lessons.lessons():
        if lesson.path != lessons.TRUST:
            path = "autoenc/optim.py" if lesson.path.stem == "adam" else f"autoenc/layers/{lesson.path.stem}.py"
            assert f"\nCode: [{path}](../../{path})." in lesson.path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", exercise_names())
def test_a_lesson_asks_for_the_backward_before_it_shows_it(name):
    page = DOCS / "network.md" if name == "network" else DOCS / "lessons" / f"{name}.md"
    text = page.read_text(encoding="utf-8")
    commands = f"$ autoenc exercise {name} > mine.py\n$ autoenc gradcheck --layer {name} --yours mine.py\n"
    before, after = text.split("\n## Your turn\n")
    assert commands in after
    assert "def backward" not in before
    assert "def backward" in after


ORDER = (
    "The problem",
    "The equation",
    "The code",
    "Your turn",
    ".*by hand",
    "Four numbers",
    "What is kept",
    "What it costs",
    "What goes wrong",
    "Where libraries disagree",
)


@pytest.mark.parametrize("page", sorted((DOCS / "lessons").glob("*.md")), ids=lambda page: page.stem)
def test_a_lesson_has_all_parts_in_one_order(page):
    headings = re.findall(r"^## (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    found = [next((part for part in ORDER if re.match(part, heading)), None) for heading in headings]
    assert [part for part in found if part] == list(ORDER)


def test_the_order_of_the_lessons_is_the_layers():
    """python docs/lessons.py writes it."""
    out_of_date = [path.name for path, text in lessons.texts().items() if path.read_text(encoding="utf-8") != text]
    assert out_of_date == []
    assert {lesson.path for lesson in lessons.lessons()} == {lessons.TRUST, *(DOCS / "lessons").glob("*.md")}


def test_pictures_are_small_and_come_in_light_and_dark():
    pictures = {file.name: file.stat().st_size for file in (DOCS / "images").glob("*.svg")}
    assert all(size < 100_000 for size in pictures.values())
    drawn = {script.stem.removeprefix("plot_") for script in (DOCS / "experiments").glob("plot_*.py")}
    assert set(pictures) == {f"{name}_{style}.svg" for name in drawn for style in ("light", "dark")}


def test_docstrings_have_the_parameters_of_their_signatures():
    assert docstrings.differences() == []


def test_every_public_name_is_in_the_reference():
    described = re.findall(r"auto(?:class|function):: autoenc\.([\w.]+)", (DOCS / "reference.rst").read_text())
    wanted = {f"{module}.{name}" for name, module in autoenc._MODULE_OF.items()}
    for module in (autoenc.metrics, autoenc.callbacks):
        own = (n for n, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__)
        wanted |= {f"{module.__name__.removeprefix('autoenc.')}.{n}" for n in own if n[0] != "_" and "check" not in n}
    names = {name.rpartition(".")[2] for name in described}
    assert set(autoenc.layers.__all__) <= names
    assert sorted(wanted - set(described)) == []


# The checks themselves.


@pytest.mark.parametrize(
    ("wanted", "got", "same"),
    [
        ("loss 2.0794", "loss 2.0795", True),
        ("loss 2.0794", "loss 2.19", False),
        ("5 users", "6 users", False),
        ("[1. 0.]", "[ 1.  0. ]", False),
        ("a  b", "a b", True),
    ],
)
def test_how_outputs_are_compared(wanted, got, same):
    assert same_output(wanted, got) == same


def test_what_is_quoted_and_what_is_not():
    source = "class A:\n    def f(x):\n        return x\n\n    def g(x):\n        return 2\n"
    assert is_quoted("def f(x):\n    return x\n\ndef g(x):\n    return 2\n", source)
    assert not is_quoted("def f(x):\n    return x\n\ndef g(x):\n    return 3\n", source)
    assert not is_quoted("", source)


def test_what_is_a_broken_link(tmp_path):
    page = DOCS / "README.md"
    assert not broken("network.md#forward", page)
    assert not broken("../autoenc/networks/autoencoder.py#L1", page)
    for target in ("nowhere.md", "network.md#sideways", "../autoenc/networks/autoencoder.py#L99999", str(tmp_path)):
        assert broken(target, page)


def test_which_parameters_are_documented():
    doc = "What.\n\nParameters\n----------\na, b : int\n    Text.\nc\n    More.\n\nReturns\n-------\nd : int\n"
    assert docstrings.documented_parameters(doc) == ["a", "b", "c"]
    assert docstrings.documented_parameters("What.") is None


def test_which_docstrings_differ_from_their_signatures():
    def takes(a, b, *, c=0):
        """What.

        Parameters
        ----------
        a, b : int
        """

    def renamed(a, b, *, c=0):
        """What.

        Parameters
        ----------
        a, d : int
        """

    assert docstrings.difference(takes, is_public=False) is None
    assert docstrings.difference(takes, is_public=True) == "documents a, b, but takes a, b, c"
    assert docstrings.difference(renamed, is_public=False) == "documents a, d, but takes a, b, c"
    takes.__doc__ = "What."
    assert docstrings.difference(takes, is_public=True) is None


def test_docstrings_are_checked_by_a_command_too():
    run = subprocess.run([sys.executable, str(DOCS / "docstrings.py")], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "the parameters in all docstrings match the signatures\n")
