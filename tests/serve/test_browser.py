"""The page in a real Chromium, used with a mouse, a keyboard only, or a screen reader."""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
from contextlib import closing, contextmanager

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make test-all")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: make test-all")
pytest.importorskip("starlette", reason="starlette is not installed: make test-all")

import uvicorn
from playwright import sync_api

from autoenc.interactions import Interactions
from autoenc.models import EASE, AutoEncoder, Popular
from autoenc.serve.app import make_app
from autoenc.serve.on_demand import OnDemand

pytestmark = pytest.mark.optional

CHROMIUM = os.environ.get("AUTOENC_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("there is no chromium to test the page in: apt-get install chromium", allow_module_level=True)

FILMS = {"alien 1979": "1214", "matrix the 1999": "2571", "blade runner 1982": "541"}
LIKES = "&".join(f"like={film}" for film in FILMS.values())


@contextmanager
def served(model, network=None):
    """The address of a model's application, served by a thread of this process.

    Whatever happens meanwhile the thread ends, or is left behind: one that went on would keep pytest from ending.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        config = uvicorn.Config(
            make_app(model, network=network), lifespan="off", log_level="error", http="h11", timeout_graceful_shutdown=5
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=30)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def address(ratings):
    with served(AutoEncoder(emb_dim=64, hidden_dim=32, epochs=10).fit(ratings)) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, address):
    """open_page(path, **how): a page that has loaded; what it logs as an error fails the test."""
    contexts, errors = [], []

    def open_page(path="/", at=address, **how):
        contexts.append(browser.new_context(**{"viewport": {"width": 1180, "height": 860}, **how}))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)  # to give up, not to measure: the machine may be busy
        page.on(
            "console", lambda line: errors.append(line.text) if line.type == "error" and not refused(line) else None
        )
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(at) else errors.append(request.url))
        page.goto(at + path)
        page.wait_for_selector("main:not(.loading)")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def refused(line) -> bool:
    """Whether a line of the console is of a request that the API answered by a 404, or can't answer yet."""
    return "status of 404" in line.text or "status of 503" in line.text


def ranked(page) -> list[str]:
    return page.locator(".ranked .name .title").all_inner_texts()


def wait_for_likes(page, n):
    page.wait_for_function("n => document.querySelectorAll('#chips li').length === n", arg=n)


def pick(page, typed):
    """Type into the search field and take the first title that it finds."""
    before = page.locator("#chips li").count()
    page.locator("#search").fill(typed)
    page.wait_for_selector("#suggestions [aria-selected=true]")
    page.keyboard.press("Enter")
    wait_for_likes(page, before + 1)


def test_pick_three_see_ten_remove_one_reload_and_go_back(open_page):
    page = open_page()
    popular = ranked(page)
    for typed in FILMS:
        pick(page, typed)
    of_three = ranked(page)
    assert len(of_three) == 10 and of_three != popular
    assert page.locator("#view-heading").inner_text() == "Recommended for 3 likes"
    assert "Recommended for 3 likes: 1, " in page.locator("#status").inner_text()

    page.get_by_role("button", name="Remove The Matrix (1999)").click()
    wait_for_likes(page, 2)
    of_two = ranked(page)
    assert len(of_two) == 10 and of_two != of_three
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Remove Blade Runner (1982)"

    page.reload()
    page.wait_for_selector("main:not(.loading)")
    assert ranked(page) == of_two
    page.go_back()
    wait_for_likes(page, 3)
    assert ranked(page) == of_three
    page.go_forward()
    wait_for_likes(page, 2)
    assert ranked(page) == of_two


def test_a_recommendation_opens_to_a_bar_for_every_like(open_page):
    page = open_page(f"/?{LIKES}")
    first = page.locator(".ranked > li").first
    assert not first.locator(".bars").is_visible()
    first.locator("button.name").click()
    assert first.locator(".bars").is_visible()
    assert first.locator("button.name").get_attribute("aria-expanded") == "true"
    titles = first.locator(".bars .title").all_inner_texts()
    assert sorted(titles) == ["Alien 1979", "Blade Runner 1982", "The Matrix 1999"]
    points = [int(text.split()[0].replace("\u2212", "-")) for text in page.locator(".score .value").all_inner_texts()]
    assert points[0] == 100 and points == sorted(points, reverse=True)
    values = [float(text.replace("\u2212", "-")) for text in first.locator(".bars .value").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    widths = [box.bounding_box()["width"] for box in first.locator(".bars .bar").all()]
    largest = max(map(abs, values))
    assert [width / max(widths) for width in widths] == pytest.approx([abs(v) / largest for v in values], abs=0.05)


def test_similar_titles_and_liking_one_of_them(open_page):
    page = open_page("/")
    page.locator("button.name").first.click()
    page.get_by_role("link", name="Similar to").first.click()
    page.wait_for_selector("#view-heading:has-text('Similar to')")
    assert len(ranked(page)) == 10 and "similar=" in page.url
    page.locator(".add").first.click()
    wait_for_likes(page, 1)
    assert page.locator(".ranked .liked").count() == 1
    page.get_by_role("link", name="Back to your recommendations").click()
    page.wait_for_selector("#view-heading:has-text('Recommended for 1 like')")


def test_before_the_first_like_there_are_titles_to_click(open_page):
    page = open_page()
    assert page.locator("#view-heading").inner_text() == "Start with one of these"
    tiles = page.locator(".starters button")
    assert tiles.count() == 9 and page.locator(".brings").first.inner_text().count("\u00b7") == 2
    title = tiles.first.locator(".title").inner_text()
    tiles.first.click()
    wait_for_likes(page, 1)
    assert page.locator("#chips a").all_inner_texts() == [title]
    assert page.locator(".starters").count() == 0 and len(ranked(page)) == 10


def test_ten_more_not_this_one_and_clear_all(open_page):
    page = open_page(f"/?{LIKES}")
    ten = ranked(page)
    page.get_by_role("button", name="Ten more").click()
    page.wait_for_function("() => document.querySelectorAll('.ranked > li').length === 20")
    twenty = ranked(page)
    assert twenty[:10] == ten and "show=20" in page.url
    assert page.evaluate("document.activeElement.querySelector('.title').innerText") == twenty[10]

    page.get_by_role("button", name="Not this one: ").nth(1).click()
    page.wait_for_selector("text=1 title left out.")
    assert ranked(page)[:19] == [twenty[0], *twenty[2:]] and "not=" in page.url
    assert page.evaluate("document.activeElement.title") == "Not this one"
    page.reload()
    page.wait_for_selector("main:not(.loading)")
    assert twenty[1] not in ranked(page)
    page.get_by_role("button", name="Show again").click()
    page.wait_for_function(
        "title => document.querySelectorAll('.ranked .name .title')[1].innerText === title", arg=twenty[1]
    )

    page.get_by_role("button", name="Clear all").click()
    wait_for_likes(page, 0)
    assert page.url.endswith("/") and page.evaluate("document.activeElement.id") == "search"
    assert not page.get_by_role("button", name="Clear all").is_visible()


def test_each_row_has_its_own_reason(open_page, ratings):
    with served(EASE().fit(ratings)) as at:
        reasons = open_page("/?like=1214", at=at).locator(".ranked .why").all_inner_texts()
    assert reasons[0] == "71% of Alien\u2019s fans like it, 19% of all users do"
    assert all(re.fullmatch("\\d+% of Alien\u2019s fans like it, \\d+% of all users do", reason) for reason in reasons)
    assert len(set(reasons)) == 10


def test_titles_are_alike_everywhere(open_page):
    page = open_page("/?view=network&like=2571&like=5618")
    options = page.locator("#without option").all_inner_texts()
    spirited = "Spirited Away (Sen to Chihiro no kamikakushi) (2001)"
    assert options == ["nothing", "The Matrix (1999)", spirited]
    chips = page.locator("#chips a").all_inner_texts()
    assert chips == ["The Matrix 1999", "Spirited Away 2001 (Sen to Chihiro no kamikakushi)"]
    assert page.get_by_role("button", name=f"Remove {spirited}").count() == 1
    shown = page.evaluate(
        """async () => {
            const { named } = await import("/static/dom.js");
            return ["Good, the Bad and the Ugly, The (1966)", "(500) Days of Summer (2009)", "Plan 9", "(a) (b)",
                    "City of Lost Children, The (Cité des enfants perdus, La) (1995)", "Avventura, L' (1960)",
                ].map(named);
        }"""
    )
    assert shown == [
        "The Good, the Bad and the Ugly (1966)",
        "(500) Days of Summer (2009)",
        "Plan 9",
        "(a) (b)",
        "The City of Lost Children (La Cité des enfants perdus) (1995)",
        "L'Avventura (1960)",
    ]


def test_the_network_at_work(open_page):
    page = open_page(f"/?{LIKES}")
    page.get_by_role("link", name="The network at work").click()
    page.wait_for_selector(".strips")
    names = page.locator(".strips h3").all_inner_texts()
    first_layer, second_layer = ["relu1", "batchnorm1", "dropout1"], ["relu2", "batchnorm2", "dropout2"]
    assert names == ["x", "embedding", *first_layer, "bottleneck", *second_layer, "output", "sigmoid"]
    assert "another model" not in page.locator("#view").inner_text()
    assert page.locator(".strips .shape").nth(1).inner_text() == "(64)"
    pixels = "document.querySelector('canvas').getContext('2d').getImageData(0, 0, 50, 1).data.buffer"
    assert page.evaluate(f"new Set(new Uint32Array({pixels})).size") > 20  # a picture, not a blank
    assert page.locator("canvas").first.get_attribute("aria-label").startswith("embedding: 64 numbers from ")

    assert page.locator(".strips .code").count() == 0
    page.get_by_role("button", name="batchnorm1").click()
    assert page.get_by_role("button", name="batchnorm1").get_attribute("aria-expanded") == "true"
    assert "def forward" in page.locator(".strips .code").first.inner_text()
    assert page.locator(".statistics").first.locator("span").all_inner_texts()[::2] == ["running mean", "running var"]

    page.get_by_label("Leave out").select_option("541")
    page.wait_for_selector(".change")
    assert page.locator(".change").count() == 10 and "without=541" in page.url
    page.get_by_role("button", name="embedding").click()
    assert "Effect of Blade Runner (1982):" in page.locator(".details:visible").inner_text()
    assert page.get_by_role("heading", name="Raised most by it").is_visible()

    page.get_by_label("Training").check()
    page.wait_for_selector("#again")
    assert "255 users of the bundled MovieLens ratings" in page.locator(".mode").inner_text()
    assert " dropped" in page.locator("canvas[aria-label^=dropout1]").first.get_attribute("aria-label")
    page.get_by_role("button", name="batchnorm1").click()
    assert page.locator(".statistics").first.locator("span").all_inner_texts()[::2] == [
        "running mean", "running var", "batch mean", "batch var"]  # fmt: skip
    before = page.locator("canvas").nth(4).evaluate("canvas => canvas.toDataURL()")
    page.get_by_role("button", name="Draw again").click()
    page.wait_for_url("**seed=1")
    page.wait_for_function("before => document.querySelectorAll('canvas')[4].toDataURL() !== before", arg=before)
    page.reload()
    page.wait_for_selector(".strips")
    assert page.get_by_label("Training").is_checked() and page.get_by_label("Leave out").input_value() == "541"


def test_the_layers_fit_on_one_screen(open_page):
    page = open_page(f"/?view=network&{LIKES}", viewport={"width": 1280, "height": 900})
    last = page.locator(".strips > li").last.bounding_box()
    assert last["y"] + last["height"] <= 900


def test_the_outputs_titles_are_told_by_pointing_and_touching(open_page, ratings):
    path, at = f"/?view=network&{LIKES}", {"x": 1, "y": 1}
    page = open_page(path)
    page.locator(".of-titles canvas").first.hover(position=at)
    readout = page.locator(".of-titles .readout").first
    assert readout.inner_text().startswith("Toy Story (1995): ") and ratings.titles[0] == "Toy Story (1995)"
    page.mouse.move(0, 0)
    assert readout.inner_text() == ""
    page = open_page(path, has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    page.locator(".of-titles canvas").last.tap(position={"x": 60, "y": 20})
    assert re.fullmatch(r".+ \(\d{4}\): 0\.\d+", page.locator(".of-titles .readout").last.inner_text())


def test_there_is_something_to_see_before_the_first_like(open_page):
    page = open_page("/?view=network")
    assert "You have no likes yet, so this is for someone who likes " in page.locator("#view .hint").first.inner_text()
    assert page.locator(".strips > li").count() == 11
    assert page.locator("#chips li").count() == 0 and page.url.endswith("/?view=network")
    page.get_by_role("link", name="Like them too").click()
    wait_for_likes(page, 3)
    assert page.get_by_label("Leave out").is_visible()


def test_a_network_that_is_another_model_is_trained_when_it_is_opened_and_says_so(open_page, ratings):
    trained = threading.Event()

    def make(report):
        report(0.25)
        trained.wait(60)
        return AutoEncoder(emb_dim=8, hidden_dim=4, epochs=1, backend="numpy").fit(ratings)

    with served(Popular().fit(ratings), OnDemand(make)) as at:
        page = open_page(f"/?view=network&{LIKES}", at=at)
        page.wait_for_selector("progress")
        assert "25% done" in page.locator("#view").inner_text()
        assert page.locator("#chips a").all_inner_texts() == ["Alien 1979", "The Matrix 1999", "Blade Runner 1982"]
        page.get_by_role("link", name="Recommendations").click()
        page.wait_for_selector(".ranked")  # meanwhile
        page.get_by_role("link", name="The network at work").click()
        page.wait_for_selector("progress")
        trained.set()
        page.wait_for_selector(".strips")
        told = page.locator("#view .hint").first.inner_text()
        assert told.startswith("Your recommendations come from Popular. This is another model: an AutoEncoder,")


LONG = "Pneumonoultramicroscopicsilicovolcanoconiosis"


@pytest.fixture(scope="module")
def of_long_titles():
    """The address of a network whose items have long titles: of long words, of many words, and in brackets."""
    rng = np.random.default_rng(0)
    kinds = (f"{LONG}{LONG}, The", "The very long title of a film that goes on and on " * 3, f"Film ({LONG} {LONG})")
    titles = {item: f"{kinds[item % 3]} {item} (19{item})" for item in range(10, 70)}
    pairs = [(user, item) for user in range(40) for item in rng.choice(list(titles), 12, replace=False)]
    users, items = zip(*pairs)
    likes = Interactions.from_pairs(users, items, titles=titles)
    with served(AutoEncoder(emb_dim=8, hidden_dim=4, epochs=5).fit(likes)) as at:
        yield at


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?like=10&like=11&like=12&not=13",
        "/?similar=12&like=10",
        "/?view=network&like=10&like=11&like=12&without=11",
        "/?view=network",
    ],
)
@pytest.mark.parametrize("width", [375, 768, 1280])
def test_long_titles_in_every_list_break_no_layout(open_page, of_long_titles, path, width):
    page = open_page(path, at=of_long_titles, viewport={"width": width, "height": 812})
    if "network" not in path:
        page.locator("button.name").first.click()
        page.locator("#search").fill("19")
        page.wait_for_selector("#suggestions [aria-selected=true]")
        assert page.locator("#suggestions li").count() == 8
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    beyond = """() => [...document.querySelectorAll("body *")]
        .filter((element) => element.checkVisibility() && !element.closest(".unseen, pre, .skip"))
        .filter((element) => getComputedStyle(element.parentElement).textOverflow !== "ellipsis")
        .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
        .map((element) => element.outerHTML.slice(0, 99))"""
    assert page.evaluate(beyond) == []


def test_with_keys_alone(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(4):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.press("ArrowDown")  # of an empty field: what is popular
    page.wait_for_selector("#suggestions [aria-selected=true]")
    assert page.locator("#search").get_attribute("aria-expanded") == "true"
    page.keyboard.press("ArrowDown")
    second = page.locator("#suggestions li").nth(1)
    assert second.get_attribute("aria-selected") == "true"
    assert page.locator("#search").get_attribute("aria-activedescendant") == second.get_attribute("id")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")  # from the first to the last
    assert page.locator("#suggestions li").last.get_attribute("aria-selected") == "true"
    page.keyboard.press("Escape")
    assert not page.locator("#suggestions").is_visible()
    page.keyboard.type("alien 1979")
    page.wait_for_selector("#suggestions [aria-selected=true]")
    page.keyboard.press("Enter")
    wait_for_likes(page, 1)
    assert page.evaluate("document.activeElement.id") == "search" and page.locator("#search").input_value() == ""
    page.keyboard.press("Tab")  # the like
    page.keyboard.press("Tab")  # its remove button
    page.keyboard.press("Tab")  # clear all
    page.keyboard.press("Tab")  # the first recommendation
    page.keyboard.press("Enter")
    assert page.locator(".ranked .bars").first.is_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    wait_for_likes(page, 0)
    assert page.evaluate("document.activeElement.id") == "search"


@pytest.mark.parametrize(("width", "scheme"), [(1180, "light"), (1180, "dark"), (390, "dark"), (320, "light")])
def test_axe_finds_no_violation_and_nothing_is_wider_than_the_screen(open_page, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    for path in ("/", f"/?{LIKES}", f"/?{LIKES}&similar=541", f"/?view=network&{LIKES}&without=541&training=true"):
        page = open_page(path, color_scheme=scheme, viewport={"width": width, "height": 844}, bypass_csp=True)
        if path == f"/?{LIKES}":
            page.locator("button.name").first.click()
            page.locator("#search").fill("star")
            page.wait_for_selector("#suggestions [aria-selected=true]")
        if "network" in path:
            page.locator(".strips button").first.click()
        violations = axe.Axe().run(page).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"], v["nodes"][0]["failureSummary"]) for v in violations] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (max(paper) < 64) == (scheme == "dark")


@pytest.mark.parametrize("path", ["/", f"/?{LIKES}", f"/?view=network&{LIKES}"])
@pytest.mark.parametrize("width", [1180, 390])
def test_nothing_moves_while_it_loads(browser, address, path, width):
    context = browser.new_context(viewport={"width": width, "height": 844})
    page = context.new_page()
    page.add_init_script(
        "window.shift = 0;"
        "new PerformanceObserver(list => list.getEntries().forEach(entry => window.shift += entry.value))"
        ".observe({ type: 'layout-shift', buffered: true });"
    )
    page.goto(address + path)
    page.wait_for_selector("main:not(.loading)")
    page.wait_for_timeout(300)
    assert page.evaluate("window.shift") == 0
    context.close()


def test_what_it_cannot_show_is_said(open_page):
    page = open_page("/?like=nobody")
    assert page.locator(".error").inner_text().startswith("There is no item 'nobody' among")
    page.get_by_role("link", name="Start over").click()
    page.wait_for_selector(".ranked")
    assert page.locator("#chips li").count() == 0


def test_a_failure_while_it_serves_leaves_no_server_behind():
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), served(Popular().fit([[0, 1], [1]])):
        _ = 1 / 0
    assert threading.active_count() == before


def test_a_link_by_titles_becomes_one_by_ids(open_page):
    page = open_page("/?like=Alien+(1979)&like=541")
    assert page.locator("#chips a").all_inner_texts() == ["Alien 1979", "Blade Runner 1982"]
    assert page.url.endswith("/?like=1214&like=541")
    page.get_by_role("button", name="Remove Alien (1979)").click()
    wait_for_likes(page, 1)


def test_a_model_without_layers_says_so(open_page, ratings):
    with served(Popular().fit(ratings)) as at:
        page = open_page("/?view=network", at=at)
        assert page.locator("#view-heading").inner_text() == "No network to show"
        page.get_by_role("link", name="Recommendations").click()
        page.wait_for_selector(".ranked")
        assert len(ranked(page)) == 10
