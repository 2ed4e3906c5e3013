"""Two clusterings side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recall_py.adata import keys
from recall_py.adata.stored import read_run
from recall_py.arguments import ArgumentKeyError
from recall_py.pl._figure import hand_over, with_plot_docs

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
        Columns of ``obs``: left and right. None for `plain` stands for the clusters at the start of the search that
        ``uns[calibrated]`` records.
    ax
        Two axes to draw on.
    {show}

    {returns}

    Raises
    ------
    KeyError
        If the UMAP or a column is missing, or no search was recorded.

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
    for column in (plain, calibrated):
        if column is not None and column not in adata.obs:
            msg = f"obs[{column!r}] does not exist. Columns of obs: {', '.join(adata.obs)}."
            raise KeyError(msg)
    shown = _start_and_result(adata, calibrated) if plain is None else adata
    titles = ("start of the search", calibrated) if plain is None else (f"plain: {plain}", f"calibrated: {calibrated}")
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


def _start_and_result(adata: AnnData, key: str) -> AnnData:
    """Labels at the start and at the end of a search, with the UMAP; cells that took no part have no label."""
    import anndata as ad
    import numpy as np
    import pandas as pd
    from natsort import natsorted

    run = read_run(adata, key)
    if not run.searched:
        text = "uns[{key!r}] records no search. Name the column to compare with: {plain:'...'}."
        raise ArgumentKeyError(text, key=key)
    started = np.full(adata.n_obs, None, dtype=object)
    started[run.codes >= 0] = np.asarray(run.record["start"]).astype(str)
    codes = natsorted({label for label in started if label is not None})
    obs = pd.DataFrame({_START: pd.Categorical(started, categories=codes), key: adata.obs[key]}, index=adata.obs_names)
    light = ad.AnnData(obs=obs, obsm={"X_umap": adata.obsm["X_umap"]})
    colours = adata.uns.get(key + keys.COLORS_SUFFIX)
    if colours is not None:
        light.uns[key + keys.COLORS_SUFFIX] = colours
    return light
