"""A result as one web page that is complete in itself."""

from __future__ import annotations

import base64
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from importlib.metadata import version
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import pandas as pd

from recall_py import pl
from recall_py.adata.stored import ChangedError, StoredRun, read_run, recorded_counts
from recall_py.files.atomic import write_atomically
from recall_py.report.command import reproduce
from recall_py.report.sentences import CITATION, explained, summary, warnings_of
from recall_py.report.tables import clusters_table, markers_table, pairs_table, parameters_table, steps_table
from recall_py.words import counted

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.figure import Figure

    from recall_py.report.tables import Table

_DPI = 110
_PACKAGES = ("recall-py", "scanpy", "anndata", "leidenalg", "igraph", "numpy", "scipy", "numba")
_Section = tuple[str, str, str]
"""Anchor, heading and content."""


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
    write_atomically(path, lambda partial: partial.write_text(page, encoding="utf-8"))


def report_page(adata: AnnData, key: str, *, source: str, target: str) -> str:
    """The text of the page; see :func:`write_report`."""
    run = read_run(adata, key)
    with _drawing():
        sections = [*_pictures_and_tables(adata, run), *_how_it_was_made(run, source, target)]
    title = f"{counted(run.n_clusters)} in {run.column}" if run.searched else f"Pairs of {run.column}"
    said = [f'<p class="lead">{escape(" ".join(summary(run)))}</p>']
    said += [f'<p class="warn" role="note">{escape(text)}</p>' for text in warnings_of(run)]
    parts = "".join(f"<dt>{escape(heading)}</dt><dd>{escape(text)}</dd>" for heading, text in explained(run))
    said.append(f"<dl>{parts}</dl>")
    template = Template(files("recall_py.report").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title),
        version=escape(version("recall-py")),
        summary="\n".join(said),
        links="".join(f'<a href="#{anchor}">{escape(heading)}</a>' for anchor, heading, _ in sections),
        sections="\n".join(
            f'<section id="{anchor}"><h2>{escape(heading)}</h2>\n{content}</section>'
            for anchor, heading, content in sections
        ),
    )


@contextmanager
def _drawing() -> Iterator[None]:
    """Draw without a window, in the default style, whatever the user has set."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    backend = mpl.get_backend()
    with mpl.rc_context():
        mpl.rcdefaults()
        plt.switch_backend("agg")
        try:
            yield
        finally:
            plt.close("all")
            plt.switch_backend(backend)


def _pictures_and_tables(adata: AnnData, run: StoredRun) -> list[_Section]:
    key = run.key
    no_counts = _why_no_counts(adata, run)
    no_umap = None if "X_umap" in adata.obsm else "the file has no UMAP (obsm['X_umap'])."
    sections: list[_Section] = []
    if run.searched:
        steps = _picture(
            lambda: pl.search(adata, key, return_fig=True),
            "Number of clusters at each step of the search. Open marks are steps with failing pairs.",
        )
        river = _picture(
            lambda: pl.tree(adata, key, return_fig=True),
            "Which clusters of each step became which, from the start on the left to the result on the right.",
        )
        umap = _picture(
            lambda: pl.umap_compare(adata, None, key, return_fig=True),
            "The cells, coloured by the clusters at the start and by those of the result, on the UMAP of the file.",
            missing=no_umap,
        )
        sections += [
            ("search", "Search", steps + _table(steps_table(adata, run))),
            ("tree", "What became of the clusters", river),
            ("umap", "UMAP", umap),
        ]
    matrix = _picture(
        lambda: pl.pairs(adata, key, return_fig=True),
        "Genes that tell each pair of clusters apart better than null genes do. The fewer, the less sure. Clusters "
        "that few genes tell apart stand side by side.",
    )
    dots = _picture(
        lambda: pl.markers(adata, key, return_fig=True),
        "Expression of the strongest markers. Shade: mean; size: share of cells that express the gene.",
        missing=no_counts,
    )
    nulls = _picture(
        lambda: pl.knockoffs(adata, key, return_fig=True),
        "The weakest pair: every gene against its null gene, and how well the null counts fit the real ones. Sound "
        "nulls lie on the real genes, apart from what sets the clusters apart.",
        missing=no_counts,
    )
    table = _reason(no_counts) if no_counts else _table(markers_table(adata, run))
    return [
        *sections,
        ("clusters", "Clusters", _table(clusters_table(adata, run))),
        ("pairs", "Pairs", matrix + _table(pairs_table(adata, run))),
        ("markers", "Markers", dots + table),
        ("nulls", "Null genes", nulls),
    ]


def _how_it_was_made(run: StoredRun, source: str, target: str) -> list[_Section]:
    versions = pd.DataFrame(
        [("Python", platform.python_version()), *((name, version(name)) for name in _PACKAGES)],
        columns=["package", "version"],
    )
    command = escape(reproduce(run, source, target))
    how = f"<p>The same input, versions and seed give the same labels.</p><pre>{command}</pre>"
    made = f"<p>The result was made by recall_py {escape(str(run.record['version']))}. This page was made with:</p>"
    return [
        ("reproduce", "Command to reproduce", how),
        ("parameters", "Parameters", _table(parameters_table(run))),
        ("versions", "Versions", made + _html_table(versions, "versions")),
        ("cite", "Citation", f"<p>{escape(CITATION)}</p>"),
    ]


def _why_no_counts(adata: AnnData, run: StoredRun) -> str | None:
    """Why the counts of the run cannot be read again, or None."""
    try:
        recorded_counts(adata, run)
    except (KeyError, ValueError) as error:
        return str(error.args[0])
    return None


def _picture(draw: Callable[[], Figure], caption: str, *, missing: str | None = None) -> str:
    """A picture in the page, or the reason why it cannot be drawn: what is `missing`, or has changed since the run."""
    import matplotlib.pyplot as plt

    if missing:
        return _reason(missing)
    try:
        figure = draw()
    except ChangedError as error:
        return _reason(str(error))
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    text = escape(caption)
    return (
        f'<figure><div class="wide"><img alt="{text}" src="data:image/png;base64,{encoded}"></div>'
        f"<figcaption>{text}</figcaption></figure>\n"
    )


def _reason(text: str) -> str:
    return f'<p class="quiet">Not shown: {escape(text)}</p>\n'


def _table(table: Table) -> str:
    note = f'<p class="quiet">{escape(table.note)}</p>' if table.note else ""
    return note + _html_table(table.frame, table.name)


def _html_table(frame: pd.DataFrame, name: str) -> str:
    """A table that sorts by a click on a heading."""
    numeric = [frame[column].dtype.kind in "iuf" for column in frame]
    kinds = [' class="n"' if is_number else "" for is_number in numeric]
    head = "".join(
        f'<th{kind} scope="col"><button type="button">{escape(str(column))}</button></th>'
        for kind, column in zip(kinds, frame, strict=True)
    )
    fails = frame["passes"].eq("no").tolist() if "passes" in frame else [False] * len(frame)
    rows = []
    for row, failing in zip(frame.itertuples(index=False), fails, strict=True):
        cells = "".join(f"<td{kind}>{_cell(value)}</td>" for kind, value in zip(kinds, row, strict=True))
        rows.append(f'<tr class="fails">{cells}</tr>' if failing else f"<tr>{cells}</tr>")
    return (
        f'<div class="wide tall"><table class="sortable" id="table-{name}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>\n"
    )


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e15 else "–"  # infinite or missing
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
