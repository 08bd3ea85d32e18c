"""The demonstration's model of a user without a home folder."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from autoenc.serve import server

pytestmark = pytest.mark.optional


def test_without_a_home_folder_it_is_trained_and_not_kept(monkeypatch):
    def nowhere():
        raise OSError("this user has no home folder to keep data in; set AUTOENC_CACHE_DIR to a folder")

    monkeypatch.setattr(server, "cache_folder", nowhere)
    monkeypatch.setattr(server, "demonstration", lambda progress: "the model")
    said = []
    assert server.bundled_model(False, said.append) == "the model"
    [line] = said
    assert "it can't be kept: this user has no home folder" in line
