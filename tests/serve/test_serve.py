"""The API and the server: answers equal the model's, invalid requests get one sentence, and memory doesn't grow."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("starlette", reason="starlette is not installed, which serving needs: make test-all")
pytest.importorskip("uvicorn", reason="uvicorn is not installed, which serving needs: make test-all")

from autoenc.cli import build_parser, main
from autoenc.interactions import Interactions
from autoenc.layers.sigmoid_bce import sigmoid
from autoenc.models import EASE, AutoEncoder, Blend, ItemKNN, load_model
from autoenc.models.popular import Popular
from autoenc.serve import server, strips
from autoenc.serve.answers import Answers
from autoenc.serve.api import LONGEST_QUERY, MOST_ITEMS, MOST_LIKES, OPERATIONS, openapi
from autoenc.serve.app import HEADERS, STATIC, make_app
from autoenc.serve.on_demand import NotYetMade, OnDemand
from autoenc.serve.starters import CANDIDATES, starters
from autoenc.storage.model_file import read_model_file, write_model_file
from autoenc.training.plain import PlainEngine
from tests.helpers import ROOT

pytestmark = pytest.mark.optional

ALIEN, MATRIX, HEAT = "1214", "2571", "6"


@pytest.fixture(scope="module")
def model(model_file):
    return load_model(model_file)


@pytest.fixture(scope="module")
def get(model):
    """get(path, **query): the status and the JSON, of an application in this process."""
    testclient = pytest.importorskip("starlette.testclient", reason="httpx is not installed")
    client = testclient.TestClient(make_app(model), base_url="http://localhost", raise_server_exceptions=False)

    def get(path, method="GET", headers=(), content=None, **query):
        response = client.request(method, path, params=query or None, headers=dict(headers), content=content)
        assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
        is_json = response.headers["content-type"] == "application/json"
        return response.status_code, response.json() if is_json else response.text

    return get


def ids(items):
    return [item["id"] for item in items]


# What it answers


def test_recommend_is_the_models_own(get, model, ratings):
    status, answer = get("/api/recommend", like=[ALIEN, MATRIX], n=5, explain="true")
    row = model.row_of([ALIEN, MATRIX])
    columns, scores = model.recommend(row, N=5)
    assert status == 200
    assert answer["likes"] == [
        {"id": ALIEN, "title": "Alien (1979)"},
        {"id": MATRIX, "title": "Matrix, The (1999)"},
    ]
    assert ids(answer["recommended"]) == [str(ratings.item_ids[column]) for column in columns[0]]
    np.testing.assert_allclose([item["score"] for item in answer["recommended"]], scores[0], atol=1e-4)
    for column, item in zip(columns[0], answer["recommended"]):
        of = dict(zip(*(array.tolist() for array in model.explain(row, column))))
        expected = [of[like] for like in ratings.index_of_items([int(ALIEN), int(MATRIX)])]
        np.testing.assert_allclose(item["contributions"], expected, atol=1e-4)


def test_explain_orders_by_the_likes_given(get):
    _, one = get("/api/explain", like=[MATRIX, ALIEN], item=HEAT)
    _, other = get("/api/explain", like=[ALIEN, MATRIX], item=HEAT)
    assert ids(one["because"]) == [MATRIX, ALIEN]
    assert one["because"] == other["because"][::-1]
    assert (one["is_liked"], get("/api/explain", like=[HEAT], item=HEAT)[1]["is_liked"]) == (False, True)
    assert one["item"]["title"] == "Heat (1995)"
    without = get("/api/explain", like=[ALIEN], item=HEAT)[1]["item"]["score"]
    assert one["because"][0]["contribution"] == pytest.approx(one["item"]["score"] - without, abs=2e-5)


def test_similar_is_the_models_own(get, model, ratings):
    _, answer = get("/api/similar", item=HEAT, n=4)
    columns, _ = model.similar_items(int(ratings.index_of_items([int(HEAT)])[0]), 4)
    assert ids(answer["similar"]) == [str(ratings.item_ids[column]) for column in columns]
    assert answer["item"] == {"id": HEAT, "title": "Heat (1995)"}


def test_no_likes_get_what_is_most_liked_and_a_like_twice_counts_once(get, model):
    status, answer = get("/api/recommend")
    assert (status, len(answer["recommended"]), answer["likes"]) == (200, 10, [])
    most_liked = np.argsort(-model.item_counts_, kind="stable")[:10]
    assert [item["title"] for item in answer["recommended"]] == model.catalogue_.item_names(most_liked)
    assert [item["score"] for item in answer["recommended"]] == model.item_counts_[most_liked].tolist()
    assert all(item["by_popularity"] for item in answer["recommended"])
    assert not any(item["by_popularity"] for item in get("/api/recommend", like=[HEAT])[1]["recommended"])
    assert get("/api/recommend", like=[HEAT, HEAT]) == get("/api/recommend", like=[HEAT])


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("matrix the", "Matrix, The (1999)"),
        ("GODF", "Godfather, The (1972)"),
        ("  alien 1979 ", "Alien (1979)"),
        ("leon prof", "Léon: The Professional (a.k.a. The Professional) (Léon) (1994)"),
        ("fargo", "Fargo (1996)"),
    ],
)
def test_search_finds_what_is_half_typed(get, typed, first):
    assert get("/api/items", search=typed)[1]["items"][0]["title"] == first


def test_search_finds_inside_of_words_last_and_nothing_at_all(get):
    titles = [item["title"] for item in get("/api/items", search="ring", n=100)[1]["items"]]
    assert titles[0].startswith("Ring")
    inside = next(i for i, title in enumerate(titles) if " ring" not in f" {title.lower()}")
    assert all(" ring" not in f" {title.lower()}" for title in titles[inside:])
    assert get("/api/items", search="zzzz qqqq")[1] == {"items": []}
    assert ids(get("/api/items", n=3)[1]["items"]) == ids(get("/api/recommend", n=3)[1]["recommended"])


def test_health_names_the_model(get):
    status, answer = get("/api/health")
    assert status == 200
    assert (answer["model"], answer["dataset"], answer["n_items"]) == ("AutoEncoder", "ml-latest-small", 9066)


def test_any_model_is_served_and_one_without_layers_says_so(ratings):
    small = ratings.user_items[:, :300]
    for model in (EASE(), ItemKNN(), Popular()):
        answers = Answers(model.fit(small))
        recommended = answers.recommend(["3", "5"], 5, explain=True)["recommended"]
        assert len(recommended) == 5 and all(len(item["contributions"]) == 2 for item in recommended)
        assert answers.health()["network"] is False
        with pytest.raises(LookupError, match=f"{type(model).__name__} has no layers to show"):
            answers.network_at_work(["3"], None, False, 0)


def test_excluded_items_are_left_out(get):
    _, all_ten = get("/api/recommend", like=[ALIEN, MATRIX])
    first, second = all_ten["recommended"][:2]
    _, rest = get("/api/recommend", like=[ALIEN, MATRIX], exclude=[first["id"], second["title"]])
    assert ids(rest["recommended"])[:8] == ids(all_ten["recommended"])[2:] and len(rest["recommended"]) == 10


def test_the_scale_goes_from_the_median_to_the_best(get, model):
    _, answer = get("/api/recommend", like=[ALIEN, MATRIX], n=3)
    scores = model.score(model.row_of([ALIEN, MATRIX]))[0]
    assert answer["scale"] == {
        "zero": pytest.approx(np.median(scores), abs=1e-5),
        "full": answer["recommended"][0]["score"],
    }


def test_where_the_users_of_the_fit_are_known_it_tells_how_many_like_an_item(get, ratings):
    _, answer = get("/api/recommend", like=[ALIEN, MATRIX], n=4, explain="true")
    liked = ratings.user_items.toarray() > 0
    for item in answer["recommended"]:
        likes_it = liked[:, ratings.index_of_items([int(item["id"])])[0]]
        likers = [liked[:, ratings.index_of_items([int(like)])[0]] for like in (ALIEN, MATRIX)]
        assert item["liked_by"] == pytest.approx(likes_it.mean(), abs=1e-5)
        assert item["liked_by_likers"] == pytest.approx([likes_it[likes].mean() for likes in likers], abs=1e-5)
    other = Answers(EASE().fit(ratings.user_items[:, :300])).recommend(["3"], 2, explain=True)
    assert not any("liked_by" in item for item in other["recommended"])


def test_starters_are_popular_unlike_each_other_and_tell_what_they_bring(ratings):
    answers = Answers(EASE().fit(ratings))
    found = answers.starters(12)["starters"]
    popular = ids(answers.items("", CANDIDATES)["items"])
    assert len(found) == 12 and set(ids(found)) <= set(popular)
    for starter in found:
        similar = ids(answers.similar(starter["id"], 10)["similar"])
        assert ids(starter["brings"]) == similar[:3]
        assert not set(ids(found)) & set(similar)
    assert starters(Popular().fit([[0, 1], [1]]), [1, 0], 5) == [(1, [0])]


def test_titles_are_the_outputs(get, ratings):
    assert get("/api/titles")[1]["titles"] == ratings.titles.tolist()


def test_titles_do_as_ids_do(get):
    by_id = get("/api/recommend", like=[ALIEN, MATRIX], explain="true")
    assert by_id[0] == 200
    assert get("/api/recommend", like=["Alien (1979)", "Matrix, The (1999)"], explain="true") == by_id
    assert get("/api/recommend", like=["Alien (1979)", MATRIX, ALIEN], explain="true") == by_id
    assert get("/api/similar", item="Heat (1995)") == get("/api/similar", item=HEAT)
    explained = get("/api/explain", like=["Alien (1979)"], item="Heat (1995)")
    assert explained == get("/api/explain", like=[ALIEN], item=HEAT)
    at_work = get("/api/network", like=[ALIEN, MATRIX], without="Alien (1979)")
    assert at_work == get("/api/network", like=[ALIEN, MATRIX], without=ALIEN)


@pytest.mark.parametrize(
    ("typed", "fix"),
    [
        ("heat 1986", "did you mean 'Heat (1995)' or 'Heat, The (2013)'?"),
        ("Matrx", "did you mean 'Matrix"),
        ("Tirminator, The (1984)", "did you mean 'Terminator, The (1984)'"),
        ("zzzz qqqq", "there are, for example, 'Forrest Gump (1994)' and"),
        ("99999999", "there are, for example, 'Forrest Gump (1994)' and"),
    ],
)
def test_a_title_that_is_not_there_gets_the_nearest(get, typed, fix):
    status, answer = get("/api/similar", item=typed)
    assert status == 404
    assert answer["error"].startswith(f"There is no item {typed!r} among the 9,066; {fix}")


def test_a_title_of_two_items_asks_for_an_id():
    films = {1: "Hamlet (1996)", 2: "Hamlet (1996)", 3: "Heat (1995)"}
    answers = Answers(Popular().fit(Interactions.from_pairs([7, 7, 8], [1, 2, 3], titles=films)))
    with pytest.raises(LookupError, match=r"'Hamlet \(1996\)' is the title of 2 items; pass one of their ids: 1 \(Ham"):
        answers.similar("Hamlet (1996)", 1)


# The network at work


def test_strips_in_evaluation_are_the_networks_forward(get, model):
    _, work = get("/api/network", like=[ALIEN, MATRIX])
    names = [strip["name"] for strip in work["strips"]]
    assert names == [*list(model.network_.layers)[:-1], "sigmoid"]
    row = model.row_of([ALIEN, MATRIX])
    by_name = {strip["name"]: strip for strip in work["strips"]}
    np.testing.assert_allclose(by_name["dropout2"]["values"], model.network_.encode(row)[0], rtol=1e-4)
    np.testing.assert_allclose(by_name["output"]["values"], model.network_.score(row)[0], rtol=1e-4)
    np.testing.assert_allclose(by_name["sigmoid"]["values"], sigmoid(model.network_.score(row)[0]), rtol=1e-3)
    assert by_name["batchnorm1"]["forward"] == (
        "output  = weight * (x - running_mean) / sqrt(running_var + eps) + bias"
    )
    assert "def forward(self, x: np.ndarray, training: bool)" in by_name["batchnorm1"]["forward_code"]
    assert by_name["bottleneck"]["params"] == {"weight": [32, 64], "bias": [32]}
    assert "dropped" not in by_name["dropout1"]


def test_leaving_out_a_like_shows_the_difference_in_every_layer(get):
    _, both = get("/api/network", like=[ALIEN, MATRIX], without=MATRIX)
    _, one = get("/api/network", like=[ALIEN])
    for strip, rest in zip(both["strips"], one["strips"], strict=True):
        expected = np.subtract(strip["values"], rest["values"])
        np.testing.assert_allclose(strip["change"], expected, atol=1e-3 * np.abs(strip["values"]).max())
        assert np.any(strip["change"])
    assert both["rises"][0]["value"] > 0 > both["falls"][0]["value"]
    for named in ("highest", "rises", "falls"):
        assert not {ALIEN, MATRIX} & set(ids(both[named]))


def test_a_network_is_served_by_the_plain_layers(ratings):
    model = AutoEncoder(emb_dim=8, hidden_dim=4, epochs=1).fit(ratings.user_items[:, :300])
    assert not isinstance(model._engine, PlainEngine)
    assert Answers(model).network is model.network_
    assert isinstance(model._engine, PlainEngine)


def test_another_network_is_looked_into_where_the_model_has_no_layers(model, ratings):
    made, wanted = [], threading.Event()

    def make(report):
        made.append(model)
        report(0.25)
        wanted.wait(60)
        return model

    answers = Answers(EASE().fit(ratings), OnDemand(make))
    assert not made and answers.health()["network"] is True
    with pytest.raises(NotYetMade, match="the network is being trained, once: 25% done;"):
        answers.network_at_work([ALIEN], None, False, 0)
    wanted.set()
    work = answers.network_at_work([ALIEN], None, False, 0)
    assert work["model"] == "AutoEncoder" and len(made) == 1
    assert work == Answers(model).network_at_work([ALIEN], None, False, 0)


def test_while_it_is_trained_the_status_says_so_and_a_failure_is_tried_again(ratings):
    testclient = pytest.importorskip("starlette.testclient", reason="httpx is not installed")
    outcomes = [MemoryError(), AutoEncoder(emb_dim=8, hidden_dim=4, epochs=1).fit(ratings.user_items[:, :300])]
    held = threading.Event()

    def make(report):
        held.wait(60)
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    app = make_app(EASE().fit(ratings.user_items[:, :300]), network=OnDemand(make))
    client = testclient.TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
    busy = client.get("/api/network?like=3")
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
    assert client.get("/api/recommend?like=3").status_code == 200  # meanwhile
    held.set()
    assert [client.get("/api/network?like=3").status_code for _ in range(2)] == [500, 200]


def test_so_are_the_networks_in_a_blend(ratings):
    blend = Blend([AutoEncoder(emb_dim=8, hidden_dim=4, epochs=1), EASE()], weights=[1, 1])
    answers = Answers(blend.fit(ratings.user_items[:, :300]))
    assert isinstance(blend.models_[0]._engine, PlainEngine)
    assert answers.network is None
    assert len(answers.recommend(["3"], 5, explain=True)["recommended"]) == 5


def test_training_mode_drops_and_takes_the_batchs_statistics_and_changes_nothing(get, model):
    before = {name: array.copy() for name, array in model.network_.state.items()}
    _, work = get("/api/network", like=[ALIEN, MATRIX], training="true")
    assert work["batch"] == "255 users of the bundled MovieLens ratings"
    strips = {strip["name"]: strip for strip in work["strips"]}
    dropped = strips["dropout1"]["dropped"]
    assert 10 < len(dropped) < 54  # of 64, each with probability 1/2
    assert not np.any(np.array(strips["dropout1"]["values"])[dropped])
    statistics = strips["batchnorm1"]["statistics"]
    assert set(statistics) == {"running mean", "running var", "batch mean", "batch var"}
    x, mean, var = np.array(strips["relu1"]["values"]), statistics["batch mean"], np.array(statistics["batch var"])
    weight, bias = before["batchnorm1.weight"], before["batchnorm1.bias"]
    expected = weight * (x - mean) / np.sqrt(var + 1e-5) + bias
    np.testing.assert_allclose(strips["batchnorm1"]["values"], expected, atol=2e-3 * np.abs(expected).max())
    assert get("/api/network", like=[ALIEN, MATRIX], training="true")[1] == work
    assert get("/api/network", like=[ALIEN, MATRIX], training="true", seed=1)[1] != work
    for name, array in before.items():
        np.testing.assert_array_equal(model.network_.state[name], array)
    assert all(layer.kept is None for layer in model.network_.layers.values())


def test_where_the_model_holds_no_users_made_up_lists_stand_beside(ratings):
    answers = Answers(AutoEncoder(emb_dim=8, hidden_dim=4, epochs=1).fit(ratings.user_items[:, :300]))
    assert answers.network_at_work(["3"], None, True, 0)["batch"].startswith("255 lists of 20 random likes")


def test_a_strip_is_bounded():
    assert len(strips.plain(np.ones(strips.MOST_VALUES + 5))) == strips.MOST_VALUES
    assert strips.plain(np.array([0.0, 123456.789, -1.23456789e-7])) == [0.0, 123460.0, -1.2346e-07]


# What it refuses


@pytest.mark.parametrize(
    ("path", "query", "status", "sentence"),
    [
        ("/api/recommend", {"n": 0}, 400, "n is '0'; pass a whole number from 1 to 100."),
        ("/api/recommend", {"n": MOST_ITEMS + 1}, 400, "n is '101'; pass a whole number from 1 to 100."),
        ("/api/recommend", {"n": "1_0"}, 400, "n is '1_0'; pass a whole number"),
        ("/api/recommend", {"n": ["1", "2"]}, 400, "n is given 2 times; pass it once."),
        ("/api/recommend", {"explain": "yes"}, 400, "explain is 'yes'; pass true or false."),
        (
            "/api/recommend",
            {"liked": "6"},
            400,
            "/api/recommend has no parameter 'liked'; it takes like, n, explain, exclude.",
        ),
        ("/api/health", {"n": 1}, 400, "/api/health has no parameter 'n'; it takes none."),
        (
            "/api/recommend",
            {"like": ["6"] * (MOST_LIKES + 1)},
            400,
            "like is given 501 times; at most 500 are allowed.",
        ),
        ("/api/recommend", {"like": ""}, 400, "like has 0 characters; it may have 1 to 200."),
        ("/api/items", {"search": "x" * 201}, 400, "search has 201 characters; it may have 0 to 200."),
        ("/api/recommend", {"like": "nobody"}, 404, "There is no item 'nobody' among the 9,066; "),
        ("/api/similar", {}, 400, "item is missing: id or title of an item."),
        (
            "/api/similar",
            {"item": "-1"},
            404,
            "There is no item '-1' among the 9,066; there are, for example, ",
        ),
        (
            "/api/explain",
            {"item": HEAT},
            400,
            "like is missing: id or title of a liked item; repeat",
        ),
        ("/api/network", {"like": HEAT, "without": ALIEN}, 404, "without is '1214', which is not one of the likes"),
        ("/api/network", {"seed": 2**31}, 400, "seed is '2147483648'; pass a whole number from 0 to 2147483647."),
        ("/api/nothing", {}, 404, "Not Found"),
        ("/static/../app.py", {}, 404, "Not Found"),
        ("/static/%2e%2e/app.py", {}, 404, "Not Found"),
    ],
)
def test_bad_questions_get_one_sentence(get, path, query, status, sentence):
    answered, answer = get(path, **query)
    assert (answered, list(answer)) == (status, ["error"])
    assert answer["error"].startswith(sentence)
    assert "\n" not in answer["error"]


def test_requests_are_bounded(get):
    assert get("/api/health", content=b"x")[1]["error"].startswith("requests must have no body")
    status, answer = get("/api/items", search="x" * LONGEST_QUERY)
    assert (status, answer["error"]) == (414, "the query has 32,775 bytes; at most 32,768 are allowed.")
    assert get("/api/health", method="POST")[0] == 405
    assert get("/api/items?search=%ff")[1] == {"error": "the query is not UTF-8; encode it as UTF-8."}


def test_a_name_that_was_made_to_point_here_is_refused(get):
    status, answer = get("/api/health", headers={"host": "rebound.example:8000"})
    assert status == 400
    assert answer["error"] == (
        "Host 'rebound.example' is not allowed; use 127.0.0.1, localhost or ::1, or start the server with --host"
    )
    assert get("/api/health", headers={"host": "[::1]:8000"})[0] == 200
    assert get("/api/health", headers={"host": "LOCALHOST"})[0] == 200


def test_a_failure_of_its_own_is_one_sentence_too(get, monkeypatch):
    monkeypatch.setattr(Answers, "items", lambda *_, **__: 1 / 0)
    status, answer = get("/api/items")
    assert (status, answer) == (500, {"error": "the request failed; the server's output says why."})


def test_an_address_that_there_is_not_answers_a_browser_by_a_page(get):
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    status, page = get("/<nothing>", headers=browser)
    assert status == 404
    assert "There is no page at this address." in page and 'href="/static/style.css"' in page and "nothing" not in page
    assert get("/", method="POST", headers=browser)[0] == 405
    assert get("/api/nothing", headers=browser) == (404, {"error": "Not Found"})
    assert get("/nothing") == (404, {"error": "Not Found"})


def test_the_page_loads_nothing_from_elsewhere(get):
    page = get("/")[1]
    assert "<main" in page
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text and "innerHTML" not in text
        assert get(f"/static/{file.name}")[0] == 200
    assert "style=" not in page and "<style" not in page and "onclick" not in page


# Its own description


def test_the_description_names_every_operation_and_its_bounds(get):
    status, description = get("/api/openapi.json")
    assert status == 200
    assert set(description["paths"]) == {operation.path for operation in OPERATIONS}
    parameters = {p["name"]: p for p in description["paths"]["/api/recommend"]["get"]["parameters"]}
    assert parameters["like"]["schema"]["maxItems"] == MOST_LIKES
    assert parameters["n"]["schema"]["maximum"] == MOST_ITEMS


def fuzz(model, max_examples):
    """Ask the application what its own description allows and forbids; raises at the first answer that breaks it."""
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: make test-all")
    catalogue = Answers(model).catalogue
    schemathesis.openapi.format("item", st.sampled_from([*catalogue.ids, *catalogue.titles[::50]]))
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", make_app(model, hosts=None))
    counts: dict[int, int] = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        modes = list(schemathesis.GenerationMode) if operation.query else [schemathesis.GenerationMode.POSITIVE]
        for mode in modes:

            @settings(max_examples=max_examples, deadline=None, derandomize=True, database=None,
                      suppress_health_check=list(HealthCheck))  # fmt: skip
            def ask(case):
                response = case.call()
                if response.status_code != 414:  # schemathesis doesn't count it among the refusals
                    case.validate_response(response)
                counts[response.status_code] = counts.get(response.status_code, 0) + 1

            given(case=operation.as_strategy(generation_mode=mode))(ask)()
    return counts


def test_answers_are_as_described(model):
    counts = fuzz(model, 15)
    assert counts[200] > 30 and counts[400] > 10
    assert set(counts) <= {200, 400, 404, 414}


@pytest.mark.long
def test_answers_are_as_described_at_length(model):
    assert set(fuzz(model, 500)) <= {200, 400, 404, 414}


# The process


def fetch(address):
    try:
        with urllib.request.urlopen(address, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def resident_bytes(pid):
    """The memory that a process holds; None where the system doesn't say."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return None
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def soak(process, address, seconds, clients=50):
    """Ask from many clients at once, each answer checked against the first; return how many, and the bytes gained."""
    questions = [
        "/api/health",
        "/api/items?search=the",
        f"/api/recommend?like={ALIEN}&like={MATRIX}&explain=true",
        f"/api/recommend?like={HEAT}",
        f"/api/similar?item={HEAT}",
        f"/api/explain?like={ALIEN}&like={HEAT}&item={MATRIX}",
        f"/api/network?like={ALIEN}&like={MATRIX}&without={ALIEN}",
        f"/api/network?like={ALIEN}&training=true&seed=3",
        "/api/recommend?like=nobody",
        "/",
    ]
    expected = {question: fetch(address + question.lstrip("/")) for question in questions}
    assert sorted(status for status, _ in expected.values()) == [200] * (len(questions) - 1) + [404]
    end = time.monotonic() + seconds
    sizes = []

    def client(number):
        asked = 0
        while time.monotonic() < end:
            question = questions[(number + asked) % len(questions)]
            assert fetch(address + question.lstrip("/")) == expected[question]
            asked += 1
        return asked

    def watch():
        while time.monotonic() < end:
            sizes.append(resident_bytes(process.pid))
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        asked = sum(pool.map(client, range(clients)))
    watcher.join()
    assert process.poll() is None
    if sizes[0] is None:
        return asked, 0
    half = len(sizes) // 2  # what the first half took is warming up
    return asked, max(sizes[half:]) - max(sizes[:half])


