"""The comparisons of settings of `best`, and of RecVAE: their tables, and one run of each with small parts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autoenc.interactions import Interactions
from autoenc.models.denoising import DenoisingAutoEncoder
from autoenc.models.ease import EASE
from autoenc.models.elsa import ELSA
from benchmarks.ranking import choices, rec_vae, settings

pytestmark = pytest.mark.optional


@pytest.fixture
def popular_items(ratings, monkeypatch):
    often = np.flatnonzero(np.bincount(ratings.user_items.indices) >= 80)
    monkeypatch.setattr(choices.datasets, "load", lambda name: Interactions.from_csr(ratings.user_items[:, often]))


def test_epochs_are_a_multiple_of_the_default(ratings):
    network = settings.changed(DenoisingAutoEncoder(batch_size=64), {"epochs": 0.5}, ratings.user_items, 240, 3)
    usual = DenoisingAutoEncoder(batch_size=64, hidden_dim=2).fit(ratings.user_items)
    assert network.epochs == round(len(usual.history_) / 2)
    assert settings.changed(ELSA(), {"lr": 0.06}, ratings.user_items, 120, 4).get_params()["lr"] == 0.06


def test_a_run_of_all_settings(popular_items, monkeypatch, tmp_path, capsys):
    fitted = []

    def parts(train, judge):
        elsa = ELSA(emb_dim=4, epochs=1).fit(train)
        return {"network": EASE(l2=10.0).fit(train), "EASE": EASE().fit(train), "ELSA": elsa}

    def stopped(network, others, train, judge):
        fitted.append((network.get_params(), [type(other).__name__ for other in others]))
        return EASE(l2=20.0).fit(train)

    monkeypatch.setattr(settings, "ELSA", lambda: ELSA(emb_dim=4, epochs=1))
    monkeypatch.setattr(settings, "OF_ELSA", {"ELSA: unchanged": {}, "ELSA: 8 wide": {"emb_dim": 8}})
    monkeypatch.setattr(settings, "fitted_parts", parts)
    monkeypatch.setattr(settings, "stopped", stopped)
    monkeypatch.setattr(choices, "in_own_process", lambda function, *args: function(*args))
    path = tmp_path / "settings.jsonl"
    assert settings.main(["--run", "ml-latest-small:weak", "--results", str(path)]) == 0
    [found] = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert [*found["blends"]] == ["as it is", *settings.NETWORK, *settings.OF_ELSA]
    assert found["blends"]["ELSA: unchanged"]["ahead"] == [0, 0] != found["blends"]["ELSA: 8 wide"]["ahead"]
    assert len(fitted) == 1 + len(settings.NETWORK) and all(others == ["EASE", "ELSA"] for _, others in fitted)
    changed = [(params["lr"], params["hidden_dim"], params["epochs"]) for params, _ in fitted]
    assert changed == [
        *((0.005, 600, None), (0.0025, 600, None), (0.01, 600, None), (0.005, 300, None), (0.005, 1200, None)),
        *((0.005, 600, 40), (0.005, 600, 160)),  # 3 steps per epoch, and 240 steps
    ]
    assert "network: 1,200 wide" in capsys.readouterr().out


def test_rec_vae_and_mult_vae_learn(popular_items, monkeypatch, tmp_path, capsys):
    torch = pytest.importorskip("torch")
    from benchmarks.peers import rec_vae as networks

    monkeypatch.setattr(networks, "HIDDEN", 64)
    monkeypatch.setattr(networks, "CODE", 32)
    monkeypatch.setattr(networks, "PATIENCE", 20)
    monkeypatch.setattr(rec_vae, "GAMMAS", (0.005,))
    monkeypatch.setattr(rec_vae, "BETAS", (0.2,))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(rec_vae, "fitted_parts", lambda train, judge: {"EASE": EASE().fit(train), "IALS": None})
    path = tmp_path / "rec-vae.jsonl"
    run = ["--run", "ml-latest-small", "--blend", "--results", str(path)]
    with monkeypatch.context() as untrained:
        untrained.setattr(networks, "fit", lambda *args: 0.0)
        assert rec_vae.main(run) == 0
    assert rec_vae.main([*run, "--seconds", "8"]) == 0
    before, found = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    for name in ("MultVae", "RecVae"):
        assert found[name]["values"][0] > before[name]["values"][0] + 0.05
    assert len(found["fourth"]["weights"]) == 2
    assert "ml-latest-small, seed 0" in capsys.readouterr().out


def test_log_density_integrates_to_one():
    torch = pytest.importorskip("torch")
    from benchmarks.peers.rec_vae import log_density

    grid = torch.linspace(-400, 400, 80_001, dtype=torch.float64)
    zero = torch.zeros((), dtype=torch.float64)
    for mean, log_var in ((zero, zero), (zero + 1, zero - 1), (zero, zero + 10)):
        total = torch.exp(log_density(grid, mean, log_var)).sum() * (grid[1] - grid[0])
        assert total.item() == pytest.approx(1, abs=2e-2 if log_var > 5 else 1e-6)
