"""What the site adds to the pages: its front page, pictures that follow the button, and pages of source files."""

from __future__ import annotations

import re
import types

import pytest

from tests.docs.test_docs import DOCS, PAGES, module_of_docs
from tests.helpers import ROOT

FRONT = (DOCS / "front.html").read_text(encoding="utf-8")


def test_the_front_page_links_to_pages_and_pictures_that_exist():
    linked = re.findall(r'href="([^"#]+)\.html"', FRONT)
    assert {"network", "lessons/embedding", "how_to/your_own_data", "how_to/serve"} <= set(linked)
    assert [page for page in linked if not (DOCS / f"{page}.md").exists()] == []
    pictures = re.findall(r'src="([^"]+)"', FRONT)
    assert pictures and [picture for picture in pictures if not (DOCS / picture).exists()] == []


def test_the_diagram_has_the_networks_lines_and_links_each_layer():
    equations = re.findall(r'class="equation"[^>]*>([^<]+)<', FRONT)
    page = (DOCS / "network.md").read_text(encoding="utf-8")
    assert equations == re.findall(r"^h\d = .*$", page, re.MULTILINE)[:3]
    boxes = re.findall(r'<a href="lessons/(\w+)\.html"><g', FRONT)
    middle = ["relu", "batchnorm", "dropout"]
    assert boxes == ["embedding", *middle, "linear", *middle, "linear", "sigmoid_bce"]
    gradients = re.findall(r'<text class="backward"[^>]*>(\w+)<', FRONT)
    assert gradients == ["grad_z1", "grad_h1", "grad_h1", "grad_z2", "grad_h2", "grad_h2", "grad_logits"]


# What Sphinx's settings do, without Sphinx.

docutils = pytest.mark.optional


@pytest.fixture(scope="module")
def conf():
    pytest.importorskip("docutils", reason="docutils is not installed: make docs")
    return module_of_docs("conf")


@docutils
def test_every_picture_in_two_styles_follows_the_sites_button(conf):
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert len(conf.PICTURE.findall(text)) == text.count("<picture>"), page
    from docutils import nodes

    doctree = nodes.section("", nodes.raw("", (DOCS / "lessons/adam.md").read_text(encoding="utf-8"), format="html"))
    conf.follow_the_button(types.SimpleNamespace(env=types.SimpleNamespace(docname="lessons/adam")), doctree)
    pictures = re.findall(r'<img class="(\S+)" alt="[^"]+" src="(\S+)"', doctree.astext())
    assert pictures == [("only-light", "../images/adam_eps_light.svg"), ("only-dark", "../images/adam_eps_dark.svg")]
    assert "<picture>" not in doctree.astext()


@docutils
@pytest.mark.parametrize(
    "text", ["5", "0.3782", "-0.0089", "10,677", "1.5 s", "37 MB", "0.41 \u00b1 0.01", "+0.01", "78%"]
)
def test_numbers_in_tables_are_marked(conf, text):
    assert conf.NUMBER.fullmatch(text)
    assert not conf.NUMBER.fullmatch(f"about {text}")


def test_make_docs_says_where_the_site_is():
    recipe = re.search(r"^docs:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert "docs/_build/html/index.html" in recipe.splitlines()[-1]
