"""Sphinx configuration: builds without a network, with warnings as errors (`make docs`)."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.ext.napoleon import NumpyDocstring

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "recall_py"
author = "recall_py developers"
copyright = f"2026, {author}"  # noqa: A001  # Sphinx reads this name
release = version = installed_version("recall-py")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "_templates", "**.ipynb_checkpoints", "**/data"]
templates_path = ["_templates"]
html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_title = "recall_py"
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "use_download_button": True,
    "navbar_persistent": [],
}
pygments_style = "default"

# Names of other packages become links only where their inventories may be fetched: set RECALL_PY_INTERSPHINX=1.
# Without it they stay plain code, and nothing is downloaded.
if os.environ.get("RECALL_PY_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        name: (f"https://{name}.readthedocs.io/en/stable/", None) for name in ("anndata", "leidenalg", "scanpy")
    } | {"python": ("https://docs.python.org/3", None)}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_timeout = 1800  # a busy machine is no error
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
# tqdm asks for widgets that a page cannot show.
os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_use_rtype = False


def _returns_as_prose(docstring: NumpyDocstring, section: str) -> list[str]:
    """What a function returns and writes is prose and a list of slots here, not a list of types."""
    return [":returns:", *docstring._indent(docstring._dedent(docstring._consume_to_next_section()), 4), ""]


NumpyDocstring._parse_returns_section = _returns_as_prose


def _copy_measured_tables() -> None:
    """Pages of this site: the tables that the benchmarks wrote, as they are."""
    pages = HERE / "measured"
    pages.mkdir(exist_ok=True)
    tables = {table.name: table.read_text() for table in (HERE.parent / "benchmarks" / "results").glob("*.md")}
    for page in pages.glob("*.md"):
        if page.name not in tables:
            page.unlink()
    for name, text in tables.items():
        if not (pages / name).exists() or (pages / name).read_text() != text:
            (pages / name).write_text(text)


def _link_measured_tables(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Links that lead to the tables in the repository lead to their pages here."""
    up = "../" * docname.count("/")
    source[0] = source[0].replace(f"]({up}../benchmarks/results/", f"]({up}measured/")


def _draw_pictures(_app: Sphinx) -> None:
    from pictures import draw_pictures

    draw_pictures(HERE / "_build" / "pictures")


def _show_picture(_app: Sphinx, kind: str, name: str, _member: object, _options: object, lines: list[str]) -> None:
    """The page of a picture ends with the picture."""
    module, _, function = name.rpartition(".")
    if kind == "function" and module.startswith("recall_py.pl"):
        lines += ["", f".. image:: /_build/pictures/{function}.png", f"   :alt: {lines[0]}", ""]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    _copy_measured_tables()
    app.connect("source-read", _link_measured_tables)
    app.connect("builder-inited", _draw_pictures)
    app.connect("autodoc-process-docstring", _show_picture)
