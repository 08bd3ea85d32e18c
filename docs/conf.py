"""Sphinx's settings: `make docs` builds this folder's pages into docs/_build/html.

The pages are Markdown and can be read in the repository as well. Links go from file to file. The list of
pages, README.md, is the repository's front page; the site's begins with front.html.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from docutils import nodes

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]

project = "autoenc"
author = "autoenc developers"
copyright = "2026, autoenc developers, MIT licence"
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "source_pages",
]
exclude_patterns = ["_build", "README.md", "experiments", "gallery/*.py", "gallery/*.ipynb", "gallery/*.md5"]
highlight_language = "none"
html_theme = "furo"
html_title = "autoenc"
html_favicon = html_logo = "../autoenc/serve/static/icon.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0f6b66",
        "color-brand-content": "#0f6b66",
        "color-gradient": "#b34a12",
    },
    "dark_css_variables": {
        "color-brand-primary": "#6fcbc2",
        "color-brand-content": "#6fcbc2",
        "color-gradient": "#f39a5b",
    },
}

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autodoc_typehints = "none"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "experiments",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "ignore_pattern": "draw",
    "write_computation_times": False,
    "show_memory": False,
    "capture_repr": (),
}


PICTURE = re.compile(r'<picture>\s*<source [^>]*srcset="([^"]+)">\s*<img alt="([^"]*)" src="([^"]+)">\s*</picture>')
NUMBER = re.compile(r"[-+]?[\d.,]+( ?[%A-Za-z]{1,3})?( ± [\d.]+)?")
WIDE = 7


def invite(app, doctree):
    """Insert the front page's diagram, entry points and picture into README.md, before its list of pages."""
    if app.env.docname == "index":
        first = next(doctree.findall(nodes.paragraph))
        first["classes"].append("tagline")
        front = nodes.raw("", (DOCS / "front.html").read_text(encoding="utf-8"), format="html")
        first.parent.insert(first.parent.index(first) + 1, front)


def follow_the_button(app, doctree):
    """Let pictures in two styles follow the site's light and dark button; <picture> would follow the system."""
    for node in list(doctree.findall(nodes.raw)):
        if match := PICTURE.search(node.astext()):
            dark, alt, light = match.groups()
            two = (
                f'<img class="only-{style}" alt="{alt}" src="{src}">'
                for style, src in (("light", light), ("dark", dark))
            )
            node.replace_self(nodes.raw("", "".join(two), format="html"))
    name = Path(app.env.docname).name.removeprefix("plot_")
    for node in list(doctree.findall(lambda node: node.tagname == "imgsgnode")):
        two = (f'<img class="only-{style}" alt="" src="../images/{name}_{style}.svg">' for style in ("light", "dark"))
        node.replace_self(nodes.raw("", "".join(two), format="html"))
    for node in doctree.findall(nodes.image):
        node["classes"].append("single")


def mark_tables(app, doctree):
    """Mark cells with numbers, which site.css keeps on one line, and tables with many columns."""
    for table in doctree.findall(nodes.table):
        if next(table.findall(nodes.tgroup))["cols"] >= WIDE:
            table["classes"].append("wide")
        for cell in table.findall(nodes.entry):
            if NUMBER.fullmatch(cell.astext().strip()):
                cell["classes"].append("number")


def make_room(app, pagename, templatename, context, doctree):
    """Omit the list of headings from a page with wide tables."""
    if doctree is not None and any("wide" in table["classes"] for table in doctree.findall(nodes.table)):
        context["furo_hide_toc"] = True


def copy_images(app, error):
    """Copy the pictures in raw elements, which Sphinx doesn't detect."""
    if error is None and app.builder.format == "html":
        shutil.copytree(DOCS / "images", Path(app.outdir) / "images", dirs_exist_ok=True)


def read_as_text(app, what, name, thing, options, lines):
    """Escape docstrings: |x| is an absolute value, not a substitution, and network_.output is not a link."""
    lines[:] = [
        line
        if line.lstrip().startswith((">>>", "...", ".. "))
        else re.sub(r"\|(?=\S)|(?<=\w)_(?=\.\w)", r"\\\g<0>", line)
        for line in lines
    ]


def setup(app):
    app.connect("autodoc-process-docstring", read_as_text, priority=900)  # after numpydoc
    app.connect("doctree-read", invite)
    app.connect("doctree-read", follow_the_button)
    app.connect("doctree-read", mark_tables)
    app.connect("html-page-context", make_room, priority=900)  # after furo
    app.connect("build-finished", copy_images)
