"""A Sphinx extension: a link to a source file opens it as a highlighted page of the site, not as a download."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sphinx import addnodes

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "source"


def link_to_pages(app, doctree, docname):
    """Replace the downloads of Python files in a page by links to their pages."""
    if app.builder.format != "html":
        return
    folder = Path(app.env.doc2path(docname)).resolve().parent
    for node in list(doctree.findall(addnodes.download_reference)):
        path = (folder / node["reftarget"]).resolve()
        if path.suffix == ".py" and path.is_relative_to(ROOT):
            name = f"{FOLDER}/{path.relative_to(ROOT).as_posix()}"
            app.env.source_pages[name] = path
            link = nodes.reference("", "", internal=True, refuri=app.builder.get_relative_uri(docname, name))
            link += node.children
            node.replace_self(link)


def pages(app):
    """Every linked file, in the form for html-collect-pages: name, context, template."""
    for name, path in sorted(app.env.source_pages.items()):
        formatter = HtmlFormatter(linenos="inline", lineanchors="L", wrapcode=True, cssclass="highlight source")
        code = highlight(path.read_text(encoding="utf-8"), PythonLexer(), formatter)
        title = path.relative_to(ROOT).as_posix()
        yield name, {"title": title, "body": f"<h1>{title}</h1>{code}"}, "page.html"


def setup(app):
    app.connect("builder-inited", lambda app: setattr(app.env, "source_pages", {}))
    app.connect("doctree-resolved", link_to_pages)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
