"""A user without a home folder, as in a container started with --user 12345."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from autoenc.datasets.cache import cache_folder
from tests.helpers import ROOT

HOMELESS = """
import os, pwd, sys
def nobody(uid): raise KeyError(uid)
pwd.getpwuid = nobody
"""


def run_homeless(code, folder, **variables):
    """What a process of a user that the system doesn't know says, with `folder` as its working folder."""
    of_home = ("HOME", "XDG_CACHE_HOME", "AUTOENC_CACHE_DIR", "NUMBA_CACHE_DIR")
    env = {name: value for name, value in os.environ.items() if name not in of_home}
    env |= {"PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run([sys.executable, "-c", HOMELESS + code], cwd=folder, env=env, capture_output=True, text=True)
    assert list(folder.iterdir()) == [], "no folder named ~"
    return done


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows the home folder otherwise")
def test_without_a_home_folder_a_download_says_what_to_set(tmp_path):
    code = "from autoenc.cli import main; sys.exit(main(['train', '--dataset', 'ml-100k']))"
    done = run_homeless(code, tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        "this user has no home folder to keep data in; set AUTOENC_CACHE_DIR to a folder"
    )
    assert "Traceback" not in done.stderr


def test_the_folder_that_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOENC_CACHE_DIR", str(tmp_path))
    assert cache_folder() == tmp_path
