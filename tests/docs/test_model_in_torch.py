"""docs/model_file_in_pytorch.md: its code opens a model file, and its scores equal ours and PyTorch's.

The model is the one trained by PyTorch in tests/oracle/network.npz, whose scores are stored there. If
PyTorch can't be imported, the page's code isn't run, but the file is read and scored, and its arrays are
compared with the page's table.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy import sparse

from autoenc.interactions import Interactions
from autoenc.models import AutoEncoder, load_model
from tests.helpers import ORACLE, ROOT

PAGE = (ROOT / "docs" / "model_file_in_pytorch.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def oracle():
    with np.load(ORACLE / "network.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def users(oracle):
    """The users whose scores are stored, as lists of items; one of them likes nothing."""
    return [np.flatnonzero(row).tolist() for row in oracle["inputs.user_items"][14:18]]


@pytest.fixture(scope="module")
def titles():
    return [f"Ærøskøbing {item}" if item % 3 else str(item) for item in range(280)]


@pytest.fixture(scope="module")
def path(oracle, titles, tmp_path_factory):
    trained = {name: array for name, array in oracle.items() if name.startswith("float32.trained.")}
    likes = Interactions.from_csr(sparse.csr_array(oracle["inputs.user_items"]), titles=titles)
    model = AutoEncoder(emb_dim=12, hidden_dim=8, epochs=1, batch_size=16).fit(likes)
    model._set_arrays({name.removeprefix("float32.trained."): array.copy() for name, array in trained.items()})
    path = tmp_path_factory.mktemp("page") / "model.safetensors"
    model.save(path)
    return path


def test_the_file_scores_as_pytorch_did(oracle, path, users):
    assert [] in users
    np.testing.assert_allclose(load_model(path).score(users), oracle["float32.scores"], rtol=1e-5, atol=1e-5)


def test_the_page_tells_the_files_arrays(path, titles):
    arrays = load_file(path)
    sizes = {"n_items": 280, "emb_dim": 12, "hidden_dim": 8}
    told = {}
    for names, shape in re.findall(r"^\| (`.*`) \| \((.*?),?\) \|$", PAGE, re.MULTILINE):
        layer = names[1:].partition(".")[0]
        for name in re.findall(r"`\w*\.(\w+)`", names):
            told[f"{layer}.{name}"] = tuple(sizes[size] for size in shape.split(", "))
    assert {name: array.shape for name, array in arrays.items() if array.dtype == np.float32} == told
    assert set(arrays) - set(told) == {"item_counts", "item_ids", "titles.text", "titles.ends"}
    text, ends = arrays["titles.text"].tobytes(), arrays["titles.ends"].tolist()
    assert [text[start:end].decode() for start, end in zip([0, *ends], ends)] == titles


@pytest.mark.torch
def test_the_pages_code_scores_the_same(oracle, path, users, titles, monkeypatch):
    monkeypatch.chdir(path.parent)
    names: dict = {}
    for block in BLOCKS:
        exec(compile(block, "docs/model_file_in_pytorch.md", "exec"), names)
    scores = names["score"](users).detach().numpy()
    np.testing.assert_allclose(scores, oracle["float32.scores"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(scores, load_model(path).score(users), rtol=1e-5, atol=1e-5)
    assert names["best"].shape == (3, 10)
    assert names["titles"] == titles
