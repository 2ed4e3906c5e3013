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
    """Add what is missing for a plot; nothing that is there is replaced.

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
    holder.var["selected"] = holder.var_names.isin(genes)
    n_components = min(50, holder.n_obs - 1, int(holder.var["selected"].sum()) - 1)
    with threadpool_limits(1):
        sc.pp.pca(holder, n_comps=n_components, mask_var="selected", random_state=seed)
        sc.pp.neighbors(holder, random_state=seed)
        sc.tl.umap(holder, random_state=seed)
    added = []

    def add(mapping: str, name: str, value: object) -> None:
        if name not in getattr(adata, mapping):
            getattr(adata, mapping)[name] = value
            added.append(f"{mapping}[{name!r}]")

    add("layers", keys.LOG_LAYER, holder.X)
    add("varm", "PCs", holder.varm["PCs"])
    for name in ("X_pca", "X_umap"):
        add("obsm", name, holder.obsm[name])
    if keys.NEIGHBORS not in adata.uns:
        for name in ("distances", "connectivities"):
            add("obsp", name, holder.obsp[name])
    for name in ("pca", keys.NEIGHBORS, "umap"):
        add("uns", name, holder.uns[name])
    return added
