"""A result as one web page that is complete in itself."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from recall_py.adata.stored import StoredMerging, read_result
from recall_py.files.atomic import write_atomically
from recall_py.report.merging_page import page_of_merging
from recall_py.report.parts import drawing
from recall_py.report.run_page import page_of_run

if TYPE_CHECKING:
    from anndata import AnnData


def write_report(
    adata: AnnData, path: Path, key: str = "leiden", *, source: str = "in.h5ad", target: str = "out.h5ad"
) -> None:
    """Write a self-contained HTML page about a stored result.

    Parameters
    ----------
    adata
        With the result, and the counts if expression and nulls are to be shown. Not changed.
    path
        File to write, atomically.
    key
        ``key_added`` of the call that wrote the result.
    source, target
        Names of the files in the command to reproduce it.

    Raises
    ------
    KeyError
        If there is no such result.
    ValueError
        If the labels have changed since.
    """
    page = report_page(adata, key, source=source, target=target)
    write_atomically(path, lambda partial: partial.write_text(page, "utf-8", "surrogateescape"))


def report_page(adata: AnnData, key: str, *, source: str, target: str) -> str:
    """The text of the page; see :func:`write_report`."""
    result = read_result(adata, key)
    with drawing():
        if isinstance(result, StoredMerging):
            page = page_of_merging(adata, result, source, target)
        else:
            page = page_of_run(adata, result, source, target)
    said = [f'<p class="lead">{escape(" ".join(page.lead))}</p>']
    said += [f'<p class="warn" role="note">{escape(text)}</p>' for text in page.warnings]
    parts = "".join(f"<dt>{escape(heading)}</dt><dd>{escape(text)}</dd>" for heading, text in page.explained)
    said.append(f"<dl>{parts}</dl>")
    template = Template(files("recall_py.report").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(page.title),
        version=escape(version("recall-py")),
        summary="\n".join(said),
        made="".join(
            f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>"
            for name, text in (
                ("File", Path(source).name),
                ("Result", f"uns[{key!r}]"),
                ("Written", f"{datetime.now(UTC):%Y-%m-%d} (UTC)"),
                ("By", f"recall_py {version('recall-py')}, Python {platform.python_version()}"),
            )
        ),
        links="".join(f'<a href="#{anchor}">{escape(heading)}</a>' for anchor, heading, _ in page.sections),
        sections="\n".join(
            f'<section id="{anchor}"><h2>{escape(heading)}</h2>\n{content}</section>'
            for anchor, heading, content in page.sections
        ),
    )
