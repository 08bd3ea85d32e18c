"""The order of the modules, and the rules for the folder kernels/, checked by parsing the imports."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
from pathlib import Path

import pytest

from tests.helpers import ROOT

# A module imports only from those above it.
ORDER = (
    "messages",
    "checks",
    "times",
    "machine",
    "batch_invariant",
    "storage",
    "titles",
    "interactions",
    "datasets",
    "safeguards",
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
    """Every source file of the package as (dotted name, path), including kernels/."""
    for folder, package in ((ROOT / "autoenc", "autoenc"), (ROOT / "kernels", "autoenc.kernels")):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if package == "autoenc" and parts[0] == "kernels":
                continue
            yield ".".join((package, *parts)).removesuffix(".__init__"), path


@functools.cache
def imports(path: Path, module: str = "") -> set[str]:
    """All imports of a file, including those in functions: `from a import b` counts as a.b."""
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


MOST_LINES = {ast.FunctionDef: 50, ast.AsyncFunctionDef: 50, ast.ClassDef: 250}
MOST_PARAMETERS = 8


def lines_of_code(node: ast.AST, lines: list[str]) -> int:
    """Number of code lines of a function or class, without docstrings, comments and blank lines."""
    docstrings: set[int] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant) and isinstance(inner.value.value, str):
            docstrings |= set(range(inner.lineno, inner.end_lineno + 1))
    numbers = set(range(node.lineno, node.end_lineno + 1)) - docstrings
    return sum(not lines[number - 1].strip().startswith("#") and lines[number - 1].strip() != "" for number in numbers)


def parameters_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    named = [arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs) if arg.arg not in ("self", "cls")]
    return len(named) + (given.vararg is not None) + (given.kwarg is not None)


def larger_than_the_limits(module: str, text: str) -> set[str]:
    """The functions and classes of a module that are longer, or have more parameters, than allowed; by dotted name."""
    found, lines = set(), text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, tuple(MOST_LINES)):
            continue
        too_long = lines_of_code(node, lines) > MOST_LINES[type(node)]
        is_internal = module.startswith("autoenc.kernels.") or (
            node.name.startswith("_") and not node.name.endswith("__")
        )
        takes_much = not isinstance(node, ast.ClassDef) and is_internal and parameters_of(node) > MOST_PARAMETERS
        if too_long or takes_much:
            found.add(f"{module}.{node.name}")
    return found


MODULES = dict(modules())
INNER = sorted(name for name in MODULES if name not in ("autoenc", "autoenc.__main__"))


# What belongs to MPI, to other losses and models, and to the engines: a reader of the task's network meets none of it.
OTHER_SUBJECTS = (
    *("rank", "ranks", "shard", "communicator", "mpi", "penalty", "beta", "anneal", "annealing", "input_dropout"),
    *(
        "backend",
        "engine",
        "kernel",
        "kernels",
        "numba",
        "fused",
        "multinomial",
        "softmax",
        "negative_weight",
        "refeed",
    ),
)


def test_every_module_has_its_place():
    assert {part_of(name) for name in INNER} <= set(ORDER)
    folders = [path for path in (ROOT / "autoenc").iterdir() if (path / "__init__.py").exists()]
    assert 10 < len(folders) <= 14


def test_no_import_is_hidden_to_break_a_circle():
    """Imports in functions save time (numba, matplotlib); moved to the top of their modules, all would still work."""
    ways = {name: set() for name in INNER}
    for name in INNER:
        for imported in imports(MODULES[name], name) - imports_for_types(MODULES[name]):
            module = imported if imported in ways else imported.rpartition(".")[0]
            if module in ways and module != name:
                ways[name].add(module)
    assert list(graphlib.TopologicalSorter(ways).static_order())  # raises CycleError, which names a circle


def imports_for_types(path: Path) -> set[str]:
    """The names imported under `if TYPE_CHECKING:`."""
    blocks = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.If)]
    of_types = [node for block in blocks if ast.unparse(block.test) == "TYPE_CHECKING" for node in block.body]
    return {
        f"{node.module}.{alias.name}" for node in of_types if isinstance(node, ast.ImportFrom) for alias in node.names
    }


def test_the_tasks_network_reads_by_itself():
    path = MODULES["autoenc.networks.autoencoder"]
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 130
    sources = {name.rpartition(".")[0] or name for name in imports(path, "autoenc.networks.autoencoder")}
    assert sources <= {"numpy", "scipy", "autoenc.layers", "autoenc.networks.base", "__future__"}
    words = set(re.findall(r"[a-z_]+", text.lower()))
    assert words & set(OTHER_SUBJECTS) == set()
    losses = {"SigmoidBCE", "WeightedBCE", "Multinomial", "SoftBCE", "MaskedSquaredError"}
    assert {name for name in losses if name in text} == {"SigmoidBCE"}


@pytest.mark.parametrize("module", [name for name in INNER if part_of(name) in ("training", "models", "evaluation")])
def test_what_is_optional_attaches_from_outside(module):
    tops = {name.partition(".")[0] for name in imports(MODULES[module], module)}
    assert tops & {"mpi4py", "dask", "distributed", "duckdb", "starlette", "uvicorn"} == set()


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


def test_no_function_and_no_class_is_large():
    found = set().union(*(larger_than_the_limits(name, path.read_text("utf-8")) for name, path in MODULES.items()))
    assert found == set()


def test_what_is_large_is_found():
    body = "".join(f"    x = {n}  # a comment after code\n" for n in range(50))
    free = '    """Two\n\n    lines."""\n\n    # a comment\n'
    long, short = f"def f():\n{free}{body}", f"def f():\n{free}{body[: body.rindex('    x')]}"
    assert larger_than_the_limits("autoenc.optim", long) == {"autoenc.optim.f"}
    assert larger_than_the_limits("autoenc.optim", short) == set()
    eight, nine = (f"def _f({', '.join(f'x{i}' for i in range(n))}): ..." for n in (8, 9))
    assert larger_than_the_limits("autoenc.optim", nine) == {"autoenc.optim._f"}
    assert larger_than_the_limits("autoenc.optim", eight) == set()
    assert larger_than_the_limits("autoenc.optim", nine.replace("_f", "f")) == set()
    assert larger_than_the_limits("autoenc.kernels.exp", nine.replace("_f", "f")) == {"autoenc.kernels.exp.f"}


def test_one_module_asks_about_the_machine():
    asks = re.compile(r"[\"']/(proc|sys)\b|import threadpoolctl|from threadpoolctl")
    assert {name for name, path in MODULES.items() if asks.search(path.read_text("utf-8"))} == {"autoenc.machine"}


def test_a_file_that_is_skipped_without_an_optional_module_is_marked_optional():
    """`make test` skips them, and `make test-all` runs the tests with the mark."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        skipped = set(re.findall(r"^(?:\w+ = )?pytest\.importorskip\(\"(\w+)", text, re.MULTILINE))
        marked = re.search(r"^pytestmark\b[^)]*?\bpytest\.mark\.optional\b", text, re.MULTILINE)
        assert marked or skipped <= IN_THE_GROUP_TEST, path
