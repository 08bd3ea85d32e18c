"""Sphinx's settings: `make docs` builds the pages of this folder into docs/_build/html.

The pages are Markdown and can be read in the repository as well. Links go from file to file, and
README.md is the front page of both.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

project = "autoenc"
author = "autoenc developers"
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "README.md", "experiments", "gallery/*.py", "gallery/*.ipynb", "gallery/*.md5"]
highlight_language = "none"
html_theme = "furo"
html_title = "autoenc"

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
}


def copy_images(app, error):
    """The pictures of <picture> elements, which Sphinx doesn't see."""
    if error is None and app.builder.format == "html":
        shutil.copytree(DOCS / "images", Path(app.outdir) / "images", dirs_exist_ok=True)


def read_as_text(app, what, name, thing, options, lines):
    """In the docstrings |x| is an absolute value and not a substitution, and network_.output is not a link."""
    lines[:] = [
        line
        if line.lstrip().startswith((">>>", "...", ".. "))
        else re.sub(r"\|(?=\S)|(?<=\w)_(?=\.\w)", r"\\\g<0>", line)
        for line in lines
    ]


def setup(app):
    app.connect("autodoc-process-docstring", read_as_text, priority=900)  # after numpydoc
    app.connect("build-finished", copy_images)
