"""Plots: their content is right, and if one can't be drawn, the error is one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from autoenc import plots
from autoenc.evaluation.evaluate import evaluate
from autoenc.evaluation.splits import holdout_per_user
from autoenc.interactions import Interactions
from autoenc.models import ItemKNN, Popular
from autoenc.training.callbacks import History

matplotlib = pytest.importorskip("matplotlib")

HISTORY = [
    {"epoch": 1, "loss": 9.0, "lr": 0.01},
    {"epoch": 2, "loss": 7.0, "lr": 0.01, "ndcg@5": 0.25},
    {"epoch": 3, "loss": 6.5, "lr": 0.01},
    {"epoch": 4, "loss": 6.25, "lr": 0.01, "ndcg@5": 0.5},
]


@pytest.fixture(scope="module")
def split(ratings):
    """The first 1500 items of the bundled ratings, so that ItemKNN is fast."""
    return holdout_per_user(ratings.user_items[:, :1500], seed=0)


@pytest.fixture(scope="module")
def models(split):
    return {"ItemKNN": ItemKNN().fit(split[0]), "Popular": Popular().fit(split[0])}


@pytest.fixture(scope="module")
def hits(models, split):
    return {name: plots.hits_by_popularity(model, *split, k=10) for name, model in models.items()}


def test_hits_are_matched_by_id_like_the_metrics():
    train = Interactions.from_pairs([1, 1, 2, 2, 3], [10, 20, 10, 30, 20])
    held_out = Interactions.from_pairs([3, 1, 2], [10, 30, 20])
    model = Popular().fit(train)
    found = plots.hits_by_popularity(model, train, held_out, k=1, n_groups=1)
    assert found.tolist() == [evaluate(model, train, held_out, ks=[1])["recall@1"]]
    with pytest.raises(ValueError, match="none of the 1 items of held_out"):
        plots.hits_by_popularity(model, train, Interactions.from_pairs([1], [99]), k=1)


def points(axes):
    [line] = axes.get_lines()
    return list(zip(*line.get_data()))


def test_a_history_is_drawn_as_its_callback_draws_it():
    figure = plots.draw_history(HISTORY)
    loss, metric = figure.axes
    assert points(loss) == [(1, 9.0), (2, 7.0), (3, 6.5), (4, 6.25)]
    assert points(metric) == [(2, 0.25), (4, 0.5)]
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "training loss, per user")
    assert metric.get_ylabel() == "validation ndcg@5"
    history = History()
    history.epochs = HISTORY
    again = history.plot(matplotlib.figure.Figure().add_subplot())
    assert points(again) == points(loss) and len(again.figure.axes) == 2
    assert plots.draw_history([]).axes[0].get_xlabel() == "epoch"


def test_a_history_is_drawn_by_pyplot_where_no_axes_are_given(monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    history = History()
    history.epochs = HISTORY
    axes = history.plot()
    assert axes.figure.number in pyplot.get_fignums() and len(points(axes)) == 4
    pyplot.close(axes.figure)


def hits_by_definition(scorer, train, held_out, k, n_groups):
    """One user and one item at a time."""
    popularity = np.bincount(train.indices, minlength=scorer.n_items)
    order = sorted(range(scorer.n_items), key=lambda item: (-popularity[item], item))
    held = dict.fromkeys(order, 0)
    hit = dict.fromkeys(order, 0)
    for user in range(train.shape[0]):
        wanted = set(held_out.indices[held_out.indptr[user] : held_out.indptr[user + 1]].tolist())
        for item in wanted:
            held[item] += 1
        if wanted:
            items, _ = scorer.recommend(train[[user]], N=k)
            for item in set(items[0].tolist()) & wanted:
                hit[item] += 1
    total, before = sum(held.values()), 0
    hits, helds = np.zeros(n_groups), np.zeros(n_groups)
    for item in order:
        group = min(n_groups - 1, before * n_groups // total)
        hits[group] += hit[item]
        helds[group] += held[item]
        before += held[item]
    with np.errstate(invalid="ignore"):
        return hits / helds


@pytest.mark.parametrize(("k", "n_groups"), [(10, 10), (3, 4)])
def test_hits_by_popularity_are_those_of_the_definition(split, models, k, n_groups):
    train, held_out = (half[:150] for half in split)
    for model in models.values():
        ours = plots.hits_by_popularity(model, train, held_out, k, n_groups)
        np.testing.assert_allclose(ours, hits_by_definition(model, train, held_out, k, n_groups), rtol=1e-12)


def test_a_recommender_that_knows_the_head_alone_looks_like_one(hits):
    assert hits["Popular"][0] > 0.5 and hits["Popular"][3:].max() == 0
    assert hits["ItemKNN"][3:5].min() > 0.05


def test_a_group_without_likes_is_nan_and_does_not_break(split, models):
    train, held_out = (half[:1] for half in split)
    held_out = held_out.copy()
    held_out.data[:] = 0
    held_out.eliminate_zeros()
    assert np.isnan(plots.hits_by_popularity(models["Popular"], train, held_out)).all()


def test_an_evaluation_is_drawn_with_its_bars(split, models, hits):
    reports = {name: evaluate(model, *split, ks=(1, 5, 10)) for name, model in models.items()}
    figure = plots.draw_evaluation(reports, hits, 10)
    for axes, metric in zip(figure.axes, ("precision", "recall")):
        assert axes.get_ylabel() == f"{metric}@k"
        for drawn, report in zip(axes.containers, reports.values(), strict=True):
            line, _, [bars] = drawn
            for k, y, bar in zip((1, 5, 10), line.get_ydata(), bars.get_segments(), strict=True):
                key = f"{metric}@{k}"
                assert y == report[key]
                assert bar[1][1] - bar[0][1] == pytest.approx(4 * report.standard_errors[key])
    for drawn, shares in zip(figure.axes[2].containers, hits.values(), strict=True):
        np.testing.assert_array_equal([bar.get_height() for bar in drawn], shares)
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ItemKNN", "Popular"]


@pytest.mark.parametrize("name", ["plot.png", "folder.d/plot", "PLOT.PNG", "plot.svg", "plot.pdf"])
def test_a_picture_is_written_as_its_ending_says(tmp_path, name):
    path = tmp_path / name
    plots.save(plots.draw_history(HISTORY), path)
    content = path.read_bytes()
    kind = {".svg": b"<?xml", ".pdf": b"%PDF"}.get(path.suffix, b"\x89PNG")
    assert content.startswith(kind) and [p.name for p in path.parent.iterdir()] == [path.name]
    if kind == b"\x89PNG":
        pixels = pytest.importorskip("matplotlib.image").imread(path, format="png")
        assert pixels.shape[:2] == (600, 1050) and pixels.std() > 0.05


@pytest.mark.parametrize("name", ["plot.txt", "plot.png.gz", "plot.exe"])
def test_an_ending_that_is_none_is_refused(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(ValueError, match=r"must end in one of .*pdf.*png.*svg.*; call it plot.png"):
        plots.save(plots.draw_history(HISTORY), path)
    with pytest.raises(ValueError, match="must end in one of"):
        plots.check_plot(path)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "plot.png"
    path.write_text("the one before")

    def full(self, file, **_):
        Path(file).write_text("half")
        raise OSError(28, "No space left on device")

    figure = plots.draw_history(HISTORY)
    monkeypatch.setattr(type(figure), "savefig", full)
    with pytest.raises(OSError, match="No space left on device"):
        plots.save(figure, path)
    assert path.read_text() == "the one before" and list(tmp_path.iterdir()) == [path]


def test_without_matplotlib_a_plot_is_one_sentence(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    sentence = r"a plot needs matplotlib: pip install '\.\[plot\]', or leave the plot out"
    for draw in (History().plot, lambda: plots.draw_history(HISTORY), lambda: plots.check_plot("plot.png")):
        with pytest.raises(ValueError, match=sentence):
            draw()
