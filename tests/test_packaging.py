"""Wheel and sdist contain the whole project, built offline from a copy of the tree."""

from __future__ import annotations

import email
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import autoenc
from tests.helpers import ROOT

NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", "results", "*.egg-info", "__pycache__", ".*_cache"
)


LINKS = {"kernels": "kernels", "notebooks": "docs/notebooks"}


def build(tree: Path, kind: str, out: Path) -> Path:
    """Build a "wheel" or an "sdist" of a tree, as pip does, but without fetching anything."""
    out.mkdir(exist_ok=True)
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    run = subprocess.run([sys.executable, "-c", code, str(out)], cwd=tree, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    (archive,) = out.iterdir()
    return archive


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of the tree as a zip on Windows leaves it: the links in autoenc/ are files with the links' text."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.fail("setuptools is not installed, which builds the wheel: make test")
    tree = tmp_path_factory.mktemp("packaging") / "tree"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=NOT_COPIED)
    for name, target in LINKS.items():
        link = tree / "autoenc" / name
        link.unlink(missing_ok=True)
        link.write_text(f"../{target}", encoding="utf-8")
    return tree


@pytest.fixture(scope="module")
def wheel(tree) -> Path:
    return build(tree, "wheel", tree.parent / "wheel")


@pytest.fixture(scope="module")
def sdist(tree) -> Path:
    return build(tree, "sdist", tree.parent / "sdist")


def names(wheel: Path) -> set[str]:
    """The files in a wheel, its own description left out."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def files_of(folder: Path) -> list[Path]:
    """The files under a folder that are not leftovers of a run; links to folders are not followed."""
    found = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
    return [path for path in found if not {"__pycache__", "results"} & set(path.parts) and not path.is_symlink()]


def package_files() -> set[str]:
    """What a wheel has to hold: the package's sources and data, and what LINKS names as folders of autoenc/."""
    found = {path.relative_to(ROOT) for path in files_of(ROOT / "autoenc")} - {Path("autoenc") / name for name in LINKS}
    for name, target in LINKS.items():
        found |= {Path("autoenc") / name / path.relative_to(ROOT / target) for path in files_of(ROOT / target)}
    return {path.as_posix() for path in found}


def test_wheel_holds_the_package_and_nothing_else(wheel):
    assert "autoenc/kernels/__init__.py" in names(wheel)
    assert "autoenc/py.typed" in names(wheel)
    assert any(name.startswith("autoenc/datasets/bundled/") for name in names(wheel))
    assert names(wheel) == package_files()


def test_wheel_describes_itself(wheel):
    with zipfile.ZipFile(wheel) as archive:
        read = {name.partition("/")[2]: archive.read(name).decode() for name in archive.namelist() if "-info/" in name}
    metadata = email.message_from_string(read["METADATA"])
    assert (metadata["Name"], metadata["Version"]) == ("autoenc", autoenc.__version__)
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert "recommender" in metadata["Keywords"].split(",")
    assert metadata.get_payload().startswith("# autoenc")
    assert "autoenc = autoenc.cli:main" in read["entry_points.txt"]
    assert "MIT License" in read["licenses/LICENSE"]


def test_sdist_holds_the_tree_and_makes_the_same_wheel(sdist, wheel, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (unpacked,) = tmp_path.iterdir()
    found = {path.relative_to(unpacked) for path in unpacked.rglob("*")}
    expected = {
        Path(name) for name in ("LICENSE", "Makefile", "README.md", "run_train.py", "setup.cfg", "pyproject.toml")
    }
    for folder in ("autoenc", "kernels", "tests", "benchmarks", "docs", ".ci", ".github"):
        expected |= {path.relative_to(ROOT) for path in files_of(ROOT / folder)}
    assert expected - found == set()
    assert names(build(unpacked, "wheel", tmp_path / "wheel")) == names(wheel)


@pytest.fixture(scope="module")
def run_installed(wheel, tmp_path_factory):
    """A function that runs Python in another folder, with the wheel installed beside the dependencies that are here."""
    folder = tmp_path_factory.mktemp("elsewhere")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(folder / "site"), str(wheel)], check=True, timeout=120)

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(folder / "site")}
        run = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return run.stdout

    run.site = folder / "site"
    return run


def test_wheel_works_from_another_folder(run_installed):
    code = (
        "import autoenc.kernels, autoenc.datasets as datasets\n"
        "print(autoenc.__file__, autoenc.kernels.__file__, datasets.load().n_users, sep='\\n')"
    )
    package, kernels, n_users = run_installed("-c", code).splitlines()
    assert Path(package) == run_installed.site / "autoenc" / "__init__.py"
    assert Path(kernels) == run_installed.site / "autoenc" / "kernels" / "__init__.py"
    assert n_users == "671"
    notebook = json.loads(run_installed("-m", "autoenc", "exercise", "--notebook", "network"))
    assert notebook["cells"][0]["source"][0] == "# The network on one page\n"


@pytest.mark.long
def test_wheel_trains_from_another_folder(run_installed):
    report = json.loads(run_installed("-m", "autoenc", "train", "--epochs", "1", "--no-progress"))
    assert (report["status"], report["users"], report["items"]) == ("DONE", 671, 9066)


def test_changelog_begins_with_this_version():
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == autoenc.__version__
