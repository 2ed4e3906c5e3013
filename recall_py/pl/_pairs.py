"""The matrix of pairs of clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recall_py.adata.stored import StoredRun, read_run
from recall_py.pl._figure import FAILING, axes_to_draw_on, hand_over, say_instead, with_plot_docs
from recall_py.words import percent, shortened

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_WITH_NUMBERS = 16
"""Clusters at most whose numbers of genes are written into the matrix."""
_LONGEST = 24
"""Letters of a name at most."""


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
    """Selected genes of every pair of clusters, failing pairs outlined.

    Clusters that few genes tell apart stand side by side: their order is that of average linkage on the number of
    selected genes. Pairs that were not tested, because the clusters are no neighbours or too small, are hatched. A
    failing pair has the lowest share of false discoveries that any threshold would give, where there is room for it,
    and a cross where there is none.

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
    run = read_run(adata, key)
    longest = 0.07 * max(len(shortened(name, _LONGEST)) for name in run.names)
    side = min(13.0, 3.4 + max(0.33, 0.17 if run.n_clusters > 20 else 0.42) * run.n_clusters)
    figure, axis = axes_to_draw_on(ax, (min(14.0, side + longest), min(13.0, side + 0.3 + longest)))
    if run.n_clusters < 2:
        say_instead(axis, "One cluster: there is no pair to show.")
    else:
        _draw(axis, run)
    return hand_over(figure, axis, given=ax is not None, show=show, save=save, return_fig=return_fig)


def similarity_tree(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average linkage; pairs that were not tested count as the farthest, since those that matter were."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    distance = np.log2(1.0 + matrix)
    farthest = np.nanmax(distance) + 1.0 if np.isfinite(distance).any() else 1.0
    distance = np.where(np.isnan(distance), farthest, distance)
    np.fill_diagonal(distance, 0.0)
    return linkage(squareform(distance, checks=False), "average", optimal_ordering=True)


def _draw(axis: Axes, run: StoredRun) -> None:
    from matplotlib.colors import LogNorm
    from scipy.cluster.hierarchy import dendrogram

    matrix = run.pair_matrix()
    tree = dendrogram(similarity_tree(matrix), no_plot=True)
    order = np.array(tree["leaves"])
    ordered = matrix[np.ix_(order, order)]
    n = run.n_clusters
    highest = max(2.0, np.nanmax(ordered, initial=2.0))
    lowest = min(run.filter.min_selected, highest / 2)
    shown = np.ma.masked_where(~(ordered > 0), ordered)
    norm: Any = LogNorm(lowest, highest)
    image = axis.imshow(shown, cmap="cividis", norm=norm, interpolation="nearest")
    false_share = run.pair_matrix("false_share")[np.ix_(order, order)]
    if n > _WITH_NUMBERS:
        false_share[:] = np.nan
    _mark(axis, ordered, false_share)
    if n <= _WITH_NUMBERS:
        for i, j in zip(*np.nonzero(ordered > 0), strict=True):
            dark = float(norm(ordered[i, j])) < 0.55
            axis.text(j, i, f"{ordered[i, j]:.0f}", ha="center", va="center", size=7, color="w" if dark else "k")
    names = [shortened(name, _LONGEST) for name in run.names[order]]
    size = 9 if n <= 20 else 7 if n <= 40 else 5
    axis.set_xticks(range(n), names, rotation=90 if max(map(len, names)) > 2 or n > 30 else 0, size=size)
    axis.set_yticks(range(n), names, size=size)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    _legend(axis, ordered, "" if np.isnan(false_share).all() else percent(run.filter.fdr))
    top = axis.inset_axes((0.0, 1.01, 1.0, 0.14))
    for at, height in zip(tree["icoord"], tree["dcoord"], strict=True):
        top.plot((np.array(at) - 5) / 10, height, color="0.3", lw=1)
    top.set(xlim=(-0.5, n - 0.5), ylim=(0, None))
    top.set_axis_off()
    axis.set_title("selected genes of each pair of clusters", y=1.16)
    bar = axis.figure.colorbar(
        image, ax=axis, shrink=0.6, label="selected genes", format="%d", ticks=_ticks(lowest, highest)
    )
    bar.minorticks_off()


def _ticks(lowest: float, highest: float) -> list[float]:
    """Round numbers over the range."""
    rounded = [base * 10**power for power in range(5) for base in (1, 2, 5)]
    return [value for value in rounded if lowest <= value <= highest]


def _mark(axis: Axes, ordered: NDArray[np.float64], false_share: NDArray[np.float64]) -> None:
    """Hatch what was not tested; outline what fails, with its share of false discoveries or else a cross."""
    from matplotlib.patches import Rectangle

    n = len(ordered)
    width = 2.0 if n <= 20 else 1.0
    for i, j in np.ndindex(n, n):
        corner = (j - 0.5, i - 0.5)
        if i == j:
            axis.add_patch(Rectangle(corner, 1, 1, facecolor="0.8", edgecolor="none"))
        elif np.isnan(ordered[i, j]):
            axis.add_patch(Rectangle(corner, 1, 1, facecolor="white", edgecolor="0.8", hatch="///", linewidth=0))
        elif ordered[i, j] == 0:
            axis.add_patch(
                Rectangle((j - 0.44, i - 0.44), 0.88, 0.88, facecolor="white", edgecolor=FAILING, linewidth=width)
            )
            if np.isfinite(false_share[i, j]):
                axis.text(j, i, percent(float(false_share[i, j])), ha="center", va="center", size=7)
                continue
            for ends in ((-0.4, 0.4), (0.4, -0.4)):
                axis.plot((j - 0.4, j + 0.4), (i + ends[0], i + ends[1]), color=FAILING, lw=width / 2)


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
