"""The order of the modules, and what the folder kernels/ promises, read from the imports."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from tests.helpers import ROOT

# A module imports only from those above it.
ORDER = (
    "checks",
    "machine",
    "batch_invariant",
    "storage",
    "interactions",
    "datasets",
    "layers",
    "optim",
    "networks",
    "gradcheck",
    "kernels",
    "evaluation",
    "training",
    "models",
    "scale",
    "doctor",
    "train_job",
    "serve",
    "cli",
)

# Modules that pytest.importorskip finds where `make test` runs.
IN_THE_GROUP_TEST = {"matplotlib", "pyarrow"}


def modules():
    """Every source file of the package as (dotted name, path); kernels/ is read where it stands."""
    for folder, package in ((ROOT / "autoenc", "autoenc"), (ROOT / "kernels", "autoenc.kernels")):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if package == "autoenc" and parts[0] == "kernels":
                continue
            yield ".".join((package, *parts)).removesuffix(".__init__"), path


@functools.cache
def imports(path: Path, module: str = "") -> set[str]:
    """All that a file imports, in functions too: `from a import b` counts as a.b."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - (node.level - 1)]
                source = ".".join([*above, source]).rstrip(".")
            found |= {f"{source}.{alias.name}" for alias in node.names}
    return found


def part_of(dotted: str) -> str:
    """The part of the package that a dotted name belongs to: "layers" of autoenc.layers.relu.ReLU."""
    return dotted.split(".")[1]


MODULES = dict(modules())
INNER = sorted(name for name in MODULES if name not in ("autoenc", "autoenc.__main__"))


def test_every_module_has_its_place():
    assert {part_of(name) for name in INNER} <= set(ORDER)


@pytest.mark.parametrize("module", INNER)
def test_imports_only_from_above(module):
    own = imports(MODULES[module], module)
    assert "autoenc" not in own or part_of(module) == "cli", "import the module that has the name, not the package"
    from_package = {name for name in own if name.startswith("autoenc.") and name != "autoenc.__version__"}
    allowed = ORDER[: ORDER.index(part_of(module)) + 1]
    assert {name for name in from_package if part_of(name) not in allowed} == set()


@pytest.mark.parametrize("module", [name for name in INNER if part_of(name) in ("layers", "optim", "networks")])
def test_the_definition_needs_numpy_and_scipy_alone(module):
    tops = {name.partition(".")[0] for name in imports(MODULES[module], module)}
    assert tops - {"autoenc", "__future__"} <= {"numpy", "scipy", "collections", "math", "dataclasses", "typing"}


def test_nobody_imports_the_bare_name_kernels():
    files = [*ROOT.glob("*.py"), *(path for _, path in modules())]
    files += [path for folder in ("tests", "benchmarks", "docs") for path in (ROOT / folder).rglob("*.py")]
    assert [path for path in files if any(name.partition(".")[0] == "kernels" for name in imports(path))] == []


@pytest.mark.parametrize("kernel", sorted(path.stem for path in (ROOT / "kernels").glob("[!_]*.py")))
def test_every_kernel_has_a_test_that_names_it(kernel):
    tested = set().union(*(imports(path) for path in (ROOT / "tests").rglob("test_*.py")))
    assert any(f"{name}.".startswith(f"autoenc.kernels.{kernel}.") for name in tested)


def test_a_file_that_is_skipped_without_an_optional_module_is_marked_optional():
    """`make test` skips it, and `make test-all` runs what has the mark."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        skipped = set(re.findall(r"^(?:\w+ = )?pytest\.importorskip\(\"(\w+)", text, re.MULTILINE))
        marked = re.search(r"^pytestmark\b[^)]*?\bpytest\.mark\.optional\b", text, re.MULTILINE)
        assert marked or skipped <= IN_THE_GROUP_TEST, path
