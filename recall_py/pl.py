"""Pictures of calibrated clusterings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.figure import Figure

__all__ = ["umap_compare"]


def umap_compare(
    adata: AnnData,
    plain: str,
    calibrated: str,
    *,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | None:
    """UMAP coloured by two clusterings side by side.

    Parameters
    ----------
    adata
        With ``obsm["X_umap"]``.
    plain, calibrated
        Columns of ``obs``: left and right.
    show
        Show the figure; by default if it is neither saved nor returned.
    save
        File to write it to.
    return_fig
        Return the figure.

    Returns
    -------
    The figure if `return_fig`, else None.

    Raises
    ------
    KeyError
        If the UMAP or a column is missing.

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
        if column not in adata.obs:
            msg = f"obs[{column!r}] does not exist. Columns of obs: {', '.join(adata.obs)}."
            raise KeyError(msg)
    figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    for axis, column, name in zip(axes, (plain, calibrated), ("plain", "calibrated"), strict=True):
        title = f"{name}: {column}, {adata.obs[column].nunique()} clusters"
        sc.pl.umap(
            adata,
            color=column,
            ax=axis,
            title=title,
            size=60_000 / adata.n_obs,
            legend_loc="on data",
            legend_fontsize=7,
            legend_fontoutline=1.5,
            frameon=False,
            show=False,
        )
    if save is not None:
        figure.savefig(save, dpi=150)
    if show or (show is None and save is None and not return_fig):
        plt.show()
    if not return_fig:
        plt.close(figure)
        return None
    return figure
