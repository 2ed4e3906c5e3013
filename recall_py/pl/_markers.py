"""Markers of clusters, or of one pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recall_py.adata.stored import StoredMerging, StoredResult, read_result
from recall_py.pl._figure import NULL, PASSING, axes_to_draw_on, hand_over, say_instead, with_plot_docs
from recall_py.words import shortened

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes

_DOTS = 110
"""Area of the dot of a gene that every cell expresses."""
_PAIR_GENES = 15
_LONGEST = 30
"""Letters of a name at most."""


@with_plot_docs
def markers(
    adata: AnnData,
    key: str = "leiden",
    *,
    pair: tuple[str, str] | None = None,
    n_genes: int | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Any:
    """Strongest markers of every cluster, or of one pair.

    Without `pair`, a dot for each gene and cluster: its size is the share of cells that express the gene, its shade
    their mean expression relative to the cluster that has most. With `pair`, a bar for each gene: W, the decades of p
    by which it beats its null, to the side of the cluster that has more of it. Where clusters were compared with null
    cells, those are the ten best genes of the pair at most.

    Parameters
    ----------
    {adata}
    pair
        Two labels that were tested against each other.
    n_genes
        Genes of each cluster, by default 1 to 5, the fewer the more clusters there are; of a pair, 15 of each side.
    ax
        Axes to draw on.
    {show}

    {returns}

    Raises
    ------
    KeyError
        If there is no such result or pair, or its counts are gone.
    ValueError
        If the labels have changed since.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.leiden(adata, 4, method="knockoffs")
    >>> recall_py.pl.markers(adata, pair=("0", "1"), show=False).get_xlabel()
    'W: higher in 1 | higher in 0'
    """
    run = read_result(adata, key)
    if pair is not None:
        figure, axis = _of_pair(adata, run, pair, n_genes or _PAIR_GENES, ax)
    else:
        figure, axis = _of_clusters(adata, run, n_genes, ax)
    return hand_over(figure, axis, given=ax is not None, show=show, save=save, return_fig=return_fig)


def best_markers(table: pd.DataFrame, run: StoredResult, n_genes: int | None = None) -> dict[str, list[str]]:
    """The strongest genes of each cluster, each gene once, with the first cluster that has it."""
    per_cluster = n_genes or (5 if run.n_clusters <= 8 else 3 if run.n_clusters <= 20 else 1)
    taken: set[str] = set()
    chosen: dict[str, list[str]] = {}
    for name in run.names.tolist():
        genes = [gene for gene in table.loc[table["group"] == name, "gene"] if gene not in taken][:per_cluster]
        chosen[name] = genes
        taken.update(genes)
    return chosen


def _of_clusters(adata: AnnData, run: StoredResult, n_genes: int | None, ax: Axes | None) -> tuple[Any, Axes]:
    from matplotlib.patches import Rectangle

    from recall_py import get
    from recall_py.adata.recomputed import cluster_expression

    chosen = best_markers(get.markers(adata, run.key, by="cluster"), run, n_genes)
    genes = [gene for of_cluster in chosen.values() for gene in of_cluster]
    names = [shortened(name, _LONGEST) for name in run.names.tolist()]
    wide = 2.6 + 0.24 * len(genes) + 0.06 * max(map(len, names))
    figure, axis = axes_to_draw_on(ax, (max(5.0, min(15.0, wide)), max(2.8, min(13.0, 1.8 + 0.24 * run.n_clusters))))
    if not genes:
        one = run.n_clusters == 1
        say_instead(
            axis,
            "One cluster: there is no pair to show."
            if one
            else "No gene sets two clusters apart, or none were compared.",
        )
        return figure, axis
    mean, share = cluster_expression(adata, run, np.array(genes))
    relative = mean / np.maximum(mean.max(axis=0), 1e-12)
    row, column = np.indices(relative.shape)
    scale = min(1.0, (24.0 / max(len(genes), run.n_clusters)) ** 2) if len(genes) > 60 else 1.0
    dots = axis.scatter(
        column.ravel(),
        row.ravel(),
        s=_DOTS * scale * share.ravel(),
        c=relative.ravel(),
        cmap="Greys",
        vmin=-0.15,
        vmax=1.0,
        edgecolors="0.4",
        linewidths=0.4,
    )
    start = 0
    for i, of_cluster in enumerate(chosen.values()):
        if of_cluster:
            frame = (start - 0.5, i - 0.5)
            axis.add_patch(Rectangle(frame, len(of_cluster), 1, facecolor="none", edgecolor=PASSING, linewidth=1.3))
        start += len(of_cluster)
    size = 8 if len(genes) <= 45 else 6
    axis.set_xticks(range(len(genes)), genes, rotation=90, size=size)
    axis.set_yticks(range(run.n_clusters), names, size=9 if run.n_clusters <= 30 else 6)
    axis.set(xlim=(-0.8, len(genes) - 0.2), ylim=(run.n_clusters - 0.2, -0.8))
    axis.tick_params(length=0)
    axis.set_title("strongest markers of each cluster (framed)", loc="left", size=11)
    bar = figure.colorbar(dots, ax=axis, shrink=0.7, label="mean, relative to the highest", ticks=[0, 0.5, 1])
    bar.ax.set_ylim(0, 1)
    _legend_of_sizes(axis, _DOTS * scale)
    return figure, axis


def _legend_of_sizes(axis: Axes, full: float) -> None:
    """What the size of a dot means, above the axes on the right."""
    for part in (0.25, 0.5, 1.0):
        axis.scatter([], [], s=full * part, color="0.6", edgecolors="0.4", label=f"{part:.0%}")
    axis.legend(
        title="cells that express it",
        title_fontsize=8,
        fontsize=8,
        frameon=False,
        ncols=3,
        loc="lower right",
        bbox_to_anchor=(1.02, 1.0),
        borderpad=0.1,
        columnspacing=1.0,
        handletextpad=0.2,
    )


def _of_pair(
    adata: AnnData, run: StoredResult, pair: tuple[str, str], n_genes: int, ax: Axes | None
) -> tuple[Any, Axes]:
    from recall_py import get

    first, second = (str(run.names[run.code(label)]) for label in pair)
    table = get.markers(adata, run.key)
    reverse = (table["group"] == second) & (table["reference"] == first)
    rows = table[reverse | ((table["group"] == first) & (table["reference"] == second))]
    in_first = (rows["auc"] > 0.5) ^ (rows["group"] == second)
    sides = [rows[side].nlargest(n_genes, "w") for side in (in_first, ~in_first)]
    names = [*sides[0]["gene"], *sides[1]["gene"][::-1]]
    w = [*sides[0]["w"], *(-sides[1]["w"][::-1])]
    figure, axis = axes_to_draw_on(ax, (5.5, max(2.6, 1.4 + 0.21 * len(names))))
    if not names:
        say_instead(axis, f"No gene sets clusters {first} and {second} apart, or they were not compared.")
        return figure, axis
    colours = [PASSING if value > 0 else NULL for value in w]
    axis.barh(range(len(names)), w, color=colours, edgecolor="black", linewidth=0.4)
    axis.axvline(0, color="black", lw=0.8)
    axis.set_yticks(range(len(names)), names, size=8)
    axis.invert_yaxis()
    axis.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axis.set_xlabel(f"W: higher in {second} | higher in {first}")
    genes = "the best genes" if isinstance(run, StoredMerging) else f"{len(rows)} genes"
    axis.set_title(f"{genes} tell {shortened(first)} and {shortened(second)} apart")
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis
