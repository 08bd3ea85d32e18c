"""Check that the parameters in docstrings match the signatures, as part of make lint.

python docs/docstrings.py

Public names (in autoenc.__all__) must document all parameters; other docstrings may leave out obvious ones.
Positional parameters come first, in their order. ruff's rules for this don't support "users, items : array",
and don't know which names are public.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

# The kernels' docstrings are for readers; serve is an extra.
NOT_CHECKED = ("autoenc.__main__", "autoenc.kernels", "autoenc.serve")


def documented_parameters(doc: str) -> list[str] | None:
    """The names in the Parameters section of a numpydoc docstring; None if there is none."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^[A-Z][\w ]*\n-+\n|\Z)", doc, re.MULTILINE | re.DOTALL)
    if not section:
        return None
    headings = [line for line in section[1].splitlines() if line.strip() and not line.startswith(" ")]
    return [name.strip(" *") for line in headings for name in re.split(r" :| \(", line)[0].split(",")]


def difference(thing, is_public: bool) -> str | None:
    """The difference between a docstring and a signature, in words; None if they agree."""
    names = documented_parameters(inspect.cleandoc(thing.__doc__ or ""))
    if names is None:
        return None
    parameters = [p for name, p in inspect.signature(thing).parameters.items() if name != "self"]
    takes = [p.name for p in parameters]
    by_place = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY and (is_public or p.name in names)]
    complete = len(names) == len(set(names)) and (set(names) == set(takes) if is_public else set(names) <= set(takes))
    if complete and names[: len(by_place)] == by_place:
        return None
    return f"documents {', '.join(names)}, but takes {', '.join(takes) or 'nothing'}"


def functions():
    """Every public function, class and method of the package, with its dotted name."""
    package = importlib.import_module("autoenc")
    for module in pkgutil.walk_packages(package.__path__, "autoenc."):
        if module.name.startswith(NOT_CHECKED):
            continue
        for name, thing in vars(importlib.import_module(module.name)).items():
            if getattr(thing, "__module__", None) != module.name or name.startswith("_"):
                continue
            if inspect.isclass(thing):
                yield f"{module.name}.{name}", thing
                members = vars(thing).items()
                yield from ((f"{module.name}.{name}.{n}", m) for n, m in members if inspect.isfunction(m))
            elif inspect.isfunction(thing):
                yield f"{module.name}.{name}", thing


def differences() -> list[str]:
    public = set(importlib.import_module("autoenc").__all__)
    found = ((name, difference(thing, bool(set(name.split(".")) & public))) for name, thing in functions())
    return [f"{name} {what}" for name, what in found if what]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    found = differences()
    print("\n".join(found) or "the parameters in all docstrings match the signatures")
    sys.exit(bool(found))
