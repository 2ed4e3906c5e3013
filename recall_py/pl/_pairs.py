"""The matrix of pairs of clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recall_py.adata.stored import StoredMerging, StoredRun, read_result
from recall_py.pl._evidence_matrix import draw_evidence
from recall_py.pl._figure import FAILING, axes_to_draw_on, hand_over, say_instead, with_plot_docs
from recall_py.pl._pair_matrix import (
    WITH_NUMBERS,
    by_similarity,
    colour_bar,
    draw_cells,
    fill,
    line_width,
    name_and_frame,
    outline,
    size_of,
)
from recall_py.words import percent

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


@with_plot_docs
def pairs(
    adata: AnnData,
    key: str = "leiden",
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Any:
    """What holds every pair of clusters apart, failing pairs outlined.

    Where clusters were compared with null cells: the evidence, how many times as far as needed genes lead their own
    nulls. Near pairs, which another seed may turn, have a dotted outline; those that fail, in tests of labels, a
    solid one. Of a search with knockoffs: selected genes. A failing pair has the lowest share of false discoveries that
    any threshold would give, where there is room for it, and a cross where there is none.

    Clusters that little holds apart stand side by side: their order is that of average linkage. Pairs that were not
    compared, because the clusters are no neighbours or too small, are hatched.

    Parameters
    ----------
    {adata}
    ax
        Axes to draw on.
    {show}

    {returns}

    {raises}

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.leiden(adata, 4, method="knockoffs")
    >>> recall_py.pl.pairs(adata, show=False).images[0].get_array().shape
    (10, 10)
    """
    result = read_result(adata, key)
    figure, axis = axes_to_draw_on(ax, size_of(result))
    if result.n_clusters < 2:
        say_instead(axis, "One cluster: there is no pair to show.")
    elif isinstance(result, StoredMerging):
        draw_evidence(axis, result)
    else:
        _draw(axis, result)
    return hand_over(figure, axis, given=ax is not None, show=show, save=save, return_fig=return_fig)


def _draw(axis: Axes, run: StoredRun) -> None:
    from matplotlib.colors import LogNorm

    matrix = run.pair_matrix()
    order = by_similarity(matrix)
    ordered = order.of(matrix)
    highest = max(2.0, np.nanmax(ordered, initial=2.0))
    lowest = min(run.filter.min_selected, highest / 2)
    false_share = order.of(run.pair_matrix("false_share"))
    if run.n_clusters > WITH_NUMBERS:
        false_share[:] = np.nan
    image = draw_cells(axis, ordered, ordered > 0, LogNorm(lowest, highest), ".0f")
    _mark(axis, ordered, false_share)
    name_and_frame(axis, run, order, "selected genes of each pair of clusters")
    _legend(axis, ordered, "" if np.isnan(false_share).all() else percent(run.filter.fdr))
    colour_bar(axis, image, "selected genes", lowest, highest)


def _mark(axis: Axes, ordered: NDArray[np.float64], false_share: NDArray[np.float64]) -> None:
    """Hatch what was not tested; outline what fails, with its share of false discoveries or else a cross."""
    n = len(ordered)
    fill(axis, np.isnan(ordered))
    for i, j in np.argwhere((ordered == 0) & ~np.eye(n, dtype=bool)):
        outline(axis, i, j, n)
        if np.isfinite(false_share[i, j]):
            axis.text(j, i, percent(float(false_share[i, j])), ha="center", va="center", size=7)
            continue
        for ends in ((-0.4, 0.4), (0.4, -0.4)):
            axis.plot((j - 0.4, j + 0.4), (i + ends[0], i + ends[1]), color=FAILING, lw=line_width(n) / 2)


def _legend(axis: Axes, ordered: NDArray[np.float64], target: str) -> None:
    said = []
    off_diagonal = ordered[~np.eye(len(ordered), dtype=bool)]
    if (off_diagonal == 0).any():
        said.append(
            f"outlined: fails; the lowest share of false genes at any threshold, where {target} is needed"
            if target
            else "outlined and crossed: fails, no gene selected"
        )
    if np.isnan(off_diagonal).any():
        said.append("hatched: not tested")
    axis.set_xlabel("\n".join(said), fontsize=9)
