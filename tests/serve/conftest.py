"""A small model, and processes that serve it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from autoenc.models import AutoEncoder
from tests.helpers import ROOT


@pytest.fixture(scope="session")
def model_file(ratings, tmp_path_factory):
    """A small autoencoder of the bundled ratings."""
    path = tmp_path_factory.mktemp("served") / "model.safetensors"
    AutoEncoder(emb_dim=64, hidden_dim=32, epochs=20).fit(ratings).save(path)
    return path


@pytest.fixture
def python(tmp_path):
    """python(*arguments): a Python process, killed at the test's end, that finds no model kept."""
    processes = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "AUTOENC_CACHE_DIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        with process:  # which closes its pipes
            process.kill()


@pytest.fixture
def serving(python, model_file):
    """serving(*program): a process, by default `autoenc`, that serves the model on a free port, and its address."""

    def start(*program):
        process = python(*(program or ("-m", "autoenc")), "serve", model_file, "--port", 0)
        for line in process.stderr:
            if line.startswith("serving"):
                return process, line.split(" at ")[1].split()[0]
        pytest.fail(f"the server ended with code {process.wait()}")

    return start
