"""The notebooks' exercises can be solved: with the layers' own backwards, every cell prints ok.

That they run, and print what they show, is tested together with the other pages (test_docs.py).
"""

from __future__ import annotations

import contextlib
import io
import json
import re

import pytest

from autoenc.cli import main
from autoenc.gradcheck.exercises import exercise_names
from autoenc.gradcheck.notebooks import notebook_names
from tests.helpers import ROOT
from tests.helpers.pages import blocks

NOTEBOOKS = sorted(path for path in (ROOT / "docs" / "notebooks").glob("*.md") if path.stem != "README")
BLANK = re.compile(
    r"(class Mine\([\w.]+\):\n)    def backward.*?\n        raise NotImplementedError\([^\n]*\n", re.DOTALL
)


def code_of(path):
    return [text for _, kind, text in blocks(path.read_text(encoding="utf-8")) if kind == "python"]


def test_every_exercise_is_in_one_notebook():
    graded = [name for path in NOTEBOOKS for cell in code_of(path) for name in re.findall(r'grade\("(\w+)"', cell)]
    assert sorted(graded) == sorted(exercise_names())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_can_be_solved(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "notebook"}
    for cell in code_of(path):
        solved, blanks = BLANK.subn(r"\1    pass\n", cell)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(solved, path.name, "exec"), namespace)
        if blanks:
            assert out.getvalue() and all(line.endswith(" ok") for line in out.getvalue().splitlines())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_written_with_the_same_cells(path, capsys):
    assert main(["exercise", "--notebook", path.stem]) == 0
    notebook = json.loads(capsys.readouterr().out)
    assert (notebook["nbformat"], notebook["metadata"]["kernelspec"]["name"]) == (4, "python3")
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code == [text.strip("\n") for text in code_of(path)]
    prose = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    assert prose[0].startswith("# The ")
    assert not any("```text" in text or "jupytext" in text for text in prose)


def test_the_names_of_notebooks(capsys):
    assert sorted(notebook_names()) == [path.stem for path in NOTEBOOKS]
    assert main(["exercise", "--notebook", "all"]) == 2
    assert "there is no notebook 'all'; there are network, other_layers, task_layers" in capsys.readouterr().err