def test_fifty_clients_at_once_get_the_same_answers(serving):
    process, address = serving()
    assert address.startswith("http://127.0.0.1:")
    asked, growth = soak(process, address, 5)
    assert asked > 50
    assert growth < 20e6


@pytest.mark.long
def test_fifty_clients_for_a_minute_get_the_same_answers_in_the_same_memory(serving):
    process, address = serving()
    asked, growth = soak(process, address, 60)
    assert asked > 500
    assert growth < 8e6


on_posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to catch")
signals = pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])

SIGNALLED = """
import signal, sys
from autoenc.cli import build_parser, main

sent, moments, *arguments = sys.argv[1:]
moments = moments.split()
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for a script's background job

def profile(frame, event, argument):
    if event == "call" and f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}" == moments[0]:
        del moments[0]
        if not moments:
            sys.setprofile(None)
        signal.raise_signal(int(sent))

sys.setprofile(profile)
sys.exit(main(arguments))
"""
"""Sends itself the signal when these functions begin, one after the other; an imported file's is called <module>."""

HELD = """
import sys
from autoenc.cli import build_parser, main
from autoenc.serve import answers, app, server

server.SECONDS_TO_FINISH = int(sys.argv[1])
refusal, similar = app.Guard.refusal, answers.Answers.similar

def asked(*arguments):
    print("asked", file=sys.stderr, flush=True)
    return refusal(*arguments)

def held(*arguments, **named):
    sys.stdin.read()
    return similar(*arguments, **named)

app.Guard.refusal, answers.Answers.similar = asked, held
sys.exit(main(sys.argv[2:]))
"""
"""Says when a request has come, and answers what is similar when its own input is closed."""


