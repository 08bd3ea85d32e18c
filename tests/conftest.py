"""Shared by all tests: the bundled ratings, one split of them, and the profile of hypothesis."""

from __future__ import annotations

import importlib.util

import pooch  # noqa: F401  its log goes to the stderr that it was imported with, which has to outlive each test's
import pytest
from hypothesis import settings

# The same examples on every run, and no limit on the first one's time, in which numba compiles.
settings.register_profile("autoenc", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None, database=None)  # others each time: --hypothesis-profile random
settings.load_profile("autoenc")


# Scripts that made stored answers, and hostile inputs: read by tests, not tests.
collect_ignore = ["oracle", "data"]

NEED_AN_EXTRA = ("autoenc/models/tuning.py", "autoenc/serve/")


@pytest.fixture(scope="session")
def ratings():
    """The bundled MovieLens edition, as Interactions. Shared: don't change it."""
    from autoenc import datasets

    return datasets.load()


@pytest.fixture(scope="session")
def split(ratings):
    """(train, held_out) of the bundled edition at seed 0, both CSR (n_users, n_items). Shared: don't change it."""
    from autoenc.evaluation.splits import holdout_per_user

    return holdout_per_user(ratings.user_items, seed=0)


def pytest_collection_modifyitems(items):
    """Mark the doctests that need an extra, and skip what compares live with PyTorch where there is none."""
    has_torch = importlib.util.find_spec("torch") is not None
    for item in items:
        if item.nodeid.startswith(NEED_AN_EXTRA):
            item.add_marker("optional")
        if "torch" in item.keywords and not has_torch:
            item.add_marker(pytest.mark.skip(reason="torch is not installed"))  # its stored answers are compared anyway


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A test without the marks `optional` and `torch` fails where pytest.importorskip would skip it.

    Otherwise `make test` would skip it and `make test-all` would leave it out.
    """
    report = (yield).get_result()
    if report.skipped and "could not import" in str(report.longrepr) and not {"optional", "torch"} & {*item.keywords}:
        report.outcome = "failed"
        report.longrepr = f"{report.longrepr[2]}; mark the test optional, or add the module to the group test"
