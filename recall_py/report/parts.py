"""What the pages of all results are made of: sections, pictures and tables."""

from __future__ import annotations

import base64
import platform
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from recall_py import pl
from recall_py.adata.methods import CITATION, methods_text
from recall_py.adata.stored import ChangedError, recorded_counts
from recall_py.words import shortened_inside

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.figure import Figure

    from recall_py.adata.stored import StoredResult
    from recall_py.report.tables import Table

_DPI = 110
_LONGEST = 200
"""Letters of a cell of a table at most; the file of the table has all."""
_PACKAGES = ("recall-py", "scanpy", "anndata", "leidenalg", "igraph", "numpy", "scipy", "numba")


class Section(NamedTuple):
    """A part of the page."""

    anchor: str
    heading: str
    content: str
    """HTML."""


@dataclass(frozen=True)
class Page:
    """What a page says, in its order; all but the sections is plain text."""

    title: str
    lead: list[str]
    """Sentences."""
    warnings: list[str]
    explained: list[tuple[str, str]]
    """Headings and what is said under them."""
    sections: list[Section]


@contextmanager
def drawing() -> Iterator[None]:
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


def marker_dots(adata: AnnData, result: StoredResult, no_counts: str | None) -> str:
    """The picture of the strongest markers."""
    return picture(
        lambda: pl.markers(adata, result.key, return_fig=True),
        "Expression of the strongest markers. Shade: mean; size: share of cells that express the gene.",
        missing=no_counts,
    )


def for_a_paper(adata: AnnData, key: str) -> Section:
    """The paragraph for the methods of a paper."""
    return Section("methods", "For a paper", f"<p>{escape(methods_text(adata, key))}</p>")


def how_to_repeat(command: str) -> str:
    """The command, and what it gives."""
    return f"<p>The same input, versions and seed give the same labels.</p><pre>{escape(command)}</pre>"


def made_with(result: StoredResult) -> list[Section]:
    """Versions and what to cite."""
    versions = pd.DataFrame(
        [("Python", platform.python_version()), *((name, version(name)) for name in _PACKAGES)],
        columns=["package", "version"],
    )
    made = f"<p>The result was made by recall_py {escape(str(result.record['version']))}. This page was made with:</p>"
    return [
        Section("versions", "Versions", made + html_table(versions, "versions")),
        Section("cite", "Citation", f"<p>{escape(CITATION)}</p>"),
    ]


def why_no_counts(adata: AnnData, result: StoredResult) -> str | None:
    """Why the counts of the result cannot be read again, or None."""
    try:
        recorded_counts(adata, result)
    except (KeyError, ValueError) as error:
        return str(error.args[0])
    return None


def why_no_umap(adata: AnnData) -> str | None:
    """Why the cells cannot be shown, or None."""
    return None if "X_umap" in adata.obsm else "the file has no UMAP (obsm['X_umap'])."


def picture(draw: Callable[[], Figure], caption: str, *, missing: str | None = None) -> str:
    """A picture in the page, or the reason why it cannot be drawn: what is `missing`, or has changed since the run."""
    import matplotlib.pyplot as plt

    if missing:
        return reason(missing)
    try:
        figure = draw()
    except ChangedError as error:
        return reason(str(error))
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    width, height = struct.unpack(">II", buffer.getvalue()[16:24])
    broad = ' class="broad"' if width > height else ""
    text = escape(caption)
    return (
        '<figure><div class="wide" role="group" aria-label="Picture" tabindex="0">'
        f'<img{broad} alt="{text}" src="data:image/png;base64,{encoded}"></div>'
        f"<figcaption>{text}</figcaption></figure>\n"
    )


def reason(text: str) -> str:
    """Why something is not shown."""
    return f'<p class="quiet">Not shown: {escape(text)}</p>\n'


def table_part(table: Table) -> str:
    """A table with its note."""
    note = f'<p class="quiet">{escape(table.note)}</p>' if table.note else ""
    return note + html_table(table.frame, table.name)


def html_table(frame: pd.DataFrame, name: str) -> str:
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
        cells = "".join(f"<td{kind}{_exact(value)}>{_cell(value)}</td>" for kind, value in zip(kinds, row, strict=True))
        rows.append(f'<tr class="fails">{cells}</tr>' if failing else f"<tr>{cells}</tr>")
    download = f'<button type="button" class="csv" data-of="table-{name}" hidden>Download {name} as CSV</button>'
    return (
        f'<div class="wide tall" role="region" aria-label="Table: {name}" tabindex="0">'
        f'<table class="sortable" id="table-{name}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>\n{download}\n"
    )


def _exact(value: Any) -> str:
    """A value for sorting and for the file, where fewer digits or letters are shown."""
    if isinstance(value, str) and len(value) > _LONGEST:
        return f' data-v="{escape(value)}"'
    if not isinstance(value, float) or _cell(value) in (f"{value:.7g}", "–"):
        return ""
    return f' data-v="{value:.7g}"'


def _cell(value: Any) -> str:
    if isinstance(value, float):
        if not abs(value) < 1e15:  # infinite or missing
            return "–"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else escape(shortened_inside(str(value), _LONGEST))