def assert_ended(process, code):
    assert process.wait() == code
    err = process.stderr.read()
    assert err.endswith("autoenc serve: interrupted\n") == (code == 130)
    assert "Traceback" not in err and "Exception" not in err


@contextlib.contextmanager
def signalled_while_asked(process, address, sent):
    """Ask three questions of a HELD server, and send it the signal while it is at them; yields what they will get."""
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(fetch, f"{address}api/similar?item={HEAT}") for _ in range(3)]
        for _ in answers:
            assert process.stderr.readline() == "asked\n"
        process.send_signal(sent)
        with contextlib.suppress(ConnectionError):
            while True:  # until it takes no new questions, so that the signal has come through
                socket.create_connection(("127.0.0.1", int(address.rstrip("/").rpartition(":")[2]))).close()
                time.sleep(0.01)
        yield answers


@on_posix
@signals
def test_a_signal_lets_it_finish_what_it_is_at(serving, sent, code):
    process, address = serving("-c", HELD, 600)
    with signalled_while_asked(process, address, sent) as answers:
        assert process.poll() is None and not any(answer.done() for answer in answers)
        process.stdin.close()
    assert [answer.result()[0] for answer in answers] == [200] * 3
    assert_ended(process, code)


@on_posix
@signals
def test_what_takes_longer_than_the_limit_is_left(serving, sent, code):
    process, address = serving("-c", HELD, 1)
    with signalled_while_asked(process, address, sent) as answers:
        assert_ended(process, code)
    assert all(isinstance(answer.exception(), OSError) for answer in answers)


