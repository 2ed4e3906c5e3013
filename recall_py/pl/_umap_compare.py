"""Two clusterings side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recall_py.adata import keys
from recall_py.adata.stored import StoredMerging, StoredRun, read_result
from recall_py.arguments import ArgumentKeyError
from recall_py.pl._figure import hand_over, with_plot_docs
from recall_py.pl._start import start_and_end_of_search, start_and_result

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes

_START = "start"


@with_plot_docs
def umap_compare(
    adata: AnnData,
    plain: str | None,
    calibrated: str,
    *,
    ax: Sequence[Axes] | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Any:
    """UMAP coloured by two clusterings side by side.

    Parameters
    ----------
    adata
        With ``obsm["X_umap"]``.
    plain, calibrated
        Columns of ``obs``: left and right. None for `plain` stands for the clusters at the start, of the merging or the
        search that ``uns[calibrated]`` records.
    ax
        Two axes to draw on.
    {show}

    {returns}

    Raises
    ------
    KeyError
        If the UMAP or a column is missing, or nothing was merged and no search made.

    Examples
    --------
    >>> import scanpy as sc, recall_py
    >>> adata = sc.datasets.pbmc68k_reduced()
    >>> figure = recall_py.pl.umap_compare(adata, "louvain", "bulk_labels", return_fig=True)
    >>> len(figure.axes)
    2
    """
    import matplotlib.pyplot as plt
    import scanpy as sc

    if "X_umap" not in adata.obsm:
        msg = "obsm['X_umap'] does not exist. Run sc.pp.neighbors(adata) and sc.tl.umap(adata) first."
        raise KeyError(msg)
    shown, titles = adata, (f"plain: {plain}", f"calibrated: {calibrated}")
    if plain is None:
        shown, titles = _start_and_result(adata, calibrated)
    for column in (plain, calibrated):
        if column is not None and column not in adata.obs:
            msg = f"obs[{column!r}] does not exist. Columns of obs: {', '.join(adata.obs)}."
            raise KeyError(msg)
    axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")[1] if ax is None else ax
    for axis, column, title in zip(axes, (plain or _START, calibrated), titles, strict=True):
        n_clusters = shown.obs[column].nunique()
        sc.pl.umap(
            shown,
            color=column,
            ax=axis,
            title=f"{title}, {n_clusters} clusters",
            size=60_000 / adata.n_obs,
            legend_loc="on data",
            legend_fontsize=7 if n_clusters <= 30 else 5,
            legend_fontoutline=1.5,
            frameon=False,
            show=False,
        )
        for points in axis.collections:
            points.set_rasterized(True)
    return hand_over(axes[0].figure, axes, given=ax is not None, show=show, save=save, return_fig=return_fig)


def _start_and_result(adata: AnnData, key: str) -> tuple[AnnData, tuple[str, str]]:
    """Labels at the start and at the end, with the UMAP and titles; cells without a label at the start have none."""
    import anndata as ad
    import pandas as pd

    result = read_result(adata, key)
    if isinstance(result, StoredMerging) and result.merges_clusters:
        shown, title = start_and_result(adata, result), result.start_column
    elif isinstance(result, StoredRun) and result.searched:
        shown, title = start_and_end_of_search(adata, result), "start of the search"
    else:
        text = "uns[{key!r}] records no start. Name the column to compare with: {plain:'...'}."
        raise ArgumentKeyError(text, key=key)
    obs = pd.DataFrame({_START: shown.start, key: shown.result}, index=adata.obs_names)
    light = ad.AnnData(obs=obs, obsm={"X_umap": adata.obsm["X_umap"]})
    for name, colours in ((_START, shown.start_colours), (key, shown.colours)):
        light.uns[name + keys.COLORS_SUFFIX] = colours
    return light, (title, key)
