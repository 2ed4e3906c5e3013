"""What a plot of the cells needs: log-normalised values, components, neighbours and UMAP of the real genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from recall_py import keys
from recall_py.representation import TARGET_TOTAL

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray


def add_embedding(adata: AnnData, genes: NDArray[np.str_], layer: str | None, seed: int) -> list[str]:
    """Add what is missing for a plot; what is there is used and kept.

    Parameters
    ----------
    adata
        With raw counts in ``layers[layer]``, or in ``X`` if `layer` is None.
    genes
        Names of the genes for the components.
    layer
        Where the counts are.
    seed
        Seed of components, neighbours and UMAP.

    Returns
    -------
    The slots that were added.
    """
    import anndata as ad
    import scanpy as sc

    counts = adata.X if layer is None else adata.layers[layer]
    holder = ad.AnnData(counts.copy(), obs=adata.obs[[]], var=adata.var[[]])
    sc.pp.normalize_total(holder, target_sum=TARGET_TOTAL)
    sc.pp.log1p(holder)
    added = []

    def add(mapping: str, *names: str) -> None:
        for name in names:
            getattr(adata, mapping)[name] = getattr(holder, mapping)[name]
            added.append(f"{mapping}[{name!r}]")

    if keys.LOG_LAYER not in adata.layers:
        holder.layers[keys.LOG_LAYER] = holder.X
        add("layers", keys.LOG_LAYER)
    with threadpool_limits(1):
        if "X_pca" in adata.obsm:
            holder.obsm["X_pca"] = adata.obsm["X_pca"]
        else:
            holder.var["selected"] = holder.var_names.isin(genes)
            n_components = min(50, holder.n_obs - 1, int(holder.var["selected"].sum()) - 1)
            sc.pp.pca(holder, n_comps=n_components, mask_var="selected", random_state=seed)
            add("obsm", "X_pca")
            add("varm", "PCs")
            add("uns", "pca")
        if keys.NEIGHBORS in adata.uns:
            holder.uns[keys.NEIGHBORS] = adata.uns[keys.NEIGHBORS]
            for name in adata.obsp:
                holder.obsp[name] = adata.obsp[name]
        else:
            sc.pp.neighbors(holder, use_rep="X_pca", transformer="sklearn", random_state=seed)
            add("obsp", "distances", "connectivities")
            add("uns", keys.NEIGHBORS)
        sc.tl.umap(holder, random_state=seed)
        add("obsm", "X_umap")
        add("uns", "umap")
    return added