@on_posix
@signals
def test_a_second_ctrl_c_waits_for_nothing(serving, sent, code):
    process, address = serving("-c", HELD, 600)
    with signalled_while_asked(process, address, sent):
        process.send_signal(signal.SIGINT)
        assert_ended(process, 130)


@on_posix
@signals
@pytest.mark.parametrize(
    "moments",
    [
        "autoenc.models.<module>",
        "numpy.<module>",
        "scipy.sparse.<module>",
        "autoenc.serve.server.listen",
        "autoenc.storage.model_file.read_model_file",
        "autoenc.serve.app.<module>",
        "uvicorn.server.startup",
        "uvicorn.server.startup uvicorn.server.shutdown",
    ],
)
def test_a_signal_ends_it_at_any_moment(python, model_file, moments, sent, code):
    assert_ended(python("-c", SIGNALLED, int(sent), moments, "serve", model_file, "--port", 0), code)


@on_posix
@signals
def test_a_signal_ends_its_fit(python, sent, code):
    assert_ended(python("-c", SIGNALLED, int(sent), "autoenc.models.ease._weights", "serve", "--port", 0), code)


@on_posix
@signals
def test_a_signal_ends_the_training_of_its_network(python, tmp_path, sent, code):
    process = python("-m", "autoenc", "serve", "--port", 0)
    said = next(line for line in iter(process.stderr.readline, "") if line.startswith("serving"))
    address = said.split(" at ")[1].split()[0]
    status, answer = fetch(f"{address}api/network?like={HEAT}")
    assert status == 503 and b"the network is being trained, once: " in answer
    process.send_signal(sent)
    assert_ended(process, code)
    assert not list(tmp_path.iterdir())


