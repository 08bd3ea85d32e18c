"""`import autoenc` is fast, and its names are imported on first use."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import autoenc
from tests.helpers import ROOT


def test_import_alone_imports_nothing_heavy():
    code = "import sys, autoenc; dir(autoenc); print({'numpy', 'scipy', 'numba'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout == "set()\n", run.stderr


@pytest.mark.parametrize("name", autoenc.__all__)
def test_name_comes_from_its_module(name):
    assert name in dir(autoenc)
    value = getattr(autoenc, name)
    assert value.__name__ == name
    assert value.__module__ == f"autoenc.{autoenc._MODULE_OF[name]}"


@pytest.mark.parametrize("name", autoenc._MODULES)
def test_a_module_comes_without_an_import_of_its_own(name):
    code = f"import autoenc; assert {name!r} in dir(autoenc); print(autoenc.{name}.__name__)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout == f"autoenc.{autoenc._MODULES[name]}\n", run.stderr


def test_type_checkers_are_told_the_same_names():
    nodes = ast.walk(ast.parse(Path(autoenc.__file__).read_text(encoding="utf-8")))
    told = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module.startswith("autoenc")]
    modules = {}
    for node in told:
        source, name = node.module.partition(".")[2], node.names[0].asname
        modules[name] = f"{source}.{name}".lstrip(".") if name in autoenc._MODULES else source
    assert modules == {**autoenc._MODULE_OF, **autoenc._MODULES}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'autoenc' has no attribute 'Recommender'"):
        _ = autoenc.Recommender
