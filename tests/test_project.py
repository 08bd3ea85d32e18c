"""The project's files agree with each other: Python versions, bounds of packages, and targets of make."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv

import pytest

import autoenc
from tests.helpers import ROOT


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def setup_cfg() -> configparser.ConfigParser:
    parsed = configparser.ConfigParser()
    parsed.read_string(read("setup.cfg"))
    return parsed


MAKEFILE = read("Makefile")
SETUP = setup_cfg()
PYTHONS = re.findall(r"Python :: (3\.\d+)", SETUP["metadata"]["classifiers"])
WORKFLOWS = sorted(f".github/workflows/{path.name}" for path in (ROOT / ".github" / "workflows").iterdir())
PAGES = ["CONTRIBUTING.md", "README.md", "docs/installation.md", "docs/how_to/reproduce.md"]
CALL_MAKE = [*WORKFLOWS, ".ci/run", ".ci/bounds", ".readthedocs.yaml", ".pre-commit-config.yaml"]


def test_pythons_are_the_same_everywhere():
    oldest, newest = PYTHONS[0], PYTHONS[-1]
    assert SETUP["options"]["python_requires"] == f">={oldest}"
    assert tomllib.loads(read("pyproject.toml"))["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    assert f"NAMES := {' '.join(f'python{python}' for python in reversed(PYTHONS))} python3\n" in MAKEFILE
    assert f"sys.version_info < ({oldest.replace('.', ', ')})" in MAKEFILE
    for name in ("Makefile", ".ci/run", "README.md", "docs/installation.md"):
        assert set(re.findall(r"Python\s(3\.\d+) or newer", read(name))) == {oldest}
    assert f"python: [{', '.join(f'{chr(34)}{python}{chr(34)}' for python in PYTHONS)}]" in read(WORKFLOWS[-1])
    bounds = re.findall(r'versions: (\w+), python: "(.*?)"', read(WORKFLOWS[-1]))
    assert bounds == [("oldest", oldest), ("newest", newest)]
    others = [*WORKFLOWS, ".readthedocs.yaml", "Dockerfile"]
    named = {python for name in others for python in re.findall(r"python(?:-version)?: ?\"?(3\.\d+)", read(name))}
    assert named and named <= set(PYTHONS)
    assert set(re.findall(r"^\| (3\.\d+)\.\d+ \|", read("docs/installation.md"), re.MULTILINE)) == set(PYTHONS)


def requirements():
    yield from SETUP["options"]["install_requires"].split("\n")
    for extra in SETUP["options.extras_require"].values():
        yield from extra.split("\n")


def test_every_package_has_a_lower_bound():
    assert [line for line in requirements() if line and not re.search(r">=\d", line)] == []


def test_make_installs_every_extra():
    extras = re.search(r"^EXTRAS-test-all := \[(.*)\]$", MAKEFILE, re.MULTILINE)
    assert set(extras[1].split(",")) == set(SETUP["options.extras_require"])


@pytest.mark.parametrize("name", [*CALL_MAKE, *PAGES])
def test_targets_of_make_that_are_named_exist(name):
    targets = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
    text = re.sub(r"^\s*#.*$", "", read(name), flags=re.MULTILINE)
    named = set(re.findall(r"`make ([a-z][\w-]*)" if name in PAGES else r"\bmake ([a-z][\w-]*)", text))
    assert named
    assert named <= targets


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_finds_the_environment_of_windows(tmp_path):
    """The folder and the suffix that venv gives it there; the commands are printed, not run."""
    make = ["make", "--dry-run", "--no-print-directory", "OS=Windows_NT", "lint-docstrings"]
    command = [*make, f"VENV={tmp_path}", f"PYTHON={sys.executable}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "MAKEFLAGS": ""})
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == f"{tmp_path}/Scripts/python.exe docs/docstrings.py"


def test_citation_names_this_version():
    assert f"\nversion: {autoenc.__version__}\n" in read("CITATION.cff")


def test_the_folder_above_the_clone_does_not_hide_the_package(tmp_path):
    """What make does after an editable install: the clone's folder, found first, would be an empty package."""
    (tmp_path / "clones" / "autoenc" / "autoenc").mkdir(parents=True)
    venv.create(tmp_path / "venv", symlinks=os.name == "posix")
    python = tmp_path / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    where = "import autoenc; print(autoenc.__file__)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for before in (True, False):
        run = subprocess.run(
            [python, "-c", where], cwd=tmp_path / "clones", env=environment, capture_output=True, text=True
        )
        assert run.stdout.strip() == ("None" if before else str(ROOT / "autoenc" / "__init__.py")), run.stderr
        subprocess.run([python, ROOT / ".ci" / "put_on_path.py"], check=True, env=environment)
