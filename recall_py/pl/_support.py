"""How certain the cluster of each cell is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recall_py.adata import keys
from recall_py.adata.stored import StoredMerging, read_merging
from recall_py.pl._figure import axes_to_draw_on, hand_over, with_plot_docs
from recall_py.words import shortened

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_COLOURS = "cividis"
"""For every kind of colour vision, and in grey."""
_NONE = "0.85"
_SUREST = 3.0
"""Evidence from which on clusters have one colour: three times what is needed is far from the threshold."""
_LONGEST = 14
"""Letters of a name at most."""
_NAMED = 60
"""Clusters that are named at most."""


@with_plot_docs
def support(
    adata: AnnData,
    key: str = "leiden",
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Any:
    """UMAP coloured by how certain the cluster of each cell is; where to be careful with cells.

    After ``resolution="auto"``: the stability of the cell, the share of the runs in which it is with its cluster. Else:
    the evidence that holds its cluster apart from the neighbour that comes nearest to being one with it, 1 where the
    two barely stand, 3 and more in one colour. Grey cells have no cluster, or one that was compared with no other.

    Parameters
    ----------
    {adata}
        With ``obsm["X_umap"]``.
    ax
        Axes to draw on.
    {show}

    {returns}

    Raises
    ------
    KeyError
        If there is no such result, it is by the knockoff filter, or the UMAP or the stability of the cells is gone.
    ValueError
        If the labels have changed since.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> adata.obsm["X_umap"] = adata.X[:, :2].toarray()
    >>> recall_py.tl.merge_clusters(adata, "annotation")
    >>> recall_py.pl.support(adata, "annotation_merged", show=False).get_title()
    'annotation_merged: evidence against the nearest rival'
    """
    result = read_merging(adata, key)
    if "X_umap" not in adata.obsm:
        msg = "obsm['X_umap'] does not exist. Run sc.pp.neighbors(adata) and sc.tl.umap(adata) first."
        raise KeyError(msg)
    by_runs = keys.STABILITY in result.record
    values = _stability(adata, key) if by_runs else _evidence(adata, result)
    figure, axis = axes_to_draw_on(ax, (6.4, 5.2))
    place = np.asarray(adata.obsm["X_umap"])[:, :2].astype(float)
    x, y = place.T
    known = np.isfinite(values)
    size = min(40.0, 60_000 / max(1, adata.n_obs))
    axis.scatter(x[~known], y[~known], s=size, color=_NONE, lw=0, rasterized=True)
    order = np.flatnonzero(known)[np.argsort(-values[known], kind="stable")]  # the least certain on top
    points = axis.scatter(
        x[order],
        y[order],
        c=values[order],
        s=size,
        cmap=_COLOURS,
        vmin=0.0,
        vmax=1.0 if by_runs else _SUREST,
        lw=0,
        rasterized=True,
    )
    bar = figure.colorbar(points, ax=axis, shrink=0.8, extend="neither" if by_runs else "max")
    bar.set_label("share of runs in which the cell is with its cluster" if by_runs else "times the lead that is needed")
    if not by_runs:
        bar.ax.axhline(result.record[keys.OUTCOMES]["threshold"].max(initial=0.0) or 1.0, color="white", lw=2)
    _name(axis, result, place)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.set_title(
        f"{shortened(result.column, 30)}: {'stability' if by_runs else 'evidence against the nearest rival'}"
    )
    return hand_over(figure, axis, given=ax is not None, show=show, save=save, return_fig=return_fig)


def _stability(adata: AnnData, key: str) -> NDArray[np.float64]:
    column = key + keys.STABILITY_SUFFIX
    if column not in adata.obs:
        msg = f"obs[{column!r}], the stability of the cells, is gone. Run recall_py.tl.leiden(adata, 'auto') again."
        raise KeyError(msg)
    return adata.obs[column].to_numpy(dtype=np.float64)


def _evidence(adata: AnnData, result: StoredMerging) -> NDArray[np.float64]:
    """(n_obs,) the evidence of the cluster of each cell against its nearest rival; NaN where there is none."""
    from recall_py import get

    of_cluster = np.append(get.clusters(adata, result.key)["evidence"].to_numpy(dtype=np.float64), np.nan)
    return of_cluster[result.codes]


def _name(axis: Axes, result: StoredMerging, place: NDArray[np.float64]) -> None:
    """Names of the clusters, where most of their cells are; of the largest, where there are very many."""
    from matplotlib.patheffects import withStroke

    largest = np.argsort(-result.sizes, kind="stable")[:_NAMED]
    for code in largest.tolist():
        cells = place[result.codes == code]
        if len(cells):
            x, y = np.median(cells, axis=0)
            text = axis.text(x, y, shortened(str(result.names[code]), _LONGEST), ha="center", va="center", size=8)
            text.set_path_effects([withStroke(linewidth=2, foreground="white")])
