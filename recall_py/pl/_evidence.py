"""The strength of markers between two clusters, beside that among null cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recall_py.adata.stored import read_merging
from recall_py.pl._figure import FAILING, NULL, PASSING, hand_over, say_instead, with_plot_docs
from recall_py.words import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_PANELS = 12
_COLUMNS = 4
_LONGEST = 16
"""Letters of a name at most."""


@with_plot_docs
def evidence(
    adata: AnnData,
    key: str = "leiden",
    *,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Any:
    """Why clusters were merged: how far genes lead their nulls, a panel for each merge and each near pair that stands.

    The 12 nearest to the threshold are shown, the nearest first. Of tests alone: the pairs that fail, and near ones.
    Somewhere the real genes have to lie above the dotted line.

    Parameters
    ----------
    {adata}
    ax
        Axes to draw on, one or several: so many pairs are shown.
    {show}

    {returns}

    Raises
    ------
    KeyError
        If there is no such result, or it is by the knockoff filter.
    ValueError
        If the labels have changed since.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> adata = adata[adata.obs["annotation"].isin(["CD8+ Cytotoxic T", "CD56+ NK", "CD19+ B"])].copy()
    >>> recall_py.tl.merge_clusters(adata, "annotation")
    >>> axes = recall_py.pl.evidence(adata, "annotation_merged", show=False)
    >>> axes[0].get_title().splitlines()[0]
    'CD8+ Cytotoxic T + CD56+ NK'
    """
    import matplotlib.pyplot as plt

    read_merging(adata, key)
    shown = told_pairs(adata, key)
    if ax is not None:
        given = np.ravel(np.asarray(ax, dtype=object))
        _draw(given, shown.head(given.size))
        return hand_over(given[0].figure, ax, given=True, show=show, save=save, return_fig=return_fig)
    n_columns = min(_COLUMNS, max(1, len(shown)))
    n_rows = -(-len(shown) // n_columns) or 1
    figure, grid = plt.subplots(
        n_rows,
        n_columns,
        figsize=(max(4.5, 3.0 * n_columns), 2.7 * n_rows + 0.5),
        layout="constrained",
        squeeze=False,
    )
    axes = grid.ravel()
    _draw(axes, shown)
    if len(shown):
        for axis in axes[::n_columns]:
            axis.set_ylabel("lead over its null, decades of p")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(3, n_columns), frameon=False, fontsize=9)
    return hand_over(figure, axes, given=False, show=show, save=save, return_fig=return_fig)


def _draw(axes: NDArray[np.object_], shown: pd.DataFrame) -> None:
    """A panel for each pair; axes that are left over are empty."""
    for axis, (_, pair) in zip(axes, shown.iterrows(), strict=False):
        _panel(axis, pair)
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    if shown.empty:
        say_instead(axes[0], "No two clusters were compared and found one,\nand no pair is near the threshold.")


def told_pairs(adata: AnnData, key: str) -> pd.DataFrame:
    """Merges, pairs that fail and near ones that stand, as far as they were compared, the nearest first."""
    import pandas as pd

    from recall_py import get

    last = get.pairs(adata, key)
    table = pd.concat([get.merges(adata, key), last[~last["passes"] | last["near"]]], ignore_index=True)
    compared = table[table["kind"] == "pair"]
    return compared.loc[(compared["evidence"] - compared["threshold"]).abs().sort_values(kind="stable").index[:_PANELS]]


def _panel(axis: Axes, pair: pd.Series[Any]) -> None:
    real, null, needed = (np.asarray(pair[name], dtype=float) for name in ("real", "null", "needed"))
    x = np.arange(real.size)
    axis.fill_between(x, null, real, color=PASSING, alpha=0.15, lw=0)
    axis.plot(x, real, color=PASSING, marker="^", ms=6, lw=1.4, label="between the two clusters")
    axis.plot(x, null, color=NULL, marker="o", ms=5, lw=1.4, label="among null cells, the mean over draws")
    axis.plot(x, needed, color="0.2", lw=1, ls=":", label="to be passed somewhere, to stand")
    axis.set_xticks(x, [str(rank) for rank in pair["ranks"]])
    axis.set(xlim=(-0.25, real.size - 0.75), ylim=(0, None))
    axis.set_xlabel("genes, the best first", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_title(_title(pair), size=9, color=FAILING if pair["near"] else "black")


def _title(pair: pd.Series[Any]) -> str:
    sign = "|" if pair["passes"] else "+"
    names = f" {sign} ".join(_bracketed(str(pair[side])) for side in ("group", "reference"))
    said = f"{pair['evidence']:.2f} of {pair['threshold']:.3g}"
    if pair["near"]:
        said += ", near"
    if pair["passes"]:
        said += ", stand"
    return f"{names}: {said}" if len(names) + len(said) <= 34 else f"{names}\n{said}"


def _bracketed(name: str) -> str:
    """A name; that of a union in brackets."""
    short = shortened(name, _LONGEST)
    return f"({short})" if " + " in name else short