@on_posix
def test_a_signal_leaves_no_semaphore_where_processes_are_not_forked(python, model_file):
    """Python 3.14's default on Linux, at which the signal comes once numba is there."""
    forkserver = 'import multiprocessing\nmultiprocessing.set_start_method("forkserver")\n'
    assert_ended(
        python("-c", forkserver + SIGNALLED, 2, "uvicorn.server.startup", "serve", model_file, "--port", 0), 130
    )


def test_a_port_in_use_is_one_sentence(model_file, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(model_file), "--port", str(port)]) == 2
    err = capsys.readouterr().err
    assert f"autoenc serve: can't listen on 127.0.0.1 port {port}: " in err
    assert err.endswith("pass another --port, or 0 for a free one\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "65536"], "port is 65536; pass a number from 0, for any free port, to 65535."),
        (["--host", "no such host", "--port", "0"], "can't listen on no such host port 0: "),
        (["missing.safetensors", "--port", "0"], "there is no model file missing.safetensors"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(capsys, arguments, sentence):
    assert main(["serve", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"autoenc serve: {sentence}") and err.count("\n") == 1


@pytest.mark.parametrize("scale", [np.inf, 1e38])
def test_a_model_that_is_not_finite_or_scores_so_is_one_sentence(model_file, tmp_path, capsys, monkeypatch, scale):
    monkeypatch.setattr("autoenc.storage.model_file.is_finite", lambda array: True)  # ours is not written
    content = read_model_file(model_file)
    content.arrays["output.bias"] = np.full_like(content.arrays["output.bias"], scale)
    content.arrays["output.weight"] = np.full_like(content.arrays["output.weight"], min(scale, 1e38))
    write_model_file(tmp_path / "model.safetensors", content)
    assert main(["serve", str(tmp_path / "model.safetensors"), "--port", "0"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    what = "the array output.bias holds a number that is" if scale == np.inf else "the model's scores are"
    assert f"{what} not finite" in err and err.endswith("a lower lr\n")


def test_without_the_extra_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    assert main(["serve"]) == 2
    assert capsys.readouterr().err == (
        "autoenc serve: serving needs starlette, which is not installed: pip install '.[serve]'\n"
    )


def test_the_folder_of_the_kept_model_is_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    assert "AUTOENC_CACHE_DIR" in capsys.readouterr().out


def test_the_containers_command_takes_the_options_that_it_is_given():
    entry = re.search(r"^ENTRYPOINT (.*)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)[1]
    args = build_parser("serve").parse_args(json.loads(entry)[1:])
    assert (args.model, args.host) == (None, "0.0.0.0")


def test_answers_are_sent_without_delay():
    """asyncio's own rule: TCP_NODELAY on a socket that names its protocol. Else each answer waits some 40 ms."""
    with server.listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.proto == socket.IPPROTO_TCP


def test_examples_in_the_description_are_ids_that_there_are(model):
    catalogue = Answers(model).catalogue
    described = json.dumps(openapi(catalogue.ids[:3]))
    assert f'"example": {json.dumps(catalogue.ids[:3])}' in described
